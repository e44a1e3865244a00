// Frames on their way to the coordinator's relay, until the connection takes them.
#pragma once

#include "nat/fifo.hpp"
#include "nat/relay_frame.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace nat {

class relay_queue {
 public:
  using frame = std::shared_ptr<const std::vector<std::uint8_t>>;

  // What 20 Mbit/s sends in 100 ms. More would only wait in front of what is newer.
  static constexpr std::size_t max_bytes = 256U << 10;
  // PINGs do not wait behind DATA: how long one takes is what tells whether the relay works.
  static constexpr std::size_t max_pings = 1024;
  // Frames that are used again once they were sent: all of DATA that may wait here and at the connection, about.
  static constexpr std::size_t max_reused = 512;

  /// Whether DATA has to wait until the connection has taken some.
  bool is_full() const { return bytes_ + max_relay_upload > max_bytes; }
  /// A packet for these clients, in as many frames as their number needs; dropped and counted where there is no room.
  void push(std::span<const peer_id> to, byte_view packet);
  /// A PING for this client; false: there is no room.
  bool push_ping(peer_id to, byte_view packet);
  std::optional<frame> next();
  /// PINGs alone.
  std::optional<frame> next_ping();
  void clear();

  bool empty() const { return frames_.empty() && pings_.empty(); }
  std::size_t held_pings() const { return pings_.size(); }
  std::size_t held_bytes() const { return bytes_; }
  std::uint64_t dropped() const { return dropped_; }

 private:
  frame make(std::span<const peer_id> to, byte_view packet);

  fifo<frame> pings_;
  fifo<frame> frames_;
  fifo<std::shared_ptr<std::vector<std::uint8_t>>> made_;  ///< the oldest first, which is mostly the first to be sent
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace nat
