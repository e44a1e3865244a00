#include "nat/unproven_allowance.hpp"

#include "stun_builder.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};
const endpoint victim = at("192.0.2.66:53");

int taken(unproven_allowance& allowance, time_point now, const endpoint& to, int tries = 1000) {
  int out = 0;
  for (int i = 0; i < tries; ++i) out += allowance.take(now, to) ? 1 : 0;
  return out;
}

TEST(unproven_allowance, of_pings_is_forty_and_then_one_each_ten_seconds) {
  unproven_allowance allowance(unproven_pings);
  EXPECT_EQ(taken(allowance, start, victim), 40);
  EXPECT_EQ(taken(allowance, start + 10s - 1ns, victim), 0);
  EXPECT_EQ(taken(allowance, start + 10s, victim), 1);
  EXPECT_EQ(taken(allowance, start + 60s, victim), 5);
}

TEST(unproven_allowance, saves_up_no_more_than_a_burst) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, victim);
  EXPECT_EQ(taken(allowance, start + 24h, victim), 40);
}

TEST(unproven_allowance, belongs_to_an_address) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, victim);
  EXPECT_EQ(taken(allowance, start, at("192.0.2.66:54")), 40);
}

TEST(unproven_allowance, of_a_host_is_shared_by_all_its_ports) {
  unproven_allowance allowance(unproven_pings);
  const auto taken_of_all_ports = [&](time_point now) {
    int out = 0;
    for (std::uint16_t port = 1; port <= 1000; ++port) out += taken(allowance, now, {victim.ip, port}, 40);
    return out;
  };
  EXPECT_EQ(taken_of_all_ports(start), 400);
  EXPECT_EQ(taken_of_all_ports(start + 5s), 5) << "one each second";
  EXPECT_EQ(taken(allowance, start + 5s, at("192.0.2.67:53")), 40) << "another host is another";
}

TEST(unproven_allowance, counts_an_ipv6_network_as_one_host) {
  unproven_allowance allowance(unproven_pings);
  int out = 0;
  for (std::uint8_t i = 1; i <= 100; ++i) {
    out += taken(allowance, start, at("[2001:db8:0:1::" + std::to_string(i) + "]:53"), 40);
  }
  EXPECT_EQ(out, 400);
  EXPECT_EQ(taken(allowance, start, at("[2001:db8:0:2::1]:53")), 40);
}

TEST(unproven_allowance, of_data_never_comes_back) {
  unproven_allowance allowance(unproven_data);
  EXPECT_TRUE(allowance.has(start, victim, 65'536));
  EXPECT_FALSE(allowance.has(start, victim, 65'537));
  EXPECT_TRUE(allowance.take(start, victim, 65'000));
  EXPECT_FALSE(allowance.take(start + 24h, victim, 1000));
  EXPECT_FALSE(allowance.take(start + 24h, at("192.0.2.66:54"), 1000)) << "nor for another port";
  EXPECT_TRUE(allowance.take(start + 24h, victim, 536));
}

TEST(unproven_allowance, begins_anew_for_who_has_answered_and_its_host) {
  unproven_allowance allowance(unproven_pings);
  for (std::uint16_t port = 1; port <= 10; ++port) taken(allowance, start, {victim.ip, port}, 40);
  EXPECT_EQ(taken(allowance, start, victim), 0);
  allowance.forget({victim.ip, 7});
  EXPECT_EQ(taken(allowance, start, victim), 40);
}

TEST(unproven_allowance, answers_twice_a_second_when_it_is_spent) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, victim);
  int answers = 0;
  for (auto now = start; now < start + 5s; now += 10ms) answers += allowance.take_answer(now, victim) ? 1 : 0;
  EXPECT_EQ(answers, 10);
}

TEST(unproven_allowance, of_too_many_addresses_forgets_the_one_that_was_first) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, victim);
  const auto other = [](std::size_t i) {
    const auto high = static_cast<std::uint8_t>(i >> 8), low = static_cast<std::uint8_t>(i);
    return endpoint{ip_address(ip_address::v4_bytes{198, 18, high, low}), 7};
  };
  for (std::size_t i = 0; i < unproven_allowance::max_addresses; ++i) ASSERT_EQ(taken(allowance, start, other(i), 1), 1);
  EXPECT_EQ(allowance.addresses(), unproven_allowance::max_addresses);
  EXPECT_EQ(allowance.hosts(), unproven_allowance::max_addresses);
  EXPECT_EQ(taken(allowance, start, other(1)), 39) << "the second is still known";
  EXPECT_EQ(taken(allowance, start, victim), 40);
}

TEST(unproven_allowance, stays_bounded_where_one_address_answers_again_and_again) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, {ip("198.51.100.1"), 7});
  for (std::size_t i = 0; i < 2 * unproven_allowance::max_addresses; ++i) {
    allowance.take(start, victim);
    allowance.forget(victim);
  }
  EXPECT_LE(allowance.addresses(), 2U);
  EXPECT_LE(allowance.hosts(), 2U);
  EXPECT_EQ(taken(allowance, start, {ip("198.51.100.1"), 7}), 0)
      << "one that answers again and again buys nobody else a new allowance";
}

}  // namespace
}  // namespace nat
