// Whole engines joined by natcoord.v2, its relay, and a network that the test bends.
#include "v2_fixture.hpp"

namespace nat {
namespace {

using testing::IsEmpty;

class peer_v2_test : public v2_network {
 protected:
  /// Ann and Ben, ready for each other, on a direct path.
  void two_peers() {
    add("ann", "203.0.113.1:1111");
    add("ben", "203.0.113.2:2222");
    pass(2s);
    ASSERT_EQ(path_to("ann", "ben"), "public");
    ASSERT_EQ(path_to("ben", "ann"), "public");
    trace.clear();
  }
  /// Types a numbered line each 10 ms; returns all that was typed.
  std::string chatter(const std::string& who, duration time) {
    std::string all;
    for (const auto end = now + time; now < end; pass(10ms)) {
      const auto line = std::to_string(++lines_) + '\n';
      type(who, line);
      all += line;
    }
    return all;
  }

 private:
  int lines_ = 0;
};

TEST_F(peer_v2_test, delivers_by_the_relay_at_once_and_then_directly) {
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(150ms);
  type("ann", "hello\n");
  pass(50ms);
  EXPECT_EQ(read("ben"), "hello\n");
  EXPECT_EQ(path_to("ann", "ben"), "relay");
  passes = everything();
  pass(2s);
  EXPECT_EQ(path_to("ann", "ben"), "public");
  trace.clear();
  type("ann", "again\n");
  pass(50ms);
  EXPECT_EQ(read("ben"), "again\n");
  EXPECT_GT(sent_count([](const auto& each) { return each.is_data() && !each.relayed; }), 0U);
}

TEST_F(peer_v2_test, opens_both_ways_within_the_first_round_trips) {
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(100ms);
  EXPECT_EQ(path_to("ann", "ben"), "public");
  EXPECT_EQ(path_to("ben", "ann"), "public");
  type("ann", "a\n");
  type("ben", "b\n");
  pass(20ms);
  EXPECT_EQ(read("ben"), "a\n");
  EXPECT_EQ(read("ann"), "b\n");
}

TEST_F(peer_v2_test, lives_on_the_relay_where_udp_is_blocked) {
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(1h);
  type("ann", "still here\n");
  pass(50ms);
  EXPECT_EQ(read("ben"), "still here\n");
}

TEST_F(peer_v2_test, data_comes_once_and_in_order_over_the_change_from_relay_to_direct) {
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(150ms);
  auto typed = chatter("ann", 500ms);
  passes = everything();
  typed += chatter("ann", 5s);
  EXPECT_EQ(path_to("ann", "ben"), "public");
  pass(200ms);
  EXPECT_EQ(read("ben"), typed);
}

TEST_F(peer_v2_test, data_comes_once_and_in_order_where_the_relay_is_much_slower) {
  relay_delay = 90ms;
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(500ms);
  auto typed = chatter("ann", 500ms);
  passes = everything();
  typed += chatter("ann", 5s);
  pass(200ms);
  EXPECT_EQ(read("ben"), typed);
}

TEST_F(peer_v2_test, a_direct_path_that_dies_is_carried_by_the_relay_within_two_seconds) {
  two_peers();
  chatter("ann", 2s);
  pass(100ms);
  read("ben");
  passes = no_datagrams();
  const auto died = now;
  std::string last;
  while (now < died + 2s) last = chatter("ann", 100ms);
  pass(150ms);
  EXPECT_THAT(read("ben"), testing::EndsWith(last));
  pass(5s);
  EXPECT_EQ(path_to("ann", "ben"), "relay");
  const auto typed = chatter("ann", 1s);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed) << "all of it, once";
}

TEST_F(peer_v2_test, loses_nothing_when_the_direct_path_dies_while_it_is_used) {
  two_peers();
  chatter("ann", 2s);
  pass(100ms);
  read("ben");
  passes = no_datagrams();
  const auto typed = chatter("ann", 5s);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed);
}

TEST_F(peer_v2_test, a_direct_path_that_works_again_is_used_again) {
  two_peers();
  passes = no_datagrams();
  chatter("ann", 5s);
  ASSERT_EQ(path_to("ann", "ben"), "relay");
  passes = everything();
  pass(30s);
  EXPECT_EQ(path_to("ann", "ben"), "public");
}

TEST_F(peer_v2_test, an_idle_path_that_dies_costs_no_data) {
  two_peers();
  pass(10min);
  passes = no_datagrams();
  const auto typed = chatter("ann", 1s);
  pass(200ms);
  EXPECT_EQ(read("ben"), typed) << "a path that was long not asked is not relied on alone";
}

TEST_F(peer_v2_test, a_nat_that_gives_another_address_costs_no_data_once_its_owner_speaks) {
  two_peers();
  pass(1min);
  of("ben").address = at("203.0.113.2:7777");
  type("ben", "moved\n");
  pass(50ms);
  const auto typed = chatter("ann", 3s);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed);
  EXPECT_EQ(path_to("ann", "ben"), "reflexive");
}

TEST_F(peer_v2_test, follows_a_nat_that_gives_another_address_without_a_relay_too) {
  two_peers();
  relay_works = false;
  of("ben").address = at("203.0.113.2:7777");
  chatter("ben", 1s);
  chatter("ann", 2s);
  pass(100ms);
  read("ben");
  const auto typed = chatter("ann", 500ms);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed);
  EXPECT_EQ(path_to("ann", "ben"), "reflexive");
}

TEST_F(peer_v2_test, pings_become_rare_where_nothing_is_said) {
  two_peers();
  pass(10min);
  trace.clear();
  pass(10min);
  EXPECT_LE(sent_count([](const auto& each) { return each.sender == "ann" && !each.relayed; }), 120U);
  EXPECT_EQ(sent_count([](const auto& each) { return each.relayed; }), 0U) << "a relay that is not used costs nothing";
}

// ---- who pings first

TEST_F(peer_v2_test, who_has_a_nat_that_shifts_pings_first_and_says_so) {
  lists_changes = false;
  auto& ann = add("ann", "203.0.113.1:1111");
  auto& ben = add("ben", "203.0.113.2:2222");
  // What each has told of its NAT comes at once.
  ann.announced_nat = nat_behavior{nat_mapping::dependent, true};
  ben.announced_nat = nat_behavior{nat_mapping::independent, false};
  passes = [](const seen_packet&) { return false; };
  tell_all({.changed = {listed(ann)}});
  serve_all();
  trace.clear();
  pass(1s);
  EXPECT_EQ(sent_count([](const auto& each) { return each.sender == "ben" && !each.relayed; }), 0U)
      << "a packet that comes unasked would move Ann's mapping";
  tell(ben, v2::punch_from{ann.id});
  serve_all();
  EXPECT_GT(sent_count([](const auto& each) { return each.sender == "ben" && !each.relayed; }), 0U);
}

TEST_F(peer_v2_test, a_punch_that_never_comes_is_waited_for_one_and_a_half_seconds) {
  lists_changes = false;
  auto& ann = add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  ann.announced_nat = nat_behavior{nat_mapping::dependent, true};
  passes = [](const seen_packet&) { return false; };
  const auto told = now;
  tell_all({.changed = {listed(ann)}});
  serve_all();
  trace.clear();
  pass(3s);
  const auto first =
      std::ranges::find_if(trace, [](const auto& each) { return each.sender == "ben" && !each.relayed; });
  ASSERT_NE(first, trace.end());
  EXPECT_EQ(first->when, told + 1500ms);
}

TEST_F(peer_v2_test, who_did_not_tell_of_its_nat_is_pinged_after_the_introductions) {
  lists_changes = false;
  passes = [](const seen_packet&) { return false; };
  const auto began = now;
  add("ann", "203.0.113.1:1111");
  // Ben learns Ann's address, and nothing of her NAT.
  hosts.at("ann")->announced_nat.reset();
  add("ben", "203.0.113.2:2222");
  pass(3s);
  const auto first =
      std::ranges::find_if(trace, [](const auto& each) { return each.sender == "ben" && !each.relayed; });
  ASSERT_NE(first, trace.end());
  EXPECT_EQ(first->when, began + 1500ms);
}

// ---- the coordinator comes and goes

TEST_F(peer_v2_test, direct_paths_outlive_the_coordinator) {
  two_peers();
  coordinator_is_up = false;
  of("ann").id = of("ben").id = 0;
  for (const auto* name : {"ann", "ben"}) of(name).engine->on_coordinator(now, wall, events::closed{1006, "gone"});
  pass(1min);
  read("ben");
  const auto typed = chatter("ann", 500ms);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed);
}

TEST_F(peer_v2_test, a_coordinator_that_was_restarted_gives_new_ids_and_disturbs_nobody) {
  two_peers();
  const auto* before = session_with("ann", "ben");
  const auto sender_before = before->id();
  for (const auto* name : {"ann", "ben"}) {
    of(name).id = 0;
    of(name).engine->on_coordinator(now, wall, events::closed{1006, "gone"});
  }
  last_id += 100;
  version = 1;
  auto typed = chatter("ann", 3s);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed);
  ASSERT_NE(session_with("ann", "ben"), nullptr);
  EXPECT_EQ(session_with("ann", "ben")->id(), sender_before);
  EXPECT_EQ(session_with("ann", "ben")->relay_id, of("ben").id);
  passes = no_datagrams();
  chatter("ann", 5s);
  pass(150ms);
  read("ben");
  typed = chatter("ann", 1s);
  pass(150ms);
  EXPECT_EQ(read("ben"), typed) << "by the relay, under the new ids";
}

TEST_F(peer_v2_test, a_peer_that_loses_its_coordinator_for_a_moment_is_ready_again_at_once) {
  two_peers();
  pass(1min);
  cut(of("ben"));
  pass(1s);
  read("ben");
  const auto typed = chatter("ann", 5s);
  pass(200ms);
  EXPECT_EQ(read("ben"), typed);
  EXPECT_EQ(path_to("ann", "ben"), "public");
  EXPECT_EQ(path_to("ben", "ann"), "public");
  EXPECT_EQ(of("ben").engine->counters().replayed, 0U) << "PINGs are counted for a sender, whatever is listed";
}

TEST_F(peer_v2_test, a_peer_that_is_listed_anew_cannot_be_replayed) {
  two_peers();
  type("ben", "pay once\n");
  pass(100ms);
  ASSERT_EQ(read("ann"), "pay once\n");
  const auto recorded = std::ranges::find_if(trace, &seen_packet::is_data);
  ASSERT_NE(recorded, trace.end());
  const auto packet = recorded->bytes;
  const auto ben = listed(of("ben"));
  tell(of("ann"), v2::delta{version, version + 1, {}, {}, {ben.id}});  // a hostile coordinator, or a restless websocket
  tell(of("ann"), v2::delta{version + 1, version + 2, {ben}, {}, {}});
  pass(5s);
  of("ann").engine->on_datagram(now, wall, of("ben").address, packet);
  std::vector<std::uint8_t> frame;
  append_relay_delivery(frame, ben.id, packet);
  of("ann").engine->on_coordinator(now, wall, events::binary{frame});
  pass(200ms);
  EXPECT_EQ(read("ann"), "");
}

TEST_F(peer_v2_test, a_gap_in_the_deltas_makes_it_ask_for_the_list) {
  two_peers();
  of("ann").said.clear();
  version += 5;
  tell(of("ann"), v2::delta{version, version + 1, {}, {}, {}});
  serve_all();
  ASSERT_EQ(of("ann").said.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<v2::resync>(of("ann").said.front()));
}

TEST_F(peer_v2_test, a_message_that_cannot_be_read_changes_nothing) {
  two_peers();
  for (const auto* bad : {"", "{}", "[]", R"({"type":"snapshot"})", R"({"peers":[]})", R"({"type":"tea"})"}) {
    of("ann").engine->on_coordinator(now, wall, events::text{bad});
  }
  const std::vector<std::uint8_t> frame(3);
  of("ann").engine->on_coordinator(now, wall, events::binary{frame});
  EXPECT_EQ(of("ann").engine->sessions().size(), 1U);
  EXPECT_EQ(path_to("ann", "ben"), "public");
}

TEST_F(peer_v2_test, who_leaves_is_forgotten_within_two_seconds) {
  two_peers();
  vanish("ben");
  pass(2s);
  EXPECT_TRUE(of("ann").engine->sessions().empty());
  trace.clear();
  pass(1min);
  EXPECT_THAT(trace, IsEmpty());
}

TEST_F(peer_v2_test, who_says_goodbye_is_forgotten_though_it_is_still_there_for_a_moment) {
  two_peers();
  of("ben").engine->leave(now);
  tell_all({.left = {of("ben").id}}, &of("ben"));
  pass(1500ms);
  EXPECT_TRUE(of("ann").engine->sessions().empty());
}

TEST_F(peer_v2_test, a_peer_whose_connection_broke_and_whose_path_works_misses_nothing) {
  two_peers();
  const auto id = of("ben").id;
  of("ben").id = 0;  // its own end does not know yet
  tell_all({.left = {id}});
  const auto said = chatter("ann", 5s);
  pass(100ms);
  EXPECT_EQ(read("ben"), said);
  EXPECT_NE(session_with("ann", "ben"), nullptr);
}

TEST_F(peer_v2_test, a_direction_that_dies_alone_is_left_within_a_second) {
  two_peers();
  chatter("ann", 1s);
  read("ben");
  passes = [](const seen_packet& packet) { return packet.relayed || packet.sender == "ben"; };
  const auto all = chatter("ann", 20s);
  pass(200ms);
  const auto got = read("ben");
  const auto lost = std::ranges::count(all, '\n') - std::ranges::count(got, '\n');
  EXPECT_LT(lost, 100) << "a second of lines, of 2000";
  EXPECT_EQ(path_to("ann", "ben"), "relay");
}

TEST_F(peer_v2_test, the_first_data_is_not_overtaken_by_what_goes_directly) {
  relay_delay = 40ms;
  direct_delay = 1500us;
  for (int turn = 0; turn < 100; ++turn) {
    hosts.clear();
    in_flight.clear();
    add("ann", "203.0.113.1:1111");
    add("ben", "203.0.113.2:2222");
    bool typing = false;
    std::string all;
    for (int step = 0; step < 300; ++step) {
      pass(1ms);
      const auto* ben = session_with("ann", "ben");
      typing = typing || (ben != nullptr && ben->accepts() && step >= turn);
      if (!typing) continue;
      const auto line = std::to_string(step) + '\n';
      type("ann", line);
      all += line;
    }
    pass(300ms);
    ASSERT_EQ(read("ben"), all) << turn;
  }
}

TEST_F(peer_v2_test, what_follows_a_lost_packet_is_not_written_where_its_sender_is_gone) {
  two_peers();
  type("ann", "1\n");
  pass(20ms);
  passes = [](const seen_packet& packet) { return !packet.is_data(); };
  type("ann", "lost\n");
  pass(1ms);
  passes = everything();
  type("ann", "3\n");
  pass(10ms);
  vanish("ann");
  pass(2s);
  EXPECT_EQ(read("ben"), "1\n");
}

TEST_F(peer_v2_test, relayed_data_that_comes_behind_the_news_of_its_senders_leaving_is_written) {
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(2s);
  type("ann", "1\n");
  pass(50ms);
  type("ann", "last\n");
  auto waiting = std::exchange(in_flight, {});
  vanish("ann");
  for (const auto& [when, what] : waiting) {
    std::vector<std::uint8_t> frame;
    append_relay_delivery(frame, 1, what.packet.bytes);
    of("ben").engine->on_coordinator(now, wall, events::binary{frame});
  }
  serve_all();
  EXPECT_EQ(read("ben"), "1\nlast\n");
}

TEST_F(peer_v2_test, a_program_that_was_started_anew_under_its_name_is_heard_at_once) {
  two_peers();
  vanish("ben");
  add("ben", "203.0.113.2:3333");
  pass(500ms);
  type("ben", "new\n");
  type("ann", "welcome\n");
  pass(100ms);
  EXPECT_EQ(read("ann"), "new\n");
  EXPECT_EQ(read("ben"), "welcome\n");
}

}  // namespace
}  // namespace nat
