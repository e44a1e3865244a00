// The system's clocks, as the engines take their time.
#pragma once

#include "nat/time.hpp"

#include <chrono>

namespace nat::net {

inline time_point steady_now() { return time_point(std::chrono::steady_clock::now().time_since_epoch()); }

inline std::chrono::steady_clock::time_point to_steady(time_point at) {
  return std::chrono::steady_clock::time_point(at.time_since_epoch());
}

inline unix_millis wall_now() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

}  // namespace nat::net
