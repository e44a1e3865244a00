#include "nat/net/resolver.hpp"

#include "sockaddr.hpp"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nat::net {

namespace asio = boost::asio;

asio::awaitable<resolved> resolver::resolve(std::string host, std::uint16_t port) {
  resolved out;
  if (const auto literal = ip_address::parse(host)) {
    out.endpoints.push_back({*literal, port});
    co_return out;
  }
  struct guard {
    int& count;
    explicit guard(int& of) : count(of) { ++count; }
    ~guard() { --count; }
  } const counted(under_way_);
  const auto [error, results] =
      co_await resolver_.async_resolve(host, std::to_string(port), asio::as_tuple(asio::use_awaitable));
  if (error) {
    out.error = "cannot resolve " + host + ": " + error.message();
    co_return out;
  }
  for (const auto& entry : results) {
    const endpoint at{from_asio(entry.endpoint().address()), entry.endpoint().port()};
    const bool known = std::ranges::find(out.endpoints, at) != out.endpoints.end();
    if (!known && out.endpoints.size() < max_endpoints) out.endpoints.push_back(at);
  }
  if (out.endpoints.empty()) out.error = "cannot resolve " + host + ": no address";
  co_return out;
}

}  // namespace nat::net
