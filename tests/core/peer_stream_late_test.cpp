// Whoever comes late, and whatever comes late: --replay and --live.
#include "peer_stream_fixture.hpp"

namespace nat {
namespace {

class peer_stream_late_test : public peer_stream_test {
 protected:
  static peer_config replaying(std::size_t bytes, input_mode input = input_mode::bytes) {
    peer_config out;
    out.replay = bytes;
    out.input = input;
    return out;
  }
  static peer_config live(duration time, input_mode input = input_mode::lines) {
    peer_config out;
    out.live = time;
    out.input = input;
    return out;
  }
  static peer_config in_lines() {
    peer_config out;
    out.output = output_mode::lines;
    return out;
  }
  static bool all_but_data_of_ann(const seen_packet& packet) { return packet.sender != "ann" || !packet.is_data(); }
  void live_sender_and_a_reader_to_the_end() {
    auto config = live(200ms);
    config.quit_on_eof = 30s;
    add("ann", "203.0.113.1:1111", std::move(config));
    add("ben", "203.0.113.2:2222", with(std::nullopt, true));
    pass(1s);
  }
};

TEST_F(peer_stream_late_test, a_latecomer_gets_what_is_kept_and_the_others_nothing_twice) {
  three_peers(replaying(1 << 20));
  type("ann", "before\n");
  pass(10s);
  add("dan", "203.0.113.4:4444");
  pass(1s);
  type("ann", "after\n");
  pass(1s);
  EXPECT_EQ(read("dan"), "before\nafter\n");
  EXPECT_EQ(read("ben"), "before\nafter\n");
}

TEST_F(peer_stream_late_test, no_more_is_kept_than_was_asked_for) {
  three_peers(replaying(100'000, input_mode::lines), in_lines());
  const auto typed = pour("ann", 3'000'000);
  pass(5s);
  EXPECT_EQ(read("ben"), typed);
  EXPECT_GE(of("ann").engine->log().held_bytes(), 100'000U);
  EXPECT_LT(of("ann").engine->log().held_bytes(), 105'000U);
  add("dan", "203.0.113.4:4444", in_lines());
  pass(2s);
  const auto replayed = read("dan");
  EXPECT_TRUE(typed.ends_with(replayed));
  EXPECT_TRUE(replayed.starts_with("line ")) << replayed.substr(0, 40);
  EXPECT_GT(replayed.size(), 5'000U);
  EXPECT_LT(replayed.size(), 100'000U);
}

TEST_F(peer_stream_late_test, what_is_said_while_nobody_is_there_waits_for_who_comes) {
  auto config = replaying(1 << 20);
  config.wait_for = 0;
  add("ann", "203.0.113.1:1111", std::move(config));
  pass(10s);
  type("ann", "hello?\n");
  pass(60s);
  EXPECT_EQ(notes_of("ann", note_kind::input_lost), 0U);
  add("ben", "203.0.113.2:2222");
  pass(2s);
  EXPECT_EQ(read("ben"), "hello?\n");
}

TEST_F(peer_stream_late_test, who_comes_after_the_end_asks_and_is_answered_once) {
  three_peers();
  type("ann", "all\n");
  end_input("ann");
  end_input("ben");
  pass(10s);
  add("dan", "203.0.113.4:4444");
  end_input("dan");
  pass(10s);
  trace.clear();
  pass(10s);
  EXPECT_LT(sent_count(everything()), 60U) << "keepalives, and no answers to answers";
}

TEST_F(peer_stream_late_test, a_latecomer_gets_the_record_that_goes_on_whole) {
  auto config = peer_config{};
  config.input = input_mode::lines;
  auto reads_text = in_lines();
  three_peers(std::move(config), reads_text);
  type("ann", "a long line: " + std::string(20'000, 'x'));
  pass(1s);
  add("dan", "203.0.113.4:4444", in_lines());
  pass(1s);
  type("ann", "the end\n");
  pass(1s);
  EXPECT_EQ(read("dan"), "a long line: " + std::string(20'000, 'x') + "the end\n");
}

TEST_F(peer_stream_late_test, of_a_record_whose_beginning_is_not_kept_a_latecomer_writes_nothing_but_as_bytes) {
  auto config = peer_config{};
  config.input = input_mode::lines;
  three_peers(std::move(config));  // whose output is raw: they have written what has come
  type("ann", "a long line: " + std::string(20'000, 'x'));
  pass(1s);
  add("dan", "203.0.113.4:4444", in_lines());
  add("eve", "203.0.113.5:5555");
  pass(1s);
  ASSERT_GT(session_with("ann", "dan")->outgoing()->first(), 1U);
  type("ann", "the end\nnext\n");
  pass(1s);
  EXPECT_EQ(read("dan"), "next\n");
  EXPECT_THAT(read("eve"), testing::EndsWith("xthe endnext"));
  EXPECT_FALSE(of("ann").engine->log().holds(of("ann").engine->log().end() - 1)) << "all of it counts as written";
}

TEST_F(peer_stream_late_test, what_was_thrown_away_while_nobody_was_there_is_a_gap_for_who_comes_back) {
  add("ann", "203.0.113.1:1111");
  add("cat", "203.0.113.3:3333");
  pass(1s);
  type("ann", "1\n");
  pass(1s);
  const auto cat = listed(of("cat"));
  passes = [](const seen_packet&) { return false; };
  tell_all({.left = {cat.id}});
  pass(60s);
  type("ann", "2\n");
  pass(1s);
  ASSERT_EQ(notes_of("ann", note_kind::input_lost), 1U);
  passes = everything();
  tell_all({.joined = {cat}});
  pass(10s);
  type("ann", "3\n");
  pass(5s);
  EXPECT_EQ(read("cat"), "1\n3\n");
  EXPECT_GT(session_with("cat", "ann")->lost(), 0U);
  EXPECT_EQ(notes_of("cat", note_kind::gap), 1U);
}

TEST_F(peer_stream_late_test, live_records_come_whole_or_not_at_all_and_late_ones_are_told_of) {
  three_peers(live(200ms), in_lines());
  passes = losing(4);
  std::string typed;
  for (int i = 0; i < 600; ++i) {
    const auto line = std::to_string(i) + std::string(3'000, 'x') + '\n';
    type("ann", line);
    typed += line;
    pass(10ms);
    if (i == 300)
      passes = [](const seen_packet& packet) { return packet.relayed || packet.to.ip != ip("203.0.113.3"); };
    if (i == 300) relay_works = false;
    if (i == 400) passes = everything();
    if (i == 400) relay_works = true;
  }
  pass(5s);
  const auto got = read("cat");
  EXPECT_LT(got.size(), typed.size() - 50'000) << "a second and more did not come";
  EXPECT_GT(got.size(), typed.size() / 2);
  std::size_t at = 0;
  for (std::size_t from = 0; from < got.size();) {
    const auto end = got.find('\n', from) + 1;
    const auto found = typed.find(got.substr(from, end - from), at);
    ASSERT_NE(found, std::string::npos) << "whole lines, in order";
    at = found;
    from = end;
  }
  EXPECT_GT(notes_of("cat", note_kind::gap), 0U);
  EXPECT_LT(notes_of("cat", note_kind::gap), 12U) << "once a second at most";
}

TEST_F(peer_stream_late_test, what_is_missing_is_told_at_the_end_if_not_before) {
  live_sender_and_a_reader_to_the_end();
  type("ann", "here\n");
  for (int gaps = 0; gaps < 2; ++gaps) {  // the second is no second after the first
    passes = all_but_data_of_ann;
    type("ann", "gone\n");
    pass(250ms);
    passes = everything();
    type("ann", "here\n");
    pass(50ms);
  }
  EXPECT_EQ(notes_of("ben", note_kind::gap), 1U);
  end_input("ann");
  EXPECT_EQ(ended("ben")->status, 3);
  EXPECT_EQ(notes_of("ben", note_kind::gap), 2U);
}

TEST_F(peer_stream_late_test, a_live_sender_never_waits_and_its_end_is_never_late) {
  auto config = live(200ms, input_mode::bytes);
  config.quit_on_eof = 30s;
  three_peers(std::move(config));
  passes = [](const seen_packet& packet) { return packet.to.ip != ip("203.0.113.3"); };
  relay_works = false;
  for (int i = 0; i < 1000; ++i) {
    type("ann", std::string(10'000, 'x'));
    pass(2ms);
  }
  EXPECT_LT(of("ann").engine->log().held_bytes(), 3'000'000U);
  passes = everything();
  relay_works = true;
  pass(5s);
  end_input("ann");
  const auto how = ended("ann");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 0) << how->reason;
}

TEST_F(peer_stream_late_test, who_waits_for_the_end_of_a_live_stream_does_so_whatever_is_late) {
  live_sender_and_a_reader_to_the_end();
  type("ann", "1\n");
  pass(1s);
  passes = all_but_data_of_ann;
  type("ann", "2\n");
  pass(1s);
  passes = everything();
  type("ann", "3\n");
  pass(5s);
  ASSERT_GT(session_with("ben", "ann")->lost(), 0U);
  EXPECT_FALSE(is_leaving("ben"));
  type("ann", "4\n");
  end_input("ann");
  const auto how = ended("ben");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 3);
  EXPECT_EQ(how->reason, "a part is missing of what came from ann");
  EXPECT_EQ(read("ben"), "134");
  EXPECT_EQ(ended("ann")->status, 0) << "what was late it did not promise";
}

TEST_F(peer_stream_late_test, a_live_stream_of_which_nothing_is_missing_ends_well) {
  live_sender_and_a_reader_to_the_end();
  type("ann", "1\n");
  end_input("ann");
  EXPECT_EQ(ended("ben")->status, 0);
}

TEST_F(peer_stream_late_test, what_a_live_reader_does_not_take_in_time_it_does_not_get) {
  three_peers(live(200ms), in_lines());
  unread.insert("ben");
  for (int i = 0; i < 300; ++i) {
    type("ann", std::to_string(i) + ' ' + std::string(50'000, 'x') + '\n');
    pass(10ms);
  }
  unread.erase("ben");
  pass(1s);
  type("ann", "now\n");
  pass(1s);
  const auto got = read("ben");
  EXPECT_TRUE(got.ends_with("\nnow\n"));
  EXPECT_LT(got.size(), 2'000'000U) << "what stdout had, and 200 ms";
  EXPECT_GT(notes_of("ben", note_kind::gap), 0U);
}

TEST_F(peer_stream_late_test, a_record_that_fills_the_log_does_not_stop_a_live_sender) {
  auto config = live(200ms);
  config.memory = 4U << 20;
  three_peers(std::move(config));
  pass(1s);
  passes = [](const seen_packet& packet) { return packet.to.ip != ip("203.0.113.3"); };
  relay_works = false;
  pass(20s);
  constexpr std::size_t much = 12'000'000;
  const std::string chunk(10'000, 'x');
  std::size_t typed = 0;
  for (int i = 0; i < 5'000 && typed < much; ++i) {
    if (of("ann").engine->wants_input()) {
      type("ann", chunk);
      typed += chunk.size();
    }
    pass(2ms);
  }
  EXPECT_EQ(typed, much) << "whom nothing reaches, cat, is in nobody's way";
  pass(1s);
  EXPECT_GT(read("ben").size(), much / 2);
}

}  // namespace
}  // namespace nat
