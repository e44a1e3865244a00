// Everything natpeer decides. It takes bytes, addresses and the time, and says what to do next; it has no socket and no
// clock.
//
// The rooms it joins: stun_client (our public address), registration (the coordinator), peer_table (who is there),
// sender (stdin to datagrams), receiver (datagrams to stdout).
#pragma once

#include "nat/join_query.hpp"
#include "nat/note.hpp"
#include "nat/outbox.hpp"
#include "nat/peer_table.hpp"
#include "nat/queue_level.hpp"
#include "nat/receiver.hpp"
#include "nat/registration.hpp"
#include "nat/sender.hpp"
#include "nat/stun_client.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace nat {

struct peer_config {
  std::string topic;
  std::string name;
  std::optional<endpoint> advertise;                        ///< register this address, and ask no STUN server
  duration ping_interval = std::chrono::milliseconds(250);  // the seed's
  std::size_t wait_for = 1;                                 ///< peers before stdin is read
  input_mode input = input_mode::bytes;
  output_mode output = output_mode::raw;
  std::optional<duration> quit_on_eof;  ///< end so long after the last packet
  std::uint64_t rate = 20'000'000;      ///< bit/s to each peer, headers included
};

/// How the program ends; `reason` is one line for the user, empty where all is well.
struct ending {
  int status = 0;
  std::string reason;
};

/// What came in and what became of it.
struct peer_counters {
  std::uint64_t data_received = 0;
  std::uint64_t data_unlisted = 0;  ///< dropped: the source is in no list
  std::uint64_t data_overflow = 0;  ///< dropped: stdout is not read
  std::uint64_t pings_received = 0;
  std::uint64_t pings_unlisted = 0;
  std::uint64_t malformed = 0;  ///< neither STUN nor a packet
};

class peer {
 public:
  peer(peer_config config, random_source& random);

  void start(time_point now);

  /// Backpressure: stdin is read only while this holds, at most `input_splitter::max_chunk` bytes at a time.
  bool wants_input() const;
  void on_input(time_point now, byte_view chunk);
  void on_input_end(time_point now);

  void on_datagram(time_point now, unix_millis wall, const endpoint& from, byte_view datagram);
  /// `count` datagrams of `datagrams()` were sent.
  void on_sent(time_point now, std::size_t count);
  /// The answer to a STUN lookup; empty where no name resolved, `error` then says why.
  void on_stun_servers(time_point now, const std::vector<endpoint>& servers, const std::string& error);
  void on_coordinator(time_point now, const coordinator_event& event);
  void on_output_written(time_point now, std::size_t bytes);
  /// stdout takes nothing more: whoever read it is gone, which is no failure, or `failure` says why.
  void on_output_closed(time_point now, std::string failure);
  void on_time(time_point now);
  deadline next_deadline();
  /// Leaves the topic properly, so that the others are told at once; `ending()` follows.
  void leave(time_point now);

  // What to do now.
  const outbox& datagrams() const { return outbox_; }
  bool has_output() const { return receiver_.has_output(); }
  void swap_output(std::vector<std::uint8_t>& empty) { receiver_.swap_output(empty); }
  /// Whether all that was received is written.
  bool output_drained() const { return receiver_.drained(); }
  std::optional<coordinator_command> next_command();
  /// What `coordinator_command::join` registers.
  join_request registration_request() const;
  /// Whether the STUN servers' names shall be resolved; true once for each time.
  bool take_stun_lookup();
  std::optional<note> next_note() { return notes_.next(); }
  const std::optional<ending>& ended() const { return ending_; }

  /// Everything that grows, and how far it may.
  std::array<queue_level, 7> queues() const;
  const peer_counters& counters() const { return counters_; }
  const peer_table& peers() const { return table_; }
  std::uint64_t packets_sent() const { return sender_.packets(); }

 private:
  // However long and restless a coordinator's lists are: 4096 PINGs a second, the seed's interval for a topic of 1000,
  // and at once one to each peer of the longest list.
  static constexpr std::uint64_t max_ping_rate = 4096 * header_size * 8;  // bit/s
  static constexpr std::size_t max_ping_burst = max_roster_peers * header_size;

  // One event makes a few at most (leave one connection, open another, join), and the program takes them after each.
  static constexpr std::size_t max_commands = 4;

  void on_list(time_point now, std::string_view message);
  void on_packet(time_point now, unix_millis wall, const endpoint& from, byte_view datagram);
  bool is_no_peer(const roster_entry& entry) const;
  void on_peers_changed(time_point now);

  /// Carries what one room says to the others, until all are silent.
  void settle(time_point now);
  void settle_stun(time_point now);
  void settle_registration(time_point now);
  void settle_commands(time_point now);
  void handle(time_point now, const registration_events::retry_later& event);
  void handle(time_point now, const registration_events::registered& event);
  void handle(time_point now, const registration_events::rejected& event);
  void handle(time_point now, const registration_events::left& event);

  void ping(time_point now, const endpoint& to);
  void ping_in_turn(time_point now);
  duration ping_slot() const;
  void note_peer(time_point now, note_kind kind, const known_peer& who);

  peer_config config_;
  random_source& random_;
  stun_client stun_;
  registration registration_;
  peer_table table_;
  sender sender_;
  receiver receiver_;
  outbox outbox_;
  pacer ping_pacer_;
  note_queue notes_;
  peer_counters counters_;
  std::deque<coordinator_command> commands_;
  bool stun_lookup_ = false;
  deadline stun_answered_at_;   ///< the answer `registration_` was last told of
  bool list_is_first_ = false;  ///< of this connection, which is not the first
  bool gate_was_open_ = false;
  bool output_is_full_ = false;
  bool input_ended_ = false;
  deadline quit_at_;
  // Everyone is pinged once an interval, in turn rather than at once: a topic of 1000 would overflow a home router's
  // queue.
  std::size_t ping_turn_ = 0;
  deadline next_ping_;
  std::string failure_;  ///< why `leave` was called, where that was no wish of the user
  std::optional<ending> ending_;
};

}  // namespace nat
