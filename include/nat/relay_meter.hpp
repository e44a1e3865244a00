// How much each client may have relayed, and all of them together.
#pragma once

#include "nat/time.hpp"
#include "nat/token_bucket.hpp"

#include <cstdint>

namespace nat {

// What a client may upload at once, in bytes: 64 ms of the default rate.
constexpr std::uint64_t relay_burst = 256U << 10;
// What may be delivered at once, in bytes: 64 ms of the default rate for all.
constexpr std::uint64_t relay_total_burst = 8U << 20;

// A packet costs natcoord work that does not depend on its size: a smaller one counts as so many bytes.
constexpr std::uint64_t least_upload = 128;    // the smallest packet there is between peers
constexpr std::uint64_t least_delivery = 600;  // of all deliveries; about what one costs beside its bytes

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

  /// Whether the client may upload anything now.
  bool may_upload(time_point now, const relay_account& client) const { return client.rate.ready(now, rate_); }
  /// Whether a packet of `bytes` goes to `recipients` of the client's; if so, it is charged for.
  relay_verdict charge(time_point now, relay_account& client, std::uint64_t bytes, std::uint64_t recipients);

 private:
  allowance rate_;
  allowance total_rate_;
  allowance quota_;
  token_bucket total_;
};

}  // namespace nat
