// A sender that goes on after a gap: what it says it will not send any more is not waited for.
#include "stream_inbox_fixture.hpp"

namespace nat {
namespace {

using namespace std::chrono_literals;

class stream_inbox_gaps_test : public stream_inbox_test {};

TEST_F(stream_inbox_gaps_test, a_gap_with_nothing_pending_is_gone_over_at_once) {
  inbox.begin(now, 1, 0);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 10U);
  EXPECT_EQ(inbox.next(), 11U);
  EXPECT_EQ(full(11), verdict::taken);
  EXPECT_EQ(write_bytes(), size);
  EXPECT_EQ(inbox.written(), 11'000U);
}

TEST_F(stream_inbox_gaps_test, what_is_in_order_before_a_gap_is_still_written) {
  inbox.begin(now, 1, 0);
  full(1);
  full(2);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 8U);
  full(11);
  EXPECT_EQ(write_bytes(), 3 * size);
  EXPECT_EQ(inbox.written(), 11'000U);
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, what_came_out_of_order_before_a_gap_is_not_missed_and_not_written) {
  inbox.begin(now, 1, 0);
  full(1);
  full(5);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 8U);
  full(11);
  EXPECT_EQ(write_bytes(), 2 * size);
}

TEST_F(stream_inbox_gaps_test, what_came_before_a_gap_and_is_not_written_takes_up_no_window) {
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 2; number <= 201; ++number) full(number);
  inbox.begin(now, 202, 201 * size);
  inbox.ask_for_ack(now);
  ASSERT_TRUE(inbox.next_ack(now, 0ms));
  EXPECT_FALSE(inbox.wants_wider());
}

TEST_F(stream_inbox_gaps_test, what_came_early_from_behind_a_gap_is_kept) {
  inbox.begin(now, 1, 0);
  full(1);
  full(11);
  full(12);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 9U);
  EXPECT_EQ(inbox.next(), 13U);
  EXPECT_EQ(write_bytes(), 3 * size);
  EXPECT_EQ(inbox.written(), 12'000U);
}

TEST_F(stream_inbox_gaps_test, a_gap_that_is_told_again_is_none) {
  inbox.begin(now, 1, 0);
  full(1);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 9U);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 0U);
  EXPECT_EQ(inbox.begin(now, 1, 0), 0U) << "late, from before";
  full(11);
  EXPECT_EQ(write_bytes(), 2 * size);
}

TEST_F(stream_inbox_gaps_test, two_gaps_in_a_row_behind_what_is_pending_are_one) {
  inbox.begin(now, 1, 0);
  full(1);
  EXPECT_EQ(inbox.begin(now, 11, 10'000), 9U);
  EXPECT_EQ(inbox.begin(now, 21, 20'000), 10U);
  full(21);
  EXPECT_EQ(write_bytes(), 2 * size);
  EXPECT_EQ(inbox.written(), 21'000U);
}

TEST_F(stream_inbox_gaps_test, a_gap_of_packets_without_bytes_holds_nothing_up) {
  inbox.begin(now, 1, 0);
  full(1);
  EXPECT_EQ(inbox.begin(now, 5, size), 3U);
  EXPECT_EQ(inbox.begin(now, 7, size), 2U);
  EXPECT_EQ(give(7, size, size), verdict::taken);
  EXPECT_EQ(write_bytes(), 2 * size);
}

TEST_F(stream_inbox_gaps_test, more_gaps_than_it_remembers_lose_what_is_between_the_last_ones_and_nothing_else) {
  inbox.begin(now, 1, 0);
  std::uint64_t number = 1;
  for (int i = 0; i < 40; ++i, number += 2) {
    EXPECT_EQ(full(number), verdict::taken) << i;
    inbox.begin(now, number + 2, (number + 1) * size);
  }
  EXPECT_EQ(full(number), verdict::taken);
  EXPECT_EQ(write_bytes(), 17 * size);
  EXPECT_EQ(inbox.written(), number * size);
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, a_gap_is_not_copied_when_the_ring_grows) {
  inbox.begin(now, 1, 0);
  full(1);                               // 4096 bytes are enough
  inbox.begin(now, 101, 100'000);        // far beyond them
  EXPECT_EQ(full(101), verdict::taken);  // the ring grows
  EXPECT_EQ(write_bytes(), 2 * size);
}

TEST_F(stream_inbox_gaps_test, packets_before_a_gap_are_not_taken_for_packets_in_it) {
  // As many as there are slots at first: the number 64 further has the same one.
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 1; number <= 64; ++number) {
    give(number, (number - 1) * 10, 10, number < 64 ? data_header::continues : std::uint8_t{0});
  }
  inbox.begin(now, 200, 100'000);
  give(200, 100'000, 10);
  const auto first = write_record();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), 640U);
  EXPECT_EQ(write_record().value_or("").size(), 10U);
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, a_record_that_a_gap_cuts_is_not_written) {
  inbox.begin(now, 1, 0);
  give(1, 0, "whole");
  for (std::uint64_t number = 2; number <= 65; ++number) {
    give(number, 5 + (number - 2) * 10, 10, data_header::continues);
  }
  inbox.begin(now, 200, 100'000);
  EXPECT_EQ(write_record(), "whole");
  EXPECT_EQ(write_record(), std::nullopt);
  EXPECT_EQ(inbox.written(), 100'000U) << "nothing of it is waited for";
  give(200, 100'000, "next");
  EXPECT_EQ(write_record(), "next");
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, an_unfinished_line_that_a_gap_cuts_is_written_as_far_as_it_came) {
  inbox.begin(now, 1, 0);
  give(1, 0, "bytes", data_header::open_ended);
  inbox.begin(now, 200, 100'000);
  EXPECT_EQ(write_record(), "bytes");
}

TEST_F(stream_inbox_gaps_test, what_is_late_is_dropped_before_it_is_written) {
  inbox.begin(now, 1, 0);
  give(1, 0, "first");
  give(2, 5, "second");
  give(3, 11, "third");
  EXPECT_EQ(inbox.drop_late(7), 0U) << "in the middle of a packet";
  EXPECT_EQ(inbox.drop_late(11), 2U);
  EXPECT_EQ(inbox.drop_late(11), 0U);
  EXPECT_EQ(inbox.written(), 11U);
  EXPECT_EQ(write_record(), "third");
  EXPECT_EQ(inbox.drop_late(16), 0U) << "it is written";
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, what_is_late_may_lie_on_both_sides_of_a_gap) {
  inbox.begin(now, 1, 0);
  give(1, 0, "first");
  inbox.begin(now, 10, 1'000);
  give(10, 1'000, "second");
  give(11, 1'006, "third");
  EXPECT_EQ(inbox.drop_late(1'006), 2U);
  EXPECT_EQ(write_record(), "third");
  EXPECT_EQ(write_record(), std::nullopt);
  EXPECT_EQ(inbox.written(), 1'011U);
}

TEST_F(stream_inbox_gaps_test, what_is_being_read_is_not_dropped) {
  inbox.begin(now, 1, 0);
  give(1, 0, "first");
  const auto record = inbox.next_record();
  inbox.pin(true);
  EXPECT_EQ(inbox.drop_late(5), 0U);
  EXPECT_EQ(as_text(record->first), "first");
}

TEST_F(stream_inbox_gaps_test, a_record_that_is_being_read_survives_a_gap_of_any_length) {
  for (const std::uint64_t jump : {10U, 5'000U, 9'000U, 20'000U, 1U << 30}) {
    inbox = stream_inbox(stream_inbox::first_window);
    inbox.begin(now, 1, 0);
    full(1);
    full(2);
    const auto record = inbox.next_record();
    ASSERT_TRUE(record);
    inbox.pin(true);
    inbox.begin(now, jump, jump * size);
    EXPECT_EQ(whole(*record), stream_bytes(0, size)) << jump;
    inbox.pin(false);
    inbox.on_written(now, inbox.take_out(record->size()));
    EXPECT_EQ(write_record().value_or("").size(), size) << jump;
    EXPECT_EQ(give(jump, jump * size, "on it goes"), verdict::taken);
    EXPECT_EQ(write_record(), "on it goes") << jump;
    EXPECT_TRUE(inbox.is_drained());
  }
}

TEST_F(stream_inbox_gaps_test, a_gap_while_output_is_on_its_way_is_written_over_once_that_is_written) {
  inbox.begin(now, 1, 0);
  full(1);
  const auto end = inbox.take_out(inbox.next_bytes(size)->size());
  inbox.begin(now, 11, 10'000);
  EXPECT_EQ(inbox.written(), 0U);
  inbox.on_written(now, end);
  EXPECT_EQ(inbox.written(), 10'000U);
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, several_gaps_while_output_is_on_its_way_are_written_over_too) {
  inbox.begin(now, 1, 0);
  full(1);
  const auto end = inbox.take_out(inbox.next_bytes(size)->size());
  inbox.begin(now, 11, 10'000);
  inbox.begin(now, 21, 20'000);
  inbox.on_written(now, end);
  EXPECT_EQ(inbox.written(), 20'000U);
}

TEST_F(stream_inbox_gaps_test, the_limit_is_beyond_the_gap) {
  inbox.begin(now, 1, 0);
  full(1);
  inbox.begin(now, 1001, 1'000'000);
  EXPECT_EQ(full(1001), verdict::no_room) << "what is pending comes first";
  write_bytes();
  const auto all = acks_within(10ms);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().limit, 1'000'000 + inbox.window());
  EXPECT_EQ(all.back().unwritten, inbox.window());
  EXPECT_EQ(full(1001), verdict::taken);
}

TEST_F(stream_inbox_gaps_test, the_newest_from_before_a_large_gap_is_not_told_as_another) {
  inbox.begin(now, 1, 0);
  full(1);
  inbox.begin(now, (std::uint64_t{1} << 33) + 5, std::uint64_t{1} << 40);
  for (const auto& ack : acks()) EXPECT_EQ(ack.newest, ping_acknowledgement::no_newest);
}

TEST_F(stream_inbox_gaps_test, a_gap_that_contradicts_what_came_from_behind_it_is_none) {
  inbox.begin(now, 1, 0);
  full(11);
  EXPECT_EQ(inbox.begin(now, 11, 50'000), 0U);
  EXPECT_EQ(inbox.begin(now, 11, 9'999), 0U);
  EXPECT_EQ(inbox.next(), 1U);
  EXPECT_EQ(write_bytes(), 0U);
  EXPECT_EQ(full(1), verdict::taken);
  EXPECT_EQ(write_bytes(), size);
}

TEST_F(stream_inbox_gaps_test, a_gap_back_into_what_has_come_is_none) {
  inbox.begin(now, 1, 0);
  full(1);
  full(2);
  EXPECT_EQ(inbox.begin(now, 2, size), 0U);
  EXPECT_EQ(inbox.begin(now, 9, 2 * size - 1), 0U) << "its offset is among what has come";
  EXPECT_EQ(inbox.next(), 3U);
  EXPECT_EQ(write_bytes(), 2 * size);
}

// ---- a record whose beginning never comes

constexpr auto continues = data_header::continues;

TEST_F(stream_inbox_gaps_test, a_stream_that_begins_inside_a_record_begins_behind_it) {
  inbox.begin(now, 5, 1'000, true);
  give(5, 1'000, "rest ", continues);
  EXPECT_EQ(write_record(), std::nullopt);
  EXPECT_EQ(inbox.written(), 1'005U) << "acknowledged as written";
  give(6, 1'005, "of it");
  give(7, 1'010, "whole ", continues);
  give(8, 1'016, "record");
  EXPECT_EQ(write_record(), "whole record");
  EXPECT_EQ(write_record(), std::nullopt);
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, a_stream_that_begins_with_a_record_is_written_from_there) {
  inbox.begin(now, 5, 1'000, false);
  give(5, 1'000, "whole ", continues);
  give(6, 1'006, "record");
  EXPECT_EQ(write_record(), "whole record");
}

TEST_F(stream_inbox_gaps_test, what_is_written_as_bytes_begins_inside_a_record) {
  inbox.begin(now, 5, 1'000, true);
  give(5, 1'000, 10, continues);
  give(6, 1'010, 10);
  EXPECT_EQ(write_bytes(), 20U);
}

TEST_F(stream_inbox_gaps_test, the_rest_of_a_record_behind_a_gap_is_not_written) {
  inbox.begin(now, 1, 0);
  give(1, 0, "first");
  give(2, 5, "the beginning ", continues);
  EXPECT_EQ(inbox.begin(now, 10, 1'000, true), 7U);
  give(10, 1'000, "of a record ", continues);
  give(11, 1'012, "that was cut");
  give(12, 1'024, "next");
  EXPECT_EQ(write_record(), "first");
  EXPECT_EQ(write_record(), "next");
  EXPECT_EQ(write_record(), std::nullopt);
  EXPECT_EQ(inbox.written(), 1'028U);
}

TEST_F(stream_inbox_gaps_test, the_rest_of_a_record_behind_a_gap_does_not_touch_what_is_on_its_way) {
  inbox.begin(now, 1, 0);
  give(1, 0, "first");
  const auto record = inbox.next_record();
  ASSERT_TRUE(record);
  inbox.pin(true);
  inbox.begin(now, 10, 1'000, true);
  give(10, 1'000, "the rest");
  give(11, 1'008, "next");
  inbox.drop_rest();
  EXPECT_EQ(as_text(record->first), "first");
  inbox.pin(false);
  const auto end = inbox.take_out(record->size());
  EXPECT_EQ(inbox.written(), 0U);
  const auto next = inbox.next_record();
  ASSERT_TRUE(next);
  EXPECT_EQ(as_text(next->first), "next");
  EXPECT_EQ(inbox.written(), 0U) << "stdout has nothing yet";
  inbox.on_written(now, end);
  EXPECT_EQ(inbox.written(), 1'008U);
}

TEST_F(stream_inbox_gaps_test, the_rest_of_a_record_may_be_cut_by_another_gap) {
  inbox.begin(now, 1, 0, true);
  give(1, 0, "the rest ", continues);
  inbox.begin(now, 10, 1'000, true);
  give(10, 1'000, "of another ", continues);
  inbox.begin(now, 20, 2'000);
  give(20, 2'000, "next");
  EXPECT_EQ(write_record(), "next");
  EXPECT_TRUE(inbox.is_drained());
  inbox.begin(now, 30, 3'000, true);
  inbox.begin(now, 40, 4'000);
  give(40, 4'000, "and on");
  EXPECT_EQ(write_record(), "and on") << "nothing of what was cut has come";
}

TEST_F(stream_inbox_gaps_test, the_rest_of_a_record_may_end_where_another_gap_begins) {
  for (const std::uint64_t offset : {2'000U, 1'008U}) {  // of bytes, and of packets without any
    inbox = stream_inbox(stream_inbox::first_window);
    inbox.begin(now, 1, 0);
    give(1, 0, "first");
    inbox.begin(now, 10, 1'000, true);
    give(10, 1'000, "the rest");
    inbox.begin(now, 20, offset);
    give(20, offset, "next");
    EXPECT_EQ(write_record(), "first");
    EXPECT_EQ(write_record(), "next");
    EXPECT_TRUE(inbox.is_drained());
  }
}

TEST_F(stream_inbox_gaps_test, a_gap_behind_the_rest_of_a_record_is_gone_over_before_anything_follows) {
  inbox.begin(now, 1, 0);
  give(1, 0, "first");
  inbox.begin(now, 10, 1'000, true);
  give(10, 1'000, "the rest ", continues);
  inbox.begin(now, 20, 2'000, true);
  EXPECT_EQ(write_record(), "first");
  inbox.drop_rest();
  EXPECT_EQ(inbox.written(), 2'000U);
  EXPECT_TRUE(inbox.is_drained());
  give(20, 2'000, "of another");
  give(21, 2'010, "next");
  EXPECT_EQ(write_record(), "next");
}

TEST_F(stream_inbox_gaps_test, what_is_late_may_end_inside_a_record) {
  inbox.begin(now, 1, 0);
  give(1, 0, "a ", continues);
  give(2, 2, "long ", continues);
  give(3, 7, "record");
  give(4, 13, "next");
  EXPECT_EQ(inbox.drop_late(7, true), 2U);
  EXPECT_EQ(write_record(), "next");
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, what_was_thrown_away_of_a_records_rest_is_not_written_when_it_comes_again) {
  inbox.begin(now, 1, 0, true);
  give(1, 0, "the ", continues);
  inbox.drop_rest();
  give(3, 8, "of ", continues);
  inbox.revoke(now);
  EXPECT_EQ(inbox.next(), 2U);
  give(2, 4, "end ", continues);
  give(3, 8, "of ", continues);
  give(4, 11, "it");
  give(5, 13, "next");
  EXPECT_EQ(write_record(), "next");
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_gaps_test, a_stream_that_ends_inside_the_rest_of_a_record_has_ended) {
  inbox.begin(now, 1, 0, true);
  give(1, 0, "the rest ", continues);
  give(2, 9, "", data_header::ends);
  EXPECT_EQ(write_record(), std::nullopt);
  EXPECT_TRUE(inbox.has_ended());
  EXPECT_TRUE(inbox.is_drained());
}

}  // namespace
}  // namespace nat
