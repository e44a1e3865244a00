// The oracle is the stream of one nonce, which is libsodium's.
#include "nat/header_streams.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace nat {
namespace {

struct eight {
  std::array<std::uint8_t, header_cipher::key_size> key{};
  std::array<std::array<std::uint8_t, header_cipher::nonce_size>, header_lanes> nonces{};

  explicit eight(std::uint32_t seed) {
    std::mt19937 random(seed);
    const auto fill = [&](auto& bytes) {
      for (auto& each : bytes) each = static_cast<std::uint8_t>(random());
    };
    fill(key);
    for (auto& each : nonces) fill(each);
  }

  std::array<const std::uint8_t*, header_lanes> places() const {
    std::array<const std::uint8_t*, header_lanes> all;
    std::ranges::transform(nonces, all.begin(), [](const auto& each) { return each.data(); });
    return all;
  }
};

class header_streams_test : public testing::TestWithParam<header_instructions> {
 protected:
  void SetUp() override {
    if (GetParam() > best_header_instructions()) GTEST_SKIP() << "this processor has no such instructions";
  }
};

TEST_P(header_streams_test, are_those_of_each_nonce) {
  std::array<header_stream, header_lanes> streams;
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const eight some(seed);
    make_header_streams(some.key, some.places(), streams, GetParam());
    for (std::size_t i = 0; i < header_lanes; ++i) {
      header_stream alone(some.key, some.nonces[i]);
      ASSERT_TRUE(std::ranges::equal(streams[i].bytes(), alone.bytes())) << seed << ", " << i;
    }
  }
}

TEST_P(header_streams_test, may_be_of_one_nonce_for_several) {
  const eight some(1);
  auto places = some.places();
  places.fill(some.nonces[5].data());
  std::array<header_stream, header_lanes> streams;
  make_header_streams(some.key, places, streams, GetParam());
  header_stream alone(some.key, some.nonces[5]);
  for (auto& each : streams) EXPECT_TRUE(std::ranges::equal(each.bytes(), alone.bytes()));
}

std::string name_of(const testing::TestParamInfo<header_instructions>& by) {
  switch (by.param) {
    case header_instructions::any: return "any";
    case header_instructions::avx2: return "avx2";
    case header_instructions::avx512: return "avx512";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(instructions, header_streams_test,
                         testing::Values(header_instructions::any, header_instructions::avx2,
                                         header_instructions::avx512),
                         name_of);

}  // namespace
}  // namespace nat
