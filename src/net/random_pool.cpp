#include "nat/net/random_pool.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include <sodium.h>

#include <pthread.h>

namespace nat::net {
namespace {

std::atomic<unsigned> fork_generation{0};

void watch_forks() {
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1, std::memory_order_relaxed); });
}

}  // namespace

random_pool::random_pool() : pool_(std::make_unique<std::array<std::uint8_t, pool_size>>()) {
  if (::sodium_init() < 0) throw std::runtime_error("the cryptographic library cannot be initialised");
  watch_forks();
  rekey();
}

void random_pool::rekey() {
  fork_generation_ = fork_generation.load(std::memory_order_relaxed);
  ::randombytes_buf(key_.data(), key_.size());
  used_ = pool_size;
}

void random_pool::refill() {
  // A key is used once, so the nonce may be constant.
  constexpr std::array<std::uint8_t, crypto_stream_chacha20_NONCEBYTES> nonce{};
  static_assert(key_size == crypto_stream_chacha20_KEYBYTES);
  ::crypto_stream_chacha20(pool_->data(), pool_->size(), nonce.data(), key_.data());
  std::memcpy(key_.data(), pool_->data(), key_size);
  ::sodium_memzero(pool_->data(), key_size);
  used_ = key_size;
}

void random_pool::fill(byte_span out) {
  if (fork_generation_ != fork_generation.load(std::memory_order_relaxed)) rekey();
  while (!out.empty()) {
    if (used_ == pool_size) refill();
    const auto count = std::min(out.size(), pool_size - used_);
    std::memcpy(out.data(), pool_->data() + used_, count);
    ::sodium_memzero(pool_->data() + used_, count);
    used_ += count;
    out = out.subspan(count);
  }
}

}  // namespace nat::net
