#include "nat/relay_queue.hpp"

#include <algorithm>

namespace nat {

relay_queue::frame relay_queue::make(std::span<const peer_id> to, byte_view packet) {
  std::shared_ptr<std::vector<std::uint8_t>> bytes;
  const bool is_free = !made_.empty() && made_.front().use_count() == 1;
  if (is_free) {
    bytes = made_.take_front();
    bytes->clear();
  } else {
    bytes = std::make_shared<std::vector<std::uint8_t>>();
  }
  append_relay_upload(*bytes, to, packet);
  if (made_.size() < max_reused) made_.push_back(bytes);
  return bytes;
}

void relay_queue::push(std::span<const peer_id> to, byte_view packet) {
  while (!to.empty()) {
    const auto some = to.first(std::min(to.size(), max_relay_recipients));
    to = to.subspan(some.size());
    if (is_full()) {
      ++dropped_;
      continue;
    }
    frames_.push_back(make(some, packet));
    bytes_ += frames_.back()->size();
  }
}

bool relay_queue::push_ping(peer_id to, byte_view packet) {
  if (pings_.size() == max_pings) return false;
  pings_.push_back(make({&to, 1}, packet));
  return true;
}

std::optional<relay_queue::frame> relay_queue::next_ping() {
  return pings_.empty() ? std::nullopt : std::optional(pings_.take_front());
}

std::optional<relay_queue::frame> relay_queue::next() {
  if (!pings_.empty()) return next_ping();
  if (frames_.empty()) return std::nullopt;
  auto front = frames_.take_front();
  bytes_ -= front->size();
  return front;
}

void relay_queue::clear() {
  pings_.clear();
  frames_.clear();
  made_.clear();
  bytes_ = 0;
}

}  // namespace nat
