// Everything natcoord decides: who may register under which name, who is told what and when. No socket, no
// clock.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/join_query.hpp"
#include "nat/list_pacer.hpp"
#include "nat/queue_level.hpp"
#include "nat/time.hpp"
#include "nat/topic_roster.hpp"

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

/// The answer to a request to register: go on with the upgrade as `id`, or answer with this HTTP status and
/// reason.
struct admission {
  unsigned status = 101;  ///< 101, 409 (the name is taken) or 503 (no room, or shutting down)
  std::string reason;     ///< one line; empty when admitted
  client_id id = 0;       ///< 0 when refused
  std::optional<std::chrono::seconds> retry_after;

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
using coordinator_action = std::variant<send_list, send_ping, close_client>;

/// What happened since the start, for tests and the log.
struct coordinator_counters {
  std::uint64_t joined = 0;     ///< upgrades done
  std::uint64_t refused = 0;    ///< with 409 or 503
  std::uint64_t replaced = 0;   ///< closed with 1008
  std::uint64_t timed_out = 0;  ///< silent clients and unfinished upgrades
  std::uint64_t lists = 0;      ///< `send_list` actions
};

/// The program calls `on_*` with what happened, then takes every `next_action()` until there is none, then
/// sleeps until `next_deadline()`. After handing out a `send_list` it calls `on_list_cost` before it takes
/// the next action. Every call costs O(log topics), except the making of a list, which is O(peers of the
/// topic).
class coordinator {
 public:
  explicit coordinator(coordinator_limits limits = {});
  coordinator(const coordinator&) = delete;
  coordinator& operator=(const coordinator&) = delete;

  /// Reserves the name for the connection that asks from `source`; nobody is told before `on_open`.
  admission admit(instant now, const join_request& request, const ip_address& source);
  /// The upgrade is done: the client is listed, gets its list at once, and the others are told. A replaced
  /// holder leaves.
  void on_open(instant now, client_id id);
  /// Any bytes came from the client.
  void on_activity(instant now, client_id id);
  /// A ping frame came: activity, and `last_seen` moves, which sends no list.
  void on_ping(instant now, client_id id);
  /// The connection is gone, at whatever stage. Ids that are not (or no longer) known are ignored here and
  /// above.
  void on_closed(instant now, client_id id);
  /// Handing out the last `send_list` took so much CPU time.
  void on_list_cost(instant now, duration cpu);
  void on_time(instant now);
  /// Closes every client with 1001 and refuses every later one.
  void shut_down(instant now);

  deadline next_deadline() const;
  std::optional<coordinator_action> next_action();

  std::size_t clients() const { return clients_.size(); }  ///< connections known, reservations included
  std::size_t listed() const { return listed_; }           ///< upgrades done
  std::size_t topics() const { return topics_.size(); }
  const coordinator_counters& counters() const { return counters_; }
  /// Everything that grows, and how far it may.
  std::array<queue_level, 3> queues() const;

 private:
  using phase_queue = boost::intrusive::list<
      registered_client, boost::intrusive::member_hook<registered_client, queue_hook, &registered_client::phase_hook>,
      boost::intrusive::constant_time_size<false>>;
  using newcomers_queue =
      boost::intrusive::list<topic_roster,
                             boost::intrusive::member_hook<topic_roster, queue_hook, &topic_roster::newcomers_hook>,
                             boost::intrusive::constant_time_size<false>>;
  /// Of equal places the older topic's is first, wherever it lies in memory: a run can be repeated.
  struct behind_order {
    using place = std::pair<time_point, topic_roster*>;
    bool operator()(const place& a, const place& b) const {
      return a.first != b.first ? a.first < b.first : a.second->serial() < b.second->serial();
    }
  };
  /// Topics whose clients wait for a list, the one that sent its previous list first in front.
  using behind_set = std::set<behind_order::place, behind_order>;

  admission refuse(unsigned status, std::string reason, std::optional<std::chrono::seconds> retry_after = {});
  std::optional<admission> refuse_if_full(const topic_roster* topic);
  bool may_replace(const registered_client& holder, const join_request& request, const ip_address& source) const;
  registered_client* find(client_id id);
  void enter_phase(registered_client& client, client_phase phase);
  void replace(registered_client& client);
  void close(registered_client& client, std::uint16_t code, std::string reason);
  void forget(registered_client& client);
  static std::pair<time_point, topic_roster*> place_of(topic_roster& topic);
  void on_change(topic_roster& topic);
  bool may_announce(const topic_roster& topic) const;
  send_list announce(topic_roster& topic);
  std::optional<coordinator_action> next_list();

  coordinator_limits limits_;
  time_point now_;  ///< of the latest event
  bool shut_down_ = false;
  client_id last_id_ = 0;
  std::uint64_t last_serial_ = 0;  ///< of a topic
  std::size_t seats_ = 0;          ///< over all topics; a newcomer that may replace a holder shares the holder's
  std::size_t listed_ = 0;
  coordinator_counters counters_;
  list_pacer pacer_;
  std::map<std::string, topic_roster, std::less<>> topics_;
  newcomers_queue newcomers_;
  behind_set behind_;
  phase_queue reserved_, open_, pinged_;
  std::unordered_map<client_id, registered_client> clients_;
  std::deque<coordinator_action> ready_;  ///< pings and closes: at most one of each a client
};

}  // namespace nat
