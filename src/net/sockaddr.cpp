#include "sockaddr.hpp"

#include <cstring>

namespace nat::net {

socklen_t to_sockaddr(const endpoint& from, int family, sockaddr_storage& to) {
  to = {};
  if (family == AF_INET6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(from.port);
    std::memcpy(&v6.sin6_addr, from.ip.v6().data(), sizeof v6.sin6_addr);
    std::memcpy(&to, &v6, sizeof v6);
    return sizeof v6;
  }
  if (!from.ip.is_v4()) return 0;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(from.port);
  const auto bytes = from.ip.v4();
  std::memcpy(&v4.sin_addr, bytes.data(), bytes.size());
  std::memcpy(&to, &v4, sizeof v4);
  return sizeof v4;
}

endpoint from_sockaddr(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &from, sizeof v6);
    ip_address::v6_bytes bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return {ip_address(bytes), ntohs(v6.sin6_port)};
  }
  if (from.ss_family != AF_INET) return {};
  sockaddr_in v4;
  std::memcpy(&v4, &from, sizeof v4);
  ip_address::v4_bytes bytes;
  std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
  return {ip_address(bytes), ntohs(v4.sin_port)};
}

ip_address from_asio(const boost::asio::ip::address& address) {
  return address.is_v4() ? ip_address(address.to_v4().to_bytes()) : ip_address(address.to_v6().to_bytes());
}

boost::asio::ip::address to_asio(const ip_address& address) {
  if (address.is_v4()) return boost::asio::ip::address_v4(address.v4());
  return boost::asio::ip::address_v6(address.v6());
}

}  // namespace nat::net
