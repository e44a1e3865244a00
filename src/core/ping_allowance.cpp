#include "nat/ping_allowance.hpp"

#include <algorithm>

namespace nat {

bool ping_allowance::is_kept(const std::pair<endpoint, std::uint64_t>& place) const {
  const auto at = spent_.find(place.first);
  return at != spent_.end() && at->second.serial == place.second;
}

void ping_allowance::drop_forgotten() {
  std::erase_if(order_, [this](const auto& place) { return !is_kept(place); });
}

bool ping_allowance::take(time_point now, const endpoint& to) {
  auto at = spent_.find(to);
  if (at == spent_.end()) {
    if (order_.size() >= 2 * max_addresses) drop_forgotten();
    while (spent_.size() >= max_addresses) {
      if (is_kept(order_.front())) spent_.erase(order_.front().first);
      order_.pop_front();
    }
    at = spent_.try_emplace(to, bucket{burst, now, ++serial_}).first;
    order_.emplace_back(to, serial_);
  }
  auto& [left, refilled, serial] = at->second;
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
