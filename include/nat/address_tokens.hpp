// Proof that whoever registers an address also receives there: natcoord's STUN answer carries a token for the mapped
// address, and a v2 client shows it. No state: the token is a keyed hash of address and time.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/random.hpp"
#include "nat/time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace nat {

class address_tokens {
 public:
  static constexpr std::size_t size = 24;  ///< bytes: a time (8), a hash (16)
  using token = std::array<std::uint8_t, size>;

  // Long enough for a round trip, a slow handshake and a lost answer or two; short enough that an address given up is
  // not one's own for long.
  static constexpr duration lifetime = std::chrono::minutes(2);

  /// The key lives as long as this does: a token of another run is worth nothing.
  explicit address_tokens(random_source& random);

  token make(time_point now, const endpoint& mapped) const;
  bool verify(time_point now, const endpoint& mapped, byte_view shown) const;

 private:
  std::array<std::uint8_t, 32> key_;
};

}  // namespace nat
