#include "link.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace nat::sim {
namespace {

using namespace std::chrono_literals;

constexpr time_point noon{12h};
constexpr int many = 10'000;

/// What becomes of packets of `bytes` that are handed over `apart` from each other.
std::vector<arrivals> carry_many(link& line, int count, duration apart, std::size_t bytes = 100) {
  std::vector<arrivals> out;
  for (int i = 0; i < count; ++i) out.push_back(line.carry(noon + i * apart, bytes));
  return out;
}

double share_with(const std::vector<arrivals>& all, std::size_t copies) {
  return static_cast<double>(std::ranges::count(all, copies, &arrivals::count)) / static_cast<double>(all.size());
}

TEST(link, a_packet_arrives_once_after_the_delay) {
  link line({.delay = 30ms});
  const auto arrived = line.carry(noon, 1500);
  ASSERT_EQ(arrived.count, 1U);
  EXPECT_EQ(arrived.at[0], noon + 30ms);
}

TEST(link, jitter_adds_to_the_delay_and_packets_keep_their_order) {
  link line({.delay = 30ms, .jitter = 20ms});
  auto last = noon;
  int early = 0;
  int late = 0;
  for (int i = 0; i < many; ++i) {
    const auto sent = noon + i * 1ms;
    const auto at = line.carry(sent, 100).at[0];
    ASSERT_GE(at, last);
    ASSERT_GE(at, sent + 30ms);
    ASSERT_LE(at, sent + 50ms);
    early += at < sent + 40ms;
    late += at > sent + 45ms;
    last = at;
  }
  EXPECT_GT(early, 0);
  EXPECT_GT(late, many / 10);
}

TEST(link, jitter_is_spread_evenly) {
  link line({.jitter = 20ms});
  duration sum{};
  for (int i = 0; i < many; ++i) sum += line.carry(noon + i * 1s, 100).at[0] - (noon + i * 1s);
  EXPECT_GT(sum / many, 9ms);
  EXPECT_LT(sum / many, 11ms);
}

TEST(link, loses_its_share) {
  link line({.loss = 0.1}, 7);
  const auto all = carry_many(line, many, 1ms);
  EXPECT_NEAR(share_with(all, 0), 0.1, 0.02);
  EXPECT_EQ(share_with(all, 2), 0);
}

TEST(link, duplicates_its_share_and_both_copies_arrive_together) {
  link line({.delay = 5ms, .duplicate = 0.1}, 7);
  const auto all = carry_many(line, many, 1ms);
  EXPECT_NEAR(share_with(all, 2), 0.1, 0.02);
  EXPECT_EQ(share_with(all, 0), 0);
  for (const auto& one : all) ASSERT_TRUE(one.count == 1 || one.at[0] == one.at[1]);
}

TEST(link, reorders_its_share_by_being_late_with_it) {
  link line({.delay = 5ms, .reorder = 0.1}, 7);
  const auto all = carry_many(line, many, 1ms);
  int late = 0;
  for (int i = 0; i < many; ++i) {
    const auto took = all[static_cast<std::size_t>(i)].at[0] - (noon + i * 1ms);
    ASSERT_TRUE(took == 5ms || took == 5ms + link_config::late_by) << "the others do not wait for it";
    late += took != 5ms;
  }
  EXPECT_NEAR(late, many / 10, many / 50);
}

TEST(link, the_rate_sends_one_packet_after_the_other) {
  link line({.delay = 5ms, .rate = 1'000'000});
  EXPECT_EQ(line.carry(noon, 1250).at[0], noon + 15ms);
  EXPECT_EQ(line.carry(noon, 2500).at[0], noon + 35ms);
  EXPECT_EQ(line.carry(noon + 1s, 1250).at[0], noon + 1s + 15ms) << "an idle line saves nothing up";
}

TEST(link, what_is_lost_has_used_the_rate) {
  link line({.loss = 0.5, .rate = 1'000'000});
  int slot = 0;
  int arrived = 0;
  for (const auto& one : carry_many(line, 100, 0ms, 1250)) {
    ++slot;
    if (one.count == 0) continue;
    ++arrived;
    EXPECT_EQ(one.at[0], noon + slot * 10ms);
  }
  EXPECT_GT(arrived, 20);
  EXPECT_LT(arrived, 80);
}

TEST(link, a_full_queue_drops_what_comes_until_there_is_room) {
  link line({.rate = 1'000'000, .queue = 2500});
  EXPECT_EQ(line.carry(noon, 1250).count, 1U);
  EXPECT_EQ(line.carry(noon, 1250).count, 1U);
  EXPECT_EQ(line.carry(noon, 1250).count, 0U);
  EXPECT_EQ(line.carry(noon + 9ms, 1250).count, 0U);
  const auto fits = line.carry(noon + 10ms, 1250);
  ASSERT_EQ(fits.count, 1U);
  EXPECT_EQ(fits.at[0], noon + 30ms) << "a dropped packet has not used the rate";
}

TEST(link, a_line_that_is_down_loses_everything) {
  link line;
  line.set_up(false);
  EXPECT_FALSE(line.is_up());
  EXPECT_EQ(share_with(carry_many(line, 100, 1ms), 0), 1);
  line.set_up(true);
  EXPECT_EQ(share_with(carry_many(line, 100, 1ms), 1), 1);
}

TEST(link, the_fate_of_some_packets_does_not_change_the_luck_of_those_behind) {
  const link_config unreliable{.jitter = 5ms, .loss = 0.3, .duplicate = 0.3, .reorder = 0.3};
  link steady(unreliable);
  link broken(unreliable);
  broken.set_up(false);
  carry_many(steady, 10, 0ms);
  carry_many(broken, 10, 0ms);
  broken.set_up(true);
  for (int i = 1; i < 100; ++i) {
    const auto one = steady.carry(noon + i * 1s, 100);
    const auto other = broken.carry(noon + i * 1s, 100);
    ASSERT_EQ(one.count, other.count);
    ASSERT_EQ(one.at, other.at);
  }
}

TEST(link, is_perfect_when_every_packet_arrives_at_once) {
  EXPECT_TRUE(link().is_perfect());
  const link_config imperfect[] = {{.delay = 1ns},       {.jitter = 1ns}, {.loss = 0.001},
                                   {.duplicate = 0.001}, {.reorder = 1},  {.rate = 1 << 30}};
  for (const auto& config : imperfect) EXPECT_FALSE(link(config).is_perfect());
  link line;
  line.set_up(false);
  EXPECT_FALSE(line.is_perfect());
}

}  // namespace
}  // namespace nat::sim
