#include "nat/challenges.hpp"

#include "plain_random.hpp"
#include "stun_builder.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};  // a period begins here
const endpoint somewhere = at("198.51.100.1:5000");

TEST(challenges, an_echo_counts_for_its_own_period_and_the_next) {
  plain_random random;
  const challenges ours(random);
  const auto asked = ours.of(start, somewhere);
  EXPECT_TRUE(ours.matches(start, somewhere, asked));
  EXPECT_TRUE(ours.matches(start + 2 * challenges::period - 1ns, somewhere, asked));
  EXPECT_FALSE(ours.matches(start + 2 * challenges::period, somewhere, asked));
}

TEST(challenges, an_echo_from_the_future_counts_for_nothing) {
  plain_random random;
  const challenges ours(random);
  EXPECT_FALSE(ours.matches(start, somewhere, ours.of(start + challenges::period, somewhere)));
}

TEST(challenges, belongs_to_one_address) {
  plain_random random;
  const challenges ours(random);
  const auto asked = ours.of(start, somewhere);
  EXPECT_FALSE(ours.matches(start, at("198.51.100.1:5001"), asked));
  EXPECT_FALSE(ours.matches(start, at("198.51.100.2:5000"), asked));
  EXPECT_FALSE(ours.matches(start, at("[2001:db8::1]:5000"), asked));
}

TEST(challenges, belongs_to_one_run) {
  plain_random random;
  const challenges ours(random);
  const challenges after_a_restart(random);
  EXPECT_FALSE(after_a_restart.matches(start, somewhere, ours.of(start, somewhere)));
}

TEST(challenges, none_is_no_echo) {
  plain_random random;
  const challenges ours(random);
  EXPECT_FALSE(ours.matches(start, somewhere, 0));
}

TEST(challenges, each_peer_behind_the_relay_has_its_own) {
  plain_random random;
  const challenges ours(random);
  const auto asked = ours.of(start, challenges::behind_relay({1}));
  EXPECT_TRUE(ours.matches(start, challenges::behind_relay({1}), asked));
  EXPECT_FALSE(ours.matches(start, challenges::behind_relay({2}), asked));
}

}  // namespace
}  // namespace nat
