// How full a queue is, for tests and for whoever watches a program.
#pragma once

#include <cstddef>
#include <string_view>

namespace nat {

struct queue_level {
  std::string_view name;
  std::size_t held = 0;
  std::size_t bound = 0;  ///< never exceeded
};

}  // namespace nat
