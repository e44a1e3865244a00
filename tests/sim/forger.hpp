// Packets of somebody who has no key: made up, sealed with other keys, or recorded from members.
#pragma once

#include "nat/seal.hpp"
#include "nat/topic_keys.hpp"

#include "chance.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace nat::sim {

using packet_bytes = std::vector<std::uint8_t>;

class forger {
 public:
  // Of what members send, the first so many are kept, and the last.
  static constexpr std::size_t max_recorded = 20'000;

  /// `topic`: its name, and what natcoord is told of it, neither of which is a secret.
  forger(const std::string& topic, const std::string& public_topic, std::uint64_t seed);

  void record(byte_view packet);
  /// From the first on.
  const std::deque<packet_bytes>& recorded() const { return recorded_; }

  /// As if `name` had sent it: a PING or DATA, not sealed or sealed with a key that is not the topic's; or one that was
  /// recorded, as it was or with a bit that is another.
  packet_bytes next(const std::string& name);
  packet_bytes with_a_flipped_bit(byte_view packet);

  std::uint64_t made() const { return made_; }

 private:
  struct identity {
    identity(const topic_keys& with, sender_id as) : keys(with), sealer(with, as, payload_cipher::chacha20_poly1305) {}

    topic_keys keys;
    packet_sealer sealer;
    std::uint64_t pings = 0;
    std::uint64_t packets = 0;
  };

  packet_bytes ping(identity& as, const std::string& name);
  packet_bytes data(identity* as, const std::string& name);

  chance chance_;
  std::vector<std::unique_ptr<identity>> identities_;
  std::deque<packet_bytes> recorded_;
  std::uint64_t made_ = 0;
};

}  // namespace nat::sim
