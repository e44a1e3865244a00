#include "nat/stun_client.hpp"

#include "stun_client_fixture.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// IPv4 first, IPv6 behind it: which is asked when, and whose address counts.
class stun_client_families : public stun_client_test {};

TEST_F(stun_client_families, asks_ipv6_after_half_a_second_of_silence) {
  start({server_v6, server_a});
  run_to(499ms);
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.1:3478"));
  run_to(500ms);
  EXPECT_THAT(take_sent(), ElementsAre("500 192.0.2.1:3478", "500 [2001:db8::1]:3478"));
}

TEST_F(stun_client_families, never_asks_ipv6_when_ipv4_answers) {
  start({server_v6, server_a});
  run_to(499ms);
  answer(server_a, mine);
  take_sent();
  run_to(20'998ms);
  EXPECT_THAT(take_sent(), ElementsAre("20499 192.0.2.1:3478")) << "nothing else until the next round";
}

TEST_F(stun_client_families, asks_ipv6_at_once_without_ipv4_servers) {
  start({server_v6, server_v6_b});
  EXPECT_THAT(take_sent(), ElementsAre("0 [2001:db8::1]:3478", "0 [2001:db8::2]:3478"));
  answer(server_v6_b, mine_v6);
  EXPECT_THAT(take_events(), ElementsAre("0 [2001:db8:7::7]:40000"));
  run_to(20s);
  EXPECT_THAT(take_sent(), ElementsAre("20000 [2001:db8::2]:3478")) << "each family keeps its winner";
}

TEST_F(stun_client_families, asks_ipv6_at_once_when_every_ipv4_server_refused) {
  start({server_a, server_b, server_v6});
  take_sent();
  run_to(50ms);
  refuse(server_a, 500);
  EXPECT_THAT(take_sent(), IsEmpty());
  refuse(server_b, 400);
  EXPECT_THAT(take_sent(), ElementsAre("50 [2001:db8::1]:3478"));
}

TEST_F(stun_client_families, lets_a_late_ipv4_answer_replace_an_ipv6_one) {
  start({server_a, server_v6});
  run_to(600ms);
  answer(server_v6, mine_v6);
  EXPECT_THAT(take_events(), ElementsAre("600 [2001:db8:7::7]:40000"));
  run_to(700ms);
  answer(server_a, mine);
  EXPECT_THAT(take_events(), ElementsAre("700 203.0.113.7:40000"));
  EXPECT_EQ(client.mapped_address(), mine);
}

TEST_F(stun_client_families, does_not_flip_to_ipv6_over_one_lost_ipv4_round) {
  start({server_a, server_v6});
  answer(server_a, mine);
  run_to(20'600ms);
  answer(server_v6, mine_v6);
  EXPECT_EQ(client.mapped_address(), mine);
  run_to(21'500ms);
  answer(server_a, mine);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000"));
}

TEST_F(stun_client_families, flips_to_ipv6_when_ipv4_failed_in_full_though_rounds_go_on) {
  start({server_a, server_v6});
  answer(server_a, mine);
  run_to(20'600ms);
  answer(server_v6, mine_v6);
  take_sent();
  run_to(40'600ms);  // the next round: IPv4's transaction of the last still waits and is left alone
  EXPECT_THAT(take_sent(), ElementsAre("21500 192.0.2.1:3478", "23500 192.0.2.1:3478", "27500 192.0.2.1:3478",
                                       "35500 192.0.2.1:3478", "40600 [2001:db8::1]:3478"));
  answer(server_v6, mine_v6);
  run_to(59'499ms);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000"));
  run_to(59'500ms);
  EXPECT_THAT(take_events(), ElementsAre("59500 [2001:db8:7::7]:40000"));
  take_sent();
  run_to(61s);
  EXPECT_THAT(take_sent(), ElementsAre("60600 192.0.2.1:3478")) << "IPv4 is asked first again";
  answer(server_a, mine);
  EXPECT_THAT(take_events(), ElementsAre("61000 203.0.113.7:40000"));
}

TEST_F(stun_client_families, takes_the_ipv6_address_when_ipv4_servers_are_gone) {
  start({server_a, server_v6});
  answer(server_a, mine);
  start({server_v6});
  EXPECT_EQ(client.mapped_address(), mine) << "until a round says otherwise";
  answer(server_v6, mine_v6);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000", "0 [2001:db8:7::7]:40000"));
}

TEST_F(stun_client_families, fails_a_round_only_when_both_families_failed) {
  start({server_a, server_v6});
  answer(server_a, mine);
  take_events();
  run_to(20s + 39'999ms);  // IPv6 was asked half a second after IPv4
  EXPECT_THAT(take_events(), IsEmpty());
  run_to(60s);
  EXPECT_THAT(take_events(), ElementsAre("60000 failed"));
  EXPECT_EQ(client.mapped_address(), std::nullopt);
  run_to(61s);
  answer(server_a, mine);
  EXPECT_THAT(take_events(), ElementsAre("61000 203.0.113.7:40000")) << "known again, and told again";
}

}  // namespace
}  // namespace nat
