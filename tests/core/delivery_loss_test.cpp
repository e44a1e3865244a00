// What is taken for lost, and when (RFC 8985).
#include "delivery_fixture.hpp"

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

class delivery_loss_test : public delivery_test {
 protected:
  void SetUp() override {
    settle();
    fill(6);
    ASSERT_EQ(send_within(4ms).size(), 6U);
    now = start + round_trip;
  }
};

TEST_F(delivery_loss_test, what_is_overtaken_by_less_than_a_quarter_of_a_round_trip_is_not_lost) {
  acknowledge(1, {1, 5});
  EXPECT_EQ(to.lost(), 0U);
  EXPECT_THAT(send_within(9ms), IsEmpty());
}

TEST_F(delivery_loss_test, what_is_overtaken_by_more_is_lost_and_sent_again_at_that_time) {
  acknowledge(1, {1, 5});
  EXPECT_THAT(send_within(15ms), ElementsAre(1));
  EXPECT_EQ(to.lost(), 1U);
  EXPECT_EQ(to.resent(), 1U);
  now += round_trip;
  acknowledge(ack_of(7, {}, far, 6000));
  EXPECT_TRUE(to.has_all(log));
  EXPECT_THAT(send_within(1h), IsEmpty());
}

TEST_F(delivery_loss_test, what_comes_late_after_all_is_not_sent_again) {
  acknowledge(1, {1, 5});
  now += 15ms;
  to.on_time(now);
  EXPECT_EQ(to.lost(), 1U);
  acknowledge(7);
  EXPECT_THAT(send(), IsEmpty());
  EXPECT_EQ(to.in_flight(), 0U);
}

TEST_F(delivery_loss_test, a_lost_tail_is_probed_with_the_newest) {
  acknowledge(5);
  const auto sent = send_within(300ms, 1);
  EXPECT_THAT(sent, ElementsAre(6));
  EXPECT_LE(now - start, 250ms);
}

TEST_F(delivery_loss_test, a_probe_is_a_new_packet_where_there_is_one) {
  fill(1);
  to.on_time(now);
  const auto in_flight = to.in_flight();
  EXPECT_THAT(send_within(300ms, 1), ElementsAre(7));
  EXPECT_GT(to.in_flight(), in_flight);
}

TEST_F(delivery_loss_test, a_probe_that_is_answered_shows_what_is_lost) {
  acknowledge(3);
  send_within(300ms, 1);  // number 6
  now += round_trip;
  acknowledge(3, {3, 1});
  EXPECT_THAT(send_within(30ms), ElementsAre(3, 4, 5));
}

TEST_F(delivery_loss_test, after_probes_without_an_answer_all_is_lost) {
  std::vector<std::uint64_t> sent;
  const auto end = now + 10s;
  while (now < end) {
    for (const auto number : send_within(1s)) sent.push_back(number);
  }
  EXPECT_GE(to.lost(), 6U);
  EXPECT_THAT(sent, Contains(1));
  EXPECT_LE(to.in_flight(), 6U * (size + header_size));
}

TEST_F(delivery_loss_test, a_peer_that_is_dead_gets_a_few_packets_a_second_at_most) {
  send_within(10s);
  EXPECT_LE(send_within(1min).size(), 6U * 60);
  EXPECT_THAT(send_within(5s), Not(IsEmpty())) << "it is tried for ever";
}

TEST_F(delivery_loss_test, what_was_sent_twice_gives_no_round_trip) {
  acknowledge(1, {1, 5});
  send_within(15ms);
  now += 5ms;
  auto ack = ack_of(7);
  ack.newest = -6;
  EXPECT_EQ(acknowledge(ack).round_trip, std::nullopt);
}

class delivery_beginning_test : public delivery_test {
 protected:
  /// All but the last of the first window are lost: whether that makes the window smaller.
  bool losses_count() {
    fill(10);
    EXPECT_THAT(send_within(1ms), SizeIs(10));
    const auto before = to.congestion().window();
    now += round_trip;
    acknowledge(1, {9, 1});
    now += round_trip;
    to.on_time(now);
    EXPECT_EQ(to.lost(), 9U);
    return to.congestion().window() < before;
  }
};

TEST_F(delivery_beginning_test, many_losses_of_the_first_packets_say_something_of_the_path) {
  settle();
  EXPECT_TRUE(losses_count());
}

TEST_F(delivery_beginning_test, but_not_where_the_peer_did_not_know_of_the_stream_yet) {
  to.on_path(now, way_to(1));
  to.on_told(now);
  EXPECT_FALSE(losses_count());
}

TEST_F(delivery_beginning_test, nor_where_the_peer_says_that_it_dropped_them) {
  to.on_path(now, way_to(1));
  to.on_told(now);
  fill(10);
  ASSERT_THAT(send_within(1ms), SizeIs(10));
  acknowledge(ack_of(0, {}, 0), ping_acknowledgement::unknown);
  EXPECT_EQ(to.in_flight(), 0U);
  EXPECT_TRUE(to.wants_to_tell(now));
  to.on_told(now);
  EXPECT_THAT(send_within(1ms), SizeIs(10)) << "they leave again at once";
  acknowledge(11);
  EXPECT_EQ(to.congestion().bandwidth(), 0U) << "the first ones have come after all, and not in a millisecond";
  now += round_trip;
  fill(10);
  send_within(1ms);
  now += round_trip;
  acknowledge(21);
  EXPECT_EQ(to.congestion().state(), bbr::phase::startup);
  EXPECT_GT(to.congestion().window(), bbr::initial_datagrams * max_datagram) << "it grows";
}

TEST_F(delivery_beginning_test, who_says_again_and_again_that_it_knows_nothing_is_not_sent_more_for_it) {
  to.on_path(now, way_to(1));
  to.on_told(now);
  fill(10);
  ASSERT_THAT(send_within(1ms), SizeIs(10));
  std::size_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    acknowledge(ack_of(0, {}, 0), ping_acknowledgement::unknown);
    if (to.wants_to_tell(now)) to.on_told(now);
    sent += send_within(100us).size();
  }
  EXPECT_EQ(sent, 10U);
}

TEST_F(delivery_beginning_test, who_has_known_the_stream_is_not_sent_it_again_for_saying_that_it_does_not) {
  settle();
  fill(4);
  send_within(1ms);
  const auto flying = to.in_flight();
  for (int i = 0; i < 2; ++i) acknowledge(ack_of(0, {}, 0), ping_acknowledgement::unknown);
  EXPECT_EQ(to.in_flight(), flying);
}

TEST_F(delivery_loss_test, duplicates_show_that_it_was_too_hasty) {
  for (int i = 0; i < 12; ++i) {
    auto ack = ack_of(1, {1, 5});
    ack.duplicates = static_cast<std::uint16_t>(i);
    acknowledge(ack);
    now += 15ms;
    to.on_time(now);
    send();
  }
  // Whatever it has learned, what is lost is found within a round trip.
  fill(2);
  const auto number = log.end() - 2;
  send_within(3ms);
  now += round_trip;
  acknowledge(ack_of(number, {1, 1}));
  EXPECT_THAT(send_within(2 * round_trip), Contains(number));
}

}  // namespace
}  // namespace nat
