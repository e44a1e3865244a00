#include "nat/relay_meter.hpp"

#include <algorithm>
#include <chrono>

namespace nat {
namespace {

/// `bits` in a second, counted in bytes.
allowance bits_per_second(std::uint64_t bits, std::uint64_t burst) { return {bits, std::chrono::seconds(8), burst}; }

}  // namespace

relay_meter::relay_meter(const relay_limits& limits)
    : rate_(bits_per_second(limits.rate, relay_burst)),
      total_rate_(bits_per_second(limits.total_rate, relay_total_burst)),
      quota_{limits.quota, std::chrono::hours(24), limits.quota} {}

relay_verdict relay_meter::charge(time_point now, relay_account& client, std::uint64_t bytes,
                                  std::uint64_t recipients) {
  if (!client.rate.ready(now, rate_)) return relay_verdict::over_rate;
  if (!client.quota.ready(now, quota_)) return relay_verdict::over_quota;
  if (!total_.ready(now, total_rate_)) return relay_verdict::over_total_rate;
  client.rate.take(now, rate_, std::max(bytes, least_upload));
  client.quota.take(now, quota_, std::max(bytes, least_upload) * recipients);
  total_.take(now, total_rate_, std::max(bytes, least_delivery) * recipients);
  return relay_verdict::passed;
}

}  // namespace nat
