// The system calls behind udp_link: recvmmsg, sendmmsg, UDP_GRO and UDP_SEGMENT on Linux, one recvmsg or sendmsg a
// datagram elsewhere (and where `portable` asks for it).
#pragma once

#include "nat/net/udp_link.hpp"

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include <sys/socket.h>

namespace nat::net {

class udp_link::batches {
 public:
  /// `fd` is a bound, non-blocking UDP socket of `family`; it outlives this.
  batches(int fd, int family, bool tell_destination, bool portable);

  /// What is there now; empty: nothing, or an error that concerns one datagram only.
  std::span<const datagram_in> receive();
  /// Whether it is worth trying `receive` again before waiting.
  bool may_have_more() const { return arrived_.size() >= small_batch; }
  std::size_t send(std::span<const datagram_out> datagrams);

  /// Has the kernel keep ICMP errors for `take_errors`, where it does that.
  void enable_errors();
  /// Hands out what ICMP, or the kernel, has said of which destination since the last call. Costs nothing while there
  /// was no sign of it.
  void take_errors(const std::function<void(const endpoint&)>& on_unreachable,
                   const std::function<void(const ip_address&, std::size_t)>& on_too_large);

  const udp_counters& counters() const { return counters_; }

 private:
  // A batch's buffers: 16 of the largest datagram there is. Pages that no datagram reaches are never touched.
  static constexpr std::size_t batch_size = 16;
  // Datagrams: behind fewer comes nothing yet, mostly, or few again.
  static constexpr std::size_t small_batch = 4;
  static constexpr std::size_t buffer_size = 65536;
  static constexpr std::size_t control_size = 128;  // room for IPV6_PKTINFO and UDP_GRO or UDP_SEGMENT
  // Linux: UDP_MAX_SEGMENTS; together they must fit an IP datagram (65507 bytes of payload over IPv4).
  static constexpr std::size_t max_segments = 64;
  static constexpr std::size_t max_segmented_bytes = 65507;
  static constexpr std::size_t max_send_iovecs = 256;
  static constexpr std::size_t max_errors = 64;  // that are taken between two batches of datagrams

  struct alignas(16) control_buffer {
    std::array<std::uint8_t, control_size> bytes;
  };

  std::uint8_t* buffer(std::size_t i) { return buffers_.get() + i * buffer_size; }
  void prepare_receive(std::size_t i);
  void take_message(std::size_t i, const msghdr& header, std::size_t size);
  /// Fills message `i` with `run`, datagrams of one size (the last may be shorter) to one destination.
  bool prepare_send(std::size_t i, std::span<const datagram_out> run, iovec* iovecs);
  /// How many datagrams from the front can leave as one message.
  std::size_t run_length(std::span<const datagram_out> datagrams) const;
  bool send_one(const datagram_out& datagram);
  bool send_by_itself(const datagram_out& datagram);
  bool set_fragments(fragments wanted, bool is_ipv4);

  int fd_;
  int family_;
  bool tell_destination_;
  bool batched_;
  bool segmentation_ = false;
  bool saw_error_ = false;  ///< a call has failed, or found nothing: there may be ICMP errors
  udp_counters counters_;
  std::unique_ptr<std::uint8_t[]> buffers_;
  std::vector<datagram_in> arrived_;

  std::array<msghdr, batch_size> headers_;
  std::array<sockaddr_storage, batch_size> addresses_;
  std::array<iovec, max_send_iovecs> iovecs_;
  std::array<control_buffer, batch_size> controls_;
};

}  // namespace nat::net
