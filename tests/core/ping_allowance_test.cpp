#include "nat/ping_allowance.hpp"

#include "stun_builder.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};
const endpoint victim = at("192.0.2.66:53");

int taken(ping_allowance& allowance, time_point now, const endpoint& to, int tries = 1000) {
  int out = 0;
  for (int i = 0; i < tries; ++i) out += allowance.take(now, to) ? 1 : 0;
  return out;
}

TEST(ping_allowance, is_forty_and_then_one_each_ten_seconds) {
  ping_allowance allowance;
  EXPECT_EQ(taken(allowance, start, victim), 40);
  EXPECT_EQ(taken(allowance, start + 10s - 1ns, victim), 0);
  EXPECT_EQ(taken(allowance, start + 10s, victim), 1);
  EXPECT_EQ(taken(allowance, start + 60s, victim), 5);
}

TEST(ping_allowance, saves_up_no_more_than_a_burst) {
  ping_allowance allowance;
  taken(allowance, start, victim);
  EXPECT_EQ(taken(allowance, start + 24h, victim), 40);
}

TEST(ping_allowance, belongs_to_an_address) {
  ping_allowance allowance;
  taken(allowance, start, victim);
  EXPECT_EQ(taken(allowance, start, at("192.0.2.66:54")), 40);
}

TEST(ping_allowance, begins_anew_for_who_has_answered) {
  ping_allowance allowance;
  taken(allowance, start, victim);
  allowance.forget(victim);
  EXPECT_EQ(taken(allowance, start, victim), 40);
}

TEST(ping_allowance, of_too_many_addresses_forgets_the_one_asked_first) {
  ping_allowance allowance;
  taken(allowance, start, victim);
  for (std::size_t i = 0; i < ping_allowance::max_addresses; ++i) {
    ASSERT_EQ(taken(allowance, start, {ip("198.51.100.1"), static_cast<std::uint16_t>(i + 1)}, 1), 1);
  }
  EXPECT_EQ(allowance.size(), ping_allowance::max_addresses);
  EXPECT_EQ(taken(allowance, start, {ip("198.51.100.1"), 2}), 39) << "the second is still known";
  EXPECT_EQ(taken(allowance, start, victim), 40);
}

TEST(ping_allowance, stays_bounded_where_one_address_answers_again_and_again) {
  ping_allowance allowance;
  taken(allowance, start, {ip("198.51.100.1"), 7});
  for (std::size_t i = 0; i < 2 * ping_allowance::max_addresses; ++i) {
    allowance.take(start, victim);
    allowance.forget(victim);
  }
  EXPECT_LE(allowance.size(), 2U);
  EXPECT_EQ(taken(allowance, start, {ip("198.51.100.1"), 7}), 0)
      << "one that answers again and again buys nobody else a new allowance";
}

}  // namespace
}  // namespace nat
