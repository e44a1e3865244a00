// Run lengths in acknowledgements: LEB128 in a fixed room.
#include "nat/ack_runs.hpp"

#include "plain_random.hpp"

#include <array>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::uint32_t> read(byte_view room) {
  std::vector<std::uint32_t> out;
  run_reader runs(room);
  while (const auto length = runs.next()) out.push_back(*length);
  return out;
}

TEST(ack_runs, are_written_least_significant_bits_first) {
  std::array<std::uint8_t, 6> room{};
  run_writer runs(room);
  EXPECT_TRUE(runs.push(0));
  EXPECT_TRUE(runs.push(127));
  EXPECT_TRUE(runs.push(128));
  EXPECT_EQ(runs.used(), 4U);
  const std::array<std::uint8_t, 6> expected = {
      0x00,        // 0
      0x7f,        // 127
      0x80, 0x01,  // 128
      0x00, 0x00   // nothing further
  };
  EXPECT_EQ(room, expected);
}

TEST(ack_runs, come_back_as_they_were_written) {
  std::array<std::uint8_t, 18> room{};
  run_writer runs(room);
  for (const auto length : {0U, 1U, 127U, 128U, 16'383U, 16'384U, (1U << 28) - 1}) EXPECT_TRUE(runs.push(length));
  EXPECT_THAT(read(room), ElementsAre(0, 1, 127, 128, 16'383, 16'384, (1U << 28) - 1));
}

TEST(ack_runs, one_that_does_not_fit_leaves_the_room_as_it_is) {
  std::array<std::uint8_t, 2> room{};
  run_writer runs(room);
  EXPECT_TRUE(runs.push(5));
  EXPECT_FALSE(runs.push(128));
  EXPECT_EQ(runs.used(), 1U);
  EXPECT_THAT(room, ElementsAre(5, 0));
  EXPECT_TRUE(runs.push(7));
  EXPECT_FALSE(runs.push(1));
  EXPECT_THAT(read(room), ElementsAre(5, 7));
}

TEST(ack_runs, end_with_the_room_or_with_a_zero) {
  EXPECT_THAT(read({}), IsEmpty());
  EXPECT_THAT(read(std::array<std::uint8_t, 2>{1, 2}), ElementsAre(1, 2));
  EXPECT_THAT(read(std::array<std::uint8_t, 4>{1, 2, 0, 3}), ElementsAre(1, 2));
}

TEST(ack_runs, only_the_first_may_be_0) {
  EXPECT_THAT(read(std::array<std::uint8_t, 3>{0, 4, 0}), ElementsAre(0, 4));
  EXPECT_THAT(read(std::array<std::uint8_t, 3>{0, 0, 4}), ElementsAre(0));
  EXPECT_THAT(read(std::array<std::uint8_t, 4>{3, 0x80, 0x00, 4}), ElementsAre(3)) << "a long form of 0";
}

TEST(ack_runs, one_that_is_too_long_ends_them) {
  EXPECT_THAT(read(std::array<std::uint8_t, 6>{0x80, 0x80, 0x80, 0x80, 0x01, 9}), IsEmpty());
  EXPECT_THAT(read(std::array<std::uint8_t, 7>{9, 0xff, 0xff, 0xff, 0xff, 0x01, 9}), ElementsAre(9));
}

TEST(ack_runs, one_that_is_cut_off_by_the_room_is_none) {
  EXPECT_THAT(read(std::array<std::uint8_t, 2>{9, 0x81}), ElementsAre(9));
  EXPECT_THAT(read(std::array<std::uint8_t, 4>{9, 0x81, 0x81, 0x81}), ElementsAre(9));
}

TEST(ack_runs, after_the_end_there_is_none_for_ever) {
  const std::array<std::uint8_t, 4> room{1, 0, 2, 3};
  run_reader runs(room);
  EXPECT_EQ(runs.next(), 1U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(runs.next(), std::nullopt);
}

TEST(ack_runs, any_bytes_give_few_and_bounded_lengths) {
  plain_random random(7);
  std::array<std::uint8_t, 18> room{};
  for (int i = 0; i < 20'000; ++i) {
    random.fill(room);
    const auto all = read(room);
    EXPECT_LE(all.size(), room.size());
    for (const auto length : all) EXPECT_LT(length, 1U << 28);
  }
}

}  // namespace
}  // namespace nat
