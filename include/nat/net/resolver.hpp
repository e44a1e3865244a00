// Names to addresses.
#pragma once

#include "nat/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/udp.hpp>

namespace nat::net {

struct resolved {
  std::vector<endpoint>
      endpoints;      ///< in the system's order of preference (RFC 6724), each once, at most `max_endpoints`
  std::string error;  ///< why there are none
};

class resolver {
 public:
  static constexpr std::size_t max_endpoints = 16;

  /// The lookups of one execution context wait for each other: Asio makes them on one thread.
  template <typename Context>
  explicit resolver(Context& context) : resolver_(context) {}

  /// A literal address is answered at once; a name waits for the system's resolver, which bounds its own time.
  boost::asio::awaitable<resolved> resolve(std::string host, std::uint16_t port);

  /// Lookups that have not begun, since others are before them, are dropped; one that is under way goes on for nothing.
  void cancel() { resolver_.cancel(); }

  /// Whether a lookup is under way. It cannot be interrupted, so a program that ends now should not wait for it.
  bool busy() const { return under_way_ > 0; }

 private:
  boost::asio::ip::udp::resolver resolver_;
  int under_way_ = 0;
};

}  // namespace nat::net
