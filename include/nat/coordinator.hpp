// Everything natcoord decides: who may register under which name, who is told what and when. No socket, no
// clock.
#pragma once

#include "nat/address_tokens.hpp"
#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/join_query.hpp"
#include "nat/queue_level.hpp"
#include "nat/random.hpp"
#include "nat/relay_frame.hpp"
#include "nat/relay_meter.hpp"
#include "nat/time.hpp"
#include "nat/topic_roster.hpp"
#include "nat/topic_schedule.hpp"
#include "nat/v2_client.hpp"
#include "nat/v2_messages.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <boost/intrusive/list.hpp>

namespace nat {

/// The moment of an event: engine time for deadlines, wall time for `last_seen`.
struct instant {
  time_point steady;
  unix_millis wall = 0;
};

struct coordinator_limits {
  std::size_t max_connections =
      10'000;  ///< names held, over all topics; a newcomer that may replace a holder shares its place
  std::size_t max_peers = 1'000;  ///< names held in one topic
  unproven_policy unproven = unproven_policy::allow;
  relay_limits relay;
};

/// A reservation whose upgrade is not done by then is given up.
constexpr duration upgrade_deadline = std::chrono::seconds(15);
/// A holder that has sent nothing for so long may be replaced from any source address.
constexpr duration takeover_silence = std::chrono::seconds(15);
/// A client that has sent nothing for so long is pinged,
constexpr duration ping_after = std::chrono::seconds(60);
/// and closed when it stays silent for this long after the ping.
constexpr duration close_after_ping = std::chrono::seconds(15);
/// What a client that found no room is told to wait.
constexpr std::chrono::seconds retry_when_full{30};
/// What a client that meets a server on its way out is told to wait: about a restart.
constexpr std::chrono::seconds retry_when_shut_down{5};

// What a v2 client may send; see allowance. Whoever sends more text messages than any client of ours ever would is
// closed: that is 1000 punches when it meets a large topic, and what else there is.
constexpr allowance message_allowance{200, std::chrono::seconds(1), 2'000};
// Punches over it are dropped.
constexpr allowance punch_allowance{20, std::chrono::seconds(1), 100};
// And those for one client, whoever they are from.
constexpr allowance punched_allowance{100, std::chrono::seconds(1), 1'000};
// Of announcements over it the newest is kept until its turn comes.
constexpr allowance announcement_allowance{2, std::chrono::seconds(1), 20};
/// Two snapshots to one client are this far apart at least; the second waits.
constexpr duration snapshot_spacing = std::chrono::seconds(1);
/// A v2 client that has sent so many messages which are none is closed.
constexpr std::uint8_t max_bad_messages = 16;

/// What comes with the request of a client that offers natcoord.v2.
struct v2_offer {
  std::string resume;  ///< the token it was welcomed with before, from "Authorization: Bearer ..."; empty: none
};

/// The answer to a request to register: go on with the upgrade as `id`, or answer with this HTTP status and
/// reason.
struct admission {
  unsigned status = 101;  ///< 101, 400 (no address), 403 (not its own), 409 (the name is taken) or 503 (no room, or
                          ///< shutting down)
  std::string reason;     ///< one line; empty when admitted
  client_id id = 0;       ///< 0 when refused
  std::optional<std::chrono::seconds> retry_after;
  bool v2 = false;  ///< select natcoord.v2

  bool admitted() const { return status == 101; }
};

/// One list for many receivers. A receiver that still has one in flight keeps only the newest.
struct send_list {
  std::shared_ptr<const std::string> text;
  std::vector<client_id> to;  ///< each of them open
};
struct send_ping {
  client_id to = 0;
};
/// The coordinator has already forgotten `who`. Its upgrade may be under way still: then it is broken off.
struct close_client {
  client_id who = 0;
  std::uint16_t code = 1000;  ///< RFC 6455, 7.4.1: 1001, come back later; 1008, do not come back
  std::string reason;
};
/// One v2 message for many receivers, each of which gets all of them in this order. Where a receiver's queue is full
/// all that wait there may be dropped: it finds the gap in the versions and asks for a snapshot.
struct send_message {
  std::shared_ptr<const std::string> text;
  std::vector<client_id> to;  ///< each of them open, v2
};
/// One relayed frame for many receivers. What a receiver cannot take soon is dropped.
struct send_relayed {
  std::shared_ptr<const std::vector<std::uint8_t>> frame;
  std::vector<client_id> to;  ///< each of them open, v2
};
using coordinator_action = std::variant<send_list, send_ping, close_client, send_message, send_relayed>;

/// What happened since the start, for tests and the log.
struct coordinator_counters {
  std::uint64_t joined = 0;     ///< upgrades done
  std::uint64_t refused = 0;    ///< with a status of 400 or more
  std::uint64_t replaced = 0;   ///< closed with 1008
  std::uint64_t timed_out = 0;  ///< silent clients and unfinished upgrades
  std::uint64_t lists = 0;      ///< `send_list` actions

  // natcoord.v2
  std::uint64_t joined_v2 = 0;         ///< those of `joined`
  std::uint64_t resumed = 0;           ///< took their name back with its token
  std::uint64_t proven = 0;            ///< addresses, each time one was newly proven
  std::uint64_t unproven_dropped = 0;  ///< addresses that were not passed on
  std::uint64_t snapshots = 0;         ///< to a client each
  std::uint64_t deltas = 0;            ///< `send_message` actions with one
  std::uint64_t resyncs = 0;           ///< asked for
  std::uint64_t punches = 0;           ///< passed on
  std::uint64_t punches_dropped = 0;   ///< too many, or for nobody
  std::uint64_t bad_messages = 0;
  std::uint64_t relayed_packets = 0;  ///< delivered, to a client each
  std::uint64_t relayed_bytes = 0;    ///< delivered, of packets
  // Uploads that were dropped,
  std::uint64_t relay_off = 0;              ///< as there is no relay
  std::uint64_t relay_for_nobody = 0;       ///< as no recipient is there
  std::uint64_t relay_over_rate = 0;        ///< as the client sends too fast,
  std::uint64_t relay_over_quota = 0;       ///< or has used up its day's bytes
  std::uint64_t relay_over_total_rate = 0;  ///< as all clients together send too fast
};

/// The program calls `on_*` with what happened, then takes every `next_action()` until there is none, then
/// sleeps until `next_deadline()`. After handing out a `send_list` or a `send_message` it calls `on_list_cost`
/// before it takes the next action. Every call costs O(log topics), except the making of a list or a snapshot and
/// the relaying to everybody, which are O(peers of the topic).
class coordinator {
 public:
  /// Both live longer than this.
  coordinator(random_source& random, const address_tokens& tokens, coordinator_limits limits = {});
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;

  /// What v2 clients are told of this server's STUN ports: the ordinary one first.
  void set_stun_ports(std::vector<std::uint16_t> ports) { stun_ports_ = std::move(ports); }

  /// Reserves the name for the connection that asks from `source`; nobody is told before `on_open`. Without an
  /// offer it is a client of section 1, which needs an address.
  admission admit(instant now, const join_request& request, const ip_address& source, const v2_offer* offer = nullptr);
  /// The upgrade is done: the client is listed, gets its list (v2: its welcome and its snapshot) at once, and the
  /// others are told. A replaced holder leaves.
  void on_open(instant now, client_id id);
  /// Any bytes came from the client.
  void on_activity(instant now, client_id id);
  /// A ping frame came: activity, and `last_seen` moves, which sends no list.
  void on_ping(instant now, client_id id);
  /// A text message came from a v2 client; from others it is activity.
  void on_message(instant now, client_id id, std::string_view text);
  /// What waited for a v2 client was dropped, as its queue was full: it is to be told everything anew.
  void on_messages_dropped(instant now, client_id id);
  /// A binary message came from a v2 client: a packet to relay. From others it is activity.
  void on_relay(instant now, client_id id, byte_view frame);
  /// The connection is gone, at whatever stage. Ids that are not (or no longer) known are ignored here and
  /// above.
  void on_closed(instant now, client_id id);
  /// Handing out the last `send_list` or `send_message` took so much CPU time.
  void on_list_cost(instant now, duration cpu);
  void on_time(instant now);
  /// Closes every client with 1001 and refuses every later one.
  void shut_down(instant now);

  deadline next_deadline() const;
  std::optional<coordinator_action> next_action();

  std::size_t clients() const { return clients_.size(); }  ///< connections known, reservations included
  std::size_t listed() const { return listed_; }           ///< upgrades done
  std::size_t listed_v2() const { return listed_v2_; }     ///< those of them that speak v2
  std::size_t topics() const { return topics_.size(); }
  const coordinator_counters& counters() const { return counters_; }
  /// Everything that grows, and how far it may.
  std::array<queue_level, 4> queues() const;

 private:
  using phase_queue = boost::intrusive::list<
      registered_client, boost::intrusive::member_hook<registered_client, queue_hook, &registered_client::phase_hook>,
      boost::intrusive::constant_time_size<false>>;
  admission refuse(unsigned status, std::string reason, std::optional<std::chrono::seconds> retry_after = {});
  std::optional<admission> refuse_if_full(const topic_roster* topic);
  std::optional<admission> refuse_by_policy(const join_request& request, const ip_address& source);
  bool may_take_over(const name_seat& seat, const join_request& request, const ip_address& source,
                     const v2_offer* offer) const;
  void make_v2(registered_client& client, const join_request& request, const registered_client* resumed);
  registered_client* find(client_id id);
  registered_client* find_v2(client_id id);
  void enter_phase(registered_client& client, client_phase phase);
  void replace(registered_client& client);
  void close(registered_client& client, std::uint16_t code, std::string reason);
  void forget(registered_client& client);

  void welcome(registered_client& client);
  void on_bad_message(registered_client& client);
  void on_announcement(registered_client& client, v2::addresses addresses);
  void apply(registered_client& client, const v2::addresses& addresses);
  void on_punch(registered_client& client, peer_id to);
  void on_resync(registered_client& client);
  coordinator_action to_action(topic_news news);
  void delay(registered_client& client);
  void on_delay_over(registered_client& client);
  std::vector<client_id> recipients_of(const registered_client& sender, const relay_recipients& named);

  /// A holder and a newcomer for each seat.
  std::size_t most_clients() const { return 2 * limits_.max_connections; }
  /// If nobody takes them: a ping, a close and a welcome for each client. Beyond that punches and relayed packets are
  /// dropped.
  std::size_t most_actions() const { return 3 * most_clients() + 2; }
  bool has_room() const { return ready_.size() < 3 * most_clients(); }

  random_source& random_;
  const address_tokens& tokens_;
  coordinator_limits limits_;
  std::vector<std::uint16_t> stun_ports_;
  time_point now_;  ///< of the latest event
  bool shut_down_ = false;
  client_id last_id_ = 0;
  std::uint64_t last_serial_ = 0;  ///< of a topic
  std::size_t seats_ = 0;          ///< over all topics; a newcomer that may replace a holder shares the holder's
  std::size_t listed_ = 0;
  std::size_t listed_v2_ = 0;
  coordinator_counters counters_;
  topic_schedule schedule_;
  relay_meter meter_;
  std::map<std::string, topic_roster, std::less<>> topics_;
  phase_queue reserved_, open_, pinged_;
  std::unordered_map<client_id, registered_client> clients_;
  std::set<std::pair<time_point, client_id>> delayed_;  ///< v2 clients whose message waits for its turn
  std::deque<coordinator_action> ready_;                ///< everything but lists, snapshots and deltas that wait
};

}  // namespace nat
