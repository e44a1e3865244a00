// Conversions between our endpoints and what sockets and Asio use.
#pragma once

#include "nat/endpoint.hpp"

#include <boost/asio/ip/address.hpp>

#include <netinet/in.h>
#include <sys/socket.h>

namespace nat::net {

/// Fills a sockaddr for a socket of `family`, where IPv4 on an AF_INET6 socket takes its mapped form. Returns its
/// length; 0: an IPv6 address cannot be written for an AF_INET socket.
socklen_t to_sockaddr(const endpoint& from, int family, sockaddr_storage& to);
endpoint from_sockaddr(const sockaddr_storage& from);

ip_address from_asio(const boost::asio::ip::address& address);
boost::asio::ip::address to_asio(const ip_address& address);

}  // namespace nat::net
