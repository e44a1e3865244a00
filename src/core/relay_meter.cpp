#include "nat/relay_meter.hpp"

#include <cassert>

namespace nat {
namespace {

/// `bits` in a second, counted in bytes.
allowance bits_per_second(std::uint64_t bits, std::uint64_t burst) { return {bits, std::chrono::seconds(8), burst}; }

}  // namespace

duration allowance::time_for(std::uint64_t spent) const {
  if (amount == 0) return duration::zero();
  // In doubles: the product of a day in nanoseconds and a frame for thousands does not fit 64 bits.
  const auto time = static_cast<double>(spent) / static_cast<double>(amount) * static_cast<double>(per.count());
  constexpr auto longest = static_cast<double>(token_bucket::longest_debt.count());
  return duration(static_cast<duration::rep>(std::min(time, longest)));
}

void token_bucket::take(time_point now, const allowance& limit, std::uint64_t spent) {
  assert(ready(now, limit));
  if (limit.amount != 0) full_at_ = std::max(full_at_, now) + limit.time_for(spent);
}

relay_meter::relay_meter(const relay_limits& limits)
    : rate_(bits_per_second(limits.rate, relay_burst)),
      total_rate_(bits_per_second(limits.total_rate, relay_total_burst)),
      quota_{limits.quota, std::chrono::hours(24), limits.quota} {}

relay_verdict relay_meter::charge(time_point now, relay_account& client, std::uint64_t bytes,
                                  std::uint64_t recipients) {
  if (!client.rate.ready(now, rate_)) return relay_verdict::over_rate;
  if (!client.quota.ready(now, quota_)) return relay_verdict::over_quota;
  if (!total_.ready(now, total_rate_)) return relay_verdict::over_total_rate;
  client.rate.take(now, rate_, bytes);
  client.quota.take(now, quota_, bytes * recipients);
  total_.take(now, total_rate_, bytes * recipients);
  return relay_verdict::passed;
}

}  // namespace nat
