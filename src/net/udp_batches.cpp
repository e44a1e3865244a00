#include "udp_batches.hpp"

#include "sockaddr.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include <netinet/in.h>
#include <netinet/udp.h>
#if defined(__linux__)
#include <linux/errqueue.h>
#endif

namespace nat::net {
namespace {

#if defined(__linux__)
constexpr bool have_batches = true;
#else
constexpr bool have_batches = false;
#endif

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

template <typename Value>
void append_control(msghdr& header, int level, int type, const Value& value) {
  // msg_controllen counts what is filled so far; the buffer is large enough for every option we set.
  auto* at = reinterpret_cast<cmsghdr*>(static_cast<std::uint8_t*>(header.msg_control) + header.msg_controllen);
  *at = {};
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(at), &value, sizeof value);
  header.msg_controllen += CMSG_SPACE(sizeof value);
}

void append_source(msghdr& header, int family, const local_path& from) {
  if (family == AF_INET6) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, from.address.v6().data(), sizeof info.ipi6_addr);
    info.ipi6_ifindex = from.interface;
    append_control(header, IPPROTO_IPV6, IPV6_PKTINFO, info);
    return;
  }
#if defined(IP_PKTINFO)
  in_pktinfo info{};
  const auto bytes = from.address.v4();
  std::memcpy(&info.ipi_spec_dst, bytes.data(), bytes.size());
  info.ipi_ifindex = static_cast<int>(from.interface);
  append_control(header, IPPROTO_IP, IP_PKTINFO, info);
#endif
}

/// What a received message says of itself beside its bytes.
struct message_notes {
  local_path to;
  std::size_t segment = 0;  ///< 0: one datagram
};

template <typename Value>
Value control_value(const cmsghdr& control) {
  Value value;
  std::memcpy(&value, CMSG_DATA(&control), sizeof value);
  return value;
}

message_notes read_notes(const msghdr& message) {
  message_notes notes;
  auto* header = const_cast<msghdr*>(&message);
  for (auto* at = CMSG_FIRSTHDR(header); at != nullptr; at = CMSG_NXTHDR(header, at)) {
    if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      const auto info = control_value<in6_pktinfo>(*at);
      ip_address::v6_bytes bytes;
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      notes.to = {ip_address(bytes), info.ipi6_ifindex};
    }
#if defined(IP_PKTINFO)
    if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      const auto info = control_value<in_pktinfo>(*at);
      ip_address::v4_bytes bytes;
      std::memcpy(bytes.data(), &info.ipi_spec_dst, bytes.size());
      notes.to = {ip_address(bytes), static_cast<unsigned>(info.ipi_ifindex)};
    }
#endif
#if defined(UDP_GRO)
    if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO) {
      notes.segment = static_cast<std::size_t>(control_value<int>(*at));
    }
#endif
  }
  return notes;
}

}  // namespace

udp_link::batches::batches(int fd, int family, bool tell_destination, bool portable)
    : fd_(fd),
      family_(family),
      tell_destination_(tell_destination),
      batched_(have_batches && !portable),
      buffers_(std::make_unique_for_overwrite<std::uint8_t[]>(batch_size * buffer_size)) {
  arrived_.reserve(batch_size);
  const int on = 1;
  if (tell_destination && family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
#if defined(IP_PKTINFO)
  if (tell_destination && family == AF_INET) ::setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
#endif
#if defined(UDP_SEGMENT) && defined(UDP_GRO)
  if (batched_) {
    // A kernel that knows UDP_SEGMENT (4.18) reads it; UDP_GRO (5.0) is merely not set on older ones.
    int segment = 0;
    socklen_t size = sizeof segment;
    segmentation_ = ::getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0;
    ::setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
  }
#endif
}

void udp_link::batches::prepare_receive(std::size_t i) {
  iovecs_[i] = {buffer(i), buffer_size};
  headers_[i] = {};
  headers_[i].msg_name = &addresses_[i];
  headers_[i].msg_namelen = sizeof addresses_[i];
  headers_[i].msg_iov = &iovecs_[i];
  headers_[i].msg_iovlen = 1;
  headers_[i].msg_control = controls_[i].bytes.data();
  headers_[i].msg_controllen = control_size;
}

void udp_link::batches::take_message(std::size_t i, const msghdr& header, std::size_t size) {
  const auto notes = read_notes(header);
  const auto from = from_sockaddr(addresses_[i]);
  byte_view rest(buffer(i), size);
  const auto segment = notes.segment == 0 ? size : notes.segment;
  do {
    const auto bytes = rest.first(std::min(segment, rest.size()));
    arrived_.push_back({bytes, from, tell_destination_ ? notes.to : local_path{}});
    rest = rest.subspan(bytes.size());
  } while (!rest.empty());
}

std::span<const datagram_in> udp_link::batches::receive() {
  const auto most = may_have_more() ? batch_size : small_batch;
  arrived_.clear();
#if defined(__linux__)
  if (batched_) {
    std::array<mmsghdr, batch_size> messages;
    for (std::size_t i = 0; i < most; ++i) {
      prepare_receive(i);
      messages[i] = {headers_[i], 0};
    }
    const int count = ::recvmmsg(fd_, messages.data(), static_cast<unsigned>(most), 0, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      take_message(at, messages[at].msg_hdr, messages[at].msg_len);
    }
    counters_.received += arrived_.size();
    saw_error_ |= count < 0 && !would_block(errno);
    return arrived_;
  }
#endif
  for (std::size_t i = 0; i < most; ++i) {
    prepare_receive(i);
    const auto size = ::recvmsg(fd_, &headers_[i], 0);
    saw_error_ |= size < 0 && !would_block(errno);
    if (size < 0) break;
    take_message(i, headers_[i], static_cast<std::size_t>(size));
  }
  counters_.received += arrived_.size();
  return arrived_;
}

#if defined(__linux__) && defined(IP_RECVERR) && defined(IPV6_RECVERR)

namespace {

/// What an entry of the error queue says.
std::optional<sock_extended_err> read_error(const msghdr& message) {
  auto* header = const_cast<msghdr*>(&message);
  for (auto* at = CMSG_FIRSTHDR(header); at != nullptr; at = CMSG_NXTHDR(header, at)) {
    const bool is_error = (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_RECVERR) ||
                          (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_RECVERR);
    if (is_error) return control_value<sock_extended_err>(*at);
  }
  return std::nullopt;
}

}  // namespace

void udp_link::batches::enable_errors() {
  const int on = 1;
  // Of a socket for both families each is told by its own.
  ::setsockopt(fd_, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
  if (family_ == AF_INET6) ::setsockopt(fd_, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
}

void udp_link::batches::take_errors(const std::function<void(const endpoint&)>& on_unreachable,
                                    const std::function<void(const ip_address&, std::size_t)>& on_too_large) {
  if (!std::exchange(saw_error_, false)) return;
  for (std::size_t n = 0; n < max_errors; ++n) {
    sockaddr_storage to{};
    std::array<std::uint8_t, 1> byte;  // of the datagram, which nobody wants
    iovec vector{byte.data(), byte.size()};
    control_buffer control;
    msghdr message{};
    message.msg_name = &to;
    message.msg_namelen = sizeof to;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
    if (::recvmsg(fd_, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
    const auto error = read_error(message);
    if (!error || message.msg_namelen == 0) continue;
    const auto where = from_sockaddr(to);
    const bool is_icmp = error->ee_origin == SO_EE_ORIGIN_ICMP || error->ee_origin == SO_EE_ORIGIN_ICMP6;
    if (error->ee_errno == EMSGSIZE) {  // by ICMP, or by the kernel, which names no port
      if (on_too_large) on_too_large(where.ip, error->ee_info);
    } else if (is_icmp && on_unreachable) {
      on_unreachable(where);
    }
  }
  saw_error_ = true;  // there may be more, after the datagrams
}

#else

void udp_link::batches::enable_errors() {}
void udp_link::batches::take_errors(const std::function<void(const endpoint&)>&,
                                    const std::function<void(const ip_address&, std::size_t)>&) {}

#endif

std::size_t udp_link::batches::run_length(std::span<const datagram_out> datagrams) const {
  const auto& first = datagrams.front();
  if (!segmentation_ || first.bytes.empty()) return 1;
  std::size_t total = first.bytes.size();
  for (std::size_t n = 1; n < std::min(datagrams.size(), max_segments); ++n) {
    const auto& next = datagrams[n];
    total += next.bytes.size();
    const bool fits = next.to == first.to && next.fragments == first.fragments && !next.bytes.empty() &&
                      next.bytes.size() <= first.bytes.size() && total <= max_segmented_bytes &&
                      next.from == first.from;
    if (!fits) return n;
    if (next.bytes.size() < first.bytes.size()) return n + 1;  // only the last segment may be shorter
  }
  return std::min(datagrams.size(), max_segments);
}

bool udp_link::batches::prepare_send(std::size_t i, std::span<const datagram_out> run, iovec* iovecs) {
  auto& header = headers_[i];
  header = {};
  header.msg_name = &addresses_[i];
  header.msg_namelen = to_sockaddr(run.front().to, family_, addresses_[i]);
  if (header.msg_namelen == 0) return false;  // IPv6 on a machine without it
  for (std::size_t n = 0; n < run.size(); ++n) {
    iovecs[n] = {const_cast<std::uint8_t*>(run[n].bytes.data()), run[n].bytes.size()};
  }
  header.msg_iov = iovecs;
  header.msg_iovlen = run.size();
  header.msg_control = controls_[i].bytes.data();
  if (run.front().from.interface != 0) append_source(header, family_, run.front().from);
#if defined(UDP_SEGMENT)
  if (run.size() > 1) {
    append_control(header, IPPROTO_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(run.front().bytes.size()));
  }
#endif
  if (header.msg_controllen == 0) header.msg_control = nullptr;
  return true;
}

/// Sends one datagram by itself. False: the kernel's buffer is full and it is still to be sent.
bool udp_link::batches::send_one(const datagram_out& datagram) {
  if (!prepare_send(0, {&datagram, 1}, iovecs_.data())) {
    ++counters_.send_errors;
    return true;
  }
  // Linux reports a pending ICMP error of an earlier datagram once, on the next call: hence the second try.
  for (int tries = 0; tries < 2; ++tries) {
    if (::sendmsg(fd_, &headers_[0], 0) >= 0) {
      ++counters_.sent;
      return true;
    }
    if (would_block(errno)) return false;
    saw_error_ = true;
  }
  ++counters_.send_errors;
  return true;
}

namespace {

/// One of a socket, and what it is set to.
struct option_value {
  int level = 0;
  int name = 0;
  int value = 0;
};

/// What says whether datagrams to IPv4 or to IPv6 are cut. None: the system has no word for it. Linux has several;
/// others have one bit, which macOS and FreeBSD have for both.
std::optional<option_value> option_of([[maybe_unused]] fragments wanted, [[maybe_unused]] bool is_ipv4) {
#if defined(IP_MTU_DISCOVER) && defined(IPV6_MTU_DISCOVER)
  const int mode = wanted == fragments::never     ? IP_PMTUDISC_PROBE
                   : wanted == fragments::allowed ? IP_PMTUDISC_DONT
                                                  : IP_PMTUDISC_WANT;
  static_assert(IP_PMTUDISC_PROBE == IPV6_PMTUDISC_PROBE && IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT &&
                IP_PMTUDISC_WANT == IPV6_PMTUDISC_WANT);
  if (is_ipv4) return option_value{IPPROTO_IP, IP_MTU_DISCOVER, mode};
  return option_value{IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode};
#else
#if defined(IP_DONTFRAG)
  if (is_ipv4) return option_value{IPPROTO_IP, IP_DONTFRAG, wanted == fragments::never ? 1 : 0};
#endif
#if defined(IPV6_DONTFRAG)
  if (!is_ipv4) return option_value{IPPROTO_IPV6, IPV6_DONTFRAG, wanted == fragments::never ? 1 : 0};
#endif
  return std::nullopt;
#endif
}

}  // namespace

/// Of the socket, and so of all that leaves by it until it is set back. False: the system does not do that.
bool udp_link::batches::set_fragments(fragments wanted, bool is_ipv4) {
  const auto option = option_of(wanted, is_ipv4);
  return option && ::setsockopt(fd_, option->level, option->name, &option->value, sizeof option->value) == 0;
}

/// It is treated otherwise than the others, which is rare.
bool udp_link::batches::send_by_itself(const datagram_out& datagram) {
  const bool is_ipv4 = datagram.to.ip.is_v4();
  const bool is_set = set_fragments(datagram.fragments, is_ipv4);
  // What has to be whole and may be cut proves nothing where it arrives.
  if (!is_set && datagram.fragments == fragments::never) {
    ++counters_.send_errors;
    return true;
  }
  const bool done = send_one(datagram);
  if (is_set) set_fragments(fragments::as_usual, is_ipv4);
  return done;
}

std::size_t udp_link::batches::send(std::span<const datagram_out> datagrams) {
  std::size_t done = 0;
#if defined(__linux__)
  while (batched_ && done < datagrams.size()) {
    if (datagrams[done].fragments != fragments::as_usual) {
      if (!send_by_itself(datagrams[done])) return done;
      ++done;
      continue;
    }
    std::array<mmsghdr, batch_size> messages;
    std::array<std::size_t, batch_size> runs;
    std::size_t count = 0;
    std::size_t iovecs = 0;
    for (std::size_t at = done; count < batch_size && at < datagrams.size();) {
      if (datagrams[at].fragments != fragments::as_usual) break;
      const auto run = std::min(run_length(datagrams.subspan(at)), max_send_iovecs - iovecs);
      if (run == 0 || !prepare_send(count, datagrams.subspan(at, run), &iovecs_[iovecs])) break;
      messages[count] = {headers_[count], 0};
      runs[count++] = run;
      iovecs += run;
      at += run;
    }
    const int sent = count == 0 ? 0 : ::sendmmsg(fd_, messages.data(), static_cast<unsigned>(count), 0);
    saw_error_ |= sent < static_cast<int>(count);  // a call that has sent some does not say why it stopped
    if (sent > 0) {
      const auto datagrams_sent = std::accumulate(runs.begin(), runs.begin() + sent, std::size_t{0});
      counters_.sent += datagrams_sent;
      done += datagrams_sent;
      continue;
    }
    if (count > 0 && would_block(errno)) return done;
    // The first of the batch was refused. By itself: what is wrong with one datagram must not cost its neighbours.
    const bool run_refused = count > 0 && runs[0] > 1 && errno == EIO;
    const auto sent_before = counters_.sent;
    if (!send_one(datagrams[done])) return done;
    // The destination is not at fault: a device without checksum offload refuses segmentation. Go on without.
    if (run_refused && counters_.sent > sent_before) segmentation_ = false;
    ++done;
  }
#endif
  for (; done < datagrams.size(); ++done) {
    const auto& next = datagrams[done];
    if (!(next.fragments == fragments::as_usual ? send_one(next) : send_by_itself(next))) break;
  }
  return done;
}

}  // namespace nat::net
