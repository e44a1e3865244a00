// The oracle is libsodium's function for the whole of it, which ours replaces part by part.
#include "nat/header_cipher.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>

#include <gtest/gtest.h>
#include <sodium.h>

namespace nat {
namespace {

struct sealed {
  std::array<std::uint8_t, sealed_header_size> text{};
  std::array<std::uint8_t, header_cipher::tag_size> tag{};

  friend bool operator==(const sealed&, const sealed&) = default;
};

struct message {
  std::array<std::uint8_t, header_cipher::key_size> key{};
  std::array<std::uint8_t, header_cipher::nonce_size> nonce{};
  std::array<std::uint8_t, header_cipher::beside_size> beside{};
  std::array<std::uint8_t, sealed_header_size> plain{};

  explicit message(std::uint32_t seed) {
    std::mt19937 random(seed);
    const auto fill = [&](auto& bytes) {
      for (auto& each : bytes) each = static_cast<std::uint8_t>(random());
    };
    fill(key);
    fill(nonce);
    fill(beside);
    fill(plain);
  }

  sealed ours() const {
    sealed out;
    header_stream(key, nonce).encrypt(beside, plain, out.text, out.tag);
    return out;
  }

  sealed theirs() const {
    sealed out;
    ::crypto_aead_xchacha20poly1305_ietf_encrypt_detached(out.text.data(), out.tag.data(), nullptr, plain.data(),
                                                          plain.size(), beside.data(), beside.size(), nullptr,
                                                          nonce.data(), key.data());
    return out;
  }

  bool opens(const sealed& in) const {
    std::array<std::uint8_t, sealed_header_size> out{};
    if (!header_stream(key, nonce).decrypt(beside, in.text, in.tag, out)) {
      EXPECT_TRUE(std::ranges::all_of(out, [](auto byte) { return byte == 0; })) << "nothing is written";
      return false;
    }
    EXPECT_EQ(out, plain);
    return true;
  }
};

TEST(header_cipher_test, is_what_the_library_does) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const message some(seed);
    ASSERT_EQ(some.ours(), some.theirs()) << seed;
  }
}

TEST(header_cipher_test, opens_what_the_library_has_sealed) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const message some(seed);
    ASSERT_TRUE(some.opens(some.theirs())) << seed;
  }
}

TEST(header_cipher_test, every_bit_counts) {
  const auto flip = [](auto& bytes, std::size_t bit) { bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8); };
  const message whole(7);
  const auto good = whole.ours();
  for (std::size_t bit = 0; bit < 8 * good.text.size(); ++bit) {
    auto bad = good;
    flip(bad.text, bit);
    EXPECT_FALSE(whole.opens(bad)) << bit;
  }
  for (std::size_t bit = 0; bit < 8 * good.tag.size(); ++bit) {
    auto bad = good;
    flip(bad.tag, bit);
    EXPECT_FALSE(whole.opens(bad)) << bit;
  }
  const auto refuses = [&](auto message::*part) {
    for (std::size_t bit = 0; bit < 8 * (whole.*part).size(); ++bit) {
      auto other = whole;
      flip(other.*part, bit);
      EXPECT_FALSE(other.opens(good)) << bit;
    }
  };
  refuses(&message::key);
  refuses(&message::nonce);
  refuses(&message::beside);
}

TEST(header_cipher_test, may_work_in_place) {
  const message some(3);
  auto text = some.plain;
  std::array<std::uint8_t, header_cipher::tag_size> tag{};
  header_stream(some.key, some.nonce).encrypt(some.beside, text, text, tag);
  EXPECT_EQ(text, some.theirs().text);
  ASSERT_TRUE(header_stream(some.key, some.nonce).decrypt(some.beside, text, tag, text));
  EXPECT_EQ(text, some.plain);
}

}  // namespace
}  // namespace nat
