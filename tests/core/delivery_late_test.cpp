// What becomes of what is too late to be sent (--live).
#include "delivery_fixture.hpp"

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST_F(delivery_test, what_is_too_late_is_not_sent_again_and_the_peer_is_told) {
  fill(10);
  settle();
  send_within(10ms, 4);
  EXPECT_FALSE(to.wants_to_tell(now));
  to.skip_to(7, 6 * size);
  EXPECT_EQ(to.first(), 7U);
  EXPECT_EQ(to.first_offset(), 6 * size);
  EXPECT_TRUE(to.wants_to_tell(now));
  to.on_told(now);
  EXPECT_EQ(to.in_flight(), 4 * (size + header_size)) << "it is still on its way";
  now += round_trip;
  acknowledge(1, {3, 1});  // 1 to 3 are lost
  EXPECT_THAT(send_within(round_trip), ElementsAre(7, 8, 9, 10));
  EXPECT_GE(to.lost(), 3U);
  EXPECT_EQ(to.floor(), 7U);
}

TEST_F(delivery_test, what_was_lost_already_is_not_sent_again_once_it_is_too_late) {
  fill(6);
  settle();
  send_within(10ms, 4);
  now += round_trip;
  acknowledge(1, {3, 1});
  now += round_trip;
  to.on_time(now);
  EXPECT_GT(to.lost(), 0U);
  to.skip_to(5, 4 * size);
  to.on_told(now);
  EXPECT_THAT(send_within(round_trip), ElementsAre(5, 6));
}

TEST_F(delivery_test, the_peer_is_told_until_it_goes_on_from_there) {
  fill(6);
  settle();
  send(2);
  to.skip_to(5, 4 * size);
  to.on_told(now);
  acknowledge(3);
  EXPECT_FALSE(to.is_known_there()) << "that was said before";
  EXPECT_EQ(to.in_flight(), 0U) << "and counts all the same";
  now += 2s;
  EXPECT_TRUE(to.wants_to_tell(now));
  to.on_told(now);
  acknowledge(5);
  EXPECT_TRUE(to.is_known_there());
  EXPECT_FALSE(to.wants_to_tell(now));
}

TEST_F(delivery_test, a_peer_that_is_silent_while_much_is_too_late_costs_no_more_for_it) {
  settle();
  fill(40'000, 10);
  send_within(10ms, 4);
  for (std::uint64_t number = 100; number < 40'000; number += 100) to.skip_to(number, (number - 1) * 10);
  EXPECT_EQ(to.in_flight(), 0U);
  EXPECT_EQ(to.floor(), 39'900U);
  acknowledge(39'900);
  EXPECT_EQ(to.received(), 39'900U);
}

}  // namespace
}  // namespace nat
