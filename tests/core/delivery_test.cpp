// What may leave to one peer, and when.
#include "nat/delivery.hpp"

#include "delivery_fixture.hpp"

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(delivery_test, nothing_leaves_without_a_way) {
  fill(3);
  EXPECT_THAT(send(), IsEmpty());
  EXPECT_EQ(to.next_deadline(log, 0, false), std::nullopt);
}

TEST_F(delivery_test, nothing_leaves_before_the_peer_was_told_of_the_stream) {
  fill(3);
  to.on_path(now, way_to(1));
  EXPECT_TRUE(to.wants_to_tell(now));
  EXPECT_THAT(send(), IsEmpty());
  to.on_told(now);
  EXPECT_FALSE(to.wants_to_tell(now));
  EXPECT_THAT(send_within(1ms), ElementsAre(1, 2, 3));
}

TEST_F(delivery_test, a_peer_that_does_not_answer_is_told_again_and_again) {
  fill(1);
  to.on_path(now, way_to(1));
  int told = 0;
  const auto end = now + 20s;
  while (now < end) {
    if (to.wants_to_tell(now)) {
      to.on_told(now);
      ++told;
      send();
    }
    const auto due = to.next_deadline(log, 0, false);
    ASSERT_TRUE(due);
    ASSERT_GT(*due, now) << "a deadline in the past would spin";
    now = *due;
    to.on_time(now);
    send();
  }
  EXPECT_GE(told, 10);
  EXPECT_LE(told, 200);
}

TEST_F(delivery_test, a_peer_that_knows_nothing_of_the_stream_is_told_at_once_and_gets_nothing_before) {
  settle();
  fill(3);
  EXPECT_FALSE(to.wants_to_tell(now));
  acknowledge(ack_of(0, {}, 0), ping_acknowledgement::unknown);
  EXPECT_TRUE(to.wants_to_tell(now));
  EXPECT_THAT(send(), IsEmpty());
  to.on_told(now);
  EXPECT_THAT(send(1), ElementsAre(1));
}

TEST_F(delivery_test, with_nothing_to_send_and_nothing_in_flight_it_is_silent) {
  settle();
  EXPECT_EQ(to.next_deadline(log, 0, false), std::nullopt);
  fill(2);
  send_within(1ms);
  acknowledge(ack_of(3, {}, far, 2000));
  EXPECT_TRUE(to.has_all(log));
  EXPECT_EQ(to.next_deadline(log, 0, false), std::nullopt);
  EXPECT_THAT(send_within(1h), IsEmpty());
}

TEST_F(delivery_test, no_more_is_in_flight_than_the_window_of_the_path) {
  settle();
  fill(100);
  const auto sent = send_within(39ms);  // nothing is acknowledged
  EXPECT_LE(to.in_flight(), to.congestion().window());
  EXPECT_GT(to.in_flight() + header_size + size, to.congestion().window());
  EXPECT_GE(sent.size(), 10U);
}

TEST_F(delivery_test, nothing_is_sent_beyond_the_limit_of_the_peer) {
  to.on_path(now, way_to(1));
  to.on_told(now);
  fill(100);
  const auto sent = send_within(20ms).size();
  acknowledge(ack_of(sent + 1, {}, 12'320));  // as much as is taken for granted
  send_within(20ms);
  EXPECT_FALSE(to.waits(log, 0));
  EXPECT_EQ(to.next(now, log), std::nullopt);
  acknowledge(ack_of(13, {}, 12'320));
  EXPECT_EQ(to.in_flight(), 0U) << "twelve of them, and not the thirteenth";
  EXPECT_THAT(send_within(2ms), IsEmpty());
  acknowledge(ack_of(13, {}, 14'000));
  EXPECT_THAT(send_within(2ms), ElementsAre(13, 14));
  EXPECT_FALSE(to.wants_new(now, log, 1));
}

TEST_F(delivery_test, the_limit_does_not_fall) {
  settle();
  fill(3);
  acknowledge(ack_of(1, {}, 0));
  EXPECT_EQ(to.limit(), far);
  EXPECT_THAT(send_within(1ms), SizeIs(3));
}

TEST_F(delivery_test, no_more_packets_are_under_way_than_the_peer_keeps) {
  settle();
  fill(stream_window_packets + 10, 1);
  std::uint64_t sent = 0;
  for (int i = 0; i < 100'000 && sent < stream_window_packets; ++i) {
    now += 10ms;
    sent += send().size();
    acknowledge(sent + 1);
  }
  EXPECT_EQ(sent, stream_window_packets) << "all has come, nothing is written";
  now += 10ms;
  EXPECT_THAT(send(), IsEmpty());
  acknowledge(ack_of(sent + 1, {}, far, 2));
  EXPECT_THAT(send(), SizeIs(2));
}

TEST_F(delivery_test, leaves_at_the_rate_that_the_user_wants) {
  settle();
  to.on_path(now, way_to(1, round_trip, 100'000));
  fill(2000);
  std::uint64_t sent = 0;
  const auto end = now + 10s;
  while (now < end) {
    for (const auto number : send_within(10ms)) sent = std::max(sent, number);
    acknowledge(sent + 1);
  }
  EXPECT_NEAR(static_cast<double>(sent), 1'000'000.0 / (size + header_size), 10);
}

TEST_F(delivery_test, a_new_packet_is_wanted_once_all_of_the_log_is_sent) {
  settle();
  fill(1);
  EXPECT_FALSE(to.wants_new(now, log, size));
  send();
  EXPECT_TRUE(to.wants_new(now, log, size));
}

TEST_F(delivery_test, what_is_written_is_not_needed_any_more) {
  settle();
  fill(3);
  send_within(1ms);
  acknowledge(ack_of(4, {}, far, 1999));
  EXPECT_EQ(to.received(), 4U);
  EXPECT_EQ(to.floor(), 2U) << "the second is written but for a byte";
  acknowledge(ack_of(4, {}, far, 3000));
  EXPECT_EQ(to.floor(), 4U);
  EXPECT_TRUE(to.has_all(log));
}

TEST_F(delivery_test, the_end_without_a_payload_is_needed_until_it_has_come) {
  settle();
  fill(1);
  fill(1, 0);
  send_within(1ms);
  acknowledge(ack_of(2, {}, far, size));
  EXPECT_FALSE(to.has_all(log));
  acknowledge(ack_of(3, {}, far, size));
  EXPECT_TRUE(to.has_all(log));
}

TEST_F(delivery_test, a_round_trip_is_measured_without_the_delay_at_the_peer) {
  settle();
  fill(1);
  send();
  now += 30ms;
  auto ack = ack_of(2);
  ack.newest = -1;
  ack.delay = 4000;
  EXPECT_EQ(acknowledge(ack).round_trip, 26ms);
  EXPECT_EQ(acknowledge(ack).round_trip, std::nullopt) << "it is told already";
}

TEST_F(delivery_test, a_silent_peer_is_asked_what_it_has_written_ever_more_rarely) {
  settle();
  fill(2);
  send_within(1ms);
  acknowledge(3);
  std::vector<duration> gaps;
  const auto end = now + 1min;
  for (auto before = now; now < end;) {
    const auto due = to.next_deadline(log, 0, false);
    ASSERT_TRUE(due);
    ASSERT_GT(*due, now) << "a deadline in the past would spin";
    now = *due;
    to.on_time(now);
    ASSERT_THAT(send(), IsEmpty());
    ASSERT_TRUE(to.wants_to_tell(now));
    to.on_told(now);
    acknowledge(3);  // it says what it said before
    gaps.push_back(now - before);
    before = now;
  }
  EXPECT_TRUE(std::ranges::is_sorted(gaps));
  EXPECT_LE(gaps.front(), 200ms);
  EXPECT_GE(gaps.back(), 1s);
  EXPECT_LE(gaps.back(), 2s);
  acknowledge(ack_of(3, {}, far, 2 * size));
  EXPECT_FALSE(to.wants_to_tell(now + 1h));
  EXPECT_EQ(to.next_deadline(log, 0, false), std::nullopt);
}

// ---- ways

TEST_F(delivery_test, on_another_way_what_is_in_flight_is_sent_again) {
  settle();
  fill(3);
  send_within(1ms);
  to.on_path(now, way_to(2));
  EXPECT_EQ(to.in_flight(), 0U);
  EXPECT_THAT(send_within(1ms), ElementsAre(1, 2, 3));
  EXPECT_EQ(to.resent(), 3U);
}

TEST_F(delivery_test, on_the_same_way_again_nothing_is_sent_again) {
  settle();
  fill(3);
  send_within(1ms);
  to.on_path(now, way_to(1, 70ms));
  EXPECT_THAT(send(), IsEmpty());
  EXPECT_GT(to.in_flight(), 0U);
}

TEST_F(delivery_test, what_came_by_the_way_before_is_not_sent_again) {
  settle();
  fill(3);
  send_within(1ms);
  to.on_path(now, way_to(2));
  to.on_told(now);
  acknowledge(3);
  EXPECT_THAT(send_within(1ms), ElementsAre(3));
}

TEST_F(delivery_test, what_came_by_the_way_before_does_not_make_the_new_one_fast) {
  settle();
  fill(8);
  send_within(1ms);
  to.on_path(now, way_to(2));
  to.on_told(now);
  ASSERT_THAT(send_within(1ms), SizeIs(8));
  now += round_trip / 4;
  acknowledge(9);
  EXPECT_EQ(to.congestion().bandwidth(), 0U) << "no packet of the new way can have been answered yet";
  fill(8);
  ASSERT_THAT(send_within(1ms), SizeIs(8));
  now += round_trip;
  acknowledge(17);
  EXPECT_GT(to.congestion().bandwidth(), 0U);
}

TEST_F(delivery_test, a_way_that_comes_back_soon_is_as_it_was) {
  settle();
  fill(1);
  send();
  now += 26ms;
  auto ack = ack_of(2);
  ack.newest = -1;
  acknowledge(ack);
  const auto known = to.round_trip();
  to.on_path(now, way_to(2, 300ms));
  EXPECT_EQ(to.round_trip(), 300ms);
  now += delivery::measures_hold - 1ns;
  to.on_path(now, way_to(1, 1ms));
  EXPECT_EQ(to.round_trip(), known);
  to.on_path(now, way_to(2, 1ms));
  now += delivery::measures_hold;
  to.on_path(now, way_to(1, 1ms));
  EXPECT_EQ(to.round_trip(), 1ms) << "what was known is too old";
}

TEST_F(delivery_test, without_a_way_nothing_leaves_and_nothing_is_due) {
  settle();
  fill(30);
  send_within(1ms, 5);
  to.on_no_path();
  EXPECT_EQ(to.next_deadline(log, 0, false), std::nullopt);
  now += 1min;
  to.on_time(now);
  EXPECT_THAT(send(), IsEmpty());
  to.on_path(now, way_to(1));
  EXPECT_THAT(send_within(5s), testing::Not(IsEmpty())) << "it goes on where it was";
}

// ---- what the peer throws away

TEST_F(delivery_test, what_the_peer_threw_away_is_sent_again_from_there) {
  settle();
  fill(5);
  send_within(2ms);
  acknowledge(6);
  acknowledge(ack_of(3, {}, 5000, 2000), ping_acknowledgement::revoked);
  EXPECT_EQ(to.received(), 3U);
  EXPECT_THAT(send_within(2ms), ElementsAre(3, 4, 5));
  acknowledge(ack_of(6, {}, far, 5000));
  EXPECT_TRUE(to.has_all(log));
}

TEST_F(delivery_test, an_older_acknowledgement_does_not_undo_that) {
  settle();
  fill(5);
  send_within(2ms);
  acknowledge(6);
  const auto late = pings;
  acknowledge(ack_of(3), ping_acknowledgement::revoked);
  to.on_ack(now, late, ack_of(6), 0, log);
  EXPECT_EQ(to.received(), 3U);
  EXPECT_THAT(send_within(2ms), ElementsAre(3, 4, 5));
}

TEST_F(delivery_test, that_told_twice_is_done_once) {
  settle();
  fill(5);
  send_within(2ms);
  acknowledge(6);
  acknowledge(ack_of(3), ping_acknowledgement::revoked);
  send_within(2ms);
  acknowledge(ack_of(3), ping_acknowledgement::revoked);
  EXPECT_THAT(send(), IsEmpty());
}

}  // namespace
}  // namespace nat
