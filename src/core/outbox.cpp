#include "nat/outbox.hpp"

#include <algorithm>
#include <cassert>

namespace nat {

bool outbox::has_room(std::size_t bytes, std::size_t datagrams) const {
  return bytes_.size() + bytes <= max_bytes && entries_.size() + datagrams <= max_datagrams;
}

outbox::packet_ref outbox::append(std::size_t size) {
  assert(has_room(size, 0));
  const packet_ref packet{nullptr, static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint32_t>(size)};
  bytes_.resize(bytes_.size() + size);
  return packet;
}

outbox::packet_ref outbox::append(byte_view bytes) {
  const auto packet = append(bytes.size());
  std::ranges::copy(bytes, fill(packet).begin());
  return packet;
}

void outbox::send(packet_ref packet, const endpoint& to, fragmenting pieces) {
  assert(has_room(0, 1));
  entries_.push_back({packet, to, pieces});
}

void outbox::consume(std::size_t count) {
  assert(count <= size());
  sent_ += count;
  if (!empty()) return;
  entries_.clear();
  bytes_.clear();
  sent_ = 0;
}

}  // namespace nat
