// Randomness as the engines see it: a source handed to them by the program, or a scripted one by a test.
#pragma once

#include "nat/bytes.hpp"
#include "nat/time.hpp"

#include <array>
#include <cstdint>

namespace nat {

class random_source {
 public:
  virtual ~random_source() = default;

  /// Fills all of `out`. In the programs the bytes are cryptographically strong.
  virtual void fill(byte_span out) = 0;

  std::uint64_t next_u64() {
    std::array<std::uint8_t, 8> bytes;
    fill(bytes);
    return load_be<std::uint64_t>(bytes.data());
  }

  /// A duration drawn evenly from [low, high]. The modulo's bias is below 2^-20 for anything under an hour.
  duration between(duration low, duration high) {
    const auto span = static_cast<std::uint64_t>((high - low).count()) + 1;
    return low + duration(static_cast<duration::rep>(next_u64() % span));
  }
};

}  // namespace nat
