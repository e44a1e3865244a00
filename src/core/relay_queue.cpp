#include "nat/relay_queue.hpp"

#include <algorithm>

namespace nat {

void relay_queue::push(std::span<const peer_id> to, byte_view packet) {
  while (!to.empty()) {
    const auto some = to.first(std::min(to.size(), max_relay_recipients));
    to = to.subspan(some.size());
    if (is_full()) {
      ++dropped_;
      continue;
    }
    auto bytes = std::make_shared<std::vector<std::uint8_t>>();
    bytes->reserve(1 + 8 * some.size() + packet.size());
    append_relay_upload(*bytes, some, packet);
    bytes_ += bytes->size();
    frames_.push_back(std::move(bytes));
  }
}

bool relay_queue::push_ping(peer_id to, byte_view packet) {
  if (pings_.size() == max_pings) return false;
  auto bytes = std::make_shared<std::vector<std::uint8_t>>();
  bytes->reserve(1 + 8 + packet.size());
  append_relay_upload(*bytes, {&to, 1}, packet);
  pings_.push_back(std::move(bytes));
  return true;
}

std::optional<relay_queue::frame> relay_queue::next() {
  if (!pings_.empty()) {
    auto ping = std::move(pings_.front());
    pings_.pop_front();
    return ping;
  }
  if (frames_.empty()) return std::nullopt;
  auto front = std::move(frames_.front());
  frames_.pop_front();
  bytes_ -= front->size();
  return front;
}

void relay_queue::clear() {
  pings_.clear();
  frames_.clear();
  bytes_ = 0;
}

}  // namespace nat
