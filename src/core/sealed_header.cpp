#include "nat/sealed_header.hpp"

#include <algorithm>

namespace nat {
namespace {

// The sealed header of every kind.
constexpr std::size_t version_at = 0;
constexpr std::size_t kind_at = 1;
constexpr std::size_t cipher_at = 2;  // PING: the newest version
constexpr std::size_t flags_at = 3;
constexpr std::size_t sender_at = 4;
constexpr std::size_t number_at = data_header::number_at;
// DATA
constexpr std::size_t offset_at = 20;
// PING
constexpr std::size_t recipient_at = 20;
constexpr std::size_t challenge_at = 28;
constexpr std::size_t echo_at = 36;
constexpr std::size_t timestamp_at = 44;
constexpr std::size_t timestamp_echo_at = 48;
constexpr std::size_t body_at = 52;
constexpr std::size_t seen_port_at = body_at + 16;  // reflection
// acknowledgement
constexpr std::size_t ack_next_at = 28;
constexpr std::size_t ack_limit_at = 36;
constexpr std::size_t ack_unwritten_at = 44;
constexpr std::size_t ack_delay_at = 48;
constexpr std::size_t ack_newest_at = 52;
constexpr std::size_t ack_duplicates_at = 56;
constexpr std::size_t ack_from_at = 58;
constexpr std::size_t ack_runs_at = 62;
static_assert(ack_runs_at + ping_acknowledgement::runs_size == sealed_header_size);
// stream
constexpr std::size_t stream_first_at = 28;
constexpr std::size_t stream_offset_at = 36;
constexpr std::size_t stream_next_at = 44;
constexpr std::size_t stream_confirmed_at = 52;

constexpr std::size_t size_bytes_at = 28;

enum kind : std::uint8_t {
  data_kind = 1,
  introduction_kind = 2,
  reflection_kind = 3,
  acknowledgement_kind = 4,
  stream_kind = 5,
  size_kind = 6,
};

result<sealed_header> decode_data(const plain_header& header) {
  data_header data{.sender = load_be<sender_id>(&header[sender_at]),
                   .number = load_be<std::uint64_t>(&header[number_at]),
                   .offset = load_be<std::uint64_t>(&header[offset_at]),
                   .flags = header[flags_at],
                   .cipher = static_cast<payload_cipher>(header[cipher_at]),
                   .opened = header};
  if (!is_known(data.cipher)) return errc::malformed;
  return sealed_header(data);
}

ping_header::introduction decode_introduction(const plain_header& header) {
  ping_header::introduction body;
  std::copy_n(&header[body_at], body.name.size(), body.name.begin());
  return body;
}

ping_header::reflection decode_reflection(const plain_header& header) {
  ip_address::v6_bytes ip;
  std::copy_n(&header[body_at], ip.size(), ip.begin());
  return {{ip_address(ip), load_be<std::uint16_t>(&header[seen_port_at])}};
}

ping_header::acknowledgement decode_acknowledgement(const plain_header& header) {
  ping_header::acknowledgement body{.next = load_be<std::uint64_t>(&header[ack_next_at]),
                                    .limit = load_be<std::uint64_t>(&header[ack_limit_at]),
                                    .unwritten = load_be<std::uint32_t>(&header[ack_unwritten_at]),
                                    .delay = load_be<std::uint32_t>(&header[ack_delay_at]),
                                    .newest = static_cast<std::int32_t>(load_be<std::uint32_t>(&header[ack_newest_at])),
                                    .duplicates = load_be<std::uint16_t>(&header[ack_duplicates_at]),
                                    .from = load_be<std::uint32_t>(&header[ack_from_at])};
  std::copy_n(&header[ack_runs_at], body.runs.size(), body.runs.begin());
  return body;
}

ping_header::stream decode_stream(const plain_header& header) {
  return {.first = load_be<std::uint64_t>(&header[stream_first_at]),
          .offset = load_be<std::uint64_t>(&header[stream_offset_at]),
          .next = load_be<std::uint64_t>(&header[stream_next_at]),
          .confirmed = load_be<std::uint64_t>(&header[stream_confirmed_at])};
}

result<sealed_header> decode_ping(const plain_header& header) {
  ping_header ping{.sender = load_be<sender_id>(&header[sender_at]),
                   .number = load_be<std::uint64_t>(&header[number_at]),
                   .recipient = load_be<sender_id>(&header[recipient_at]),
                   .flags = header[flags_at],
                   .newest_version = std::max(header[cipher_at], header[version_at])};
  switch (header[kind_at]) {
    case introduction_kind: ping.body = decode_introduction(header); break;
    case reflection_kind: ping.body = decode_reflection(header); break;
    case acknowledgement_kind: ping.body = decode_acknowledgement(header); break;
    case stream_kind: ping.body = decode_stream(header); break;
    case size_kind: ping.body = ping_size{load_be<std::uint16_t>(&header[size_bytes_at])}; break;
    default: return errc::unknown_type;
  }
  if (ping.is_about_path()) {
    ping.challenge = load_be<std::uint64_t>(&header[challenge_at]);
    ping.echo = load_be<std::uint64_t>(&header[echo_at]);
    ping.timestamp = load_be<std::uint32_t>(&header[timestamp_at]);
    ping.timestamp_echo = load_be<std::uint32_t>(&header[timestamp_echo_at]);
  }
  return sealed_header(ping);
}

void encode_path(plain_header& header, const ping_header& ping) {
  store_be(&header[challenge_at], ping.challenge);
  store_be(&header[echo_at], ping.echo);
  store_be(&header[timestamp_at], ping.timestamp);
  store_be(&header[timestamp_echo_at], ping.timestamp_echo);
}

void encode_body(plain_header& header, const ping_header::introduction& body) {
  header[kind_at] = introduction_kind;
  std::ranges::copy(body.name, &header[body_at]);
}

void encode_body(plain_header& header, const ping_header::reflection& body) {
  header[kind_at] = reflection_kind;
  std::ranges::copy(body.seen.ip.v6(), &header[body_at]);
  store_be(&header[seen_port_at], body.seen.port);
}

void encode_body(plain_header& header, const ping_header::acknowledgement& body) {
  header[kind_at] = acknowledgement_kind;
  store_be(&header[ack_next_at], body.next);
  store_be(&header[ack_limit_at], body.limit);
  store_be(&header[ack_unwritten_at], body.unwritten);
  store_be(&header[ack_delay_at], body.delay);
  store_be(&header[ack_newest_at], static_cast<std::uint32_t>(body.newest));
  store_be(&header[ack_duplicates_at], body.duplicates);
  store_be(&header[ack_from_at], body.from);
  std::ranges::copy(body.runs, &header[ack_runs_at]);
}

void encode_body(plain_header& header, const ping_header::stream& body) {
  header[kind_at] = stream_kind;
  store_be(&header[stream_first_at], body.first);
  store_be(&header[stream_offset_at], body.offset);
  store_be(&header[stream_next_at], body.next);
  store_be(&header[stream_confirmed_at], body.confirmed);
}

void encode_body(plain_header& header, const ping_header::size& body) {
  header[kind_at] = size_kind;
  store_be(&header[size_bytes_at], body.bytes);
}

}  // namespace

bool is_known(payload_cipher cipher) {
  return cipher == payload_cipher::aes_256_gcm || cipher == payload_cipher::chacha20_poly1305;
}

plain_header encode_sealed(const data_header& data) {
  plain_header header{};
  header[version_at] = seal_version;
  header[kind_at] = data_kind;
  header[cipher_at] = static_cast<std::uint8_t>(data.cipher);
  header[flags_at] = data.flags;
  store_be(&header[sender_at], data.sender);
  store_be(&header[number_at], data.number);
  store_be(&header[offset_at], data.offset);
  return header;
}

plain_header encode_sealed(const ping_header& ping) {
  plain_header header{};
  header[version_at] = seal_version;
  header[cipher_at] = ping.newest_version;
  header[flags_at] = ping.flags;
  store_be(&header[sender_at], ping.sender);
  store_be(&header[number_at], ping.number);
  store_be(&header[recipient_at], ping.recipient);
  if (ping.is_about_path()) encode_path(header, ping);
  std::visit([&](const auto& body) { encode_body(header, body); }, ping.body);
  return header;
}

result<sealed_header> decode_sealed(bool is_data, const plain_header& header) {
  // First of all: nothing is known of the rest of a later version.
  if (header[version_at] > seal_version) return errc::unknown_version;
  if (header[version_at] == 0) return errc::malformed;
  if (!is_data && header[kind_at] > size_kind) return errc::unknown_type;
  if (header[kind_at] == 0 || is_data != (header[kind_at] == data_kind)) return errc::malformed;
  const bool nobody = load_be<sender_id>(&header[sender_at]) == 0;
  if (nobody || load_be<std::uint64_t>(&header[number_at]) == 0) return errc::malformed;
  return is_data ? decode_data(header) : decode_ping(header);
}

}  // namespace nat
