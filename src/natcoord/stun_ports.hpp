// natcoord's STUN: one socket that clients know, and two more that tell them how their NAT treats other ports.
#pragma once

#include "nat/address_tokens.hpp"
#include "nat/endpoint.hpp"
#include "nat/net/udp_link.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace natcoord {

class stun_ports {
 public:
  /// Binds `port` and the next two, or any three for port 0. Throws when the first is not to be had; without the other
  /// two it serves the first alone, and warns. `tokens` outlives the runs of `io`.
  stun_ports(boost::asio::io_context& io, const nat::ip_address& listen, std::uint16_t port,
             const nat::address_tokens& tokens);

  /// Answers as soon as `io` runs, until `close`.
  void start();
  void close();

  nat::endpoint local() const { return links_.front().local(); }
  /// The first is that of `local`.
  std::vector<std::uint16_t> ports() const;

 private:
  static constexpr std::size_t wanted = 3;  // one to ask, one to compare with, one that nobody was asked from before

  boost::asio::awaitable<void> pump(nat::net::udp_link& link);

  boost::asio::io_context& io_;
  const nat::address_tokens& tokens_;
  std::list<nat::net::udp_link> links_;  ///< `wanted` of them, or one
  bool closed_ = false;
};

}  // namespace natcoord
