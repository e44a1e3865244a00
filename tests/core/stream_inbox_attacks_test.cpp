// Members of the topic who break the rules: what they say of a stream stays within the room that it has.
#include "plain_random.hpp"
#include "stream_inbox_fixture.hpp"

#include <bit>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr auto most = UINT64_MAX;

class stream_inbox_attacks_test : public stream_inbox_test {
 protected:
  std::uint64_t draw(std::uint64_t below) { return random.next_u64() % below; }
  /// Near where the stream is, at its bounds, or anywhere.
  std::uint64_t some_number() { return near(inbox.next()); }
  std::uint64_t some_offset() { return near(inbox.in_order()); }
  std::uint64_t near(std::uint64_t place) {
    switch (draw(8)) {
      case 0: return draw(4);
      case 1: return most - draw(4);
      case 2: return random.next_u64();
      case 3: return place + inbox.window() - 2 + draw(4);
      case 4: return place + stream_window_packets - 2 + draw(4);
      case 5: return std::uint64_t{1} << draw(64);
      default: return place - 2 + draw(40);
    }
  }
  std::size_t some_size() {
    constexpr std::size_t sizes[] = {0, 1, 2, 100, 1104, 4096, 65'534, 65'535, 65'536};
    return sizes[draw(std::size(sizes))];
  }
  /// Reads every byte that is handed out, so that a place out of bounds is seen.
  void use_output() {
    const auto record = draw(2) == 0 ? inbox.next_record() : inbox.next_bytes(draw(100'000));
    if (!record) return;
    ASSERT_LE(record->size(), inbox.held_bytes());
    ASSERT_GT(record->size(), 0U);
    unsigned sum = 0;
    for (const auto byte : whole(*record)) sum += byte;
    EXPECT_LE(sum, 255U * record->size());
    const auto end = inbox.take_out(record->size());
    if (draw(4) != 0) inbox.on_written(now, end);
  }
  void expect_bounded() {
    ASSERT_LE(inbox.held_bytes(), std::max(inbox.window(), std::size_t{4096}));
    now += std::chrono::microseconds(draw(20'000));
    inbox.on_time(now);
    const auto told = acks(10ms);
    ASSERT_LE(told.size(), stream_inbox::max_acks_at_once);
    for (const auto& ack : told) {
      ASSERT_EQ(ack.next, inbox.next());
      ASSERT_LE(ack.unwritten, ack.limit);
    }
    const auto due = inbox.next_deadline();
    ASSERT_TRUE(!due || *due > now) << "a deadline in the past would spin";
  }

  plain_random random;
};

TEST_F(stream_inbox_attacks_test, a_stream_that_begins_at_number_0_or_beyond_any_number_does_not_begin) {
  for (const auto number : {std::uint64_t{0}, most, most - 1, (most >> 1) + 1}) {
    inbox.begin(now, number, 0);
    EXPECT_FALSE(inbox.has_begun()) << number;
    EXPECT_EQ(inbox.next_deadline(), std::nullopt) << "nothing to acknowledge, no deadline that spins";
    EXPECT_EQ(give(number, 0, 10), verdict::not_begun);
  }
}

TEST_F(stream_inbox_attacks_test, a_stream_that_begins_beyond_any_offset_does_not_begin) {
  inbox.begin(now, 1, most - 10);
  EXPECT_FALSE(inbox.has_begun());
  inbox.begin(now, 1, std::nullopt);
  EXPECT_EQ(give(1, most - 10, 100), verdict::no_room);
  EXPECT_EQ(inbox.held_bytes(), 0U);
}

TEST_F(stream_inbox_attacks_test, the_first_packet_is_no_larger_than_the_window_though_its_offset_is_not_known) {
  inbox = stream_inbox(stream_inbox::least_window);
  inbox.begin(now, 1, std::nullopt);
  EXPECT_EQ(give(1, 77, stream_inbox::least_window + 1), verdict::no_room);
  EXPECT_EQ(give(1, 77, stream_inbox::least_window), verdict::taken);
  EXPECT_EQ(inbox.held_bytes(), stream_inbox::least_window);
}

TEST_F(stream_inbox_attacks_test, a_payload_larger_than_the_window_never_has_room) {
  inbox = stream_inbox(stream_inbox::least_window);
  inbox.begin(now, 1, 0);
  EXPECT_EQ(give(1, 0, 65'535), verdict::no_room);
  EXPECT_EQ(inbox.held_bytes(), 0U);
}

TEST_F(stream_inbox_attacks_test, payloads_of_65535_bytes_are_taken_where_there_is_room) {
  inbox.begin(now, 1, 0);
  for (std::uint64_t number = 1; number <= 4; ++number) {
    EXPECT_EQ(give(number, (number - 1) * 65'535, 65'535), verdict::taken);
  }
  EXPECT_EQ(give(5, 4 * 65'535, 65'535), verdict::no_room);
  EXPECT_EQ(write_bytes(), 4 * 65'535U);
  EXPECT_EQ(give(5, 4 * 65'535, 65'535), verdict::taken) << "in two parts at the ring's end";
  EXPECT_EQ(write_bytes(), 65'535U);
  EXPECT_EQ(inbox.held_bytes(), stream_inbox::first_window);
}

TEST_F(stream_inbox_attacks_test, a_payload_larger_than_a_datagram_is_none) {
  inbox.begin(now, 1, 0);
  EXPECT_EQ(give(1, 0, 65'536), verdict::no_room);
}

TEST_F(stream_inbox_attacks_test, a_place_that_contradicts_its_neighbours_is_none) {
  inbox.begin(now, 1, 0);
  full(1);
  full(5);
  EXPECT_EQ(give(2, size + 1, size), verdict::conflicting) << "not where the last one ends";
  EXPECT_EQ(give(3, size - 1, size), verdict::conflicting) << "in what has come";
  EXPECT_EQ(give(4, 3 * size, size + 1), verdict::conflicting) << "it reaches into the next one";
  EXPECT_EQ(give(4, 3 * size, size - 1), verdict::conflicting) << "it does not reach the next one";
  EXPECT_EQ(give(6, 5 * size + 1, size), verdict::conflicting) << "it begins behind the last one's end";
  EXPECT_EQ(inbox.packets(), 2U);
  for (const std::uint64_t number : {2U, 3U, 4U, 6U}) EXPECT_EQ(full(number), verdict::taken);
  EXPECT_EQ(write_bytes(), 6 * size);
}

TEST_F(stream_inbox_attacks_test, places_near_the_end_of_all_numbers_have_no_room) {
  inbox.begin(now, 1, 0);
  for (const auto number : {most, most - 1, std::uint64_t{1} << 63, stream_window_packets + 1}) {
    EXPECT_EQ(give(number, 2000, 10), verdict::no_room) << number;
  }
  for (const auto offset : {most, most - 10, most - 9, std::uint64_t{stream_inbox::first_window}}) {
    EXPECT_EQ(give(2, offset, 10), verdict::no_room) << offset;
  }
  EXPECT_EQ(inbox.held_bytes(), 0U);
}

TEST_F(stream_inbox_attacks_test, empty_payloads_fill_the_window_of_packets_and_no_more) {
  inbox.begin(now, 1, 0);
  std::uint64_t number = 2;
  while (give(number, 0, 0) == verdict::taken) ++number;
  EXPECT_EQ(number, stream_window_packets + 1);
  EXPECT_EQ(inbox.held_bytes(), 0U);
  EXPECT_EQ(give(1, 0, 0), verdict::taken);
  EXPECT_EQ(inbox.next(), stream_window_packets + 1);
  EXPECT_EQ(inbox.next_bytes(1000), std::nullopt);
  EXPECT_EQ(inbox.next_record(), std::nullopt);
}

TEST_F(stream_inbox_attacks_test, empty_payloads_in_order_do_not_close_the_stream) {
  inbox.begin(now, 1, 0);
  const auto many = 2 * stream_window_packets;
  for (std::uint64_t number = 1; number <= many; ++number) ASSERT_EQ(give(number, 0, 0), verdict::taken) << number;
  EXPECT_EQ(give(many + 1, 0, size), verdict::taken);
  EXPECT_EQ(write_bytes(), size);
}

TEST_F(stream_inbox_attacks_test, whatever_is_said_stays_within_the_window) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    random = plain_random(seed);
    inbox = stream_inbox(std::size_t{stream_inbox::least_window} << draw(4));
    now = start;
    if (draw(4) != 0) inbox.begin(now, 1, draw(2) == 0 ? std::optional<std::uint64_t>() : 0);
    for (int step = 0; step < 400; ++step) {
      switch (draw(8)) {
        case 0: {
          const auto offset = draw(4) == 0 ? std::nullopt : std::optional(some_offset());
          inbox.begin(now, some_number(), offset);
          break;
        }
        case 1: use_output(); break;
        case 2:
          if (inbox.window() < stream_inbox::first_window) inbox.set_window(inbox.window() * 2);
          break;
        case 3:
        case 4: give(inbox.next(), inbox.in_order(), some_size(), static_cast<std::uint8_t>(draw(8))); break;
        default: give(some_number(), some_offset(), some_size(), static_cast<std::uint8_t>(draw(8)));
      }
      ASSERT_NO_FATAL_FAILURE(expect_bounded());
    }
  }
}

}  // namespace
}  // namespace nat
