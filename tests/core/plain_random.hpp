// Randomness that a test can repeat.
#pragma once

#include "nat/random.hpp"

#include <cstdint>

namespace nat {

/// SplitMix64, from a seed: looks random, and is the same each time.
class plain_random : public random_source {
 public:
  explicit plain_random(std::uint64_t seed = 1) : state_(seed) {}

  void fill(byte_span out) override {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(next() >> 56);
  }

 private:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    auto z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
};

/// Every draw is the largest possible.
class highest_random : public random_source {
 public:
  void fill(byte_span out) override {
    for (auto& byte : out) byte = 0xff;
  }
};

}  // namespace nat
