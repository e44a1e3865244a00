// Streams between whole engines: nothing is lost, and how a sender and a receiver end.
#include "peer_stream_fixture.hpp"

namespace nat {
namespace {

using testing::HasSubstr;

TEST_F(peer_stream_test, everything_comes_in_order_where_a_fifth_of_all_packets_is_lost) {
  three_peers();
  passes = losing(5);
  const auto typed = pour("ann", 300'000);
  pass(30s);
  EXPECT_EQ(read("ben"), typed);
  EXPECT_EQ(read("cat"), typed);
}

TEST_F(peer_stream_test, everything_comes_in_order_by_a_relay_that_loses) {
  passes = no_datagrams();
  three_peers();
  passes = [lose = losing(7)](const seen_packet& packet) { return packet.relayed && lose(packet); };
  const auto typed = pour("ann", 200'000);
  pass(60s);
  EXPECT_EQ(read("ben"), typed);
}

TEST_F(peer_stream_test, a_sender_ends_well_once_everybody_has_written_everything) {
  three_peers(with(30s));
  const auto typed = pour("ann", 100'000);
  end_input("ann");
  const auto how = ended("ann");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 0) << how->reason;
  EXPECT_EQ(read("ben"), typed);
  EXPECT_EQ(read("cat"), typed);
}

TEST_F(peer_stream_test, once_everything_is_written_and_the_end_is_known_both_sides_are_silent) {
  three_peers();
  pour("ann", 50'000);
  end_input("ann");
  pass(10s);
  trace.clear();
  pass(10s);
  EXPECT_LT(sent_count(everything()), 60U) << "keepalives, and no answers to answers";
}

TEST_F(peer_stream_test, a_sender_names_who_has_not_everything) {
  three_peers(with(30s));
  pour("ann", 50'000);
  passes = [](const seen_packet& packet) { return packet.sender != "cat" && packet.to.ip != ip("203.0.113.3"); };
  relay_works = false;
  pour("ann", 50'000);
  end_input("ann");
  const auto since = now;
  const auto how = ended("ann");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 3);
  EXPECT_THAT(how->reason, HasSubstr("cat"));
  EXPECT_THAT(how->reason, testing::Not(HasSubstr("ben")));
  EXPECT_GE(now - since, 29s) << "it waits for it";
}

TEST_F(peer_stream_test, who_vanishes_is_waited_for_no_longer_than_it_was_said_whatever_is_still_pinged) {
  for (const std::size_t rest : {0U, 60'000U}) {  // all of it on its way, or stdin not all sealed
    SCOPED_TRACE(rest);
    const auto name = rest == 0 ? "ann" : "bob";
    const auto other = rest == 0 ? "ben" : "cat";
    add(name, rest == 0 ? "203.0.113.1:1111" : "203.0.113.4:4444", with(2s));
    add(other, rest == 0 ? "203.0.113.2:2222" : "203.0.113.3:3333");
    pass(1s);
    type(name, std::string(5'000, 'x'));
    passes = [](const seen_packet&) { return false; };
    relay_works = false;
    type(name, std::string(5'000, 'x'));
    type(name, std::string(rest, 'x'));
    end_input(name);
    pass(1s);
    EXPECT_FALSE(is_leaving(name));
    pass(1500ms);
    EXPECT_TRUE(is_leaving(name));
    const auto how = ended(name);
    ASSERT_TRUE(how);
    EXPECT_EQ(how->status, 3);
    EXPECT_THAT(how->reason, HasSubstr(other));
    passes = everything();
    relay_works = true;
    vanish(name);
    vanish(other);
  }
}

TEST_F(peer_stream_test, a_line_that_the_senders_memory_does_not_hold_goes_on_as_another) {
  peer_config small = with(30s);
  small.memory = 4U << 20;
  small.input = input_mode::lines;
  peer_config lines;
  lines.output = output_mode::lines;
  three_peers(small, lines);
  for (std::size_t left = 5'000'000; left > 0;) {
    for (; left > 0 && of("ann").engine->wants_input(); left -= 50'000) {
      of("ann").engine->on_input(now, as_bytes(std::string(50'000, 'x')));
    }
    pass(5ms);
  }
  while (!of("ann").engine->wants_input()) pass(5ms);
  type("ann", "\ntail\n");
  end_input("ann");
  EXPECT_EQ(ended("ann")->status, 0);
  constexpr std::size_t part = (4U << 20) / 8 * 7;
  EXPECT_EQ(read("ben"), std::string(part, 'x') + '\n' + std::string(5'000'000 - part, 'x') + "\ntail\n");
}

TEST_F(peer_stream_test, a_sender_does_not_wait_for_who_said_goodbye_and_names_it) {
  three_peers(with(30s));
  passes = [](const seen_packet& packet) { return !packet.is_data() || packet.to.ip != ip("203.0.113.3"); };
  type("ann", "last words\n");
  of("cat").engine->leave(now);
  serve_all();
  pass(100ms);
  passes = everything();
  vanish("cat");
  end_input("ann");
  pass(1s);
  const auto how = ended("ann");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 3);
  EXPECT_THAT(how->reason, HasSubstr("cat"));
}

TEST_F(peer_stream_test, last_words_by_the_relay_count_though_the_news_of_the_leaving_overtakes_them) {
  passes = no_datagrams();
  add("ben", "203.0.113.2:2222", with(std::nullopt, true));
  add("ann", "203.0.113.1:1111", with(30s));
  add("cat", "203.0.113.3:3333");
  pass(1s);
  type("ann", "half\n");
  pass(relay_delay);
  ASSERT_EQ(read("cat"), "half\n");
  of("cat").engine->leave(now);
  serve_all();
  vanish("cat");
  pass(100ms);
  std::uint64_t written = 0;
  of("ann").engine->sessions().for_each_retired([&](const session& who) {
    written = who.outgoing()->written();
    EXPECT_TRUE(who.said_goodbye);
  });
  EXPECT_EQ(written, 5U);
  ASSERT_FALSE(is_leaving("ben"));
  of("ann").engine->leave(now);
  serve_all();
  vanish("ann");
  pass(100ms);
  ASSERT_TRUE(is_leaving("ben"));
  finish("ben");
  EXPECT_EQ(of("ben").engine->ended()->reason, "it has left before its end: ann");
}

TEST_F(peer_stream_test, a_sender_that_is_stopped_says_that_it_was_too_early) {
  three_peers(with(30s));
  of("ann").engine->leave(now);
  finish("ann");
  EXPECT_EQ(of("ann").engine->ended()->status, 3);
}

TEST_F(peer_stream_test, a_receiver_that_is_stopped_says_what_it_has_waited_for) {
  for (const bool speaks : {false, true}) {
    add("ann", "203.0.113.1:1111");
    add("ben", "203.0.113.2:2222", with(std::nullopt, true));
    pass(1s);
    if (speaks) type("ann", "hello\n");
    pass(100ms);
    of("ben").engine->leave(now);
    finish("ben");
    EXPECT_EQ(of("ben").engine->ended()->status, 3);
    EXPECT_EQ(of("ben").engine->ended()->reason, speaks ? "not everybody had ended" : "nobody has sent anything");
    vanish("ann");
    vanish("ben");
  }
}

TEST_F(peer_stream_test, a_receiver_ends_well_when_its_senders_have_ended_and_everything_is_written) {
  add("ben", "203.0.113.2:2222", with(std::nullopt, true));
  add("ann", "203.0.113.1:1111", with(30s));
  add("cat", "203.0.113.3:3333", with(30s));
  pass(1s);
  EXPECT_FALSE(of("ben").engine->wants_input());
  passes = losing(6);
  type("ann", "from ann\n");
  end_input("ann");
  pass(10s);
  EXPECT_FALSE(is_leaving("ben")) << "cat runs --quit-on-eof, and has not ended";
  type("cat", "from cat\n");
  end_input("cat");
  const auto how = ended("ben");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 0) << how->reason;
  EXPECT_EQ(read("ben"), "from ann\nfrom cat\n");
}

TEST_F(peer_stream_test, a_receiver_that_missed_the_beginning_ends_with_status_3_and_the_senders_name) {
  add("ann", "203.0.113.1:1111", with(30s));
  add("cat", "203.0.113.3:3333");
  pass(1s);
  type("ann", "early\n");
  pass(1s);
  add("ben", "203.0.113.2:2222", with(std::nullopt, true));
  pass(1s);
  type("ann", "late\n");
  const auto how = ended("ben");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 3);
  EXPECT_THAT(how->reason, HasSubstr("ann"));
}

TEST_F(peer_stream_test, a_receiver_gives_up_a_sender_that_vanished_for_half_a_minute) {
  add("ben", "203.0.113.2:2222", with(std::nullopt, true));
  add("ann", "203.0.113.1:1111", with(30s));
  pass(1s);
  type("ann", "half\n");
  pass(1s);
  vanish("ann");
  pass(20s);
  EXPECT_FALSE(is_leaving("ben"));
  const auto how = ended("ben");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 3);
  EXPECT_THAT(how->reason, HasSubstr("ann"));
}

TEST_F(peer_stream_test, a_latecomer_gets_the_stream_from_then_on) {
  three_peers();
  type("ann", "before\n");
  pass(1s);
  add("dan", "203.0.113.4:4444");
  pass(1s);
  type("ann", "after\n");
  pass(1s);
  EXPECT_EQ(read("dan"), "after\n");
}

TEST_F(peer_stream_test, who_is_away_for_a_moment_goes_on_where_it_was) {
  three_peers();
  type("ann", "1\n");
  pass(1s);
  const auto cat = listed(of("cat"));
  const auto cut_off = [](const seen_packet& packet) {
    return packet.sender != "cat" && packet.to.ip != ip("203.0.113.3") && !packet.relayed;
  };
  passes = cut_off;
  tell_all({.left = {cat.id}});
  serve_all();
  pass(3s);
  ASSERT_EQ(session_with("ann", "cat"), nullptr);
  type("ann", "2\n");
  pass(10s);
  passes = everything();
  tell_all({.joined = {cat}});
  serve_all();
  pass(10s);
  type("ann", "3\n");
  pass(5s);
  EXPECT_EQ(read("cat"), "1\n2\n3\n");
}

TEST_F(peer_stream_test, one_sender_can_be_picked_out_of_all) {
  peer_config picky;
  picky.from = "cat";
  add("ben", "203.0.113.2:2222", picky);
  add("ann", "203.0.113.1:1111", with(30s));
  add("cat", "203.0.113.3:3333", with(30s));
  pass(1s);
  type("ann", "from ann\n");
  type("cat", "from cat\n");
  end_input("ann");
  const auto how = ended("ann");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 0) << "it took what it does not write";
  EXPECT_EQ(read("ben"), "from cat\n");
}

TEST_F(peer_stream_test, records_stay_whole_however_large_and_do_not_mix) {
  peer_config lines;
  lines.input = input_mode::lines;
  peer_config text;
  text.output = output_mode::text;
  add("ann", "203.0.113.1:1111", lines);
  add("cat", "203.0.113.3:3333", lines);
  add("ben", "203.0.113.2:2222", text);
  pass(1s);
  const auto feed = [&](const std::string& name, char letter, std::size_t& left) {
    while (left > 0 && of(name).engine->wants_input()) {
      const auto some = std::min<std::size_t>(left, 60'000);
      left -= some;
      of(name).engine->on_input(now, as_bytes(std::string(some, letter) + (left == 0 ? "\n" : "")));
    }
  };
  std::size_t a = 2'000'000, c = 1'500'000;
  for (const auto end = now + 2min; now < end && of("ben").output.size() < 3'500'000;) {
    feed("ann", 'a', a);
    feed("cat", 'c', c);
    pass(5ms);
  }
  const auto all = read("ben");
  EXPECT_EQ(all.size(), 3'500'000U + 2 * 6);
  const auto first = all.substr(0, all.find('\n'));
  EXPECT_TRUE(first == "ann: " + std::string(2'000'000, 'a') || first == "cat: " + std::string(1'500'000, 'c'));
}

TEST_F(peer_stream_test, who_is_done_hears_out_who_still_waits_for_its_stdout) {
  add("ann", "203.0.113.1:1111", with(30s));
  add("ben", "203.0.113.2:2222", with(30s));
  pass(1s);
  unread.insert("ann");
  for (const auto* name : {"ann", "ben"}) {
    type(name, std::string("from ") + name + '\n');
    end_input(name);
  }
  pass(500ms);
  EXPECT_FALSE(is_leaving("ann")) << "what ben sent is not written yet";
  unread.clear();
  pass(500ms);
  EXPECT_EQ(read("ann"), "from ben\n");
  EXPECT_EQ(ended("ann")->status, 0);
  EXPECT_EQ(ended("ben")->status, 0);
}

TEST_F(peer_stream_test, who_is_done_does_not_wait_long_for_who_is_not) {
  add("ann", "203.0.113.1:1111", with(30s));
  add("ben", "203.0.113.2:2222", with(30s));
  pass(1s);
  type("ann", "all\n");
  type("ben", "a beginning\n");
  end_input("ann");
  pass(1500ms);
  EXPECT_FALSE(is_leaving("ann"));
  pass(1s);
  EXPECT_TRUE(is_leaving("ann"));
  EXPECT_EQ(ended("ann")->status, 0);
  type("ben", "more\n");
  end_input("ben");
  EXPECT_EQ(ended("ben")->status, 3);
}

}  // namespace
}  // namespace nat
