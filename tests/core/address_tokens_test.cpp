#include "nat/address_tokens.hpp"

#include <chrono>
#include <string_view>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

class fixed_random final : public random_source {
 public:
  explicit fixed_random(std::uint8_t byte) : byte_(byte) {}
  void fill(byte_span out) override {
    for (auto& byte : out) byte = byte_;
  }

 private:
  std::uint8_t byte_;
};

class address_token : public ::testing::Test {
 protected:
  static endpoint at(std::string_view text) { return endpoint::parse(text).value(); }

  const time_point start{1h};
  fixed_random random{0x5a};
  const address_tokens tokens{random};
};

TEST_F(address_token, proves_the_address_it_was_made_for) {
  for (const auto* address : {"1.2.3.4:5", "[2001:db8::1]:65535"}) {
    const auto token = tokens.make(start, at(address));
    EXPECT_TRUE(tokens.verify(start, at(address), token)) << address;
    EXPECT_TRUE(tokens.verify(start + 30s, at(address), token)) << address;
  }
}

TEST_F(address_token, proves_no_other_address) {
  const auto token = tokens.make(start, at("1.2.3.4:5"));
  for (const auto* other : {"1.2.3.4:6", "1.2.3.5:5", "[::1.2.3.4]:5"}) {
    EXPECT_FALSE(tokens.verify(start, at(other), token)) << other;
  }
}

TEST_F(address_token, is_good_for_two_minutes) {
  const auto token = tokens.make(start, at("1.2.3.4:5"));
  EXPECT_TRUE(tokens.verify(start + 2min, at("1.2.3.4:5"), token));
  EXPECT_FALSE(tokens.verify(start + 2min + 1ns, at("1.2.3.4:5"), token));
  EXPECT_FALSE(tokens.verify(start - 1ns, at("1.2.3.4:5"), token)) << "from the future";
}

TEST_F(address_token, begins_with_its_time_and_is_24_bytes) {
  const auto token = tokens.make(time_point(0x0102ns), at("1.2.3.4:5"));
  EXPECT_EQ(token.size(), 24U);
  EXPECT_EQ(load_be<std::uint64_t>(token.data()), 0x0102U);
}

TEST_F(address_token, is_refused_with_any_bit_changed_or_any_other_size) {
  const auto address = at("1.2.3.4:5");
  const auto token = tokens.make(start, address);
  for (std::size_t bit = 0; bit < 8 * token.size(); ++bit) {
    auto forged = token;
    forged[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(tokens.verify(start + 1s, address, forged)) << bit;
  }
  const byte_view view(token);
  for (std::size_t size = 0; size < token.size(); ++size) {
    EXPECT_FALSE(tokens.verify(start, address, view.first(size))) << size;
  }
  std::array<std::uint8_t, 25> longer{};
  EXPECT_FALSE(tokens.verify(start, address, longer));
  EXPECT_FALSE(tokens.verify(start, address, address_tokens::token{}));
}

TEST_F(address_token, of_another_run_is_worth_nothing) {
  fixed_random other_random(0x5b);
  const address_tokens others(other_random);
  EXPECT_FALSE(tokens.verify(start, at("1.2.3.4:5"), others.make(start, at("1.2.3.4:5"))));
}

}  // namespace
}  // namespace nat
