// Sealed packets for tests.
#pragma once

#include "nat/seal.hpp"

#include "plain_random.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sodium.h>

namespace nat {

using packet_bytes = std::vector<std::uint8_t>;

constexpr sender_id alice = 0x0102030405060708;
constexpr sender_id bob = 0x1112131415161718;

/// The key 00 01 02 ... 1f.
inline secret_key counting_key(std::uint8_t first = 0) {
  std::array<std::uint8_t, secret_key::size> bytes;
  for (auto& byte : bytes) byte = first++;
  return secret_key(bytes);
}

/// Fills with 00 01 02 ..., and goes on counting.
class counting_random : public random_source {
 public:
  explicit counting_random(std::uint8_t first = 0) : next_(first) {}
  void fill(byte_span out) override {
    for (auto& byte : out) byte = next_++;
  }

 private:
  std::uint8_t next_;
};

inline packet_bytes sealed_data(packet_sealer& sealer, std::uint64_t number, std::string_view payload,
                                random_source& random, std::uint64_t offset = 0, std::uint8_t flags = 0) {
  packet_bytes packet(header_size);
  packet.insert(packet.end(), payload.begin(), payload.end());
  sealer.seal_data(packet, number, offset, flags, random);
  return packet;
}

inline packet_bytes sealed_ping(packet_sealer& sealer, const ping_header& ping, random_source& random) {
  packet_bytes packet(header_size);
  sealer.seal_ping(packet, ping, random);
  return packet;
}

inline data_header opened_data(const topic_keys& keys, byte_view packet) {
  return std::get<data_header>(open_header(keys, packet).value());
}

inline ping_header opened_ping(const topic_keys& keys, byte_view packet) {
  return std::get<ping_header>(open_header(keys, packet).value());
}

/// The payload of a DATA packet of `sender`, if header and payload open.
inline std::optional<std::string> opened_payload(const topic_keys& keys, sender_id sender, byte_view packet) {
  const auto header = open_header(keys, packet);
  if (!header || !std::holds_alternative<data_header>(*header)) return std::nullopt;
  packet_bytes out(packet.size() - header_size);
  if (!payload_opener(keys, sender).open(packet, std::get<data_header>(*header), out)) return std::nullopt;
  return std::string(as_text(out));
}

/// A header as anybody with the topic's keys can seal it, whatever it holds; the nonce is 0, and not
/// marked: who can open the header does not ask for the mark.
inline packet_bytes seal_by_hand(const topic_keys& keys, std::uint64_t magic,
                                 const std::array<std::uint8_t, sealed_header_size>& header) {
  packet_bytes packet(header_size);
  store_be(packet.data(), magic);
  ::crypto_aead_xchacha20poly1305_ietf_encrypt_detached(&packet[48], &packet[32], nullptr, header.data(), header.size(),
                                                        packet.data(), 8, nullptr, &packet[8],
                                                        keys.header_key().data());
  return packet;
}

inline std::string hex(byte_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const auto byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 0xf];
  }
  return out;
}

}  // namespace nat
