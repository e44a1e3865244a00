// This machine's own addresses, and the news that they, or the way out, have changed.
#pragma once

#include "nat/endpoint.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

struct nlmsghdr;

namespace nat::net {

constexpr std::size_t max_interface_addresses = 16;

/// The addresses of the interfaces that are up and connected, without loopback, and without those that hold on one link
/// only (IPv6 fe80::/10, IPv4 169.254/16): in the system's order, each once, the first `max_interface_addresses`.
std::vector<ip_address> interface_addresses();

/// The address from which this machine sends there now; nothing, if there is no way.
std::optional<ip_address> source_towards(const endpoint& to);

struct interface_change {
  std::vector<ip_address> addresses;  ///< as they are now
  std::vector<ip_address> gone;       ///< if only for a while: connections from there may be dead
  bool rerouted = false;              ///< a default route has come or gone, or nobody knows what has happened
};

/// Awaits changes. Linux tells of them; elsewhere, or where it does not, the addresses are looked at each second.
class interface_watch {
 public:
  // Taking an interface up or down makes many messages; one change is told of them.
  static constexpr std::chrono::milliseconds settle_time{50};
  // However long the messages go on.
  static constexpr std::chrono::milliseconds longest_settle_time{500};
  static constexpr std::chrono::seconds poll_interval{1};
  // Of more that come and go before they are told, it is not known what has happened.
  static constexpr std::size_t max_gone = 64;
  // Some managers write the same routes anew each few minutes. Of more than this all are forgotten, and news again.
  static constexpr std::size_t max_default_routes = 64;

  explicit interface_watch(boost::asio::io_context& io);

  /// The next change since the construction or the call before. One caller at a time.
  boost::asio::awaitable<interface_change> next();

 private:
  boost::asio::awaitable<void> news();
  boost::asio::awaitable<void> wait(std::chrono::milliseconds time);
  bool read_messages();
  bool read_message(const nlmsghdr& message);
  void note_gone(const nlmsghdr& message);
  bool is_new_default_route(const nlmsghdr& message);

  boost::asio::posix::stream_descriptor netlink_;  ///< not open where the system has none
  boost::asio::steady_timer timer_;
  std::vector<ip_address> known_;
  std::set<std::string> default_routes_;  ///< that messages told of, at most `max_default_routes`
  std::vector<ip_address> gone_;
  bool rerouted_ = false;
};

}  // namespace nat::net
