// Everything natpeer decides. It takes bytes, addresses and the time, and says what to do next; it has no socket and no
// clock.
//
// The rooms it joins: stun_client and nat_probe (our public address and our NAT), registration (the coordinator),
// topic_view and peer_table (who is there), session (one peer of ours, its paths, the two streams), sender (stdin to
// datagrams), receiver (datagrams to stdout).
//
//   peer.cpp              input, output, time, and what the rooms tell each other
//   peer_packets.cpp      packets from other peers
//   peer_pings.cpp        packets to them, but for DATA
//   peer_streams.cpp      who has how much of whose stream
//   peer_coordinator.cpp  the coordinator, and what it says about others
//   peer_status.cpp       what the user is told of the paths and the streams
#pragma once

#include "nat/challenges.hpp"
#include "nat/join_query.hpp"
#include "nat/nat_probe.hpp"
#include "nat/note.hpp"
#include "nat/outbox.hpp"
#include "nat/peer_table.hpp"
#include "nat/progress_report.hpp"
#include "nat/queue_level.hpp"
#include "nat/receiver.hpp"
#include "nat/registration.hpp"
#include "nat/relay_queue.hpp"
#include "nat/seal.hpp"
#include "nat/sender.hpp"
#include "nat/session_table.hpp"
#include "nat/status_report.hpp"
#include "nat/stun_client.hpp"
#include "nat/topic_keys.hpp"
#include "nat/topic_view.hpp"
#include "nat/unproven_allowance.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nat {

struct peer_config {
  std::string topic;
  std::string name;
  std::optional<secret_key> key;  ///< none: an open topic
  payload_cipher cipher = payload_cipher::chacha20_poly1305;
  std::optional<endpoint> advertise;                        ///< register this address, and ask no STUN server
  duration ping_interval = std::chrono::milliseconds(250);  // the seed's
  std::size_t wait_for = 1;                                 ///< peers before stdin is read
  input_mode input = input_mode::bytes;
  output_mode output = output_mode::raw;
  std::optional<duration> quit_on_eof;  ///< end when all peers have all of stdin, or none of them has more for so long
  bool quit_on_end = false;             ///< read no stdin, and end when all senders have ended and it is written
  duration slow_peer = std::chrono::minutes(5);  ///< who gets no further for so long is left behind
  bool drops_slow_peers = false;                 ///< it is, as soon as others wait for it
  std::size_t replay = 0;  ///< bytes of our stream, as packets, that are kept for who comes later; beside `memory`
  duration live{};         ///< what is older is not sent any more, nor written there; 0: everything is
  std::string from;        ///< only what this peer sends is written; empty: all of them
  std::uint64_t rate = 0;  ///< bit/s to each peer at most, headers included; 0: what its path carries
  std::uint64_t seed_rate = default_seed_rate;
  std::size_t memory = 64U << 20;  ///< bytes of our stream that are kept, and as many of what others send
};

/// How the program ends; `reason` is one line for the user, empty where all is well.
struct ending {
  int status = 0;
  std::string reason;
};

/// What came in and what became of it.
struct peer_counters {
  std::uint64_t data_received = 0;
  std::uint64_t payload_bytes = 0;    ///< of DATA that was taken
  std::uint64_t data_unlisted = 0;    ///< dropped: the source is in no list
  std::uint64_t data_overflow = 0;    ///< dropped: a seed peer's, and stdout is not read
  std::uint64_t data_duplicate = 0;   ///< dropped: it came by another path, was sent again, or was played again
  std::uint64_t data_early = 0;       ///< dropped: more than may be under way, or before it was told where they begin
  std::uint64_t data_unexpected = 0;  ///< dropped: its sender has not echoed our challenge in this run
  std::uint64_t pings_received = 0;
  std::uint64_t pings_unlisted = 0;
  std::uint64_t malformed = 0;    ///< neither STUN nor a packet
  std::uint64_t other_topic = 0;  ///< dropped: of a natpeer that has another topic or key, or damaged on the way
  std::uint64_t unsealed = 0;     ///< dropped: no seal, in a keyed topic or from who has proved to be one of ours
  std::uint64_t forged = 0;       ///< dropped: sealed by a member against the rules, or a payload that was changed
  std::uint64_t replayed = 0;     ///< PINGs that were seen before
  std::uint64_t misdirected = 0;  ///< PINGs for somebody else, or our own come back
};

class peer {
 public:
  peer(peer_config config, random_source& random);

  void start(time_point now);

  /// Backpressure: stdin is read only while this holds, at most `input_splitter::max_chunk` bytes at a time.
  bool wants_input() const;
  /// Whether stdin is read at all.
  bool reads_input() const { return !config_.quit_on_end; }
  void on_input(time_point now, byte_view chunk);
  void on_input_end(time_point now);

  /// `flush` is due after it, or after several that came together.
  void on_datagram(time_point now, unix_millis wall, const endpoint& from, byte_view datagram);
  struct incoming {
    endpoint from;
    byte_view datagram;
  };
  /// Several that came together, at most `together`, as one after the other, and cheaper.
  static constexpr std::size_t together = opening_streams::max;
  void on_datagrams(time_point now, unix_millis wall, std::span<const incoming> datagrams);
  /// What came together is answered together.
  void flush(time_point now);
  /// A datagram came to the socket that `next_aside` is sent from.
  void on_aside(time_point now, const endpoint& from, byte_view datagram);
  /// ICMP says that nobody listens at this address, to which something was sent.
  void on_unreachable(time_point now, const endpoint& at);
  /// ICMP, or our own kernel, says that no more than `mtu` bytes of IP pass at once on the way to this address.
  void on_too_large(time_point now, const ip_address& to, std::size_t mtu);
  /// `count` datagrams of `datagrams()` were sent.
  void on_sent(time_point now, std::size_t count);
  /// The answer to a STUN lookup; empty where no name resolved, `error` then says why.
  void on_stun_servers(time_point now, const std::vector<endpoint>& servers, const std::string& error);
  void on_coordinator(time_point now, unix_millis wall, const coordinator_event& event);
  /// The machine's own addresses, and the port of our socket on them. `moved`: the one that we reach the coordinator
  /// from is gone, if only for a while, or the way out is another.
  void on_interfaces(time_point now, const std::vector<ip_address>& addresses, std::uint16_t port, bool moved);
  void on_output_written(time_point now, std::size_t bytes);
  /// stdout takes nothing more: whoever read it is gone, which is no failure, or `failure` says why.
  void on_output_closed(time_point now, std::string failure);
  void on_time(time_point now);
  deadline next_deadline();
  /// Leaves the topic properly, so that the others are told at once; `ending()` follows.
  void leave(time_point now);

  // What to do now.
  const outbox& datagrams() const { return outbox_; }
  /// Whether `next_output` is to be called, after what it gave before is written.
  bool has_output() const { return receiver_.has_output(); }
  /// Fills `empty` with bytes for stdout. It may stay empty. `on_output_written` tells how far they are written.
  void next_output(std::vector<std::uint8_t>& empty) { receiver_.next_output(empty, sessions_); }
  /// Whether all that was received in order is written.
  bool output_drained() const { return receiver_.drained(); }
  /// A datagram to send from another socket than the one for everything else.
  std::optional<nat_probe_request> next_aside();
  std::optional<coordinator_command> next_command();
  /// A text message for the coordinator. To be asked after the datagrams are sent.
  std::optional<std::string> next_message();
  /// A binary message for the coordinator, which leaves before the connection is closed.
  std::optional<relay_queue::frame> next_last_word() { return relay_.next_ping(); }
  /// A binary message for the coordinator, as long as the connection takes some.
  std::optional<relay_queue::frame> next_relayed(time_point now);
  /// What `coordinator_command::join` and `join_v2` register.
  join_request registration_request(coordinator_command command) const;
  const registration& coordinator() const { return registration_; }
  /// Whether the STUN servers' names shall be resolved; true once for each time.
  bool take_stun_lookup();
  std::optional<note> next_note() { return notes_.next(); }
  const std::optional<ending>& ended() const { return ending_; }

  /// Everything that grows, and how far it may.
  std::array<queue_level, 12> queues() const;
  const peer_counters& counters() const { return counters_; }
  status_report status(time_point now) const;
  progress_report progress(time_point now) const;
  const peer_table& seeds() const { return table_; }
  const session_table& sessions() const { return sessions_; }
  const topic_keys& keys() const { return keys_; }
  std::uint64_t packets_sent() const { return sender_.packets(); }
  const send_log& log() const { return sender_.log(); }

 private:
  // However long and restless a coordinator's lists are: 4096 PINGs a second, the seed's interval for a topic of 1000,
  // and at once one to each peer of the longest list.
  static constexpr std::uint64_t max_ping_rate = 4096 * header_size * 8;  // bit/s
  static constexpr std::size_t max_ping_burst = max_roster_peers * header_size;

  // One event makes a few at most (leave one connection, open another, join), and the program takes them after each.
  static constexpr std::size_t max_commands = 4;
  // Addresses, a resync, and punches to those who wait for ours. What is over it is not said; pinging does without.
  static constexpr std::size_t max_messages = 256;
  // Two peers tell each other about their NATs before either pings; who does not tell is pinged all the same.
  static constexpr duration introductions = std::chrono::milliseconds(1500);
  // Nobody else in a keyed topic by then: the key may be another.
  static constexpr duration lonely_after = std::chrono::seconds(10);

  // A record that waits for a place for large ones asks again so often.
  static constexpr duration place_asked_again = std::chrono::seconds(1);
  // With --quit-on-end: a sender is asked so often, and for so long, whether it knows that all is written. With
  // --quit-on-eof: so long others are heard out.
  static constexpr duration confirm_interval = std::chrono::milliseconds(100);
  static constexpr duration confirm_patience = std::chrono::seconds(2);

  // peer_packets.cpp
  struct arrival {
    time_point now;
    unix_millis wall = 0;
    std::optional<endpoint> from;  ///< none: relayed
  };
  void on_packet(const arrival& how, byte_view datagram, const header_stream* made = nullptr);
  void on_unsealed(const arrival& how, const packet& decoded);
  void on_sealed_ping(const arrival& how, const ping_header& ping, std::size_t size);
  void on_size(const arrival& how, session& who, const ping_header& ping, std::size_t size);
  void on_sealed_data(const arrival& how, const data_header& header, byte_view datagram);
  session* session_of(const arrival& how, const ping_header& ping);
  bool on_last_words(const arrival& how, const ping_header& ping);
  void remove_session(time_point now, std::string_view name);
  void on_session_changed(time_point now, session& who);
  void write_out(time_point now, const output_source& source, byte_view payload);

  // peer_streams.cpp
  bool send_on_route(time_point now, session& who, ping_header header);
  void acknowledge(time_point now, session& who);
  void ask_for_stream(time_point now, session& who);
  void on_acknowledgement(const arrival& how, session& who, const ping_header& ping);
  void note_written(time_point now, session& who, const ping_header& ping);
  void on_stream(const arrival& how, session& who, const ping_header& ping);
  void take_ending(session& who, const ping_header& ping);
  void announce(time_point now, session& who);
  bool tell_stream(time_point now, session& who, std::uint8_t flags);
  void pump(time_point now);
  void check_end(time_point now);
  void check_senders(time_point now);
  void confirm(time_point now, session& who);
  void tell_gap(time_point now, session& who, bool at_once = false);
  std::vector<std::string> unfinished(time_point now, bool waited_for, bool is_whole) const;
  bool has_heard_out() const;
  std::string unkept_promise(time_point now);
  bool is_ending() const { return ending_ || registration_.is_leaving(); }

  // peer_pings.cpp
  void ping(time_point now, const endpoint& to);
  bool ping(time_point now, session& who, path& on, bool wants_answer, bool to_newcomer = false);
  bool wants_ping(time_point now, const known_peer& to);
  void ping_seeds_in_turn(time_point now);
  void ping_sessions(time_point now);
  void ping_due(time_point now, session& who);
  void probe_size(time_point now, session& who);
  void send_size(time_point now, session& who, path& on, std::size_t padded, ping_size what, std::uint8_t flags);
  duration ping_slot() const;

  // peer_status.cpp
  own_side own() const;
  bool relays() const { return relays_ && registration_.is_v2() && registration_.is_registered(); }
  void note_path(time_point now, session& who);

  // peer_coordinator.cpp
  void on_list(time_point now, std::string_view message);
  void take_seeds(time_point now, const roster& list, bool keep_missing);
  bool is_listed_as_ours(std::string_view name) const;
  bool is_heard(time_point now, std::string_view name, bool doubtful) const;
  bool is_no_peer(const roster_entry& entry) const;
  void on_v2_message(time_point now, std::string_view message);
  void reject_list(time_point now, std::error_code why, std::string_view message);
  void handle(time_point now, const v2::welcome& message);
  void handle(time_point now, const v2::snapshot& message);
  void handle(time_point now, const v2::delta& message);
  void handle(time_point now, const v2::punch_from& message);
  void on_view_changed(time_point now, const topic_view::changes& changes);
  void take_session(time_point now, const v2_peer& who);
  void take_seeds_of_view(time_point now);
  void introduce(time_point now, session& who);
  std::vector<path_offer> offers_of(const v2_peer& who) const;
  void tell_addresses(time_point now);
  void say(const v2::client_message& message);
  void on_disconnected(time_point now);
  void settle_registration(time_point now);
  void settle_commands(time_point now);
  void handle(time_point now, const registration_events::retry_later& event);
  void handle(time_point now, const registration_events::registered& event);
  void handle(time_point now, const registration_events::rejected& event);
  void handle(time_point now, const registration_events::left& event);

  // peer.cpp
  void on_peers_changed(time_point now);
  /// Carries what one room says to the others, until all are silent.
  void settle(time_point now);
  void settle_stun(time_point now);
  void settle_probe(time_point now);
  void note_peer(time_point now, note_kind kind, const std::string& name, const endpoint& where);
  void check_loneliness(time_point now);

  peer_config config_;
  random_source& random_;
  topic_keys keys_;
  name_tag own_tag_;
  sender_id self_;
  packet_sealer sealer_;
  challenges challenges_;
  stun_client stun_;
  nat_probe probe_;
  registration registration_;
  topic_view view_;
  peer_table table_;
  session_table sessions_;
  sender sender_;
  receiver receiver_;
  outbox outbox_;
  relay_queue relay_;
  pacer ping_pacer_;
  unproven_allowance pings_allowed_{unproven_pings};
  unproven_allowance data_allowed_{unproven_data};
  note_queue notes_;
  peer_counters counters_;
  std::deque<coordinator_command> commands_;
  std::deque<std::string> messages_;
  std::optional<nat_probe_request> aside_;
  opening_streams opening_;
  std::vector<std::uint8_t> scratch_;  ///< for a payload whose place is in two parts
  std::vector<start_gate::awaited> awaited_;

  // Where we are.
  std::vector<ip_address> interfaces_;
  std::uint16_t port_ = 0;
  nat_probe_result probed_;
  deadline behavior_by_;  ///< until then others may wait for our NAT's behaviour
  ip_address coordinator_ip_;
  std::vector<std::uint16_t> stun_ports_;  ///< of the coordinator
  bool relays_ = false;                    ///< the coordinator
  v2::addresses told_;
  bool has_told_ = false;       ///< `told_` was said on this connection
  bool was_connected_ = false;  ///< with natcoord.v2

  bool stun_lookup_ = false;
  deadline stun_answered_at_;   ///< the answer `registration_` was last told of
  bool list_is_first_ = false;  ///< of this connection, which is not the first
  bool gate_was_open_ = false;
  bool output_is_full_ = false;
  bool input_ended_ = false;
  bool has_everything_ = false;    ///< with --quit-on-end
  bool was_sender_heard_ = false;  ///< likewise
  deadline senders_due_;           ///< when `check_senders` has something to do
  deadline confirmed_by_;          ///< with --quit-on-end: all is written, and its senders are told until then
  deadline heard_out_by_;          ///< with --quit-on-eof: when it ends though others have not
  bool awaits_end_ = false;        ///< with --quit-on-eof: all of stdin is sealed
  deadline progress_at_;           ///< when some peer last had more of our stream, once stdin has ended
  deadline lonely_at_;
  bool was_lonely_ = false;  ///< `lonely_at_` was set once
  bool said_later_version_ = false;
  // Everyone is pinged once an interval, in turn rather than at once: a topic of 1000 would overflow a home router's
  // queue.
  std::size_t ping_turn_ = 0;
  deadline next_ping_;
  std::uint64_t unaddressed_pings_ = 0;
  std::uint64_t relay_rate_ = 0;  ///< bit/s, as the coordinator says; 0: no bound
  ending last_words_;             ///< what `ending_` will be once the coordinator is told
  std::optional<ending> ending_;
};

}  // namespace nat
