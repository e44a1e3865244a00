// How often memory is asked for. A program that links allocation_count.cpp has its operator new.
#pragma once

#include <cstddef>

namespace nat {

struct allocation_count {
  static inline bool is_on = false;
  static inline std::size_t made = 0;  ///< while it was on
};

}  // namespace nat
