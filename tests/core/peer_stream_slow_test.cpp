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
  /// A PING of the seed protocol.
  static std::vector<std::uint8_t> noise() {
    std::vector<std::uint8_t> out(header_size);
    plain_random random;
    encode_header(out, packet_kind::ping, random);
    return out;
  }
  /// Types lines that never come again, as long as they are read at once, and no more than so much.
  void type_on(const std::string& name, std::string& typed, std::size_t most) {
    for (const auto end = typed.size() + most; typed.size() < end && of(name).engine->wants_input();) {
      const auto begin = typed.size();
      while (typed.size() < begin + 40'000) typed += "line " + std::to_string(++lines_typed_) + '\n';
      of(name).engine->on_input(now, as_bytes(typed).subspan(begin));
    }
  }
  void two_peers(const peer_config& sender) {
    add("ann", "203.0.113.1:1111", sender);
    add("ben", "203.0.113.2:2222", small());
    pass(1s);
  }

  std::uint64_t lines_typed_ = 0;
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

TEST_F(peer_stream_slow_test, who_comes_back_to_a_sender_that_says_much_is_waited_for_again) {
  two_peers(small(10s));
  type("ann", "before\n");
  pass(1s);
  ASSERT_EQ(read("ben"), "before\n");
  passes = [](const seen_packet&) { return false; };
  relay_works = false;
  pour("ann", 40U << 20);
  ASSERT_EQ(notes_of("ann", note_kind::left_behind), 1U);
  passes = everything();
  relay_works = true;
  while (!session_with("ann", "ben")->outgoing()->has_path()) pass(100ms);
  std::string typed;
  while (typed.size() < 120U << 20) {  // a log in less than a round trip, as long as nobody is waited for
    type_on("ann", typed, 5U << 20);
    pass(5ms);
  }
  pass(10s);
  const auto heard = read("ben");
  ASSERT_GT(heard.size(), 60U << 20);
  EXPECT_TRUE(typed.ends_with(heard.substr(heard.size() - (50U << 20))));
}

TEST_F(peer_stream_slow_test, who_reads_again_what_came_before_the_gap_is_waited_for) {
  add("ann", "203.0.113.1:1111", small(10s));
  add("ben", "203.0.113.2:2222");
  pass(1s);
  auto typed = pour("ann", 60U << 20);
  pass(1s);
  ASSERT_TRUE(read("ben") == typed) << "and its window has grown";
  unread.insert("ben");
  typed = pour("ann", 60U << 20);
  ASSERT_EQ(notes_of("ann", note_kind::left_behind), 1U);
  auto& ben = *of("ben").engine;
  std::string heard;
  const auto read_some = [&] {
    std::vector<std::uint8_t> some;
    ben.next_output(some);
    ben.on_output_written(now, some.size());
    heard += as_text(some);
  };
  const auto is_known_to_read = [&] { return session_with("ann", "ben")->takes_again; };
  for (int i = 0; i < 5 && !is_known_to_read(); ++i) {  // it says so when it is told of the gap that follows
    type_on("ann", typed, 5U << 20);
    read_some();
    pass(10ms);
  }
  ASSERT_TRUE(is_known_to_read());
  ASSERT_GT(ben.sessions().by_name("ann")->held_bytes(), 2U << 20) << "of what came before the gap";
  typed.clear();
  while (typed.size() < 40U << 20) {  // much faster than it is read, as long as nobody is waited for
    type_on("ann", typed, 8U << 20);
    read_some();
    pass(10ms);
  }
  for (int i = 0; i < 50; ++i) {
    while (ben.has_output()) read_some();
    pass(10ms);
  }
  EXPECT_TRUE(heard.ends_with(typed)) << "nothing is lost since it reads";
}

TEST_F(peer_stream_slow_test, who_takes_nothing_is_not_sent_more_and_more) {
  two_peers(small(10s));
  unread.insert("ben");
  pour("ann", 20U << 20);
  ASSERT_EQ(notes_of("ann", note_kind::left_behind), 1U);
  pass(1s);
  trace.clear();
  pour("ann", 100U << 20);
  EXPECT_LT(std::ranges::count_if(trace, &seen_packet::is_data), 20);
}

TEST_F(peer_stream_slow_test, who_stands_still_does_not_take_the_time_that_a_newcomer_has) {
  two_peers(small(10s));
  unread.insert("ben");
  pour("ann", 20U << 20);
  ASSERT_EQ(notes_of("ann", note_kind::left_behind), 1U);
  passes = [&](const seen_packet& each) {
    return !each.relayed && each.sender != "cat" && each.to.ip != ip("203.0.113.3");
  };
  add("cat", "203.0.113.3:3333");
  pass(1s);
  auto typed = pour("ann", 1'000);
  passes = everything();
  while (typed.size() < 5U << 20) typed += pour("ann", 10'000);
  pass(5s);
  EXPECT_TRUE(read("cat") == typed);
}

TEST_F(peer_stream_slow_test, nobody_is_dropped_whom_no_other_waits_for) {
  for (const bool two : {false, true}) {
    add("ann", "203.0.113.1:1111", small(std::chrono::minutes(30), true));
    add("ben", "203.0.113.2:2222");
    if (two) add("cat", "203.0.113.3:3333");
    pass(1s);
    auto typed = pour("ann", 60U << 20);
    pass(1s);
    ASSERT_TRUE(read("ben") == typed) << "and its window has grown";
    unread = {"ben", "cat"};
    const auto more = pour("ann", 20U << 20);
    EXPECT_LT(more.size(), 9U << 20) << "what ann may keep, and what is on its way";
    EXPECT_GT(of("ann").engine->log().held_bytes() + 2 * max_datagram, of("ann").engine->log().max_bytes());
    EXPECT_EQ(notes_of("ann", note_kind::left_behind), 0U);
    unread.clear();
    serve_all();
    pass(1min);
    EXPECT_TRUE(read("ben") == more);
    for (const auto* name : {"ann", "ben"}) vanish(name);
    if (two) vanish("cat");
  }
}

TEST_F(peer_stream_slow_test, whom_others_wait_for_is_dropped_at_once) {
  three_peers(small(std::chrono::minutes(30), true), small());
  unread.insert("cat");
  const auto begin = now;
  const auto typed = pour("ann", 60U << 20);
  EXPECT_GE(typed.size(), 60U << 20);
  EXPECT_LT(now - begin, 10s);
  pass(10s);
  EXPECT_TRUE(read("ben") == typed) << "who keeps up lacks nothing";
  EXPECT_GE(notes_of("ann", note_kind::left_behind), 1U);
}

TEST_F(peer_stream_slow_test, who_is_in_the_way_of_a_seed_peer_is_dropped) {
  two_peers(small(std::chrono::minutes(30), true));
  add_seed("sid", "203.0.113.9:9999");
  unread.insert("ben");
  const auto typed_for = [&](int seconds) {
    std::size_t typed = 0;
    for (int i = 0; i < 10 * seconds; ++i) {
      of("ann").engine->on_datagram(now, wall, of("sid").address, noise());
      for (; of("ann").engine->wants_input(); typed += 50'000) {
        of("ann").engine->on_input(now, as_bytes(std::string(49'999, 'x') + '\n'));
      }
      pass(100ms);
    }
    return typed;
  };
  typed_for(30);
  EXPECT_GE(typed_for(30), 10'000'000U);
  EXPECT_GE(notes_of("ann", note_kind::left_behind), 1U);
}

TEST_F(peer_stream_slow_test, a_seed_peer_goes_on_where_the_only_peer_of_ours_was_left_behind) {
  two_peers(small(10s));
  add_seed("sid", "203.0.113.9:9999");
  passes = [](const seen_packet&) { return false; };
  relay_works = false;
  const auto to_seed = [&] {
    return std::ranges::count_if(trace,
                                 [&](const auto& each) { return each.is_data() && each.to == of("sid").address; });
  };
  const auto hear_and_type = [&](int times) {
    for (int i = 0; i < times; ++i) {
      of("ann").engine->on_datagram(now, wall, of("sid").address, noise());
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
