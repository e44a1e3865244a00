// How long to wait before trying again: exponential backoff with full jitter, so that clients of a restarted server do
// not come back all at once.
#pragma once

#include "nat/random.hpp"
#include "nat/time.hpp"

#include <algorithm>

namespace nat {

class backoff {
 public:
  constexpr backoff(duration first, duration cap) : first_(first), cap_(cap), bound_(first) {}

  /// A time drawn evenly from nothing to the present bound, which then doubles up to the cap.
  duration next(random_source& random) {
    const auto wait = random.between(duration::zero(), bound_);
    bound_ = std::min(bound_ * 2, cap_);
    return wait;
  }

  void reset() { bound_ = first_; }

 private:
  duration first_;
  duration cap_;
  duration bound_;
};

}  // namespace nat
