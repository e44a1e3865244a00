// A TCP connection between a host and a server on the open internet: messages arrive whole and in order, later where
// packets are lost, and not at all once it is broken.
#pragma once

#include "nat/time.hpp"

#include "internet.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

namespace nat::sim {

enum class side : std::uint8_t { client, server };

class connection : public std::enable_shared_from_this<connection> {
 public:
  using action = scheduler::action;

  // TCP_USER_TIMEOUT as the programs set it (src/net/ws_client.cpp, src/net/ws_server.cpp).
  static constexpr duration client_timeout = std::chrono::seconds(20);
  static constexpr duration server_timeout = std::chrono::seconds(60);
  static constexpr duration first_rto = std::chrono::milliseconds(200);  // Linux's TCP_RTO_MIN
  static constexpr duration last_rto = std::chrono::seconds(5);

  connection(internet& net, host& client, std::uint64_t seed)
      : net_(net), client_(client), home_(&client.where()), address_(client.ip()), chance_(seed) {}

  /// `what` happens at the other side, after all that was sent before it.
  void send(side from, action what);
  /// The other side ended it, or this side gave it up; told at most once, and not after this side's own `close`.
  void on_end(side at, action what) { end_of(at).on_end = std::move(what); }
  /// This side takes no part any more: nothing arrives here; the other side hears of it after what was sent before.
  void close(side from);
  /// Nothing arrives any more, and nobody is told: a router on the way has forgotten it.
  void cut() { is_cut_ = true; }

  bool is_open(side at) const { return ends_[static_cast<std::size_t>(at)].open; }
  /// Messages of this side that wait for a way.
  std::size_t waiting(side of) const { return ends_[static_cast<std::size_t>(of)].out.size(); }

 private:
  struct end {
    bool open = true;
    action on_end;
    std::deque<action> out;  ///< waits for a way
    duration rto = first_rto;
    deadline blocked_since;
    time_point last_arrival;  ///< of what this end has sent
  };

  end& end_of(side which) { return ends_[static_cast<std::size_t>(which)]; }
  static side other(side which) { return which == side::client ? side::server : side::client; }
  internet::way way() const;
  void flush(side from);
  void wait_for_way(side from);
  void post(side from, action what, const internet::way& over);
  void give_up(side at);

  internet& net_;
  host& client_;
  const network* home_;
  ip_address address_;
  chance chance_;
  bool is_cut_ = false;
  std::array<end, 2> ends_;
};

}  // namespace nat::sim
