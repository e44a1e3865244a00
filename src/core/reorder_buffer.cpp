#include "nat/reorder_buffer.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat {

void reorder_buffer::hold(time_point now, std::uint64_t number, byte_view payload) {
  assert(number > next_);
  if (held_.empty()) oldest_ = now;
  const auto [at, is_new] = held_.try_emplace(number, packet{{payload.begin(), payload.end()}, now});
  if (is_new) bytes_ += payload.size();
}

std::optional<std::vector<std::uint8_t>> reorder_buffer::release(time_point now) {
  if (held_.empty()) return std::nullopt;
  const bool waits = held_.begin()->first != next_ && now < oldest_ + max_wait && !over_limit();
  if (waits) return std::nullopt;
  return take_first();
}

std::optional<std::vector<std::uint8_t>> reorder_buffer::drain() {
  if (held_.empty()) return std::nullopt;
  return take_first();
}

std::vector<std::uint8_t> reorder_buffer::take_first() {
  const auto first = held_.begin();
  if (next_ != 0) skipped_ += first->first - next_;
  next_ = first->first + 1;
  skips_ = false;
  bytes_ -= first->second.payload.size();
  const bool was_oldest = first->second.arrived == oldest_;
  auto payload = std::move(first->second.payload);
  held_.erase(first);
  if (was_oldest && !held_.empty()) {
    oldest_ = std::ranges::min_element(held_, {}, [](const auto& each) { return each.second.arrived; })->second.arrived;
  }
  return payload;
}

deadline reorder_buffer::next_deadline() const {
  if (held_.empty()) return std::nullopt;
  return oldest_ + max_wait;
}

}  // namespace nat
