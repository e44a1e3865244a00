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
  allowance.forget(start, {victim.ip, 7});
  EXPECT_EQ(taken(allowance, start, victim), 40);
}

TEST(unproven_allowance, answers_twice_a_second_when_it_is_spent) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, victim);
  int answers = 0;
  for (auto now = start; now < start + 5s; now += 10ms) answers += allowance.take_answer(now, victim) ? 1 : 0;
  EXPECT_EQ(answers, 10);
}

endpoint other(std::size_t i) {
  const auto higher = static_cast<std::uint8_t>(i >> 16), high = static_cast<std::uint8_t>(i >> 8);
  return {ip_address(ip_address::v4_bytes{100, higher, high, static_cast<std::uint8_t>(i)}), 7};
}

TEST(unproven_allowance, of_all_together_is_so_much_that_nobody_has_to_be_forgotten_who_has_spent_it) {
  unproven_allowance allowance(unproven_pings);
  ASSERT_EQ(taken(allowance, start, victim), 40);
  std::size_t given = 0, asked = 0;
  auto now = start;
  for (; now < start + 200s; now += 10ms) {
    for (int i = 0; i < 20; ++i) given += allowance.take(now, other(asked++)) ? 1U : 0U;
  }
  EXPECT_NEAR(static_cast<double>(given), 16'384 - 40 + 200 * 62.5, 100) << "the burst, and one each 16 ms";
  EXPECT_LE(taken(allowance, now, victim), 20) << "what has come back in 200 s, and no more";
  EXPECT_LE(allowance.addresses(), unproven_allowance::max_addresses);
  EXPECT_EQ(taken(allowance, now + 3600s, victim), 40);
}

TEST(unproven_allowance, where_it_is_full_forgets_who_could_have_all_again_and_else_lets_nobody_in) {
  auto without_total = unproven_pings;
  without_total.total_burst = 0;
  unproven_allowance allowance(without_total);
  taken(allowance, start, victim);
  for (std::size_t i = 1; i < unproven_allowance::max_addresses; ++i)
    ASSERT_EQ(taken(allowance, start, other(i), 1), 1);
  EXPECT_EQ(allowance.addresses(), unproven_allowance::max_addresses);
  EXPECT_EQ(taken(allowance, start + 9s, other(0)), 0);
  EXPECT_EQ(taken(allowance, start + 10s, other(0)), 40) << "those who took one have it back";
  EXPECT_EQ(taken(allowance, start + 10s, victim), 1) << "who took all is not forgotten";
  EXPECT_EQ(allowance.addresses(), unproven_allowance::max_addresses);
}

TEST(unproven_allowance, that_never_comes_back_is_of_the_addresses_that_came_last) {
  unproven_allowance allowance(unproven_data);
  ASSERT_TRUE(allowance.take(start, victim, 65'536));
  for (std::size_t i = 0; i < unproven_allowance::max_addresses; ++i) ASSERT_TRUE(allowance.take(start, other(i), 1));
  EXPECT_EQ(allowance.addresses(), unproven_allowance::max_addresses);
  EXPECT_TRUE(allowance.take(start, victim, 65'536));
}

TEST(unproven_allowance, that_has_come_back_already_is_not_given_back_to_the_host_once_more) {
  unproven_allowance allowance(unproven_pings);
  for (std::uint16_t port = 1; port <= 10; ++port) ASSERT_EQ(taken(allowance, start, {victim.ip, port}, 40), 40);
  // 100 s later the host has 100 again, and each address 10.
  allowance.forget(start + 100s, {victim.ip, 1});
  int out = 0;
  for (std::uint16_t port = 11; port <= 100; ++port) out += taken(allowance, start + 100s, {victim.ip, port}, 40);
  EXPECT_EQ(out, 130);
}

TEST(unproven_allowance, stays_bounded_where_one_address_answers_again_and_again) {
  unproven_allowance allowance(unproven_pings);
  taken(allowance, start, {ip("198.51.100.1"), 7});
  for (std::size_t i = 0; i < 2 * unproven_allowance::max_addresses; ++i) {
    allowance.take(start, victim);
    allowance.forget(start, victim);
  }
  EXPECT_LE(allowance.addresses(), 2U);
  EXPECT_LE(allowance.hosts(), 2U);
  EXPECT_EQ(taken(allowance, start, {ip("198.51.100.1"), 7}), 0)
      << "one that answers again and again buys nobody else a new allowance";
}

}  // namespace
}  // namespace nat
