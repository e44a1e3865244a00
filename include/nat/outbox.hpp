// Datagrams that an engine wants sent, in order: each encoded once, here or elsewhere, addressed to any number of
// endpoints.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nat {

/// Whether a datagram may leave in pieces of IP.
enum class fragmenting : std::uint8_t {
  as_usual,  ///< as the kernel does: not, until it is told that it has to
  never,     ///< it is to be found out whether it passes whole
  allowed,   ///< it is larger than the path is known to carry
};

class outbox {
 public:
  // Room for one PING to each of 4096 peers and a burst of a seed peer's DATA to each of them. What does not fit is
  // refused; PINGs and STUN requests are repeated anyway, and stdin waits.
  static constexpr std::size_t max_bytes = 2U << 20;
  static constexpr std::size_t max_datagrams = 32'768;

  /// One encoded packet.
  struct packet_ref {
    const std::uint8_t* elsewhere = nullptr;  ///< null: it is kept here
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
  };
  struct entry {
    packet_ref packet;
    endpoint to;
    fragmenting pieces = fragmenting::as_usual;
  };

  /// Whether one more packet of `bytes` and `datagrams` more datagrams fit.
  bool has_room(std::size_t bytes, std::size_t datagrams) const;

  /// Makes room for a packet of `size` bytes, to be filled through `fill` at once. Requires `has_room`.
  packet_ref append(std::size_t size);
  /// The bytes of a packet, valid until the next `append`.
  byte_span fill(packet_ref packet) { return byte_span(bytes_).subspan(packet.offset, packet.size); }
  /// Appends a packet as it is. Requires `has_room`.
  packet_ref append(byte_view bytes);
  void send(packet_ref packet, const endpoint& to, fragmenting pieces = fragmenting::as_usual);
  /// A packet that is kept elsewhere, at least until the outbox is empty.
  void send(byte_view packet, const endpoint& to, fragmenting pieces = fragmenting::as_usual) {
    send({packet.data(), 0, static_cast<std::uint32_t>(packet.size())}, to, pieces);
  }

  /// What is held, sent or not, against `max_bytes` and `max_datagrams`.
  std::size_t held_bytes() const { return bytes_.size(); }
  std::size_t held_datagrams() const { return entries_.size(); }

  bool empty() const { return sent_ == entries_.size(); }
  std::size_t size() const { return entries_.size() - sent_; }
  const entry& at(std::size_t i) const { return entries_[sent_ + i]; }
  byte_view bytes(const entry& of) const {
    const auto* at = of.packet.elsewhere != nullptr ? of.packet.elsewhere : bytes_.data() + of.packet.offset;
    return {at, of.packet.size};
  }

  /// The first `count` datagrams are done with. Space is reused once all are; nothing is allocated again for it.
  void consume(std::size_t count);

 private:
  std::vector<std::uint8_t> bytes_;
  std::vector<entry> entries_;
  std::size_t sent_ = 0;
};

}  // namespace nat
