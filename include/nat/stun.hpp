// STUN messages (RFC 8489): what is sent to learn a public address, and what comes back.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <boost/container/static_vector.hpp>

namespace nat {

using transaction_id = std::array<std::uint8_t, 12>;

constexpr std::size_t stun_header_size = 20;              // bytes (RFC 8489, 5)
constexpr std::uint32_t stun_magic_cookie = 0x2112A442U;  // RFC 8489, 5
constexpr std::uint16_t stun_binding_method = 0x001;      // RFC 8489, 18.2

/// Attribute types (RFC 8489, 18.3). Those below 0x8000 must be understood by the receiver.
namespace stun_attribute {
constexpr std::uint16_t mapped_address = 0x0001;
constexpr std::uint16_t username = 0x0006;
constexpr std::uint16_t message_integrity = 0x0008;
constexpr std::uint16_t error_code = 0x0009;
constexpr std::uint16_t unknown_attributes = 0x000A;
constexpr std::uint16_t realm = 0x0014;
constexpr std::uint16_t nonce = 0x0015;
constexpr std::uint16_t message_integrity_sha256 = 0x001C;
constexpr std::uint16_t password_algorithm = 0x001D;
constexpr std::uint16_t userhash = 0x001E;
constexpr std::uint16_t xor_mapped_address = 0x0020;
constexpr std::uint16_t alternate_server = 0x8023;
constexpr std::uint16_t fingerprint = 0x8028;
// Ours, from the range that a receiver may ignore and that nobody assigns without review (RFC 8489, 18.3).
constexpr std::uint16_t natpeer_token = 0xC0A7;
constexpr std::uint16_t natpeer_probe = 0xC0A8;
}  // namespace stun_attribute

constexpr int stun_try_alternate = 300;      // RFC 8489, 14.8
constexpr int stun_unknown_attribute = 420;  // RFC 8489, 14.8

/// How many different unknown attribute types a decoded message and a 420 answer name; more are dropped from
/// the list.
constexpr std::size_t max_stun_unknown = 16;
/// The longest reason phrase that is decoded (RFC 8489, 14.8), in bytes.
constexpr std::size_t max_stun_reason = 763;

/// What natcoord gives to prove that one receives at the mapped address; opaque here. A request that wants one holds as
/// many zeros, so that the answer does not grow by it.
constexpr std::size_t stun_token_size = 24;  // bytes
using stun_token = std::array<std::uint8_t, stun_token_size>;

/// Zeros that pay for a copy of the answer from natcoord's third STUN port, sent ahead of the answer: with its header
/// of 4 the attribute is as large as that copy over IPv6, 20 and 24 bytes.
constexpr std::size_t stun_probe_size = 40;  // bytes

using stun_type_list = boost::container::static_vector<std::uint16_t, max_stun_unknown>;

/// The longest message we send: a request with both attributes of ours and a FINGERPRINT. The longest answer is
/// shorter, a 420 with a full list and a FINGERPRINT.
constexpr std::size_t max_stun_packet = stun_header_size + (4 + stun_token_size) + (4 + stun_probe_size) + 8;
constexpr std::size_t max_stun_unknown_answer = stun_header_size + 8 + (4 + 2 * max_stun_unknown) + 8;
static_assert(max_stun_unknown_answer <= max_stun_packet);

/// An encoded message, ready to be sent; no heap behind it.
using stun_packet = boost::container::static_vector<std::uint8_t, max_stun_packet>;

enum class stun_class : std::uint8_t { request = 0, indication = 1, success = 2, error = 3 };

/// An ERROR-CODE attribute. The reason is the sender's text, in its own bytes: checked for nothing.
struct stun_error {
  int code = 0;  ///< 300..699
  std::string_view reason;
};

/// What a message says. `error->reason` points into the datagram it was decoded from.
///
///    0                   1                   2                   3
///    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///   |0 0| class and method (14)     | length of what follows, 4n    |
///   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///   |                  magic cookie 0x2112A442                      |
///   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///   |                                                               |
///   |                   transaction id (12 bytes)                   |
///   |                                                               |
///   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   each attribute:
///   | type                          | length of the value           |
///   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///   | value, padded to a multiple of 4 ...                          |
///   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
///
/// The class's two bits are bits 8 and 4 of the first 16, the method is what stands around them.
struct stun_message {
  stun_class kind = stun_class::request;
  std::uint16_t method = 0;
  transaction_id id{};
  std::optional<endpoint> xor_mapped;
  std::optional<endpoint> mapped;
  std::optional<endpoint> alternate_server;
  std::optional<stun_error> error;
  /// Types that must be understood and are not, each once, in the order met; at most `max_stun_unknown` of
  /// them.
  stun_type_list unknown;
  std::optional<stun_token> token;  ///< NATPEER-TOKEN of its proper length; zeros in a request
  bool wants_probe = false;         ///< NATPEER-PROBE of its proper length, in a request
  bool has_fingerprint = false;

  bool wants_token() const { return kind == stun_class::request && token.has_value(); }

  /// XOR-MAPPED-ADDRESS, or else MAPPED-ADDRESS, which is all that servers of RFC 3489 have.
  std::optional<endpoint> mapped_address() const { return xor_mapped ? xor_mapped : mapped; }
};

/// Whether a datagram on a shared socket is STUN's: two zero bits in front, and the cookie in bytes 4..8. It
/// reads no further, so what looks like STUN may still not decode.
bool looks_like_stun(byte_view datagram);

/// Decodes one datagram, which is exactly one message.
/// Of an attribute that comes twice the first counts (RFC 8489, 14), and what stands behind MESSAGE-INTEGRITY
/// is ignored but for MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (14.5). The integrity attributes themselves
/// are not verified: there are no credentials here. NATPEER-TOKEN and NATPEER-PROBE of another length than theirs are
/// ignored, as any attribute that need not be understood.
///
/// Errors: `truncated`, `not_stun`, `malformed` (lengths,
/// padding, a known attribute's shape, FINGERPRINT not the last), `bad_fingerprint`.
result<stun_message> decode_stun(byte_view datagram);

struct stun_request_options {
  bool token = false;  ///< ask for a proof of the mapped address
  bool probe = false;  ///< ask for a copy of the answer from the third port
  bool fingerprint = false;
};

stun_packet encode_binding_request(const transaction_id& id, bool fingerprint = false);
stun_packet encode_binding_request(const transaction_id& id, const stun_request_options& options);
/// A success response with XOR-MAPPED-ADDRESS, and NATPEER-TOKEN where there is a token.
stun_packet encode_binding_success(const transaction_id& id, const endpoint& mapped, bool fingerprint = false,
                                   const stun_token* token = nullptr);
/// A 420 response with UNKNOWN-ATTRIBUTES. Its reason phrase is empty: the code says it all, and the answer
/// stays small.
stun_packet encode_binding_unknown(const transaction_id& id, const stun_type_list& unknown, bool fingerprint = false);

}  // namespace nat
