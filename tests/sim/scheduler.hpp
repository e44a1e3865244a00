// Virtual time: what happens when. Two things at the same moment happen in the order in which they were planned, so a
// run is the same each time.
#pragma once

#include "nat/time.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace nat::sim {

class scheduler {
 public:
  using action = std::function<void()>;

  /// An hour after the clock's zero: engines must not care, and times before the start can be said.
  static constexpr time_point start{std::chrono::hours(1)};

  time_point now() const { return now_; }
  duration elapsed() const { return now_ - start; }

  /// Plans an action; one for the past happens now.
  void at(time_point when, action what);
  void after(duration wait, action what) { at(now_ + wait, std::move(what)); }

  // Whoever wants to be woken at once, again and again, would stop the time for ever.
  static constexpr std::uint64_t max_at_one_moment = 10'000'000;
  /// Less is enough where few take part.
  void limit_moments(std::uint64_t most) { most_at_one_moment_ = most; }

  /// Runs everything up to and including `end`, and sets the clock to it. Throws std::runtime_error where more happens
  /// at one moment than may.
  void run_until(time_point end);
  void run_for(duration time) { run_until(now_ + time); }

  std::size_t pending() const { return queue_.size(); }
  std::uint64_t done() const { return done_; }  ///< actions run so far

 private:
  // The heap moves these 24 bytes; the actions stay where they are.
  struct entry {
    time_point when;
    std::uint64_t order;
    std::size_t slot;
  };

  time_point now_ = start;
  std::uint64_t most_at_one_moment_ = max_at_one_moment;
  std::uint64_t planned_ = 0;
  std::uint64_t done_ = 0;
  std::vector<entry> queue_;  ///< a heap, the next on top
  std::vector<action> actions_;
  std::vector<std::size_t> free_slots_;
};

}  // namespace nat::sim
