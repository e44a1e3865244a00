#include "nat/ping_allowance.hpp"

#include <algorithm>

namespace nat {

bool ping_allowance::take(time_point now, const endpoint& to) {
  auto at = spent_.find(to);
  if (at == spent_.end()) {
    // `order_` may name addresses that are forgotten already.
    while (order_.size() >= max_addresses) {
      spent_.erase(order_.front());
      order_.pop_front();
    }
    at = spent_.try_emplace(to, bucket{burst, now}).first;
    order_.push_back(to);
  }
  auto& [left, refilled] = at->second;
  const auto earned = (now - refilled) / refill;
  if (earned > 0) {
    left = static_cast<int>(std::min<duration::rep>(burst, left + earned));
    refilled += earned * refill;
  }
  if (left == 0) return false;
  --left;
  return true;
}

}  // namespace nat
