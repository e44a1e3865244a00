// What a peer has to send back to prove that it receives at an address (design, 2.3). Nothing is kept for an address that
// was only asked: a challenge is a keyed hash of the address and the time.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/random.hpp"
#include "nat/time.hpp"
#include "nat/topic_keys.hpp"

#include <array>
#include <cstdint>

namespace nat {

class challenges {
 public:
  // One is good for its own period and the next: longer than any round trip, and an address that was given up is not
  // proven for long by what was heard there.
  static constexpr duration period = std::chrono::seconds(15);

  explicit challenges(random_source& random);

  /// Never 0.
  std::uint64_t of(time_point now, const endpoint& at) const { return hash(epoch(now), at); }
  bool matches(time_point now, const endpoint& at, std::uint64_t echo) const {
    return echo != 0 && (echo == hash(epoch(now), at) || echo == hash(epoch(now) - 1, at));
  }

  /// The relay's stand-in for an address: who is behind it.
  static endpoint behind_relay(const name_tag& who) { return {ip_address(who), 0}; }

 private:
  static std::int64_t epoch(time_point now) { return now.time_since_epoch() / period; }
  std::uint64_t hash(std::int64_t epoch, const endpoint& at) const;

  std::array<std::uint8_t, 16> key_;
};

}  // namespace nat
