// The sealed header: the 120 bytes of a packet that look random (docs/PROTOCOL.md, section 8).
//
//    0        8              32          48                         128
//   +--------+--------------+-----------+--------------------------+-----------
//   | magic  | nonce (24)   | tag (16)  | sealed header (80)       | payload ...
//   +--------+--------------+-----------+--------------------------+-----------
//
// The header is sealed with XChaCha20-Poly1305; the magic is its associated data. The nonce is 16 random bytes and a
// mark that everybody can make and check: so a packet whose seal does not open is known to come from a natpeer of
// another topic (or to be damaged). Without the mark it is one of the seed protocol, or a forgery. Integers are in
// network byte order.
#pragma once

#include "nat/bytes.hpp"
#include "nat/error.hpp"
#include "nat/header_cipher.hpp"
#include "nat/header_streams.hpp"
#include "nat/random.hpp"
#include "nat/sealed_header.hpp"
#include "nat/topic_keys.hpp"
#include "nat/wire.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace nat {

/// Seals the packets of one sender in one topic. Nonces are drawn for `header_lanes` packets at once.
class packet_sealer {
 public:
  packet_sealer(const topic_keys& keys, sender_id self, payload_cipher cipher);
  ~packet_sealer();
  packet_sealer(packet_sealer&&) noexcept;
  packet_sealer& operator=(packet_sealer&&) noexcept;

  /// `packet` is a whole DATA packet whose payload (behind `header_size`) is in its place: seals that in place (in an
  /// open topic it stays readable), and writes the header before it. `number` is not 0, and of one payload only.
  void seal_data(byte_span packet, std::uint64_t number, std::uint64_t offset, std::uint8_t flags,
                 random_source& random);
  /// Writes a PING into the first `header_size` bytes of `packet`; `header.sender` is overwritten with ours.
  void seal_ping(byte_span packet, ping_header header, random_source& random);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// What the headers of several packets are opened with, made together: far cheaper than one by one.
class opening_streams {
 public:
  static constexpr std::size_t max = header_lanes;

  /// `packets`: at most `max`, whatever came. Where only one of them can have a header nothing is made.
  void make(const topic_keys& keys, std::span<const byte_view> packets);
  /// For `open_header` of packet `i` of the last `make`; null: none was made.
  const header_stream* of(std::size_t i) const { return is_made_[i] ? &streams_[i] : nullptr; }

 private:
  std::array<header_stream, max> streams_;
  std::array<bool, max> is_made_{};
};

/// Opens one packet's header; `made`: with this stream of its nonce, if there is one already. Errors: `not_sealed` (it
/// does not open, or is too short: a seed packet or a forgery), `other_topic` (it does not open, but its nonce is
/// marked as ours are: it is no seed packet), and those of `decode_sealed`. What follows a PING's header is padding,
/// which no seal covers.
result<sealed_header> open_header(const topic_keys& keys, byte_view packet, const header_stream* made = nullptr);

/// Opens the payloads of one sender: keeps its key.
class payload_opener {
 public:
  payload_opener(const topic_keys& keys, sender_id sender);
  ~payload_opener();
  payload_opener(payload_opener&&) noexcept;
  payload_opener& operator=(payload_opener&&) noexcept;

  /// `packet` is the DATA packet that `header` was opened from. Decrypts its payload into `out` (same size as the
  /// payload; may be the payload itself). In an open topic it copies. False: the payload or the header is not what this
  /// sender sealed; `out` is then undefined.
  bool open(byte_view packet, const data_header& header, byte_span out);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace nat
