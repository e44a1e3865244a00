// Packets sealed and opened several at once: as one by one.
#include "nat/seal.hpp"

#include "seal_fixture.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <system_error>

namespace nat {
namespace {

const topic_keys topic = topic_keys::keyed("topic", counting_key());
const topic_keys elsewhere = topic_keys::open("elsewhere");

packet_sealer sealer_in(const topic_keys& keys) { return {keys, alice, payload_cipher::chacha20_poly1305}; }

/// Everything that `open_header` says of a packet.
std::string told_by(const result<sealed_header>& opened) {
  if (!opened) return opened.error().message();
  if (const auto* data = std::get_if<data_header>(&*opened)) {
    return "data " + std::to_string(data->number) + " at " + std::to_string(data->offset) + " " + hex(data->opened);
  }
  const auto& ping = std::get<ping_header>(*opened);
  return "ping " + std::to_string(ping.number) + " of kind " + std::to_string(ping.body.index());
}

void expect_opened_as_one_by_one(std::vector<packet_bytes> packets, bool are_made) {
  opening_streams together;
  const std::vector<byte_view> views(packets.begin(), packets.end());
  together.make(topic, views);
  bool made = false;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    EXPECT_EQ(told_by(open_header(topic, packets[i], together.of(i))), told_by(open_header(topic, packets[i]))) << i;
    made |= together.of(i) != nullptr;
  }
  EXPECT_EQ(made, are_made);
}

packet_bytes turned(packet_bytes packet, std::size_t at) {
  packet[at] ^= 1;
  return packet;
}

TEST(seal_together, each_packet_has_a_nonce_of_its_own) {
  plain_random random;
  auto sealer = sealer_in(topic);
  std::set<std::string> nonces;
  constexpr int count = 5 * header_lanes + 3;
  for (int i = 1; i <= count; ++i) {
    const auto packet = i % 2 == 0 ? sealed_data(sealer, static_cast<std::uint64_t>(i), "payload", random)
                                   : sealed_ping(sealer, {.number = static_cast<std::uint64_t>(i), .body = {}}, random);
    nonces.insert(hex(byte_view(packet).subspan(8, 24)));
    EXPECT_TRUE(open_header(topic, packet)) << i;
  }
  EXPECT_EQ(nonces.size(), count);
}

TEST(seal_together, what_came_together_opens_as_one_by_one) {
  plain_random random;
  auto ours = sealer_in(topic), others = sealer_in(elsewhere);
  const auto data = sealed_data(ours, 1, "payload", random);
  const auto ping = sealed_ping(ours, {.number = 2, .body = ping_stream{.next = 7}}, random);
  packet_bytes noise(header_size);
  encode_header(noise, packet_kind::data, random);
  const packet_bytes too_short(data.begin(), data.begin() + header_size - 1);
  packet_bytes no_magic(header_size, 7);
  expect_opened_as_one_by_one({data, ping, noise, too_short, no_magic, sealed_data(others, 1, "theirs", random),
                               turned(data, 40), turned(ping, 100)},
                              true);
  expect_opened_as_one_by_one({too_short, {}, no_magic, data, turned(data, 9), ping}, true);
}

TEST(seal_together, any_number_up_to_the_most_opens) {
  plain_random random;
  auto sealer = sealer_in(topic);
  std::vector<packet_bytes> packets;
  for (std::size_t i = 1; i <= opening_streams::max; ++i) {
    packets.push_back(sealed_data(sealer, i, "payload", random, 7 * i));
    expect_opened_as_one_by_one(packets, i > 1);
  }
}

TEST(seal_together, nothing_is_made_for_one_or_none) {
  plain_random random;
  auto sealer = sealer_in(topic);
  const auto data = sealed_data(sealer, 1, "payload", random);
  expect_opened_as_one_by_one({}, false);
  expect_opened_as_one_by_one({{}, packet_bytes(2000, 1)}, false);
  expect_opened_as_one_by_one({{}, data, packet_bytes(2000, 1)}, false);
}

TEST(seal_together, a_stream_that_was_made_before_is_not_kept) {
  plain_random random;
  auto sealer = sealer_in(topic);
  const auto first = sealed_data(sealer, 1, "payload", random), second = sealed_data(sealer, 2, "payload", random);
  opening_streams together;
  const byte_view both[] = {first, second};
  together.make(topic, both);
  ASSERT_NE(together.of(1), nullptr);
  together.make(topic, std::span(both).first(1));
  EXPECT_EQ(together.of(0), nullptr);
  EXPECT_EQ(together.of(1), nullptr);
}

}  // namespace
}  // namespace nat
