// What a sender waits for, and what it throws away while nobody is there.
#include "sender_fixture.hpp"

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

TEST_F(sender_test, has_caught_up_once_all_that_can_leave_has_left_and_the_log_is_trimmed) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  pump(start);
  EXPECT_TRUE(from_stdin->is_caught_up());
  type("one\n");
  pump(start);
  EXPECT_TRUE(from_stdin->is_caught_up());
  acknowledge(start + 1ms);
  pump(start + 1ms);
  EXPECT_FALSE(from_stdin->is_caught_up()) << "what is on its way may refer to the log";
  sent();
  pump(start + 1ms);
  EXPECT_TRUE(from_stdin->is_caught_up());
  type(std::string(60'000, 'x') + "\n");
  pump(start + 1ms);
  EXPECT_FALSE(from_stdin->is_caught_up()) << "it is more than may be under way";
}

TEST_F(sender_test, has_not_caught_up_while_somebody_could_not_be_told_where_the_stream_begins) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  may_tell = false;
  type("one\n");
  pump(start);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_FALSE(from_stdin->is_caught_up());
  direct_peer("erin", 5, 55);
  may_tell = true;
  pump(start);
  EXPECT_TRUE(from_stdin->is_caught_up());
}

TEST_F(sender_test, who_comes_back_has_a_gap_where_input_was_thrown_away_and_who_is_new_begins_behind_it) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  type("one\n");
  pump(start);
  sent();
  acknowledge(start + 1ms);
  pump(start + 1ms);
  EXPECT_FALSE(from_stdin->is_awaited());
  ours.remove(start + 1s, "dave");
  type("lost\n");
  const auto now = start + 1s + sender::keeps_for_return;
  pump(now);
  EXPECT_TRUE(from_stdin->take_loss());
  EXPECT_EQ(from_stdin->packets(), 1U);
  EXPECT_FALSE(from_stdin->is_awaited());
  auto& who = peer_of_ours("dave", 4);
  make_ready(now, asked, who, *who.paths().find(seed_at(44)), 2);
  direct_peer("erin", 5, 55);
  type("two\n");
  pump(now);
  EXPECT_EQ(who.outgoing()->first(), 3U);
  EXPECT_EQ(who.outgoing()->first_offset(), 7U);
  EXPECT_EQ(ours.by_name("erin")->outgoing()->first(), 3U);
  EXPECT_EQ(from_stdin->take_left_behind(), &who);
  EXPECT_EQ(from_stdin->take_left_behind(), nullptr);
}

}  // namespace
}  // namespace nat
