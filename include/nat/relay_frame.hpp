// Packets that natcoord relays between the v2 clients of a topic: binary websocket messages. natcoord reads whom a
// packet is for, and never what it says.
//
//   client to server:   | count (1) | count x peer id (8) | packet ... |     count 0: everyone else in the topic
//   server to client:   | peer id of the sender (8)       | packet ... |
#pragma once

#include "nat/bytes.hpp"
#include "nat/error.hpp"
#include "nat/v2_messages.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nat {

constexpr std::size_t max_relay_recipients = 255;  // named in one frame
constexpr std::size_t max_relayed_packet = 1500;   // bytes
constexpr std::size_t max_relay_upload = 1 + 8 * max_relay_recipients + max_relayed_packet;

/// Reads peer ids out of a frame without copying it.
class relay_recipients {
 public:
  explicit relay_recipients(byte_view ids = {}) : ids_(ids) {}
  std::size_t size() const { return ids_.size() / 8; }  ///< 0: everyone
  peer_id operator[](std::size_t i) const { return load_be<std::uint64_t>(ids_.data() + 8 * i); }

 private:
  byte_view ids_;
};

struct relay_upload {
  relay_recipients to;
  byte_view packet;
};
struct relay_delivery {
  peer_id from = 0;
  byte_view packet;
};

/// Errors: `truncated` (ids or packet missing), `too_large` (the packet).
result<relay_upload> decode_relay_upload(byte_view frame);
result<relay_delivery> decode_relay_delivery(byte_view frame);

/// Appends a frame to `out`. At most `max_relay_recipients` ids.
void append_relay_upload(std::vector<std::uint8_t>& out, std::span<const peer_id> to, byte_view packet);
void append_relay_delivery(std::vector<std::uint8_t>& out, peer_id from, byte_view packet);

}  // namespace nat
