// What may have to be sent again.
#include "nat/send_log.hpp"

#include "plain_random.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include <gtest/gtest.h>

namespace nat {
namespace {

constexpr std::size_t header = 128;
constexpr std::size_t overhead = sizeof(send_log::record);

std::uint8_t mark(std::uint64_t number) { return static_cast<std::uint8_t>(number * 31 + 7); }

void add(send_log& log, std::size_t payload) {
  const auto number = log.end();
  std::ranges::fill(log.append(header, payload), mark(number));
}

bool is_whole(const send_log& log, std::uint64_t number, std::size_t payload) {
  const auto packet = log.packet(number);
  return packet.size() == header + payload &&
         std::ranges::all_of(packet, [&](std::uint8_t byte) { return byte == mark(number); });
}

TEST(send_log, begins_empty_with_number_1_and_offset_0) {
  const send_log log(1 << 20);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.begin(), 1U);
  EXPECT_EQ(log.end(), 1U);
  EXPECT_EQ(log.begin_offset(), 0U);
  EXPECT_EQ(log.end_offset(), 0U);
  EXPECT_EQ(log.held_bytes(), 0U);
  EXPECT_FALSE(log.holds(0));
  EXPECT_FALSE(log.holds(1));
}

TEST(send_log, numbers_packets_and_counts_their_payloads) {
  send_log log(1 << 20);
  add(log, 100);
  add(log, 50);
  EXPECT_EQ(log.end(), 3U);
  EXPECT_EQ(log.at(2).offset, 100U);
  EXPECT_EQ(log.at(2).end_offset(), 150U);
  EXPECT_EQ(log.end_offset(), 150U);
  EXPECT_TRUE(is_whole(log, 1, 100));
  EXPECT_TRUE(is_whole(log, 2, 50));
  EXPECT_TRUE(log.holds(2));
  EXPECT_FALSE(log.holds(3));
}

TEST(send_log, an_empty_payload_has_a_number_and_no_offset_of_its_own) {
  send_log log(1 << 20);
  add(log, 10);
  add(log, 0);
  EXPECT_EQ(log.packet(2).size(), header);
  EXPECT_EQ(log.at(2).offset, 10U);
  EXPECT_EQ(log.at(2).end_offset(), 10U);
}

TEST(send_log, has_room_for_packets_and_what_is_kept_of_them) {
  send_log log(2 * (header + 100 + overhead));
  add(log, 100);
  EXPECT_TRUE(log.has_room(header + 100));
  EXPECT_FALSE(log.has_room(header + 101));
  add(log, 100);
  EXPECT_FALSE(log.has_room(0));
  EXPECT_EQ(log.held_bytes(), log.max_bytes());
}

TEST(send_log, what_is_trimmed_makes_room) {
  send_log log(2 * (header + 100 + overhead));
  add(log, 100);
  add(log, 100);
  log.trim(2);
  EXPECT_EQ(log.begin(), 2U);
  EXPECT_EQ(log.begin_offset(), 100U);
  EXPECT_FALSE(log.holds(1));
  EXPECT_TRUE(log.has_room(header + 100));
  EXPECT_TRUE(is_whole(log, 2, 100));
}

TEST(send_log, trimming_to_where_it_begins_changes_nothing) {
  send_log log(1 << 20);
  add(log, 100);
  add(log, 100);
  log.trim(2);
  log.trim(2);
  EXPECT_EQ(log.begin(), 2U);
  EXPECT_TRUE(is_whole(log, 2, 100));
}

TEST(send_log, trimmed_to_its_end_it_is_empty_and_goes_on_with_the_next_number) {
  send_log log(1 << 20);
  for (int i = 0; i < 3; ++i) add(log, 100);
  log.trim(4);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.held_bytes(), 0U);
  EXPECT_EQ(log.begin_offset(), 300U);
  add(log, 7);
  EXPECT_EQ(log.begin(), 4U);
  EXPECT_EQ(log.at(4).offset, 300U);
  EXPECT_TRUE(is_whole(log, 4, 7));
}

TEST(send_log, packets_stay_where_they_are_while_others_come_and_go) {
  send_log log(4U << 20);
  for (int i = 0; i < 1000; ++i) add(log, 1000);
  const auto* at = log.packet(900).data();
  log.trim(900);
  for (int i = 0; i < 1000; ++i) add(log, 1000);
  EXPECT_EQ(log.packet(900).data(), at);
  EXPECT_TRUE(is_whole(log, 900, 1000));
}

TEST(send_log, whatever_comes_and_goes_all_that_it_holds_is_whole) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    plain_random random(seed);
    send_log log(1U << 20);
    std::deque<std::size_t> sizes;
    std::uint64_t offset = 0;
    for (int step = 0; step < 3000; ++step) {
      const auto payload = static_cast<std::size_t>(random.next_u64() % 1105);
      if (log.has_room(header + payload)) {
        EXPECT_EQ(log.end_offset(), offset);
        add(log, payload);
        sizes.push_back(payload);
        offset += payload;
      }
      const bool is_cut = random.next_u64() % 50 == 0;
      if (!is_cut) continue;
      const auto gone = random.next_u64() % (sizes.size() + 1);
      log.trim(log.begin() + gone);
      sizes.erase(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(gone));
      std::size_t held = 0;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        ASSERT_TRUE(is_whole(log, log.begin() + i, sizes[i])) << seed;
        held += header + sizes[i] + overhead;
      }
      ASSERT_EQ(log.held_bytes(), held);
      ASSERT_LE(held, log.max_bytes());
      ASSERT_EQ(log.end() - log.begin(), sizes.size());
    }
  }
}

TEST(send_log, a_stream_may_begin_where_a_record_does) {
  send_log log(1 << 20);
  EXPECT_EQ(log.entry(log.end()), 1U);
  const auto add = [&](bool continues) { std::ranges::fill(log.append(128, 10, continues), std::uint8_t{0}); };
  for (const bool continues : {false, true, true, false, false, true, true}) add(continues);
  EXPECT_EQ(log.entry(1), 1U);
  EXPECT_EQ(log.entry(2), 2U);
  EXPECT_EQ(log.entry(3), 5U);
  EXPECT_EQ(log.entry(7), 6U) << "the record that goes on";
  EXPECT_EQ(log.entry(log.end()), 6U);
  log.trim(7);
  EXPECT_EQ(log.entry(log.end()), log.end()) << "its beginning is gone";
  add(false);
  EXPECT_EQ(log.entry(log.begin()), log.end());
}

TEST(send_log, knows_whether_a_stream_begins_inside_a_record) {
  send_log log(1 << 20);
  EXPECT_FALSE(log.is_inside(log.end()));
  const auto add = [&](bool continues) { std::ranges::fill(log.append(header, 10, continues), std::uint8_t{0}); };
  for (const bool continues : {false, true, true}) add(continues);
  EXPECT_FALSE(log.is_inside(1));
  EXPECT_FALSE(log.is_inside(2));
  EXPECT_TRUE(log.is_inside(3));
  EXPECT_TRUE(log.is_inside(log.end()));
  log.trim(log.end());
  EXPECT_TRUE(log.is_inside(log.entry(1)));
  log.skip(10, true);
  EXPECT_TRUE(log.is_inside(log.end()));
  log.skip(10, false);
  EXPECT_FALSE(log.is_inside(log.end()));
}

TEST(send_log, what_is_skipped_takes_up_a_number_and_no_room) {
  send_log log(1 << 20);
  add(log, 10);
  log.trim(log.end());
  log.skip(100, true);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.begin(), 3U);
  EXPECT_EQ(log.end_offset(), 110U);
  EXPECT_EQ(log.packets(), 1U);
  add(log, 7);
  EXPECT_EQ(log.at(3).offset, 110U);
  EXPECT_FALSE(log.at(3).begins) << "it goes on with what was skipped";
  EXPECT_TRUE(is_whole(log, 3, 7));
  EXPECT_EQ(log.last(), log.end());
}

TEST(send_log, keeps_what_was_asked_for) {
  constexpr std::size_t cost = header + 100 + overhead;
  const auto filled = [](std::size_t keep) {
    send_log log(1 << 20, keep);
    for (int i = 0; i < 100; ++i) add(log, 100);
    return log;
  };
  const auto last = [&](std::size_t keep) {
    const auto log = filled(keep);
    return log.end() - log.last();
  };
  EXPECT_EQ(last(0), 0U);
  EXPECT_EQ(last(1), 1U);
  EXPECT_EQ(last(3 * cost), 3U);
  EXPECT_EQ(last(1 << 20), 100U);
  auto log = filled(10 * cost - 1);
  log.trim(log.end() - 20);
  EXPECT_EQ(log.begin(), log.end() - 20) << "somebody lacks it";
  log.trim(log.end());
  EXPECT_EQ(log.begin(), log.end() - 10);
  EXPECT_EQ(log.held_bytes(), 10 * cost);
  log = filled(1);
  log.trim(log.end() - 5);
  EXPECT_EQ(log.begin(), log.end() - 5);
  log = filled(0);
  log.trim(log.end());
  EXPECT_TRUE(log.empty());
}

TEST(send_log, knows_where_the_last_bytes_begin_whatever_comes_and_goes) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    plain_random random(seed);
    const auto keep = static_cast<std::size_t>(random.next_u64() % 50'000);
    send_log log(1U << 20, keep);
    for (int step = 0; step < 1000; ++step) {
      const auto payload = static_cast<std::size_t>(random.next_u64() % 1105);
      if (log.has_room(header + payload)) add(log, payload);
      if (random.next_u64() % 20 == 0) log.trim(log.begin() + random.next_u64() % (log.end() - log.begin() + 1));
      auto expected = log.end();
      for (std::size_t sum = 0; expected > log.begin() && sum < keep;) sum += log.at(--expected).size + overhead;
      ASSERT_EQ(log.last(), expected) << seed << ", " << step;
    }
  }
}

}  // namespace
}  // namespace nat
