// What stands in a sealed header, and how it is written (docs/PROTOCOL.md, section 8). Integers are in network byte
// order.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/error.hpp"
#include "nat/header_cipher.hpp"
#include "nat/topic_keys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <variant>

namespace nat {

/// Who sends, for one run of its program: 64 random bits, never 0.
using sender_id = std::uint64_t;

// A later version that changes the layout behind byte 0 has another number here. Keys, nonce, tag and byte 0 stay where
// they are, so that whoever cannot read a packet can still say why.
constexpr std::uint8_t seal_version = 1;

/// How a DATA payload is sealed; the header names it, and every receiver knows both.
enum class payload_cipher : std::uint8_t { aes_256_gcm = 1, chacha20_poly1305 = 2 };

bool is_known(payload_cipher cipher);

/// A sealed header as it is before it is encrypted.
using plain_header = std::array<std::uint8_t, sealed_header_size>;

/// The sealed header of a DATA packet, the same for all who get it:
///
///    0        1        2        3        4              12             20             28           44
///   +--------+--------+--------+--------+--------------+--------------+--------------+------------+-----------+
///   | version| kind 1 | cipher | flags  | sender id    | packet number| stream offset| payload tag| 0 (36)    |
///   +--------+--------+--------+--------+--------------+--------------+--------------+------------+-----------+
///
/// The payload's tag covers the payload and this header, without the tag itself. Unknown flags and whatever stands in
/// the reserved bytes are ignored, and covered.
struct data_header {
  // Where its parts stand that the payload's seal asks for.
  static constexpr std::size_t number_at = 12;
  static constexpr std::size_t tag_at = 28;
  static constexpr std::size_t tag_size = 16;

  // Flags.
  static constexpr std::uint8_t continues = 0x01;   ///< the record goes on in the next packet
  static constexpr std::uint8_t open_ended = 0x02;  ///< of a stream of bytes: the next packet may go on with this line
  static constexpr std::uint8_t ends = 0x04;        ///< the stream ends here; no payload

  sender_id sender = 0;
  std::uint64_t number = 0;  ///< counts this sender's DATA packets from 1; never used for two payloads
  std::uint64_t offset = 0;  ///< in the sender's stream, in bytes: where this payload begins
  std::uint8_t flags = 0;
  payload_cipher cipher = payload_cipher::chacha20_poly1305;
  /// As `open_header` found it, for `payload_opener`: the payload's tag, and all that this tag covers.
  plain_header opened{};
};

struct ping_introduction {
  name_tag name{};
};
struct ping_reflection {
  endpoint seen;
};

/// Which DATA packets of the recipient have come, and how many more may: a PING of a kind of its own.
///
///    28       36       44            48       52        56          58      62                 80
///   +--------+--------+-------------+--------+---------+-----------+-------+------------------+
///   | next   | limit  | limit -     | delay  | newest -| duplicates| from -| runs (18)        |
///   |        |        | written     |        | next    |           | next  |                  |
///   +--------+--------+-------------+--------+---------+-----------+-------+------------------+
struct ping_acknowledgement {
  // Flags.
  static constexpr std::uint8_t revoked = 0x04;  ///< what was acknowledged from `next` on was thrown away again
  /// DATA came, and it is not known where it begins; nothing else counts.
  static constexpr std::uint8_t unknown = 0x10;

  static constexpr std::size_t runs_size = 18;

  std::uint64_t next = 0;        ///< each packet below this number has come, or is not for us
  std::uint64_t limit = 0;       ///< stream offset up to which payloads may be sent
  std::uint32_t unwritten = 0;   ///< all payloads up to offset `limit - unwritten` are written to stdout
  std::uint32_t delay = 0;       ///< microseconds since `newest` came
  std::int32_t newest = 0;       ///< the packet that came last: `next + newest`; `no_newest`: none did
  std::uint16_t duplicates = 0;  ///< packets that came once too often, modulo 2^16
  std::uint32_t from = 0;        ///< `runs` begin with the number `next + from`
  /// Lengths of runs of numbers that have not come and that have, in turn, the first may be 0; each as LEB128, the
  /// least significant 7 bits first. What they do not tell of is told elsewhere.
  std::array<std::uint8_t, runs_size> runs{};

  static constexpr std::int32_t no_newest = INT32_MIN;
};

/// About the sender's stream to the recipient: a PING of a kind of its own, which is answered by an acknowledgement,
/// but where it answers one.
///
///    28       36       44       52          60     80
///   +--------+--------+--------+-----------+------+
///   | first  | offset | next   | confirmed | 0    |
///   +--------+--------+--------+-----------+------+
struct ping_stream {
  // Flags.
  static constexpr std::uint8_t will_end = 0x04;  ///< the sender ends when all have its stream (--quit-on-eof)
  static constexpr std::uint8_t live = 0x08;      ///< what is below `first` and not written is too late (--live)
  static constexpr std::uint8_t leaves = 0x10;    ///< the sender says goodbye: nothing follows
  static constexpr std::uint8_t inside = 0x20;    ///< `first` goes on with a record whose beginning never comes
  static constexpr std::uint8_t answers = 0x40;   ///< an acknowledgement of all there is has come: nothing is asked

  std::uint64_t first = 0;      ///< no packet below this number is for the recipient, or will come any more
  std::uint64_t offset = 0;     ///< where that packet's payload begins, or will begin
  std::uint64_t next = 0;       ///< the number that will be used next
  std::uint64_t confirmed = 0;  ///< stream offset up to which the sender knows that all is written
};

/// How large a datagram the path carries (RFC 8899): a PING of a kind of its own, padded to that size, or its answer,
/// which is not.
///
///    28      30     80
///   +-------+------+
///   | size  | 0    |
///   +-------+------+
struct ping_size {
  // Flags.
  static constexpr std::uint8_t answers = 0x04;  ///< a probe of this size has come

  std::uint16_t bytes = 0;  ///< of UDP payload, header included
};

/// The sealed header of a PING, for one recipient:
///
///    0        1        2        3        4              12             20             28
///   +--------+--------+--------+--------+--------------+--------------+--------------+--------------+
///   | version| kind   | newest | flags  | sender id    | packet number| recipient id | challenge    |
///   +--------+--------+--------+--------+--------------+--------------+--------------+--------------+
///    36             44             48             52                                             80
///   +--------------+--------------+--------------+------------------------------------------------+
///   | echo         | timestamp    | its echo     | 28 bytes, by kind                              |
///   +--------------+--------------+--------------+------------------------------------------------+
///
///   kind 2, introduction: name tag (16) | 0 (12)
///   kind 3, reflection:   address the sender sees the recipient at: IPv6 or mapped IPv4 (16), port (2) | 0 (10)
///
/// Behind the recipient id the kinds 4, acknowledgement, 5, stream, and 6, size, have a layout of their own: see there.
struct ping_header {
  using introduction = ping_introduction;
  using reflection = ping_reflection;
  using acknowledgement = ping_acknowledgement;
  using stream = ping_stream;
  using size = ping_size;

  // Flags.
  static constexpr std::uint8_t wants_answer = 0x01;  ///< answer at once, on the path this came by
  static constexpr std::uint8_t accepts = 0x02;       ///< the recipient has echoed our challenge: we take its DATA

  sender_id sender = 0;
  std::uint64_t number = 0;          ///< counts the PINGs to this recipient from 1
  sender_id recipient = 0;           ///< 0: not known yet
  std::uint64_t challenge = 0;       ///< to be echoed; 0: none
  std::uint64_t echo = 0;            ///< the last challenge that came by this path; 0: none
  std::uint32_t timestamp = 0;       ///< microseconds of the sender's own clock, modulo 2^32; 0: none
  std::uint32_t timestamp_echo = 0;  ///< the recipient's last timestamp plus the time since it came; 0: none
  std::uint8_t flags = 0;
  std::uint8_t newest_version = seal_version;  ///< the newest that the sender can read; at least this packet's
  std::variant<introduction, reflection, acknowledgement, stream, size> body;

  /// Whether it asks for an echo and echoes: kinds 2 and 3 do.
  bool is_about_path() const { return body.index() < 2; }
};

using sealed_header = std::variant<data_header, ping_header>;

/// The payload's tag stays 0, for `packet_sealer`.
plain_header encode_sealed(const data_header& header);
plain_header encode_sealed(const ping_header& header);

/// `is_data`: of the packet's magic. Errors: `unknown_version` (a later one of ours), `unknown_type` (a PING of a kind
/// that was added later), `malformed` (version 0, an unknown cipher, magic and kind that do not belong together, sender
/// or number 0).
result<sealed_header> decode_sealed(bool is_data, const plain_header& header);

}  // namespace nat
