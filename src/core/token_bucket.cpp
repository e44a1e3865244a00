#include "nat/token_bucket.hpp"

#include <algorithm>
#include <cassert>

namespace nat {

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

}  // namespace nat
