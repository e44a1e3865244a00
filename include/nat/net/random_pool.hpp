// Cryptographically strong random bytes, made in advance: 0.06 us for a packet's 120 instead of the 0.7 us and more of
// a system call.
#pragma once

#include "nat/random.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace nat::net {

/// A ChaCha20 key stream, keyed from the operating system. Each refill takes the next key from its own first bytes and
/// nothing handed out stays in memory, so what was given out cannot be found later; a forked child takes a key of its
/// own.
class random_pool final : public random_source {
 public:
  random_pool();

  void fill(byte_span out) override;

 private:
  static constexpr std::size_t key_size = 32;
  static constexpr std::size_t pool_size = 65'536;

  void rekey();
  void refill();

  std::array<std::uint8_t, key_size> key_{};
  std::unique_ptr<std::array<std::uint8_t, pool_size>> pool_;
  std::size_t used_ = pool_size;
  unsigned fork_generation_ = 0;
};

}  // namespace nat::net
