#include "forger.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <array>

namespace nat::sim {
namespace {

/// A key of the forger's own.
topic_keys another_key(const std::string& topic, chance& random) {
  std::array<std::uint8_t, secret_key::size> bytes{};
  random.fill(bytes);
  return topic_keys::keyed(topic, secret_key(bytes));
}

}  // namespace

forger::forger(const std::string& topic, const std::string& public_topic, std::uint64_t seed) : chance_(seed) {
  for (const auto& name : {topic, public_topic}) {
    for (const auto& keys : {topic_keys::open(name), another_key(name, chance_)}) {
      identities_.push_back(std::make_unique<identity>(keys, chance_.next() | 1));
    }
  }
}

void forger::record(byte_view packet) {
  if (recorded_.size() >= max_recorded) recorded_.erase(recorded_.begin() + max_recorded / 2);
  recorded_.emplace_back(packet.begin(), packet.end());
}

packet_bytes forger::with_a_flipped_bit(byte_view packet) {
  packet_bytes bytes(packet.begin(), packet.end());
  if (!bytes.empty()) bytes[chance_.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << chance_.below(8));
  return bytes;
}

packet_bytes forger::ping(identity& as, const std::string& name) {
  ping_header ping;
  ping.number = ++as.pings;
  ping.challenge = chance_.next() | 1;
  ping.flags = ping_header::wants_answer | ping_header::accepts;
  ping.body = ping_introduction{as.keys.tag_of(name)};
  packet_bytes bytes(header_size);
  as.sealer.seal_ping(bytes, ping, chance_);
  return bytes;
}

/// What `name` could say, and has not.
packet_bytes forger::data(identity* as, const std::string& name) {
  const auto line = name + " 999999999 forged\n";
  packet_bytes bytes(header_size);
  bytes.insert(bytes.end(), line.begin(), line.end());
  if (as == nullptr) {
    encode_header(bytes, packet_kind::data, chance_);
  } else {
    as->sealer.seal_data(bytes, ++as->packets, 0, 0, chance_);
  }
  return bytes;
}

packet_bytes forger::next(const std::string& name) {
  ++made_;
  auto& as = *identities_[chance_.below(identities_.size())];
  const auto any_recorded = [this]() -> const packet_bytes& { return recorded_[chance_.below(recorded_.size())]; };
  switch (chance_.below(recorded_.empty() ? 4 : 6)) {
    case 0: return ping(as, name);
    case 1: return data(&as, name);
    case 2: return data(nullptr, name);
    case 4: return with_a_flipped_bit(any_recorded());
    case 5: return any_recorded();
    default: {
      packet_bytes bytes(header_size);
      encode_header(bytes, packet_kind::ping, chance_);
      return bytes;
    }
  }
}

}  // namespace nat::sim
