#include "nat/address_tokens.hpp"

#include <algorithm>

#include <sodium.h>

namespace nat {
namespace {

constexpr std::size_t time_size = 8;
constexpr std::size_t hash_size = address_tokens::size - time_size;

}  // namespace

address_tokens::address_tokens(random_source& random) { random.fill(key_); }

address_tokens::token address_tokens::make(time_point now, const endpoint& mapped) const {
  token made;
  store_be(made.data(), static_cast<std::uint64_t>(now.time_since_epoch().count()));

  std::array<std::uint8_t, time_size + sizeof(ip_address::v6_bytes) + sizeof(std::uint16_t)> hashed;
  auto* to = std::copy_n(made.begin(), time_size, hashed.begin());
  to = std::ranges::copy(mapped.ip.v6(), to).out;
  store_be(to, mapped.port);
  crypto_generichash(made.data() + time_size, hash_size, hashed.data(), hashed.size(), key_.data(), key_.size());
  return made;
}

bool address_tokens::verify(time_point now, const endpoint& mapped, byte_view shown) const {
  if (shown.size() != size) return false;
  const time_point made_at(duration(static_cast<duration::rep>(load_be<std::uint64_t>(shown.data()))));
  // Whoever made up the time made up the hash, too; the order only spares the sum an overflow.
  const auto real = make(made_at, mapped);
  return sodium_memcmp(real.data(), shown.data(), size) == 0 && made_at <= now && now - made_at <= lifetime;
}

}  // namespace nat
