// So much in a time, and so much at once.
#pragma once

#include "nat/time.hpp"

#include <chrono>
#include <cstdint>

namespace nat {

/// What a token bucket gives.
struct allowance {
  std::uint64_t amount = 0;  ///< in the time `per`; 0: no limit
  duration per = std::chrono::seconds(1);
  std::uint64_t burst = 0;

  /// In which time the amount `spent` comes back.
  duration time_for(std::uint64_t spent) const;
};

/// A token bucket (RFC 2697's, with one rate), kept as the one moment at which it will be full again. What is taken may
/// overdraw it by once; the debt is waited for.
class token_bucket {
 public:
  // Nothing that is taken counts for longer than this.
  static constexpr duration longest_debt = std::chrono::hours(24);

  /// Whether one is left, at least.
  bool ready(time_point now, const allowance& limit) const { return ready_at(limit) <= now; }
  /// When it will be ready; a moment that has passed means now.
  time_point ready_at(const allowance& limit) const {
    return limit.amount == 0 ? time_point::min() : full_at_ - limit.time_for(limit.burst) + limit.time_for(1);
  }
  /// Requires `ready`.
  void take(time_point now, const allowance& limit, std::uint64_t spent = 1);

 private:
  time_point full_at_;
};

}  // namespace nat
