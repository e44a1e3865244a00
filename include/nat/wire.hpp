// The packets that cross between peers (design, section 1, step 7).
//
//    0               8                                128
//   +---------------+--------------------------------+-------------------+
//   | magic         | 120 bytes that look random      | payload (DATA)    |
//   +---------------+--------------------------------+-------------------+
//
// The magic is "DATADATA" or "PINGPING". The header is as long and as random as it is because some NATs drop small
// packets and some look into them.
#pragma once

#include "nat/bytes.hpp"
#include "nat/error.hpp"
#include "nat/random.hpp"

#include <cstddef>
#include <cstdint>

namespace nat {

constexpr std::uint64_t data_magic = 0x4441544144415441;
constexpr std::uint64_t ping_magic = 0x50494e4750494e47;
constexpr std::size_t magic_size = 8;
constexpr std::size_t header_size = 128;  // magic and noise; also the size of a whole PING

// IPv6's minimum MTU (RFC 8200, 5) less the headers of IPv6 and UDP: what every path carries.
constexpr std::size_t max_datagram = 1280 - 40 - 8;
constexpr std::size_t max_payload = max_datagram - header_size;

enum class packet_kind { ping, data };

struct packet {
  packet_kind kind = packet_kind::ping;
  byte_view payload;  ///< a view into the datagram; empty for a PING
};

/// Decodes a datagram. What follows a PING's header is ignored, as the seed does. A DATA packet may be larger than we
/// would send: up to what UDP carries. Errors: `not_a_packet`, `truncated` (a magic, but fewer than 128 bytes).
result<packet> decode_packet(byte_view datagram);

/// Writes magic and noise into the first `header_size` bytes of `out`.
void encode_header(byte_span out, packet_kind kind, random_source& random);

}  // namespace nat
