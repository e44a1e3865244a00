// How much each client may have relayed, and all of them together.
#pragma once

#include "nat/time.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace nat {

/// So much in a time, and so much at once.
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

// What a client may upload at once, in bytes: 64 ms of the default rate.
constexpr std::uint64_t relay_burst = 256U << 10;
// What may be delivered at once, in bytes: 64 ms of the default rate for all.
constexpr std::uint64_t relay_total_burst = 8U << 20;

struct relay_limits {
  bool on = true;
  std::uint64_t rate = 32'000'000;           ///< bit/s that each client may upload; 0: no limit
  std::uint64_t total_rate = 1'000'000'000;  ///< bit/s delivered for all of them; 0: no limit
  std::uint64_t quota = 20'000'000'000;  ///< bytes delivered for each client in a day, coming back all day; 0: no limit
};

/// What one client has used up.
struct relay_account {
  token_bucket rate;
  token_bucket quota;
};

enum class relay_verdict : std::uint8_t { passed, over_rate, over_quota, over_total_rate };

class relay_meter {
 public:
  explicit relay_meter(const relay_limits& limits);

  /// Whether a packet of `bytes` goes to `recipients` of the client's; if so, it is charged for.
  relay_verdict charge(time_point now, relay_account& client, std::uint64_t bytes, std::uint64_t recipients);

 private:
  allowance rate_;
  allowance total_rate_;
  allowance quota_;
  token_bucket total_;
};

}  // namespace nat
