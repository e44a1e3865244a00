// Packets in any order, bytes in order, and what is said of them.
#include "nat/ack_runs.hpp"

#include "plain_random.hpp"
#include "stream_inbox_fixture.hpp"

#include <numeric>
#include <set>
#include <utility>

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// The numbers that an acknowledgement says have come, from `next` on.
std::set<std::uint64_t> told_in(const ping_acknowledgement& ack) {
  std::set<std::uint64_t> out;
  run_reader runs(ack.runs);
  auto number = ack.next + ack.from;
  for (bool has_come = false; const auto length = runs.next(); has_come = !has_come) {
    for (std::uint32_t i = 0; i < *length; ++i, ++number) {
      if (has_come) out.insert(number);
    }
  }
  return out;
}

std::set<std::uint64_t> told_in(const std::vector<ping_acknowledgement>& all) {
  std::set<std::uint64_t> out;
  for (const auto& ack : all) out.merge(told_in(ack));
  return out;
}

TEST_F(stream_inbox_test, takes_nothing_and_says_nothing_before_it_is_known_where_the_stream_begins) {
  EXPECT_EQ(full(1), verdict::not_begun);
  EXPECT_FALSE(inbox.has_begun());
  EXPECT_THAT(acks_within(1h), IsEmpty());
  EXPECT_EQ(inbox.held_bytes(), 0U);
}

TEST_F(stream_inbox_test, says_at_once_that_it_knows_where_the_stream_begins) {
  EXPECT_EQ(inbox.begin(now, 5, 7000), 0U);
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 5U);
  EXPECT_EQ(all[0].limit, 7000 + stream_inbox::first_window);
  EXPECT_EQ(all[0].unwritten, stream_inbox::first_window);
  EXPECT_EQ(all[0].newest, ping_acknowledgement::no_newest);
  EXPECT_THAT(told_in(all), IsEmpty());
  EXPECT_THAT(acks_within(1h), IsEmpty());
}

TEST_F(stream_inbox_test, answers_each_time_that_it_is_told_the_same) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(inbox.begin(now, 5, 7000), 0U);
    EXPECT_THAT(acks(), SizeIs(1));
  }
}

TEST_F(stream_inbox_test, learns_the_first_offset_from_the_first_packet_if_nobody_told_it) {
  inbox.begin(now, 5, std::nullopt);
  EXPECT_EQ(acks().at(0).limit, 0U);
  EXPECT_EQ(give(6, 5000, size), verdict::no_room) << "where it is to be kept is not known";
  EXPECT_EQ(give(5, 4000, size), verdict::taken);
  EXPECT_EQ(inbox.written(), 4000U);
  EXPECT_EQ(give(6, 5000, size), verdict::taken);
  EXPECT_EQ(write_bytes(), 2 * size);
}

TEST_F(stream_inbox_test, gives_bytes_in_order_whatever_order_they_come_in) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    inbox = stream_inbox(stream_inbox::first_window);
    inbox.begin(now, 1, 0);
    plain_random random(seed);
    std::vector<std::uint64_t> numbers(200);
    std::iota(numbers.begin(), numbers.end(), 1);
    for (auto i = numbers.size() - 1; i > 0; --i) std::swap(numbers[i], numbers[random.next_u64() % (i + 1)]);
    std::size_t written = 0;
    for (const auto number : numbers) {
      ASSERT_EQ(full(number), verdict::taken);
      ASSERT_EQ(full(number), verdict::duplicate);
      if (random.next_u64() % 4 == 0) written += write_bytes();
    }
    written += write_bytes();
    EXPECT_EQ(written, 200 * size) << seed;
    EXPECT_TRUE(inbox.is_drained());
  }
}

TEST_F(stream_inbox_test, goes_round_the_ring_for_ever_and_keeps_it_as_small_as_what_is_pending) {
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 1; number <= 3000; ++number) {
    ASSERT_EQ(full(number), verdict::taken);
    ASSERT_EQ(write_bytes(), size);
  }
  EXPECT_EQ(inbox.written(), 3'000'000U);
  EXPECT_LE(inbox.held_bytes(), 4096U);
}

TEST_F(stream_inbox_test, holds_no_more_than_its_window) {
  inbox.begin(now, 1, 0);
  std::uint64_t number = 1;
  while (full(number) == verdict::taken) ++number;
  EXPECT_EQ(number - 1, stream_inbox::first_window / size);
  EXPECT_EQ(inbox.held_bytes(), stream_inbox::first_window);
  inbox.set_window(2 * stream_inbox::first_window);
  EXPECT_EQ(full(number), verdict::taken);
  EXPECT_EQ(inbox.held_bytes(), 2 * stream_inbox::first_window);
  EXPECT_EQ(write_bytes(), number * size);
}

TEST_F(stream_inbox_test, wants_a_wider_window_where_the_sender_comes_near_it_and_stdout_does_not) {
  inbox.begin(now, 1, 0);
  acks();
  std::uint64_t number = 1;
  for (; number <= 100; ++number) {
    full(number);
    write_bytes();
  }
  EXPECT_FALSE(inbox.wants_wider()) << "there is room enough";
  for (; number <= 250; ++number) {
    full(number);
    write_bytes();
  }
  EXPECT_TRUE(inbox.wants_wider());
  for (; number <= 320; ++number) full(number);
  EXPECT_FALSE(inbox.wants_wider()) << "it waits for stdout";
}

TEST_F(stream_inbox_test, wants_a_wider_window_though_the_first_packet_is_missing) {
  inbox.begin(now, 1, 0);
  acks();
  for (std::uint64_t number = 2; number <= 250; ++number) full(number);
  EXPECT_TRUE(inbox.wants_wider());
}

TEST_F(stream_inbox_test, wants_a_wider_window_where_half_of_it_comes_in_a_round_trip) {
  inbox.begin(now, 1, 0);
  constexpr auto step = 5ms;
  constexpr int steps = 10;  // a round trip
  std::uint64_t number = 1;
  const auto round_trip_brings = [&](std::size_t bytes) {
    for (int i = 0; i < steps; ++i) {
      now += step;
      for (std::size_t sum = 0; sum < bytes / steps; sum += size) full(number++);
      write_bytes();
      while (inbox.next_ack(now, step * steps)) {
      }
    }
  };
  round_trip_brings(inbox.window());
  round_trip_brings(inbox.window() * 2 / 5);
  round_trip_brings(inbox.window() * 2 / 5);
  EXPECT_FALSE(inbox.wants_wider()) << "less than half of it is used";
  round_trip_brings(inbox.window() * 3 / 5);
  round_trip_brings(inbox.window() * 3 / 5);
  EXPECT_TRUE(inbox.wants_wider()) << "though no packet came near the limit, which moves on with each acknowledgement";
}

TEST_F(stream_inbox_test, a_piece_is_of_whole_packets_and_at_least_of_one) {
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 1; number <= 5; ++number) full(number);
  EXPECT_EQ(inbox.next_bytes(2999)->size(), 2 * size);
  EXPECT_EQ(inbox.next_bytes(3000)->size(), 3 * size);
  EXPECT_EQ(inbox.next_bytes(1)->size(), size);
}

TEST_F(stream_inbox_test, what_is_read_stays_as_it_is_while_the_ring_grows) {
  inbox.begin(now, 1, 0);
  full(1);
  full(2);
  full(3);
  const auto record = inbox.next_bytes(3 * size);
  ASSERT_TRUE(record);
  inbox.pin(true);
  const auto before = inbox.held_bytes();
  for (std::uint64_t number = 4; number <= 200; ++number) ASSERT_EQ(full(number), verdict::taken);
  EXPECT_GT(inbox.held_bytes(), 8 * before) << "it grew several times";
  EXPECT_EQ(whole(*record), stream_bytes(0, 3 * size));
  inbox.pin(false);
  inbox.on_written(now, inbox.take_out(record->size()));
  EXPECT_EQ(write_bytes(), 197 * size);
}

TEST_F(stream_inbox_test, the_place_of_a_payload_is_given_only_where_it_is_in_one_part) {
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 1; number <= 4; ++number) full(number);
  write_bytes();
  EXPECT_EQ(inbox.held_bytes(), 4096U);
  EXPECT_THAT(inbox.place(data(5, 4000), size), IsEmpty()) << "it begins 96 bytes before the ring's end";
  EXPECT_EQ(full(5), verdict::taken);
  EXPECT_EQ(inbox.place(data(6, 5000), size).size(), size);
  EXPECT_EQ(write_bytes(), size);
}

TEST_F(stream_inbox_test, knows_when_all_of_it_has_come_and_is_written) {
  inbox.begin(now, 1, 0);
  EXPECT_EQ(give(2, size, 0, data_header::ends), verdict::taken);
  EXPECT_FALSE(inbox.has_ended()) << "something before the end is missing";
  full(1);
  EXPECT_TRUE(inbox.has_ended());
  EXPECT_FALSE(inbox.is_drained());
  write_bytes();
  EXPECT_TRUE(inbox.is_drained());
}

// ---- acknowledgements

TEST_F(stream_inbox_test, two_packets_are_acknowledged_together_at_once) {
  inbox.begin(now, 1, 0);
  acks();
  full(1);
  EXPECT_FALSE(inbox.ack_is_due(now));
  full(2);
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 3U);
  EXPECT_EQ(all[0].newest, -1);
  EXPECT_EQ(all[0].delay, 0U);
  EXPECT_THAT(acks_within(1h), IsEmpty());
}

TEST_F(stream_inbox_test, short_packets_are_acknowledged_together_after_a_short_wait) {
  inbox.begin(now, 1, 0);
  acks();
  for (std::uint64_t number = 1; number <= 19; ++number) give(number, (number - 1) * 100, 100);
  EXPECT_THAT(acks_within(max_ack_delay - 1ns), IsEmpty());
  const auto all = acks_within(1ns);
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 20U);
}

TEST_F(stream_inbox_test, the_end_is_acknowledged_at_once) {
  inbox.begin(now, 1, 0);
  acks();
  give(1, 0, 0, data_header::ends);
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 2U);
}

TEST_F(stream_inbox_test, one_packet_is_acknowledged_after_a_short_wait) {
  inbox.begin(now, 1, 0);
  acks();
  full(1);
  EXPECT_THAT(acks_within(max_ack_delay - 1ns), IsEmpty());
  const auto all = acks_within(1ns);
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 2U);
  EXPECT_EQ(all[0].delay, 5000U) << "microseconds";
}

TEST_F(stream_inbox_test, a_delay_of_hours_is_told_as_the_longest) {
  inbox.begin(now, 1, 0);
  acks();
  full(1);
  now += 2h;  // the program stood still
  EXPECT_EQ(acks().at(0).delay, UINT32_MAX);
}

TEST_F(stream_inbox_test, what_comes_out_of_order_is_told_at_once) {
  inbox.begin(now, 1, 0);
  acks();
  full(3);
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 1U);
  EXPECT_EQ(all[0].newest, 2);
  EXPECT_THAT(told_in(all[0]), ElementsAre(3));
}

TEST_F(stream_inbox_test, what_fills_a_hole_is_told_at_once) {
  inbox.begin(now, 1, 0);
  full(2);
  acks();
  full(1);
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].next, 3U);
}

TEST_F(stream_inbox_test, a_duplicate_is_counted_and_answered_at_once) {
  inbox.begin(now, 1, 0);
  full(1);
  full(2);
  EXPECT_EQ(acks().at(0).duplicates, 0U);
  full(1);
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].duplicates, 1U);
  EXPECT_EQ(all[0].newest, ping_acknowledgement::no_newest) << "it was told";
}

TEST_F(stream_inbox_test, acknowledgements_keep_an_eighth_of_a_round_trip_apart) {
  inbox.begin(now, 1, 0);
  acks(16ms);
  std::size_t told = 0;
  std::uint64_t number = 1;
  for (int i = 0; i < 160; ++i) {  // two packets each 100 microseconds
    full(number++);
    full(number++);
    told += acks_within(100us, 16ms).size();
    write_bytes();
  }
  EXPECT_EQ(told, 8U);
}

TEST_F(stream_inbox_test, acknowledgements_are_never_so_far_apart_that_a_long_path_waits_for_them) {
  inbox.begin(now, 1, 0);
  acks(10s);
  full(1);
  full(2);
  EXPECT_THAT(acks_within(stream_inbox::longest_ack_spacing - 1ns, 10s), IsEmpty());
  EXPECT_THAT(acks_within(1ns, 10s), SizeIs(1));
}

TEST_F(stream_inbox_test, each_arrival_is_told_in_two_acknowledgements) {
  inbox.begin(now, 1, 0);
  acks();
  full(3);
  EXPECT_THAT(told_in(acks().at(0)), ElementsAre(3));
  full(10);
  EXPECT_THAT(told_in(acks().at(0)), ElementsAre(3, 10));
  full(20);
  EXPECT_THAT(told_in(acks().at(0)), ElementsAre(10, 20));
  full(30);
  const auto all = acks();
  EXPECT_THAT(all, SizeIs(1)) << "one tells of both";
  EXPECT_THAT(told_in(all), ElementsAre(20, 30));
}

TEST_F(stream_inbox_test, with_many_holes_says_all_that_is_new_in_at_most_four) {
  inbox.begin(now, 1, 0);
  acks();
  std::set<std::uint64_t> came;
  for (std::uint64_t number = 2; number <= 60; number += 2) {
    full(number);
    came.insert(number);
  }
  const auto all = acks();
  EXPECT_GE(all.size(), 2U) << "more runs than one holds";
  EXPECT_LE(all.size(), stream_inbox::max_acks_at_once);
  EXPECT_EQ(told_in(all), came);
}

TEST_F(stream_inbox_test, with_very_many_holes_goes_on_next_time_where_it_stopped) {
  inbox.begin(now, 1, 0);
  acks();
  std::set<std::uint64_t> came;
  for (std::uint64_t number = 2; number <= 240; number += 2) {
    full(number);
    came.insert(number);
  }
  std::set<std::uint64_t> told;
  for (int i = 0; i < 8; ++i) {
    const auto all = acks();
    ASSERT_LE(all.size(), stream_inbox::max_acks_at_once);
    told.merge(told_in(all));
    inbox.on_duplicate(now);
  }
  EXPECT_EQ(told, came);
}

TEST_F(stream_inbox_test, whatever_comes_only_what_came_is_told_and_each_arrival_is) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    inbox = stream_inbox(stream_inbox::first_window);
    inbox.begin(now, 1, 0);
    plain_random random(seed);
    std::set<std::uint64_t> came;
    std::set<std::uint64_t> told;
    for (int i = 0; i < 150; ++i) {
      const auto number = inbox.next() + random.next_u64() % 60;
      if (full(number) == verdict::taken) came.insert(number);
      if (random.next_u64() % 3 != 0) continue;
      for (const auto& ack : acks()) {
        for (const auto one : told_in(ack)) ASSERT_TRUE(came.contains(one)) << seed << ' ' << one;
        for (std::uint64_t below = 1; below < ack.next; ++below) ASSERT_TRUE(came.contains(below));
        told.merge(told_in(ack));
      }
      now += 1ms;
      write_bytes();
    }
    for (int i = 0; i < 20; ++i) {  // what the last ones left over
      inbox.on_duplicate(now);
      for (const auto& ack : acks()) told.merge(told_in(ack));
    }
    for (const auto number : came) EXPECT_TRUE(number < inbox.next() || told.contains(number)) << seed;
  }
}

TEST_F(stream_inbox_test, tells_that_more_is_written_at_once_where_the_sender_may_wait_for_it) {
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 1; number <= 100; ++number) full(number);
  acks();
  inbox.on_written(now, inbox.take_out(inbox.next_bytes(size)->size()));
  EXPECT_FALSE(inbox.ack_is_due(now)) << "a small part of the window";
  EXPECT_THAT(acks_within(max_ack_delay), SizeIs(1));
  inbox.on_written(now, inbox.take_out(inbox.next_bytes(99 * size)->size()));
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].limit, 100 * size + inbox.window());
  EXPECT_EQ(all[0].limit - all[0].unwritten, 100 * size);
}

TEST_F(stream_inbox_test, tells_at_once_that_the_end_is_written) {
  inbox.begin(now, 1, 0);
  full(1);
  give(2, size, 0, data_header::ends);
  acks();
  write_bytes();
  const auto all = acks();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].limit - all[0].unwritten, size);
}

TEST_F(stream_inbox_test, the_limit_never_falls) {
  inbox.begin(now, 1, 0);
  std::uint64_t limit = 0;
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    full(number);
    write_bytes(3 * size);
    for (const auto& ack : acks_within(6ms)) {
      EXPECT_GE(ack.limit, limit);
      limit = ack.limit;
    }
  }
  EXPECT_EQ(limit, 1000 * size + inbox.window());
}

TEST_F(stream_inbox_test, what_has_no_room_is_not_told) {
  inbox = stream_inbox(stream_inbox::least_window);
  inbox.begin(now, 1, 0);
  acks();
  EXPECT_EQ(full(40), verdict::no_room);
  EXPECT_THAT(acks_within(1h), IsEmpty());
  EXPECT_EQ(inbox.packets(), 0U);
}

}  // namespace
}  // namespace nat
