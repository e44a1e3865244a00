// A peer that takes its time, or takes nothing: who waits for it, and for how long.
#include "peer_stream_fixture.hpp"

namespace nat {
namespace {

using testing::EndsWith;

class peer_stream_slow_test : public peer_stream_test {
 protected:
  static peer_config small(duration slow_peer = std::chrono::minutes(5), bool drops = false) {
    peer_config out;
    out.memory = 4U << 20;
    out.slow_peer = slow_peer;
    out.drops_slow_peers = drops;
    return out;
  }
  void two_peers(const peer_config& sender) {
    add("ann", "203.0.113.1:1111", sender);
    add("ben", "203.0.113.2:2222", small());
    pass(1s);
  }
};

TEST_F(peer_stream_slow_test, a_peer_whose_stdout_stands_still_holds_the_sender_up_and_no_memory_grows) {
  peer_config small;
  small.memory = 4U << 20;
  three_peers(small, small);
  unread.insert("cat");
  const auto typed = pour("ann", 20U << 20);
  EXPECT_LT(typed.size(), 9U << 20) << "what both may keep, and what is on its way";
  unread.clear();
  serve_all();
  pass(1min);
  EXPECT_TRUE(read("ben") == typed);
  EXPECT_TRUE(read("cat") == typed);
}

TEST_F(peer_stream_slow_test, who_makes_no_progress_for_too_long_is_left_behind_and_both_sides_say_so) {
  peer_config small;
  small.memory = 4U << 20;
  small.slow_peer = 60s;
  three_peers(small, small);
  unread.insert("cat");
  const auto typed = pour("ann", 20U << 20);
  EXPECT_GE(typed.size(), 20U << 20);
  pass(10s);
  EXPECT_TRUE(read("ben") == typed);
  EXPECT_EQ(notes_of("ann", note_kind::left_behind), 1U);
  unread.clear();
  serve_all();
  pass(10s);
  type("ann", "and on\n");
  pass(10s);
  EXPECT_GE(notes_of("cat", note_kind::gap), 1U);
  EXPECT_THAT(read("cat"), testing::EndsWith("and on\n"));
}

TEST_F(peer_stream_slow_test, stdin_goes_on_where_the_only_peer_was_left_behind) {
  two_peers(small(60s));
  unread.insert("ben");
  const auto typed = pour("ann", 40U << 20);
  EXPECT_GE(typed.size(), 40U << 20);
  EXPECT_EQ(notes_of("ann", note_kind::left_behind), 1U) << "it is said once";
  unread.clear();
  serve_all();
  pass(10s);
  type("ann", "and on\n");
  pass(10s);
  EXPECT_GE(notes_of("ben", note_kind::gap), 1U);
  const auto heard = read("ben");
  std::size_t same = 0;
  while (same < heard.size() && heard[same] == typed[same]) ++same;
  EXPECT_GT(same, 100'000U) << "what it had room for";
  EXPECT_TRUE((typed + "and on\n").ends_with(heard.substr(same))) << "one gap";
  EXPECT_GT(heard.size() - same, 7U);
}

TEST_F(peer_stream_slow_test, who_comes_back_to_a_sender_that_says_much_has_a_moment_to_take_some) {
  two_peers(small(10s));
  type("ann", "before\n");
  pass(1s);
  ASSERT_EQ(read("ben"), "before\n");
  passes = [](const seen_packet&) { return false; };
  relay_works = false;
  pour("ann", 40U << 20);
  ASSERT_EQ(notes_of("ann", note_kind::left_behind), 1U);
  pass(3min);  // its last moment is long over
  passes = everything();
  relay_works = true;
  while (!session_with("ann", "ben")->outgoing()->has_path()) pass(100ms);
  const auto typed = pour("ann", 40U << 20);
  EXPECT_GE(typed.size(), 40U << 20);
  pass(10s);
  const auto heard = read("ben");
  ASSERT_GT(heard.size(), 30U << 20) << "it is waited for again";
  EXPECT_TRUE(typed.ends_with(heard.substr(heard.size() - (20U << 20))));
}

TEST_F(peer_stream_slow_test, nobody_is_dropped_whom_no_other_waits_for) {
  two_peers(small(std::chrono::minutes(30), true));
  unread.insert("ben");
  const auto typed = pour("ann", 20U << 20);
  EXPECT_LT(typed.size(), 9U << 20) << "what both may keep, and what is on its way";
  EXPECT_EQ(notes_of("ann", note_kind::left_behind), 0U);
  unread.clear();
  serve_all();
  pass(1min);
  EXPECT_TRUE(read("ben") == typed);
}

TEST_F(peer_stream_slow_test, whom_others_wait_for_is_dropped) {
  three_peers(small(std::chrono::minutes(30), true), small());
  unread.insert("cat");
  const auto typed = pour("ann", 40U << 20);
  EXPECT_GE(typed.size(), 40U << 20);
  pass(10s);
  EXPECT_TRUE(read("ben") == typed) << "who keeps up lacks nothing";
  EXPECT_GE(notes_of("ann", note_kind::left_behind), 1U);
}

TEST_F(peer_stream_slow_test, a_seed_peer_goes_on_where_the_only_peer_of_ours_was_left_behind) {
  two_peers(small(10s));
  add_seed("sid", "203.0.113.9:9999");
  std::vector<std::uint8_t> noise(header_size);
  plain_random random;
  encode_header(noise, packet_kind::ping, random);
  passes = [](const seen_packet&) { return false; };
  relay_works = false;
  const auto to_seed = [&] {
    return std::ranges::count_if(trace,
                                 [&](const auto& each) { return each.is_data() && each.to == of("sid").address; });
  };
  const auto hear_and_type = [&](int times) {
    for (int i = 0; i < times; ++i) {
      of("ann").engine->on_datagram(now, wall, of("sid").address, noise);
      type("ann", std::string(1'000, 'x'));
      pass(1s);
    }
  };
  hear_and_type(20);
  const auto before = to_seed();
  EXPECT_GE(before, 15);
  unread.insert("ben");
  hear_and_type(20);
  EXPECT_GE(to_seed() - before, 20);
}

}  // namespace
}  // namespace nat
