// What somebody without the key, or another member, cannot do.
#include "nat/replay_window.hpp"
#include "nat/seal.hpp"

#include "seal_fixture.hpp"

#include <bit>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace nat {
namespace {

constexpr std::size_t payload_size = 12;  // packets of 140 bytes
constexpr std::string_view payload_text = "twelve bytes";
static_assert(payload_text.size() == payload_size);

const topic_keys open_topic = topic_keys::open("topic");
const topic_keys keyed_topic = topic_keys::keyed("topic", counting_key());

struct topic_and_cipher {
  bool keyed;
  payload_cipher cipher;
};

class seal_attack : public testing::TestWithParam<topic_and_cipher> {
 protected:
  packet_bytes data(std::uint64_t number = 1, std::string_view payload = payload_text) {
    return sealed_data(sealer_, number, payload, random_);
  }
  packet_bytes ping() { return sealed_ping(sealer_, {.number = 1, .challenge = 5, .body = {}}, random_); }
  bool header_opens(byte_view packet) const { return open_header(keys_, packet).has_value(); }
  bool all_opens(byte_view packet, sender_id sender = alice) const {
    return opened_payload(keys_, sender, packet).has_value();
  }

  const topic_keys& keys_ = GetParam().keyed ? keyed_topic : open_topic;
  plain_random random_;
  packet_sealer sealer_{keys_, alice, GetParam().cipher};
};

INSTANTIATE_TEST_SUITE_P(, seal_attack,
                         testing::Values(topic_and_cipher{false, payload_cipher::aes_256_gcm},
                                         topic_and_cipher{false, payload_cipher::chacha20_poly1305},
                                         topic_and_cipher{true, payload_cipher::aes_256_gcm},
                                         topic_and_cipher{true, payload_cipher::chacha20_poly1305}),
                         [](const auto& chosen) {
                           const bool aes = chosen.param.cipher == payload_cipher::aes_256_gcm;
                           return std::string(chosen.param.keyed ? "keyed_" : "open_") + (aes ? "aes" : "chacha");
                         });

TEST_P(seal_attack, every_single_flipped_bit_of_data_is_refused) {
  const auto whole = data();
  ASSERT_EQ(whole.size(), 140U);
  ASSERT_TRUE(all_opens(whole));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto flipped = whole;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_EQ(header_opens(flipped), bit >= header_size * 8) << bit;
    EXPECT_FALSE(all_opens(flipped)) << bit;
  }
}

TEST_P(seal_attack, every_single_flipped_bit_of_a_ping_is_refused) {
  const auto whole = ping();
  ASSERT_TRUE(header_opens(whole));
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    auto flipped = whole;
    flipped[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const bool in_front_of_the_seal = bit < 32 * 8;  // in the magic, or in the nonce and its mark
    EXPECT_EQ(open_header(keys_, flipped).error(), in_front_of_the_seal ? errc::not_sealed : errc::other_topic) << bit;
  }
}

TEST_P(seal_attack, a_packet_cut_at_any_length_is_refused) {
  const auto whole = data();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto cut = byte_view(whole).first(size);
    EXPECT_EQ(header_opens(cut), size >= header_size) << size;
    EXPECT_FALSE(all_opens(cut)) << size;
  }
  const auto whole_ping = ping();
  for (std::size_t size = 0; size < whole_ping.size(); ++size) {
    EXPECT_EQ(open_header(keys_, byte_view(whole_ping).first(size)).error(), errc::not_sealed) << size;
  }
}

TEST_P(seal_attack, a_payload_that_was_made_longer_is_refused) {
  auto longer = data();
  longer.push_back(0);
  EXPECT_FALSE(all_opens(longer));
}

TEST_P(seal_attack, data_cannot_become_a_ping_nor_a_ping_data) {
  auto packet = data();
  store_be(packet.data(), ping_magic);
  EXPECT_EQ(open_header(keys_, packet).error(), errc::other_topic);
  packet = ping();
  store_be(packet.data(), data_magic);
  EXPECT_EQ(open_header(keys_, packet).error(), errc::other_topic);
}

TEST_P(seal_attack, a_header_does_not_fit_the_payload_of_another_packet) {
  auto first = data(1, "twelve bytes");
  const auto second = data(2, "other twelve");
  std::copy(second.begin() + header_size, second.end(), first.begin() + header_size);
  EXPECT_TRUE(header_opens(first));
  EXPECT_FALSE(all_opens(first));
}

TEST_P(seal_attack, a_payload_opens_under_no_other_header_than_its_own) {
  // As if somebody had sealed the changed header anew: number, offset, flags, reserved bytes, the tag.
  const auto packet = data(1);
  auto header = opened_data(keys_, packet);
  packet_bytes out(payload_size);
  ASSERT_TRUE(payload_opener(keys_, alice).open(packet, header, out));
  for (std::size_t byte = 0; byte < sealed_header_size; ++byte) {
    auto changed = header;
    changed.opened[byte] ^= 1;
    EXPECT_FALSE(payload_opener(keys_, alice).open(packet, changed, out)) << byte;
  }
}

TEST_P(seal_attack, a_packet_of_one_sender_does_not_open_as_anothers) {
  const auto packet = data();
  EXPECT_TRUE(all_opens(packet, alice));
  EXPECT_FALSE(all_opens(packet, bob));
  // Nor where the header says that it is bob's.
  auto header = opened_data(keys_, packet);
  header.sender = bob;
  store_be(&header.opened[4], bob);
  packet_bytes out(payload_size);
  EXPECT_FALSE(payload_opener(keys_, bob).open(packet, header, out));
}

TEST_P(seal_attack, a_replayed_packet_opens_and_the_window_refuses_it) {
  replay_window<1024> window;
  const auto first = data(1);
  const auto second = data(2);
  EXPECT_TRUE(window.accept(opened_data(keys_, first).number));
  EXPECT_TRUE(window.accept(opened_data(keys_, second).number));
  EXPECT_FALSE(window.accept(opened_data(keys_, first).number));
}

TEST_P(seal_attack, a_reflected_packet_says_that_it_is_ones_own) {
  EXPECT_EQ(opened_data(keys_, data()).sender, alice);
  EXPECT_EQ(opened_ping(keys_, ping()).sender, alice);
}

TEST_P(seal_attack, nothing_opens_in_another_topic) {
  const auto packet = data();
  for (const auto& other : {topic_keys::open("topic2"), topic_keys::keyed("topic2", counting_key()),
                            topic_keys::keyed("topic", counting_key(1))}) {
    EXPECT_EQ(open_header(other, packet).error(), errc::other_topic);
    EXPECT_EQ(open_header(other, ping()).error(), errc::other_topic);
    packet_bytes out(payload_size);
    EXPECT_FALSE(payload_opener(other, alice).open(packet, opened_data(keys_, packet), out));
  }
}

TEST(seal_attacks, an_open_and_a_keyed_topic_of_one_name_do_not_hear_each_other) {
  plain_random random;
  packet_sealer open_sealer(open_topic, alice, payload_cipher::aes_256_gcm);
  packet_sealer keyed_sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  EXPECT_EQ(open_header(keyed_topic, sealed_data(open_sealer, 1, "x", random)).error(), errc::other_topic);
  EXPECT_EQ(open_header(open_topic, sealed_data(keyed_sealer, 1, "x", random)).error(), errc::other_topic);
}

TEST(seal_attacks, a_payload_does_not_open_with_the_other_cipher) {
  plain_random random;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  const auto packet = sealed_data(sealer, 1, payload_text, random);
  auto header = opened_data(keyed_topic, packet);
  header.cipher = payload_cipher::chacha20_poly1305;
  header.opened[2] = 2;
  packet_bytes out(payload_size);
  EXPECT_FALSE(payload_opener(keyed_topic, alice).open(packet, header, out));
}

TEST(seal_attacks, seed_packets_and_other_bytes_are_not_sealed) {
  plain_random random;
  for (const auto kind : {packet_kind::ping, packet_kind::data}) {
    packet_bytes seed(140);
    encode_header(seed, kind, random);
    EXPECT_EQ(open_header(open_topic, seed).error(), errc::not_sealed);
  }
  packet_bytes other(140);
  random.fill(other);
  EXPECT_EQ(open_header(open_topic, other).error(), errc::not_sealed);
}

// ---- the 120 bytes look random

constexpr int noise_packets = 4096;
constexpr std::size_t noise_size = header_size - magic_size;
// Standard deviations; beyond six of them lies 1e-9 of the normal distribution, on one side. 120 positions are looked
// at, each once.
constexpr double noise_sigmas = 6.5;

struct noise {
  std::vector<std::array<std::uint8_t, noise_size>> packets;

  /// The same PING and the same DATA, over and over: what repeats in the plaintext would show.
  explicit noise(random_source& random, bool sealed = true) {
    packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
    for (int i = 0; i < noise_packets; ++i) {
      packet_bytes packet(header_size + payload_size);
      if (!sealed) {
        std::fill(packet.begin() + 48, packet.end(), std::uint8_t{0x33});
        random.fill(byte_span(packet).subspan(8, 40));
      } else if (i % 2 == 0) {
        sealer.seal_ping(packet, {.number = 1, .body = {}}, random);
      } else {
        sealer.seal_data(packet, 1, 0, 0, random);
      }
      std::copy_n(packet.begin() + magic_size, noise_size, packets.emplace_back().begin());
    }
  }

  /// Sum over the 256 byte values of (seen - expected)^2 / expected, as deviations from its mean of 255.
  static double byte_deviation(const std::array<double, 256>& seen) {
    double total = 0;
    for (const auto count : seen) total += count;
    double sum = 0;
    for (const auto count : seen) sum += (count - total / 256) * (count - total / 256) / (total / 256);
    // Wilson and Hilferty: the cube root of chi-square over its degrees of freedom is close to normal, tails too.
    const double spread = 2.0 / (9 * 255);
    return (std::cbrt(sum / 255) - (1 - spread)) / std::sqrt(spread);
  }

  double worst_position() const {
    double worst = 0;
    for (std::size_t at = 0; at < noise_size; ++at) {
      std::array<double, 256> seen{};
      for (const auto& packet : packets) ++seen[packet[at]];
      worst = std::max(worst, std::abs(byte_deviation(seen)));
    }
    return worst;
  }

  double all_positions() const {
    std::array<double, 256> seen{};
    for (const auto& packet : packets) {
      for (const auto byte : packet) ++seen[byte];
    }
    return std::abs(byte_deviation(seen));
  }

  double worst_bit() const {
    double worst = 0;
    for (std::size_t bit = 0; bit < noise_size * 8; ++bit) {
      double ones = 0;
      for (const auto& packet : packets) ones += (packet[bit / 8] >> (bit % 8)) & 1;
      worst = std::max(worst, std::abs(ones - noise_packets / 2.0) / std::sqrt(noise_packets / 4.0));
    }
    return worst;
  }

  double all_bits() const {
    double ones = 0;
    for (const auto& packet : packets) {
      for (const auto byte : packet) ones += std::popcount(byte);
    }
    const double bits = noise_packets * noise_size * 8.0;
    return std::abs(ones - bits / 2) / std::sqrt(bits / 4);
  }
};

TEST(seal_noise, the_120_bytes_look_random_over_many_packets) {
  plain_random random(2026);
  const noise found(random);
  EXPECT_LT(found.all_bits(), noise_sigmas);
  EXPECT_LT(found.worst_bit(), noise_sigmas);
  EXPECT_LT(found.all_positions(), noise_sigmas);
  EXPECT_LT(found.worst_position(), noise_sigmas);
}

TEST(seal_noise, a_header_that_is_not_sealed_would_show) {
  plain_random random(2026);
  const noise found(random, false);
  EXPECT_GT(found.all_positions(), noise_sigmas);
  EXPECT_GT(found.worst_bit(), noise_sigmas);
}

TEST(seal_noise, no_nonce_comes_twice) {
  plain_random random(2026);
  const noise found(random);
  std::set<std::string> nonces;
  for (const auto& packet : found.packets) nonces.emplace(as_text(packet).substr(0, 24));
  EXPECT_EQ(nonces.size(), static_cast<std::size_t>(noise_packets));
}

TEST(seal_noise, equal_packets_have_no_sealed_block_in_common) {
  plain_random random(2026);
  const noise found(random);
  std::set<std::string> blocks;  // of 8 bytes: 61440 of them, two alike by chance once in 1e10
  for (const auto& packet : found.packets) {
    for (std::size_t at = 0; at < noise_size; at += 8) blocks.emplace(as_text(packet).substr(at, 8));
  }
  EXPECT_EQ(blocks.size(), noise_packets * noise_size / 8);
}

}  // namespace
}  // namespace nat
