// Time as the engines see it: handed in by whoever drives them, never read.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace nat {

using duration = std::chrono::nanoseconds;

/// A clock without `now()`: only the program (or a test) knows what time it is.
struct engine_clock {
  using duration = nat::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<engine_clock>;
  static constexpr bool is_steady = true;
};

using time_point = engine_clock::time_point;
using deadline = std::optional<time_point>;

/// Milliseconds since the Unix epoch, as `last_seen` carries them.
using unix_millis = std::int64_t;

/// The earlier of two deadlines, where none means never.
constexpr deadline earliest(deadline a, deadline b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

template <typename... More>
constexpr deadline earliest(deadline a, deadline b, More... more) {
  return earliest(earliest(a, b), more...);
}

}  // namespace nat
