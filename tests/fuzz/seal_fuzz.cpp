// Any bytes as a packet, and any bytes as a header under a seal that opens: what a stranger and what a member of the
// topic can send.
#include "nat/seal.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <sodium.h>

namespace {

using namespace nat;

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr sender_id self = 1;

const topic_keys& topic(bool keyed) {
  static const std::array<std::uint8_t, secret_key::size> bytes{};
  static const topic_keys open_keys = topic_keys::open("T");
  static const topic_keys keyed_keys = topic_keys::keyed("T", secret_key(bytes));
  return keyed ? keyed_keys : open_keys;
}

class zero_random final : public random_source {
 public:
  void fill(byte_span out) override { std::ranges::fill(out, std::uint8_t{0}); }
};

void judge(const topic_keys& keys, byte_view packet, const data_header& data) {
  require(load_be<std::uint64_t>(packet.data()) == data_magic && data.sender != 0 && data.number != 0);
  std::vector<std::uint8_t> out(packet.size() - header_size);
  payload_opener opener(keys, data.sender);
  const bool opens = opener.open(packet, data, out);
  require(opens == opener.open(packet, data, out));
}

/// What was read is written again, and reads the same.
void judge(const topic_keys& keys, byte_view packet, const ping_header& ping) {
  require(load_be<std::uint64_t>(packet.data()) == ping_magic && ping.sender != 0 && ping.number != 0);
  require(ping.newest_version >= seal_version);
  static packet_sealer sealers[] = {packet_sealer(topic(false), self, payload_cipher::aes_256_gcm),
                                    packet_sealer(topic(true), self, payload_cipher::aes_256_gcm)};
  zero_random random;
  std::array<std::uint8_t, header_size> written;
  sealers[keys.is_keyed() ? 1 : 0].seal_ping(written, ping, random);
  const auto again = std::get<ping_header>(open_header(keys, written).value());
  require(again.sender == self && again.number == ping.number && again.recipient == ping.recipient);
  require(again.challenge == ping.challenge && again.echo == ping.echo && again.timestamp == ping.timestamp);
  require(again.timestamp_echo == ping.timestamp_echo && again.flags == ping.flags);
  require(again.newest_version == ping.newest_version && again.body.index() == ping.body.index());
  if (const auto* body = std::get_if<ping_introduction>(&ping.body)) {
    const auto& other = std::get<ping_introduction>(again.body);
    require(other.name == body->name);
  } else if (const auto* seen = std::get_if<ping_reflection>(&ping.body)) {
    require(std::get<ping_reflection>(again.body).seen == seen->seen);
  } else if (const auto* ack = std::get_if<ping_acknowledgement>(&ping.body)) {
    const auto& other = std::get<ping_acknowledgement>(again.body);
    require(other.next == ack->next && other.limit == ack->limit && other.unwritten == ack->unwritten);
    require(other.delay == ack->delay && other.newest == ack->newest && other.duplicates == ack->duplicates);
    require(other.from == ack->from && other.runs == ack->runs);
  } else if (const auto* size = std::get_if<ping_size>(&ping.body)) {
    require(std::get<ping_size>(again.body).bytes == size->bytes);
  } else {
    const auto& stream = std::get<ping_stream>(ping.body);
    const auto& other = std::get<ping_stream>(again.body);
    require(other.first == stream.first && other.offset == stream.offset && other.next == stream.next);
    require(other.confirmed == stream.confirmed);
  }
}

}  // namespace

// The input: a byte of choices (1: keyed, 2: PING, 4: seal what follows), then a packet, or 80 bytes of header and a
// payload.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  byte_view rest(data, size);
  if (rest.empty()) return 0;
  const auto choices = rest[0];
  rest = rest.subspan(1);
  const auto& keys = topic((choices & 1) != 0);
  if ((choices & 4) == 0) {
    require(open_header(keys, rest).has_error());
    return 0;
  }
  if (rest.size() < sealed_header_size) return 0;
  std::vector<std::uint8_t> packet(header_size);
  store_be(packet.data(), (choices & 2) != 0 ? ping_magic : data_magic);
  ::crypto_aead_xchacha20poly1305_ietf_encrypt_detached(&packet[48], &packet[32], nullptr, rest.data(),
                                                        sealed_header_size, packet.data(), magic_size, nullptr,
                                                        &packet[8], keys.header_key().data());
  packet.insert(packet.end(), rest.begin() + sealed_header_size, rest.end());
  const auto header = open_header(keys, packet);
  if (!header) {
    require(header.error() != errc::not_sealed);
    return 0;
  }
  require(rest[0] == seal_version);
  std::visit([&](const auto& found) { judge(keys, packet, found); }, *header);
  return 0;
}
