// Who may hold how much of what is not written yet.
#include "nat/receiver.hpp"

#include "session_fixture.hpp"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t memory = 8U << 20;
constexpr std::size_t payload_size = 1000;

class receiver_memory_test : public testing::Test {
 protected:
  /// A peer that has proved itself, and whose stream begins.
  session& sender(sender_id id) {
    const auto name = "peer" + std::to_string(id);
    auto& who = all.add(now, name, keys.tag_of(name));
    who.paths().set_relay(now, true);
    auto& by = who.paths().relay();
    const auto ping = proof(now, asked, who, by, 1, id);
    EXPECT_TRUE(who.take_number(ping));
    who.on_ping(now, asked, by, ping, own_id);
    all.on_fresh(who);
    to_stdout.admit(who, all);
    who.on_stream(now, {.first = 1, .offset = 0}, 0);
    return who;
  }
  /// So many packets more of a record, as far as there is room.
  std::size_t send(session& who, std::size_t packets, bool ends = false) {
    std::size_t taken = 0;
    for (; taken < packets; ++taken) {
      const auto number = who.inbox().next();
      const auto flags = ends && taken + 1 == packets ? std::uint8_t{0} : data_header::continues;
      const data_header header{.number = number, .offset = (number - 1) * payload_size, .flags = flags};
      if (who.inbox().judge(header, payload_size) != stream_inbox::verdict::taken) break;
      who.inbox().take(now, 0, header, payload);
      to_stdout.grant(now, who, all);
    }
    return taken;
  }
  std::size_t held() const {
    std::size_t sum = 0;
    all.for_each([&](const session& each) { sum += each.inbox().held_bytes(); });
    all.for_each_retired([&](const session& each) { sum += each.inbox().held_bytes(); });
    return sum;
  }

  time_point now{1h};
  plain_random random;
  topic_keys keys = topic_keys::open("T");
  challenges asked{random};
  session_table all;
  receiver to_stdout{output_mode::text, memory};
  const std::vector<std::uint8_t> payload = std::vector<std::uint8_t>(payload_size, 'x');
};

TEST_F(receiver_memory_test, three_large_records_have_a_place_and_the_fourth_waits) {
  for (sender_id id = 1; id <= 3; ++id) EXPECT_EQ(send(sender(id), 1900), 1900U) << id;
  EXPECT_LT(send(sender(4), 1900), 1900U);
  EXPECT_LE(held(), memory);
}

TEST_F(receiver_memory_test, who_is_silent_for_ten_seconds_loses_its_place_and_what_it_held) {
  auto& first = sender(1);
  send(first, 1900);
  for (sender_id id = 2; id <= 3; ++id) send(sender(id), 1900);
  auto& fourth = sender(4);
  const auto before = send(fourth, 1900);
  now += receiver::silence;
  send(*all.by_sender(2), 1);
  send(*all.by_sender(3), 1);
  to_stdout.grant(now, fourth, all);
  EXPECT_EQ(send(fourth, 1900 - before), 1900 - before);
  EXPECT_EQ(first.inbox().next(), 1U);
  EXPECT_EQ(first.inbox().ack_flags(), ping_acknowledgement::revoked);
  EXPECT_EQ(first.inbox().held_bytes(), 0U);
  EXPECT_LE(held(), memory);
}

TEST_F(receiver_memory_test, what_is_held_behind_a_hole_is_given_to_others_when_its_sender_is_silent) {
  const auto hold_behind_a_hole = [&](session& who) {
    auto& inbox = who.inbox();
    inbox.set_window(4U << 20);
    inbox.ask_for_ack(now);
    ASSERT_TRUE(inbox.next_ack(now, 1ms));
    const data_header header{.number = 4000, .offset = 3999 * payload_size};
    ASSERT_EQ(inbox.judge(header, payload_size), stream_inbox::verdict::taken);
    inbox.take(now, 0, header, payload);
    ASSERT_EQ(inbox.held_bytes(), 4U << 20);
  };
  receiver bytes(output_mode::raw, memory);
  auto& first = sender(1);
  auto& second = sender(2);
  hold_behind_a_hole(first);
  hold_behind_a_hole(second);
  all.remove(now, second.name());
  auto& third = sender(3);
  send(third, 250);
  const auto narrow = third.inbox().window();
  bytes.grant(now, third, all);
  EXPECT_EQ(third.inbox().window(), narrow);
  now += receiver::silence;
  bytes.grant(now, third, all);
  EXPECT_GT(third.inbox().window(), narrow);
  EXPECT_EQ(first.inbox().ack_flags(), ping_acknowledgement::revoked);
  EXPECT_LT(held(), memory / 4);
}

TEST_F(receiver_memory_test, a_record_that_is_being_written_is_not_thrown_away) {
  auto& first = sender(1);
  send(first, 2200);  // more than a record may have: it is written in parts
  for (sender_id id = 2; id <= 3; ++id) send(sender(id), 1900);
  to_stdout.on_arrival(now, first);
  std::vector<std::uint8_t> out;
  to_stdout.next_output(out, all);
  ASSERT_TRUE(first.inbox().is_pinned());
  now += receiver::silence;
  send(*all.by_sender(2), 1);
  send(*all.by_sender(3), 1);
  auto& fourth = sender(4);
  send(fourth, 1900);
  EXPECT_GT(first.inbox().next(), 1U);
  out.clear();
  to_stdout.next_output(out, all);
  EXPECT_EQ(std::ranges::count(out, 'x'), static_cast<std::ptrdiff_t>(out.size()));
}

TEST_F(receiver_memory_test, a_place_is_kept_from_record_to_record_while_nobody_waits_for_it) {
  auto& first = sender(1);
  send(first, 1900, true);
  const auto window = first.inbox().window();
  EXPECT_GT(window, 1900 * payload_size);
  first.inbox().on_written(now, first.inbox().take_out(1900 * payload_size));
  EXPECT_EQ(send(first, 1900), 1900U) << "nothing that was promised is dropped";
}

TEST_F(receiver_memory_test, who_left_keeps_no_memory_unless_it_holds_something) {
  auto& first = sender(1);
  send(first, 10, true);
  EXPECT_GT(held(), 0U);
  first.inbox().on_written(now, first.inbox().take_out(10 * payload_size));
  all.remove(now, first.name());
  EXPECT_EQ(held(), 0U);
  auto& second = sender(2);
  send(second, 10);
  all.remove(now, second.name());
  EXPECT_GT(held(), 0U);
}

}  // namespace
}  // namespace nat
