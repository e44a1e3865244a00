#include "nat/path_mtu.hpp"

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class path_mtu_test : public testing::Test {
 protected:
  static constexpr time_point start{1h};
  /// What is asked at the next deadline.
  std::vector<std::size_t> next() {
    if (!mtu.next_deadline()) return {};
    now = *mtu.next_deadline();
    const auto sizes = mtu.next_probes(now, 40ms);
    return {sizes.begin(), sizes.end()};
  }

  path_mtu mtu;
  time_point now = start;
};

TEST_F(path_mtu_test, nothing_is_asked_before_it_has_begun) {
  EXPECT_EQ(mtu.next_deadline(), std::nullopt);
  mtu.on_answer(now, 1472);
  EXPECT_EQ(mtu.size(), max_datagram);
}

TEST_F(path_mtu_test, the_largest_is_asked_for_first_and_nothing_after_it) {
  mtu.start(now, true);
  EXPECT_THAT(next(), ElementsAre(1472));
  mtu.on_answer(now, 1472);
  EXPECT_EQ(mtu.size(), 1472U);
  EXPECT_EQ(mtu.next_deadline(), std::nullopt);
}

TEST_F(path_mtu_test, ipv6_has_larger_headers) {
  mtu.start(now, false);
  EXPECT_THAT(next(), ElementsAre(1452));
}

TEST_F(path_mtu_test, what_is_not_answered_is_asked_three_times_and_again_much_later) {
  mtu.start(now, true);
  EXPECT_THAT(next(), ElementsAre(1472));
  const auto asked = now;
  EXPECT_THAT(next(), ElementsAre(1472, 1464, 1432, 1392, 1372, 1300));
  EXPECT_EQ(now - asked, path_mtu::patience + 3 * 40ms);
  EXPECT_THAT(next(), ElementsAre(1472, 1464, 1432, 1392, 1372, 1300));
  EXPECT_THAT(next(), IsEmpty());
  EXPECT_EQ(mtu.size(), max_datagram);
  EXPECT_EQ(*mtu.next_deadline() - now, path_mtu::raise_after);
  EXPECT_THAT(next(), ElementsAre(1472));
}

TEST_F(path_mtu_test, the_largest_answer_counts_in_whatever_order_they_come) {
  mtu.start(now, true);
  next();
  next();
  mtu.on_answer(now, 1372);
  mtu.on_answer(now, 1392);
  mtu.on_answer(now, 1300);
  EXPECT_EQ(mtu.size(), 1392U);
  EXPECT_THAT(next(), ElementsAre(1472, 1464, 1432));
}

TEST_F(path_mtu_test, sizes_that_nobody_asked_for_are_no_answers) {
  mtu.start(now, true);
  for (const std::size_t size : {0U, 128U, 1232U, 1233U, 1452U, 1471U, 1473U, 9000U, 65535U}) {
    mtu.on_answer(now, size);
    EXPECT_EQ(mtu.size(), max_datagram) << size;
  }
}

TEST_F(path_mtu_test, a_black_hole_brings_back_the_base_and_the_search) {
  mtu.start(now, true);
  next();
  mtu.on_answer(now, 1472);
  mtu.on_black_hole(now);
  EXPECT_EQ(mtu.size(), max_datagram);
  EXPECT_THAT(next(), ElementsAre(1472));
  mtu.on_black_hole(now);
  EXPECT_THAT(next(), ElementsAre(1472, 1464, 1432, 1392, 1372, 1300)) << "it goes on";
}

TEST_F(path_mtu_test, a_claim_that_less_passes_counts_where_more_is_used) {
  mtu.start(now, true);
  next();
  next();
  mtu.on_answer(now, 1392);
  for (const std::size_t no_news : {1420U, 1500U, 65'536U}) {
    mtu.on_too_large(now, no_news);
    EXPECT_EQ(mtu.size(), 1392U) << no_news;
  }
  mtu.on_too_large(now, 1419);
  EXPECT_EQ(mtu.size(), max_datagram);
  const auto due = mtu.next_deadline();
  for (const std::size_t claim : {0U, 68U, 1000U}) mtu.on_too_large(now + 10ms, claim);
  EXPECT_EQ(mtu.size(), max_datagram) << "that is always tried";
  EXPECT_EQ(mtu.next_deadline(), due);
}

}  // namespace
}  // namespace nat
