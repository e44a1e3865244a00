#include "nat/net/interfaces.hpp"

#include "sockaddr.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

namespace nat::net {

namespace asio = boost::asio;

namespace {

constexpr auto await = asio::as_tuple(asio::use_awaitable);

bool is_link_local(const ip_address& ip) {
  if (ip.is_v4()) return ip.v4()[0] == 169 && ip.v4()[1] == 254;  // RFC 3927, 2.1
  return ip.v6()[0] == 0xfe && (ip.v6()[1] & 0xc0) == 0x80;       // RFC 4291, 2.5.6
}

bool contains(const std::vector<ip_address>& all, const ip_address& one) {
  return std::ranges::find(all, one) != all.end();
}

std::optional<ip_address> address_of(const ifaddrs& entry) {
  if (entry.ifa_addr == nullptr) return std::nullopt;
  const auto family = entry.ifa_addr->sa_family;
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  sockaddr_storage storage{};
  std::memcpy(&storage, entry.ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
  return from_sockaddr(storage).ip;
}

}  // namespace

std::vector<ip_address> interface_addresses() {
  std::vector<ip_address> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> held(list, &::freeifaddrs);
  for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next) {
    constexpr unsigned usable = IFF_UP | IFF_RUNNING;
    if ((entry->ifa_flags & usable) != usable || (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const auto ip = address_of(*entry);
    if (!ip || !ip->is_unicast() || ip->is_loopback() || is_link_local(*ip)) continue;
    if (!contains(out, *ip) && out.size() < max_interface_addresses) out.push_back(*ip);
  }
  return out;
}

std::optional<ip_address> source_towards(const endpoint& to) {
  const int family = to.ip.is_v4() ? AF_INET : AF_INET6;
  const int fd = ::socket(family, SOCK_DGRAM, 0);
  if (fd < 0) return std::nullopt;
  std::optional<ip_address> out;
  sockaddr_storage at{};
  const auto size = to_sockaddr(to, family, at);
  socklen_t own_size = sizeof at;
  // A UDP socket that is connected has chosen its way, and sent nothing.
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&at), size) == 0 &&
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &own_size) == 0) {
    out = from_sockaddr(at).ip;
  }
  ::close(fd);
  return out;
}

interface_watch::interface_watch(asio::io_context& io) : netlink_(io), timer_(io), known_(interface_addresses()) {
#if defined(__linux__)
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return;
  sockaddr_nl at{};
  at.nl_family = AF_NETLINK;
  at.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  boost::system::error_code error;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) {
    netlink_.assign(fd, error);
    if (!error) {
      known_ = interface_addresses();  // nothing is missed from here on
      return;
    }
  }
  ::close(fd);
#endif
}

asio::awaitable<interface_change> interface_watch::next() {
  for (;;) {
    co_await news();
    auto addresses = interface_addresses();
    interface_change change{addresses, std::exchange(gone_, {}), std::exchange(rerouted_, false)};
    for (const auto& ip : known_) {
      if (!contains(addresses, ip) && !contains(change.gone, ip)) change.gone.push_back(ip);
    }
    const bool changed = change.rerouted || !change.gone.empty() || addresses.size() != known_.size();
    known_ = std::move(addresses);
    if (changed) co_return change;
  }
}

/// Waits until something may have changed, and all is quiet again.
asio::awaitable<void> interface_watch::news() {
  while (netlink_.is_open()) {
    const auto [error] = co_await netlink_.async_wait(asio::posix::descriptor_base::wait_read, await);
    if (error) netlink_.close();
    if (error || !read_messages()) continue;
    const auto longest = std::chrono::steady_clock::now() + longest_settle_time;
    do {
      co_await wait(settle_time);
    } while (read_messages() && std::chrono::steady_clock::now() < longest);
    co_return;
  }
  co_await wait(poll_interval);
}

asio::awaitable<void> interface_watch::wait(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  co_await timer_.async_wait(await);
}

#if defined(__linux__)

namespace {

/// What stands behind a message's header (NLMSG_DATA); null where it is too short for that.
template <typename Body>
const Body* body(const nlmsghdr& message) {
  static_assert(sizeof message == NLMSG_ALIGN(sizeof message) && sizeof(Body) == NLMSG_ALIGN(sizeof(Body)));
  if (message.nlmsg_len < sizeof message + sizeof(Body)) return nullptr;
  return reinterpret_cast<const Body*>(&message + 1);
}

}  // namespace

/// Reads what there is; whether any of it matters.
bool interface_watch::read_messages() {
  bool matters = false;
  alignas(nlmsghdr) std::array<char, 16'384> bytes;  // the kernel's messages are of a page or two at most
  while (netlink_.is_open()) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const auto got = ::recvfrom(netlink_.native_handle(), bytes.data(), bytes.size(), 0,
                                reinterpret_cast<sockaddr*>(&from), &from_size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got < 0 && errno == ENOBUFS) {  // more than the kernel keeps for us
      matters = rerouted_ = true;
      continue;
    }
    if (got <= 0) {
      netlink_.close();  // polling does as well
      break;
    }
    if (from.nl_pid != 0) continue;  // another program's: only the kernel knows
    auto rest = static_cast<unsigned>(got);
    for (auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data()); NLMSG_OK(message, rest);) {
      if (read_message(*message)) matters = true;
      const auto step = NLMSG_ALIGN(message->nlmsg_len);
      if (step >= rest) break;
      rest -= step;
      message = reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(message) + step);
    }
  }
  return matters;
}

bool interface_watch::read_message(const nlmsghdr& message) {
  switch (message.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
    case RTM_NEWADDR: return true;  // the list of addresses will tell
    case RTM_DELADDR: {
      const auto* what = body<ifaddrmsg>(message);
      if (what == nullptr || what->ifa_scope == RT_SCOPE_LINK || what->ifa_scope == RT_SCOPE_HOST) return false;
      note_gone(message);
      return true;
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      if (!is_new_default_route(message)) return false;
      return rerouted_ = true;
    }
    default: return false;
  }
}

void interface_watch::note_gone(const nlmsghdr& message) {
  const auto* what = body<ifaddrmsg>(message);
  auto rest = static_cast<int>(message.nlmsg_len - sizeof message - sizeof *what);
  std::optional<ip_address> ip;
  for (auto* field = IFA_RTA(what); RTA_OK(field, rest); field = RTA_NEXT(field, rest)) {
    // IFA_LOCAL is the machine's own where the two differ, on a point-to-point link.
    const bool says = field->rta_type == IFA_LOCAL || (field->rta_type == IFA_ADDRESS && !ip);
    if (!says) continue;
    if (what->ifa_family == AF_INET && RTA_PAYLOAD(field) == 4) {
      ip_address::v4_bytes bytes;
      std::memcpy(bytes.data(), RTA_DATA(field), bytes.size());
      ip = ip_address(bytes);
    } else if (what->ifa_family == AF_INET6 && RTA_PAYLOAD(field) == 16) {
      ip_address::v6_bytes bytes;
      std::memcpy(bytes.data(), RTA_DATA(field), bytes.size());
      ip = ip_address(bytes);
    }
  }
  if (!ip || gone_.size() == max_gone) {
    rerouted_ = true;
  } else if (!contains(gone_, *ip)) {
    gone_.push_back(*ip);
  }
}

/// Whether a default route has come or gone: one that is written again as it was is no news.
bool interface_watch::is_new_default_route(const nlmsghdr& message) {
  const auto* route = body<rtmsg>(message);
  if (route == nullptr || route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST) return false;
  std::string name(1, static_cast<char>(route->rtm_family));
  name += static_cast<char>(route->rtm_table);
  auto rest = static_cast<int>(message.nlmsg_len - sizeof message - sizeof *route);
  for (auto* field = RTM_RTA(route); RTA_OK(field, rest); field = RTA_NEXT(field, rest)) {
    // Not the lifetime, say, which changes with each of a router's advertisements.
    const bool says_where = field->rta_type == RTA_OIF || field->rta_type == RTA_GATEWAY ||
                            field->rta_type == RTA_VIA || field->rta_type == RTA_PRIORITY ||
                            field->rta_type == RTA_MULTIPATH;
    if (says_where) name.append(reinterpret_cast<const char*>(field), field->rta_len);
  }
  if (message.nlmsg_type == RTM_DELROUTE) {
    default_routes_.erase(name);
    return true;
  }
  if (default_routes_.contains(name)) return false;
  const bool replaces = (message.nlmsg_flags & NLM_F_REPLACE) != 0;
  if (replaces || default_routes_.size() == max_default_routes) default_routes_.clear();
  default_routes_.insert(std::move(name));
  return true;
}

#else

bool interface_watch::read_messages() { return false; }

#endif

}  // namespace nat::net
