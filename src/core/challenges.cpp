#include "nat/challenges.hpp"

#include "nat/bytes.hpp"

#include <algorithm>

#include <sodium.h>

namespace nat {

static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == 8);

challenges::challenges(random_source& random) : key_{} { random.fill(key_); }

std::uint64_t challenges::hash(std::int64_t epoch, const endpoint& at) const {
  std::array<std::uint8_t, 8 + 16 + 2> text;
  store_be(text.data(), static_cast<std::uint64_t>(epoch));
  std::ranges::copy(at.ip.v6(), text.begin() + 8);
  store_be(text.data() + 24, at.port);
  std::array<std::uint8_t, crypto_shorthash_BYTES> out;
  crypto_shorthash(out.data(), text.data(), text.size(), key_.data());
  const auto value = load_be<std::uint64_t>(out.data());
  return value == 0 ? 1 : value;
}

}  // namespace nat
