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
using testing::SizeIs;

TEST_F(stun_client_test, does_nothing_before_it_is_started) {
  client.on_time(time_point{1h});
  client.refresh(time_point{1h});
  EXPECT_EQ(client.next_deadline(), std::nullopt);
  EXPECT_EQ(client.next_request(), std::nullopt);
  EXPECT_FALSE(client.next_event());
  EXPECT_EQ(client.mapped_address(), std::nullopt);
}

TEST_F(stun_client_test, learns_the_mapped_address) {
  start({server_a});
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.1:3478"));
  EXPECT_EQ(requests[0].bytes, encode_binding_request(id_of(server_a)));
  run_to(30ms);
  answer(server_a, mine);
  EXPECT_EQ(client.mapped_address(), mine);
  EXPECT_THAT(take_events(), ElementsAre("30 203.0.113.7:40000"));
}

TEST_F(stun_client_test, repeats_its_request_as_rfc_8489_says_and_fails_after_39_and_a_half_seconds) {
  start({server_a});
  run_to(39'499ms);
  EXPECT_THAT(take_sent(),
              ElementsAre("0 192.0.2.1:3478", "500 192.0.2.1:3478", "1500 192.0.2.1:3478", "3500 192.0.2.1:3478",
                          "7500 192.0.2.1:3478", "15500 192.0.2.1:3478", "31500 192.0.2.1:3478"));
  for (const auto& request : requests) EXPECT_EQ(request.bytes, requests[0].bytes) << "one transaction has one id";
  EXPECT_THAT(take_events(), IsEmpty());
  run_to(39'500ms);
  EXPECT_THAT(take_events(), ElementsAre("39500 failed"));
}

TEST_F(stun_client_test, sends_one_request_when_woken_late) {
  start({server_a});
  take_sent();
  client.on_time(time_point{20s});
  EXPECT_TRUE(client.next_request());
  EXPECT_FALSE(client.next_request());
}

TEST_F(stun_client_test, begins_another_round_by_itself_after_a_failed_one_with_a_growing_pause) {
  start({server_a});
  auto failed_at = 39'500ms;
  for (const auto ceiling : {2s, 3s, 5s, 9s, 17s, 30s, 30s}) {
    random.draw = static_cast<std::uint64_t>(duration(ceiling - stun_retry_min).count());  // the longest pause
    run_to(failed_at);
    EXPECT_THAT(take_events(), SizeIs(1));
    EXPECT_EQ(next(), failed_at + ceiling);
    failed_at = next() + 39'500ms;
  }
}

TEST_F(stun_client_test, draws_the_pause_after_a_failed_round_from_the_whole_range) {
  for (const auto& [draw, pause] :
       {std::pair{std::uint64_t{0}, 1'000ms}, std::pair{std::uint64_t{1'000'000'000}, 2'000ms}}) {
    random.draw = draw;
    start({server_a});
    refuse(server_a, 500);
    EXPECT_EQ(next(), pause);
  }
}

TEST_F(stun_client_test, asks_again_20_to_26_seconds_after_a_success) {
  const std::uint64_t span = 6'000'000'000;  // nanoseconds
  for (const auto& [draw, pause] :
       {std::pair{std::uint64_t{0}, 20'000ms}, std::pair{span / 2, 23'000ms}, std::pair{span, 26'000ms}}) {
    random.draw = draw;
    start({server_a});
    answer(server_a, mine);
    EXPECT_EQ(next(), pause);
  }
  take_sent();
  const auto first_id = id_of(server_a);
  run_to(26s);
  EXPECT_THAT(take_sent(), ElementsAre("26000 192.0.2.1:3478"));
  EXPECT_NE(id_of(server_a), first_id);
}

TEST_F(stun_client_test, tells_an_address_once_and_every_change_of_it) {
  start({server_a});
  answer(server_a, mine);
  run_to(20s);
  answer(server_a, mine);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000"));
  run_to(40s);
  answer(server_a, mine_too);
  EXPECT_THAT(take_events(), ElementsAre("40000 203.0.113.7:50000"));
}

TEST_F(stun_client_test, knows_when_the_address_was_last_said_though_it_did_not_change) {
  EXPECT_EQ(client.answered_at(), std::nullopt);
  start({server_a});
  run_to(30ms);
  answer(server_a, mine);
  EXPECT_EQ(client.answered_at(), time_point{30ms});
  run_to(20'100ms);
  EXPECT_EQ(client.answered_at(), time_point{30ms});
  answer(server_a, mine);
  EXPECT_EQ(client.answered_at(), time_point{20'100ms});
}

TEST_F(stun_client_test, refreshes_at_once_when_told) {
  start({server_a});
  answer(server_a, mine);
  run_to(5s);
  take_sent();
  refresh();
  EXPECT_THAT(take_sent(), ElementsAre("5000 192.0.2.1:3478"));
  EXPECT_EQ(client.mapped_address(), mine);
  EXPECT_EQ(next(), 5'500ms);
}

TEST_F(stun_client_test, takes_nothing_that_is_not_stun) {
  start({server_a});
  EXPECT_FALSE(receive(server_a, as_bytes("DATADATA")));
  EXPECT_FALSE(receive(server_a, {}));
  EXPECT_EQ(client.ignored_datagrams(), 0U);
}

TEST_F(stun_client_test, ignores_and_counts_what_nobody_asked_for) {
  start({server_a});
  const auto good = encode_binding_success(id_of(server_a), mine);
  EXPECT_TRUE(receive(server_b, good)) << "another server";
  EXPECT_TRUE(receive(at("192.0.2.1:3479"), good)) << "another port";
  auto other_id = good;
  other_id[19] ^= 1;
  EXPECT_TRUE(receive(server_a, other_id));
  auto bad_fingerprint = encode_binding_success(id_of(server_a), mine, true);
  bad_fingerprint.back() ^= 1;
  EXPECT_TRUE(receive(server_a, bad_fingerprint));
  EXPECT_TRUE(receive(server_a, encode_binding_request(id_of(server_a)))) << "our own request, mirrored";
  EXPECT_TRUE(receive(server_a, stun_builder(0x0102, id_of(server_a)))) << "another method";
  for (std::size_t size = 8; size < good.size(); ++size) EXPECT_TRUE(receive(server_a, byte_view(good).first(size)));
  EXPECT_EQ(client.ignored_datagrams(), 6 + good.size() - 8);
  EXPECT_THAT(take_events(), IsEmpty());

  EXPECT_TRUE(receive(server_a, good));
  EXPECT_THAT(take_events(), SizeIs(1)) << "none of it ended the transaction";
  EXPECT_TRUE(receive(server_a, good));
  EXPECT_EQ(client.ignored_datagrams(), 7 + good.size() - 8) << "a transaction is answered once";
}

TEST_F(stun_client_test, accepts_a_good_fingerprint) {
  start({server_a});
  receive(server_a, encode_binding_success(id_of(server_a), mine, true));
  EXPECT_EQ(client.mapped_address(), mine);
}

TEST_F(stun_client_test, takes_the_address_of_an_rfc_3489_server) {
  start({server_a});
  auto old = success(server_a);
  old.add_address(0x0001, mine).add_address(0x0004, server_a).add_address(0x0005, server_b);
  receive(server_a, old);
  EXPECT_EQ(client.mapped_address(), mine);
}

TEST_F(stun_client_test, fails_a_transaction_whose_answer_is_of_no_use) {
  const auto useless = [&](const stun_builder& message) {
    receive(server_a, message);
    EXPECT_THAT(take_events(), ElementsAre("0 failed"));
    EXPECT_EQ(client.mapped_address(), std::nullopt);
    start({server_a});
  };
  start({server_a});
  useless(success(server_a));
  useless(success(server_a).add_address(0x0001, {ip("203.0.113.7"), 0}));
  useless(success(server_a).add_address(0x0001, {ip("0.0.0.0"), 5}));
  useless(success(server_a).add_address(0x0001, {ip("224.0.0.1"), 5}));
  useless(success(server_a).add_address(0x0001, {ip("255.255.255.255"), 5}));
  useless(success(server_a).add_address(0x0001, mine).add(0x7777, {}));
  useless(error(server_a, 500));
  useless(error(server_a, 420).add(0x7777, {}));
  useless(stun_builder(binding_error_type, id_of(server_a)));
}

TEST_F(stun_client_test, races_all_servers_and_keeps_the_winner) {
  start({server_a, server_b, server_c});
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.1:3478", "0 192.0.2.2:3478", "0 192.0.2.3:3478"));
  run_to(40ms);
  answer(server_b, mine);
  answer(server_a, mine_too);
  EXPECT_EQ(client.mapped_address(), mine) << "the race is over";
  EXPECT_EQ(client.ignored_datagrams(), 1U);
  run_to(20'100ms);
  EXPECT_THAT(take_sent(), ElementsAre("20040 192.0.2.2:3478"));
}

TEST_F(stun_client_test, races_the_others_at_once_when_the_winner_stops_answering) {
  start({server_a, server_b, server_c});
  answer(server_b, mine);
  run_to(20s + 39'499ms);
  take_sent();
  run_to(20s + 39'500ms);
  EXPECT_THAT(take_sent(), ElementsAre("59500 192.0.2.1:3478", "59500 192.0.2.3:3478"));
  EXPECT_EQ(client.mapped_address(), mine) << "the round is not over";
  answer(server_c, mine);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000"));
  run_to(79'500ms);
  EXPECT_THAT(take_sent(), ElementsAre("79500 192.0.2.3:3478"));
}

TEST_F(stun_client_test, asks_the_old_winner_again_in_the_next_race) {
  start({server_a, server_b});
  answer(server_b, mine);
  run_to(20s);
  refuse(server_b, 500);
  refuse(server_a, 500);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000", "20000 failed"));
  take_sent();
  run_to(21s);
  EXPECT_THAT(take_sent(), ElementsAre("21000 192.0.2.1:3478", "21000 192.0.2.2:3478"));
}

TEST_F(stun_client_test, forgets_a_winner_that_is_no_longer_listed) {
  start({server_a, server_b});
  answer(server_b, mine);
  take_sent();
  start({server_b, server_c});
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.2:3478"));
  start({server_a, server_c});
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.1:3478", "0 192.0.2.3:3478"));
  EXPECT_EQ(client.mapped_address(), mine);
}

TEST_F(stun_client_test, ignores_an_answer_to_the_round_before) {
  start({server_a});
  const auto late = encode_binding_success(id_of(server_a), mine);
  refresh();
  receive(server_a, late);
  EXPECT_EQ(client.mapped_address(), std::nullopt);
  EXPECT_EQ(client.ignored_datagrams(), 1U);
}

TEST_F(stun_client_test, asks_sixteen_servers_at_most_and_each_once) {
  std::vector<endpoint> many{server_a, server_a, {ip("192.0.2.9"), 0}, {ip("224.0.0.1"), 3478}};
  for (std::uint16_t port = 1; port < 100; ++port) many.push_back({ip("192.0.2.5"), port});
  start(many);
  EXPECT_THAT(take_sent(), SizeIs(max_stun_servers - 3))
      << "a twin and two impossible ones were among the first sixteen";
}

TEST_F(stun_client_test, fails_at_once_without_servers_and_goes_on_telling_so) {
  start({});
  EXPECT_THAT(take_events(), ElementsAre("0 failed"));
  run_to(1s);
  EXPECT_THAT(take_events(), ElementsAre("1000 failed"));
}

TEST_F(stun_client_test, follows_an_alternate_server_once) {
  start({server_a});
  take_sent();
  const auto first_id = id_of(server_a);
  receive(server_a, try_alternate(server_a, server_b));
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.2:3478"));
  EXPECT_NE(id_of(server_b), first_id);
  EXPECT_EQ(next(), 500ms);

  receive(server_a, encode_binding_success(id_of(server_b), mine));
  EXPECT_THAT(take_events(), IsEmpty()) << "the alternate is the expected source now";
  answer(server_b, mine);
  EXPECT_THAT(take_events(), ElementsAre("0 203.0.113.7:40000"));
  run_to(20s);
  EXPECT_THAT(take_sent(), ElementsAre("20000 192.0.2.1:3478")) << "the listed server is the winner";
}

TEST_F(stun_client_test, does_not_follow_an_alternates_alternate) {
  start({server_a});
  receive(server_a, try_alternate(server_a, server_b));
  receive(server_b, try_alternate(server_b, server_c));
  EXPECT_THAT(take_events(), ElementsAre("0 failed"));
  EXPECT_THAT(take_sent(), ElementsAre("0 192.0.2.1:3478", "0 192.0.2.2:3478"));
}

TEST_F(stun_client_test, does_not_follow_an_alternate_that_cannot_be_asked) {
  for (const auto& alternate : {server_v6, server_a, endpoint{ip("192.0.2.2"), 0}, endpoint{ip("224.0.0.1"), 3478}}) {
    start({server_a});
    take_sent();
    receive(server_a, try_alternate(server_a, alternate));
    EXPECT_THAT(take_events(), ElementsAre("0 failed"));
    EXPECT_THAT(take_sent(), IsEmpty());
  }
  start({server_a});
  refuse(server_a, 300);
  EXPECT_THAT(take_events(), ElementsAre("0 failed")) << "no ALTERNATE-SERVER at all";
}

}  // namespace
}  // namespace nat
