// Where a record ends, and what is written of one that has no end yet.
#include "plain_random.hpp"
#include "stream_inbox_fixture.hpp"

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr auto continues = data_header::continues;
constexpr auto open_ended = data_header::open_ended;
constexpr auto ends = data_header::ends;

class stream_inbox_records_test : public stream_inbox_test {
 protected:
  void SetUp() override { inbox.begin(now, 1, 0); }
  /// The next packet of the stream.
  void next(std::string_view text, std::uint8_t flags = 0) {
    ASSERT_EQ(give(inbox.next(), inbox.in_order(), text, flags), verdict::taken);
  }
};

TEST_F(stream_inbox_records_test, each_packet_is_a_record_of_its_own) {
  next("one");
  next("two");
  EXPECT_EQ(write_record(), "one");
  EXPECT_EQ(write_record(), "two");
  EXPECT_EQ(write_record(), std::nullopt);
}

TEST_F(stream_inbox_records_test, a_record_that_goes_on_is_written_when_it_is_whole) {
  next("one ", continues);
  EXPECT_EQ(write_record(), std::nullopt);
  next("and ", continues);
  EXPECT_EQ(write_record(), std::nullopt);
  next("a half");
  next("two");
  EXPECT_EQ(write_record(), "one and a half");
  EXPECT_EQ(write_record(), "two");
}

TEST_F(stream_inbox_records_test, a_record_whose_middle_comes_last_is_written_then) {
  give(3, 6, "ef");
  give(1, 0, "abc", continues);
  EXPECT_EQ(write_record(), std::nullopt);
  give(2, 3, "def", continues);
  EXPECT_EQ(write_record(), "abcdefef");
}

TEST_F(stream_inbox_records_test, a_record_that_is_not_whole_is_not_written_however_long_nothing_comes) {
  next("one ", continues);
  EXPECT_EQ(write_record(), std::nullopt);
  acks_within(1h);
  EXPECT_FALSE(inbox.is_quiet());
  EXPECT_EQ(write_record(), std::nullopt);
}

TEST_F(stream_inbox_records_test, what_the_end_of_the_stream_cuts_is_written_as_it_is) {
  next("one ", continues);
  next("", ends);
  EXPECT_EQ(write_record(), "one ");
  EXPECT_TRUE(inbox.is_drained());
}

TEST_F(stream_inbox_records_test, a_record_is_in_two_parts_where_the_ring_ends) {
  std::string long_one(4000, 'a');
  next(long_one);
  write_record();
  next(std::string(90, 'b'), continues);
  next("0123456789");
  const auto record = inbox.next_record();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->first.size(), 96U);
  EXPECT_EQ(record->second.size(), 4U);
  EXPECT_EQ(write_record(), std::string(90, 'b') + "0123456789");
}

TEST_F(stream_inbox_records_test, a_record_carries_the_time_at_which_it_began_to_come) {
  next("one");
  now += 5s;
  next("two ", continues);
  now += 5s;
  next("three");
  EXPECT_EQ(inbox.next_record()->arrived, wall);
  write_record();
  EXPECT_EQ(inbox.next_record()->arrived, wall + 5000);
}

TEST_F(stream_inbox_records_test, a_record_larger_than_any_is_written_in_parts) {
  inbox.set_window(stream_inbox::largest_window);
  const std::string part(65'000, 'x');
  std::size_t given = 0;
  while (given < max_record) {
    ASSERT_EQ(inbox.next_record(), std::nullopt);
    next(part, continues);
    given += part.size();
  }
  EXPECT_EQ(write_record().value_or("").size(), given);
  next("the rest");
  EXPECT_EQ(write_record(), "the rest");
}

// ---- a stream of bytes

TEST_F(stream_inbox_records_test, of_a_stream_of_bytes_whole_lines_are_written_at_once) {
  next("one\ntwo\nthr", open_ended);
  EXPECT_EQ(write_record(), "one\ntwo\n");
  EXPECT_EQ(write_record(), std::nullopt);
  next("ee\n", open_ended);
  EXPECT_EQ(write_record(), "three\n");
  EXPECT_EQ(write_record(), std::nullopt);
}

TEST_F(stream_inbox_records_test, its_last_line_is_written_when_nothing_has_come_for_a_while) {
  next("one\nprompt> ", open_ended);
  EXPECT_EQ(write_record(), "one\n");
  EXPECT_EQ(write_record(), std::nullopt);
  acks_within(stream_inbox::quiet - 1ns);
  EXPECT_FALSE(inbox.is_quiet());
  EXPECT_EQ(write_record(), std::nullopt);
  acks_within(1ns);
  EXPECT_TRUE(inbox.is_quiet());
  EXPECT_EQ(write_record(), "prompt> ");
  acks_within(1h);
  EXPECT_EQ(write_record(), std::nullopt);
}

TEST_F(stream_inbox_records_test, its_last_line_waits_anew_after_each_packet) {
  next("a", open_ended);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(write_record(), std::nullopt);
    acks_within(stream_inbox::quiet - 1ms);
    next("b", open_ended);
  }
  EXPECT_EQ(write_record(), std::nullopt);
  acks_within(stream_inbox::quiet);
  EXPECT_EQ(write_record(), "abbbbbbbbbb");
}

TEST_F(stream_inbox_records_test, the_quiet_is_over_when_the_line_goes_on) {
  next("a", open_ended);
  write_record();
  acks_within(stream_inbox::quiet);
  ASSERT_TRUE(inbox.is_quiet());
  next("b", open_ended);
  EXPECT_FALSE(inbox.is_quiet());
  EXPECT_EQ(write_record(), std::nullopt);
  next("c\n", open_ended);
  EXPECT_EQ(write_record(), "abc\n");
}

TEST_F(stream_inbox_records_test, a_packet_that_is_not_open_ended_ends_the_line) {
  next("one\ntw", open_ended);
  next("o");
  EXPECT_EQ(write_record(), "one\ntwo");
  next("three");
  EXPECT_EQ(write_record(), "three");
}

TEST_F(stream_inbox_records_test, a_stream_of_bytes_is_written_in_pieces) {
  std::string text;
  for (int i = 0; i < 200; ++i) {
    const std::string part = std::string(999, static_cast<char>('a' + i % 26)) + "\n";
    next(part, open_ended);
    text += part;
  }
  std::string written;
  int pieces = 0;
  while (const auto record = write_record()) {
    EXPECT_LE(record->size(), stream_inbox::long_piece + size);
    EXPECT_EQ(record->back(), '\n');
    written += *record;
    ++pieces;
  }
  EXPECT_EQ(written, text);
  EXPECT_EQ(pieces, 4);
}

TEST_F(stream_inbox_records_test, a_line_without_end_is_written_when_the_stream_ends) {
  next("no newline", open_ended);
  next("", ends);
  EXPECT_EQ(write_record(), "no newline");
  EXPECT_EQ(write_record(), std::nullopt);
}

TEST_F(stream_inbox_records_test, records_of_any_size_come_out_as_they_were_put_in) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    plain_random random(seed);
    inbox = stream_inbox(stream_inbox::first_window);
    inbox.begin(now, 1, 0);
    std::vector<std::string> expected;
    std::vector<std::string> written;
    for (int i = 0; i < 100; ++i) {
      const auto text = std::string(random.next_u64() % 5000 + 1, static_cast<char>('a' + i % 26));
      for (std::size_t at = 0; at < text.size(); at += 1104) {
        const auto part = std::string_view(text).substr(at, 1104);
        next(part, at + part.size() < text.size() ? continues : std::uint8_t{0});
        if (random.next_u64() % 3 != 0) continue;
        while (const auto record = write_record()) written.push_back(*record);
      }
      expected.push_back(text);
    }
    while (const auto record = write_record()) written.push_back(*record);
    ASSERT_EQ(written, expected) << seed;
  }
}

}  // namespace
}  // namespace nat
