#include "nat/stun.hpp"

#include <algorithm>

#include <boost/crc.hpp>

namespace nat {
namespace {

constexpr std::size_t attribute_header_size = 4;                // type and length, bytes
constexpr std::size_t fingerprint_size = 8;                     // the whole attribute, bytes
constexpr std::uint32_t fingerprint_xor = 0x5354554eU;          // "STUN" (RFC 8489, 14.7)
constexpr std::uint16_t first_comprehension_optional = 0x8000;  // RFC 8489, 14
constexpr std::uint8_t family_v4 = 0x01;                        // RFC 8489, 14.1
constexpr std::uint8_t family_v6 = 0x02;

/// Attributes this codec knows, among those that must be understood. Without credentials there is nothing to
/// do about most of them, but they are no reason for a 420.
constexpr std::array known_required{
    stun_attribute::mapped_address,
    stun_attribute::username,
    stun_attribute::message_integrity,
    stun_attribute::error_code,
    stun_attribute::unknown_attributes,
    stun_attribute::realm,
    stun_attribute::nonce,
    stun_attribute::message_integrity_sha256,
    stun_attribute::password_algorithm,
    stun_attribute::userhash,
    stun_attribute::xor_mapped_address,
};

/// RESPONSE-ADDRESS, SOURCE-ADDRESS, CHANGED-ADDRESS and REFLECTED-FROM of RFC 3489: its servers put them
/// into answers, and a client must ignore them there (RFC 5389, 12.1). In a request they ask for what we do
/// not do.
constexpr std::array<std::uint16_t, 4> ignored_in_answers{0x0002, 0x0004, 0x0005, 0x000B};

constexpr std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

std::uint32_t fingerprint_of(byte_view before) {
  boost::crc_32_type crc;  // ITU V.42, as RFC 8489, 14.7 wants it
  crc.process_bytes(before.data(), before.size());
  return crc.checksum() ^ fingerprint_xor;
}

std::uint16_t message_type(stun_class kind, std::uint16_t method) {
  const auto bits = static_cast<unsigned>(kind);
  return static_cast<std::uint16_t>(((method & 0xf80U) << 2) | ((method & 0x070U) << 1) | (method & 0x00fU) |
                                    ((bits & 2U) << 7) | ((bits & 1U) << 4));
}

/// What an address is XORed with, byte by byte: the cookie, then the transaction id. They follow each other
/// in the header.
using address_mask = std::array<std::uint8_t, 16>;

address_mask mask_of(const transaction_id& id) {
  address_mask mask;
  store_be(mask.data(), stun_magic_cookie);
  std::ranges::copy(id, mask.begin() + sizeof stun_magic_cookie);
  return mask;
}

///   | 0 | family | port (16) | address (4 or 16 bytes) |      (RFC 8489, 14.1 and 14.2)
std::optional<endpoint> decode_address(byte_view value, const address_mask& mask) {
  if (value.size() < 4) return std::nullopt;
  const auto unmask = [&]<std::size_t Size>(std::array<std::uint8_t, Size> bytes) {
    for (std::size_t i = 0; i < Size; ++i) bytes[i] = value[4 + i] ^ mask[i];
    return ip_address(bytes);
  };
  const auto port_mask = load_be<std::uint16_t>(mask.data());
  const auto port = static_cast<std::uint16_t>(load_be<std::uint16_t>(&value[2]) ^ port_mask);
  if (value[1] == family_v4 && value.size() == 8) return endpoint{unmask(ip_address::v4_bytes{}), port};
  if (value[1] == family_v6 && value.size() == 20) return endpoint{unmask(ip_address::v6_bytes{}), port};
  return std::nullopt;
}

///   | 0 (21) | class (3) | number (8) | reason phrase |      (RFC 8489, 14.8)
std::optional<stun_error> decode_error(byte_view value) {
  if (value.size() < 4 || value.size() > 4 + max_stun_reason) return std::nullopt;
  const int hundreds = value[2] & 0x07;
  const int rest = value[3];
  if (hundreds < 3 || hundreds > 6 || rest > 99) return std::nullopt;
  return stun_error{hundreds * 100 + rest, as_text(value.subspan(4))};
}

/// Decodes into `to` unless an earlier attribute of the same type did; false: malformed.
template <typename Value>
bool keep_first(std::optional<Value>& to, std::optional<Value> decoded) {
  if (!decoded) return false;
  if (!to) to = decoded;
  return true;
}

void note_unknown(stun_message& message, std::uint16_t type) {
  const auto contains = [type](const auto& list) { return std::ranges::find(list, type) != list.end(); };
  const bool answer = message.kind == stun_class::success || message.kind == stun_class::error;
  const bool ignored = contains(known_required) || (answer && contains(ignored_in_answers));
  const bool listed = contains(message.unknown) || message.unknown.size() == max_stun_unknown;
  if (type < first_comprehension_optional && !ignored && !listed) message.unknown.push_back(type);
}

/// Of another length it is none of ours, and ignored.
void take_token(stun_message& message, byte_view value) {
  if (value.size() != stun_token_size || message.token) return;
  std::ranges::copy(value, message.token.emplace().begin());
}

/// False: the attribute is one we know, and its value has not that attribute's shape.
bool take_attribute(stun_message& message, std::uint16_t type, byte_view value) {
  switch (type) {
    case stun_attribute::xor_mapped_address:
      return keep_first(message.xor_mapped, decode_address(value, mask_of(message.id)));
    case stun_attribute::mapped_address: return keep_first(message.mapped, decode_address(value, {}));
    case stun_attribute::alternate_server: return keep_first(message.alternate_server, decode_address(value, {}));
    case stun_attribute::error_code: return keep_first(message.error, decode_error(value));
    case stun_attribute::natpeer_token: take_token(message, value); return true;
    case stun_attribute::natpeer_probe:
      message.wants_probe |= message.kind == stun_class::request && value.size() == stun_probe_size;
      return true;
    default: note_unknown(message, type); return true;
  }
}

/// Reads `body`, which is what follows the header of `datagram` and whose size is a multiple of 4.
std::error_code take_attributes(stun_message& message, byte_view datagram, byte_view body) {
  bool covered = false;  // an integrity attribute has been met: what follows is not covered by it
  while (!body.empty()) {
    const auto type = load_be<std::uint16_t>(body.data());
    const std::size_t size = load_be<std::uint16_t>(&body[2]);
    const auto rest = body.subspan(attribute_header_size);
    if (padded(size) > rest.size()) return errc::malformed;
    const auto value = rest.first(size);
    body = rest.subspan(padded(size));
    if (type == stun_attribute::fingerprint) {
      if (size != 4 || !body.empty()) return errc::malformed;
      const auto expected = fingerprint_of(datagram.first(datagram.size() - fingerprint_size));
      if (load_be<std::uint32_t>(value.data()) != expected) return errc::bad_fingerprint;
      message.has_fingerprint = true;
    } else if (!covered && !take_attribute(message, type, value)) {
      return errc::malformed;
    }
    covered = covered || type == stun_attribute::message_integrity || type == stun_attribute::message_integrity_sha256;
  }
  return {};
}

template <typename Integer>
void append_be(stun_packet& to, Integer value) {
  std::array<std::uint8_t, sizeof(Integer)> bytes;
  store_be(bytes.data(), value);
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// The header; its length is set by `finish`.
stun_packet begin(stun_class kind, const transaction_id& id) {
  stun_packet packet;
  append_be(packet, message_type(kind, stun_binding_method));
  append_be(packet, std::uint16_t{0});
  append_be(packet, stun_magic_cookie);
  packet.insert(packet.end(), id.begin(), id.end());
  return packet;
}

void append_attribute_header(stun_packet& to, std::uint16_t type, std::size_t size) {
  append_be(to, type);
  append_be(to, static_cast<std::uint16_t>(size));
}

void append_zeros(stun_packet& to, std::uint16_t type, std::size_t size) {
  append_attribute_header(to, type, size);
  to.insert(to.end(), size, std::uint8_t{0});
}

stun_packet finish(stun_packet packet, bool fingerprint) {
  const auto body = packet.size() - stun_header_size + (fingerprint ? fingerprint_size : 0);
  store_be(&packet[2], static_cast<std::uint16_t>(body));  // the FINGERPRINT covers a length that includes it
  if (!fingerprint) return packet;
  const auto crc = fingerprint_of(packet);
  append_attribute_header(packet, stun_attribute::fingerprint, sizeof crc);
  append_be(packet, crc);
  return packet;
}

}  // namespace

bool looks_like_stun(byte_view datagram) {
  return datagram.size() >= 8 && (datagram[0] & 0xc0) == 0 && load_be<std::uint32_t>(&datagram[4]) == stun_magic_cookie;
}

result<stun_message> decode_stun(byte_view datagram) {
  if (datagram.size() < stun_header_size) return errc::truncated;
  if (!looks_like_stun(datagram)) return errc::not_stun;
  const std::size_t length = load_be<std::uint16_t>(&datagram[2]);
  const auto body = datagram.subspan(stun_header_size);
  if (length > body.size()) return errc::truncated;
  if (length < body.size() || length % 4 != 0) return errc::malformed;

  const unsigned type = load_be<std::uint16_t>(datagram.data());
  stun_message message;
  message.kind = static_cast<stun_class>(((type >> 7) & 2U) | ((type >> 4) & 1U));
  message.method = static_cast<std::uint16_t>(((type >> 2) & 0xf80U) | ((type >> 1) & 0x070U) | (type & 0x00fU));
  std::copy_n(&datagram[8], message.id.size(), message.id.begin());
  if (const auto error = take_attributes(message, datagram, body)) return error;
  return message;
}

stun_packet encode_binding_request(const transaction_id& id, bool fingerprint) {
  return encode_binding_request(id, {.fingerprint = fingerprint});
}

stun_packet encode_binding_request(const transaction_id& id, const stun_request_options& options) {
  auto packet = begin(stun_class::request, id);
  if (options.token) append_zeros(packet, stun_attribute::natpeer_token, stun_token_size);
  if (options.probe) append_zeros(packet, stun_attribute::natpeer_probe, stun_probe_size);
  return finish(packet, options.fingerprint);
}

stun_packet encode_binding_success(const transaction_id& id, const endpoint& mapped, bool fingerprint,
                                   const stun_token* token) {
  const auto v4 = mapped.ip.v4();
  const byte_view address = mapped.ip.is_v4() ? byte_view(v4) : byte_view(mapped.ip.v6());
  const auto mask = mask_of(id);

  auto packet = begin(stun_class::success, id);
  append_attribute_header(packet, stun_attribute::xor_mapped_address, 4 + address.size());
  packet.push_back(0);
  packet.push_back(mapped.ip.is_v4() ? family_v4 : family_v6);
  append_be(packet, static_cast<std::uint16_t>(mapped.port ^ load_be<std::uint16_t>(mask.data())));
  for (std::size_t i = 0; i < address.size(); ++i) packet.push_back(address[i] ^ mask[i]);
  if (token != nullptr) {
    append_attribute_header(packet, stun_attribute::natpeer_token, token->size());
    packet.insert(packet.end(), token->begin(), token->end());
  }
  return finish(packet, fingerprint);
}

stun_packet encode_binding_unknown(const transaction_id& id, const stun_type_list& unknown, bool fingerprint) {
  auto packet = begin(stun_class::error, id);
  append_attribute_header(packet, stun_attribute::error_code, 4);
  append_be(packet, std::uint32_t{stun_unknown_attribute / 100 << 8 | stun_unknown_attribute % 100});
  append_attribute_header(packet, stun_attribute::unknown_attributes, 2 * unknown.size());
  for (const auto type : unknown) append_be(packet, type);
  packet.resize(padded(packet.size()));
  return finish(packet, fingerprint);
}

}  // namespace nat
