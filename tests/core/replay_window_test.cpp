#include "nat/replay_window.hpp"

#include "plain_random.hpp"

#include <limits>
#include <set>

#include <gtest/gtest.h>

namespace nat {
namespace {

using window = replay_window<128>;

TEST(replay_window, takes_each_number_once) {
  window seen;
  EXPECT_TRUE(seen.accept(1));
  EXPECT_FALSE(seen.accept(1));
  EXPECT_TRUE(seen.accept(2));
  EXPECT_FALSE(seen.accept(1));
  EXPECT_FALSE(seen.accept(2));
}

TEST(replay_window, asking_marks_nothing) {
  window seen;
  EXPECT_TRUE(seen.would_accept(5));
  EXPECT_TRUE(seen.would_accept(5));
  EXPECT_EQ(seen.highest(), 0U);
  EXPECT_TRUE(seen.accept(5));
  EXPECT_FALSE(seen.would_accept(5));
  EXPECT_EQ(seen.highest(), 5U);
}

TEST(replay_window, number_0_is_never_taken) {
  window seen;
  EXPECT_FALSE(seen.accept(0));
  seen.accept(3);
  EXPECT_FALSE(seen.accept(0));
}

TEST(replay_window, takes_reordered_numbers_down_to_its_end_and_none_below) {
  window seen;
  ASSERT_TRUE(seen.accept(1000));
  EXPECT_TRUE(seen.accept(1000 - 127));
  EXPECT_FALSE(seen.accept(1000 - 127));
  EXPECT_FALSE(seen.accept(1000 - 128));
}

TEST(replay_window, a_jump_of_any_size_forgets_what_it_leaves_behind_and_nothing_else) {
  for (const std::uint64_t jump : {63U, 64U, 65U, 127U, 128U, 191U, 192U, 255U, 256U, 257U, 1U << 30}) {
    window seen;
    for (std::uint64_t number = 1; number <= 300; ++number) ASSERT_TRUE(seen.accept(number));
    const auto highest = 300 + jump;
    ASSERT_TRUE(seen.accept(highest));
    for (std::uint64_t back = 0; back < 128; ++back) {
      const auto number = highest - back;
      EXPECT_EQ(seen.would_accept(number), number > 300 && number != highest) << jump << ' ' << number;
    }
  }
}

TEST(replay_window, reaches_the_largest_number) {
  constexpr auto largest = std::numeric_limits<std::uint64_t>::max();
  window seen;
  ASSERT_TRUE(seen.accept(7));
  EXPECT_TRUE(seen.accept(largest));
  EXPECT_FALSE(seen.accept(largest));
  EXPECT_TRUE(seen.accept(largest - 127));
  EXPECT_FALSE(seen.accept(largest - 128));
  EXPECT_FALSE(seen.accept(7));
}

TEST(replay_window, agrees_with_a_set_of_all_numbers_over_a_random_walk) {
  plain_random random(7);
  window seen;
  std::set<std::uint64_t> model;
  std::uint64_t highest = 0;
  int replays = 0;
  int fresh = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto draw = random.next_u64();
    // Mostly near the front; now and then a leap.
    const auto number = draw % 1000 == 0 ? highest + (draw >> 32) % 400 : highest + (draw >> 32) % 150 - 145;
    if (number > highest + 1000) continue;  // below 0 at the start
    const bool expected = number != 0 && (number > highest || highest - number < 128) && !model.contains(number);
    ASSERT_EQ(seen.would_accept(number), expected) << i << ' ' << number;
    ASSERT_EQ(seen.accept(number), expected) << i << ' ' << number;
    if (expected) {
      model.insert(number);
      highest = std::max(highest, number);
    }
    ++(expected ? fresh : replays);
  }
  EXPECT_GT(replays, 10'000);
  EXPECT_GT(fresh, 10'000);
}

TEST(replay_window, takes_nothing_up_to_a_number_that_is_forgotten_and_all_above_it) {
  for (const std::uint64_t floor : {1U, 62U, 63U, 64U, 65U, 127U, 128U, 1000U}) {
    replay_window<128> seen;
    seen.forget_below(floor);
    for (std::uint64_t number = 0; number <= floor; ++number) ASSERT_FALSE(seen.would_accept(number)) << number;
    for (std::uint64_t number = floor + 200; number > floor + 80; --number) ASSERT_TRUE(seen.accept(number)) << number;
    ASSERT_FALSE(seen.would_accept(floor));
  }
  replay_window<128> ahead;
  ahead.accept(100);
  ahead.forget_below(50);
  EXPECT_TRUE(ahead.accept(49)) << "it knew better";
}

}  // namespace
}  // namespace nat
