// Randomness that a seed repeats exactly, on every machine.
#pragma once

#include "nat/random.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nat::sim {

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). The standard library's
/// distributions are not used: they differ between implementations.
class chance final : public random_source {
 public:
  explicit chance(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    auto z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  /// Evenly from [0, bound). The modulo's bias is below 2^-40 for the bounds used here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// Whether something of this probability happens.
  bool happens(double probability) {
    return static_cast<double>(next() >> 11) < probability * 9007199254740992.0;
  }  // 2^53
  template <typename T, std::size_t N>
  const T& pick(const T (&from)[N]) {
    return from[below(N)];
  }

  void fill(byte_span out) override {
    std::size_t i = 0;
    for (; i + 8 <= out.size(); i += 8) {
      const auto word = next();
      std::memcpy(out.data() + i, &word, 8);
    }
    for (auto word = next(); i < out.size(); ++i, word >>= 8) out[i] = static_cast<std::uint8_t>(word);
  }

 private:
  std::uint64_t state_;
};

}  // namespace nat::sim
