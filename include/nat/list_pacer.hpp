// How often lists go out: soon where they are cheap, seldom where they are dear, a quarter of a core in
// total.
#pragma once

#include "nat/time.hpp"

#include <algorithm>
#include <chrono>

namespace nat {

/// Two lists of one topic are at least this far apart, so that peers that come together are told together.
constexpr duration min_list_spacing = std::chrono::milliseconds(5);
/// However dear lists are, a change waits no longer than this.
constexpr duration max_list_spacing = std::chrono::milliseconds(250);
/// One second of CPU for lists needs four seconds: a quarter of a core.
constexpr int list_cost_factor = 4;
/// No burst of lists is held against later ones for longer than this.
constexpr duration max_list_debt = std::chrono::seconds(1);

/// One budget for all topics.
class list_pacer {
 public:
  /// Handing out a list took `cpu` time.
  void on_cost(time_point now, duration cpu) {
    const auto cost = std::clamp(cpu, duration::zero(), max_list_debt) * list_cost_factor;
    paid_at_ = std::min(std::max(now, paid_at_) + cost, now + max_list_debt);
  }

  /// When a topic that sent its previous list at `previous` may send the next. Never earlier for a later
  /// `previous`, which lets topics wait in that order.
  time_point next_list(time_point previous) const {
    return previous + std::clamp(paid_at_ - previous, min_list_spacing, max_list_spacing);
  }

 private:
  time_point paid_at_;  ///< when the lists sent so far will have used a quarter of a core
};

}  // namespace nat
