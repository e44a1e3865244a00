#include "scheduler.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace nat::sim {
namespace {

constexpr auto is_later = [](const auto& a, const auto& b) {
  return a.when != b.when ? a.when > b.when : a.order > b.order;
};

}  // namespace

void scheduler::at(time_point when, action what) {
  if (free_slots_.empty()) {
    free_slots_.push_back(actions_.size());
    actions_.emplace_back();
  }
  const auto slot = free_slots_.back();
  free_slots_.pop_back();
  actions_[slot] = std::move(what);
  queue_.push_back({std::max(when, now_), planned_++, slot});
  std::ranges::push_heap(queue_, is_later);
}

void scheduler::run_until(time_point end) {
  std::uint64_t at_this_moment = 0;
  while (!queue_.empty() && queue_.front().when <= end) {
    std::ranges::pop_heap(queue_, is_later);
    const auto next = queue_.back();
    queue_.pop_back();
    at_this_moment = next.when == now_ ? at_this_moment + 1 : 0;
    if (at_this_moment > most_at_one_moment_) throw std::runtime_error("the virtual time stands still");
    now_ = next.when;
    const auto what = std::exchange(actions_[next.slot], nullptr);
    free_slots_.push_back(next.slot);
    ++done_;
    what();
  }
  now_ = std::max(now_, end);
}

}  // namespace nat::sim
