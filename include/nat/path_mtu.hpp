// How large a datagram one path carries: packetization-layer path MTU discovery for datagrams (RFC 8899).
//
//   base (1232) --probes of the largest size, then of all--> what was answered, or nothing --raise_after--> probes
//   again
//        ^                                                     |
//        '---------- what is larger vanishes again ------------'
#pragma once

#include "nat/time.hpp"
#include "nat/wire.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <span>

namespace nat {

class path_mtu {
 public:
  // RFC 8899, 5.1.2 (MAX_PROBES): so often each size is tried.
  static constexpr int max_rounds = 3;
  // RFC 8899, 5.1.1 (PMTU_RAISE_TIMER).
  static constexpr duration raise_after = std::chrono::minutes(10);
  // A probe that is not answered by then, and three round trips, is lost.
  static constexpr duration patience = std::chrono::milliseconds(250);

  // Of IP: Ethernet, PPPoE, a cloud's network, WireGuard, tunnels with more headers, twice tunnelled.
  static constexpr std::array<std::size_t, 6> mtus{1500, 1492, 1460, 1420, 1400, 1328};
  static constexpr std::size_t ipv4_headers = 20 + 8;  // and UDP's
  static constexpr std::size_t ipv6_headers = 40 + 8;

  /// Bytes of UDP payload that have proved to pass.
  std::size_t size() const { return size_; }
  /// Probes are due from now on, if they have not begun.
  void start(time_point now, bool is_ipv4);
  /// How large the probes are that are due now, which count as sent then. Empty: none.
  std::span<const std::size_t> next_probes(time_point now, duration round_trip);
  /// A probe of this size has arrived.
  void on_answer(time_point now, std::size_t size);
  /// What is larger than the base does not arrive any more.
  void on_black_hole(time_point now);
  /// Somebody says that no more than `mtu` bytes of IP pass at once. Anybody can say so (RFC 8899, 4.6.1): it counts
  /// where we use more, and is never believed for a size; what passes is asked again, as often as ever.
  void on_too_large(time_point now, std::size_t mtu);
  deadline next_deadline() const { return due_; }

 private:
  bool has_begun_ = false;
  std::size_t headers_ = ipv4_headers;
  std::size_t size_ = max_datagram;
  int rounds_ = 0;
  deadline due_;  ///< of the next probes; none: there is nothing to find out
  std::array<std::size_t, mtus.size()> probes_{};
};

/// The largest datagram that is ever sent.
constexpr std::size_t largest_datagram = path_mtu::mtus[0] - path_mtu::ipv4_headers;

}  // namespace nat
