// Spreads bytes over time: a token bucket (RFC 2475's, as used by RFC 9002, 7.7 for pacing).
#pragma once

#include "nat/time.hpp"

#include <cstddef>
#include <cstdint>

namespace nat {

class pacer {
 public:
  // Timers fire up to about a millisecond late; the bucket lets the average hold all the same.
  static constexpr duration burst_time = std::chrono::milliseconds(4);
  static constexpr std::size_t least_burst = 12'320;  // ten datagrams: RFC 6928's initial window

  /// `bits_per_second` > 0. The bucket holds `burst_time` worth of bytes, but at least `burst`.
  explicit pacer(std::uint64_t bits_per_second, std::size_t burst = least_burst);

  /// Whether something may be sent now. What is sent may overdraw the bucket; the debt is waited for.
  bool ready(time_point now) const { return now >= free_at_; }
  /// `bytes` were sent now; requires `ready`.
  void on_sent(time_point now, std::size_t bytes);
  /// When something may be sent next; a moment that has passed means now.
  time_point next_time() const { return free_at_; }

 private:
  duration time_for(std::size_t bytes) const;

  std::uint64_t bits_per_second_;
  duration burst_;
  /// The bucket kept as a point in time: it is full once `free_at_` lies `burst_` in the past.
  time_point free_at_ = time_point::min();
};

}  // namespace nat
