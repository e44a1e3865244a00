// What natpeer tells its user of the paths: in lines for each change, and in the table of all.
#include "nat/status_report.hpp"

#include "v2_fixture.hpp"

namespace nat {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class peer_status_test : public v2_network {
 protected:
  void two_peers() {
    add("ann", "203.0.113.1:1111");
    add("ben", "203.0.113.2:2222");
  }
  std::vector<std::string> path_lines(const std::string& who) {
    std::vector<std::string> out;
    for (const auto& each : of(who).notes) {
      if (each.kind == note_kind::path_changed) out.push_back(each.name + ": " + each.text);
    }
    of(who).notes.clear();
    return out;
  }
  peer_report of_peer(const std::string& mine, const std::string& other) {
    for (auto& each : of(mine).engine->status(now).peers) {
      if (each.name == other) return each;
    }
    ADD_FAILURE() << mine << " does not know " << other;
    return {};
  }
  static constexpr nat_behavior each_another_port{nat_mapping::dependent, false};
};

TEST_F(peer_status_test, a_direct_path_is_told_once_with_its_kind_address_round_trip_and_reason) {
  two_peers();
  pass(10s);
  const auto lines = path_lines("ann");
  ASSERT_FALSE(lines.empty());
  EXPECT_EQ(lines.back(), "ben: direct, public 203.0.113.2:2222, 10.0 ms: the first address that answered");
  pass(1h);
  EXPECT_THAT(path_lines("ann"), IsEmpty()) << "nothing has changed";
}

TEST_F(peer_status_test, on_the_relay_it_is_told_why_there_is_no_direct_path_once_that_is_known) {
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111").nat = each_another_port;
  add("ben", "203.0.113.2:2222").nat = each_another_port;
  pass(1s);
  auto lines = path_lines("ann");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("ben: by relay, 40.0 ms: no direct path has answered yet"));
  EXPECT_EQ(of_peer("ann", "ben").not_direct, obstacle::trying);
  pass(1min);
  lines = path_lines("ann");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("none of its addresses answers")) << "ann was given her address, and asked nobody";
  pass(1h);
  EXPECT_THAT(path_lines("ann"), IsEmpty());
}

TEST_F(peer_status_test, a_peer_that_has_not_told_its_addresses_yet_is_not_said_to_have_none) {
  passes = no_datagrams();
  lists_changes = false;  // what they announce comes late
  two_peers();
  pass(4s);
  auto lines = path_lines("ann");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("by relay"));
  EXPECT_THAT(lines[0], HasSubstr("no direct path has answered yet"));
  pass(1min);
  lines = path_lines("ann");
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("it offers no address"));
}

TEST_F(peer_status_test, where_nothing_leads_to_a_peer_that_is_told_once) {
  passes = no_datagrams();
  relay_works = false;
  two_peers();
  pass(9s);
  const auto of_silence = [this] {
    std::vector<std::string> out;
    for (const auto& each : of("ann").notes) {
      if (each.kind == note_kind::no_path) out.push_back(each.name + ": " + each.text);
    }
    return out;
  };
  EXPECT_THAT(of_silence(), IsEmpty()) << "it may take a while";
  pass(2s);
  ASSERT_THAT(of_silence(), SizeIs(1));
  EXPECT_EQ(of_silence()[0], "ben: no path: none of its addresses answers, and no relay");
  pass(1h);
  EXPECT_THAT(of_silence(), SizeIs(1));
  of("ann").notes.clear();
  passes = everything();
  pass(1min);
  EXPECT_THAT(path_lines("ann"), SizeIs(1)) << "and when there is one, that";
  passes = no_datagrams();
  pass(1min);
  EXPECT_THAT(of_silence(), SizeIs(1)) << "and when that is gone";
}

TEST_F(peer_status_test, input_that_reaches_nobody_is_told_each_time_that_begins) {
  two_peers();
  pass(2s);
  const auto told = [this] { return std::ranges::count(of("ann").notes, note_kind::input_lost, &note::kind); };
  type("ann", "heard\n");
  pass(100ms);
  EXPECT_EQ(told(), 0);
  vanish("ben");
  pass(1min);
  for (int i = 0; i < 5; ++i) {
    type("ann", "lost\n");
    pass(100ms);
  }
  EXPECT_EQ(told(), 1);
  add("cat", "203.0.113.3:3333");
  pass(2s);
  type("ann", "heard\n");
  pass(100ms);
  EXPECT_EQ(read("cat"), "heard\n");
  vanish("cat");
  pass(1min);
  type("ann", "lost\n");
  pass(100ms);
  EXPECT_EQ(told(), 2);
}

TEST_F(peer_status_test, a_path_that_falls_silent_and_one_that_comes_back_are_told) {
  two_peers();
  pass(2s);
  path_lines("ann");
  passes = no_datagrams();
  pass(1min);
  auto lines = path_lines("ann");
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.front(), HasSubstr("by relay")) << lines.front();
  EXPECT_THAT(lines.front(), HasSubstr("the direct path fell silent"));
  passes = everything();
  pass(1min);
  lines = path_lines("ann");
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines.back(), HasSubstr("direct, public"));
}

TEST_F(peer_status_test, the_table_counts_what_went_each_way) {
  two_peers();
  pass(2s);
  for (int i = 0; i < 10; ++i) {
    type("ann", "line\n");
    pass(10ms);
  }
  const auto sent = of_peer("ann", "ben"), got = of_peer("ben", "ann");
  EXPECT_EQ(got.data_received, 10U);
  EXPECT_EQ(got.data_lost, 0U);
  EXPECT_GE(sent.bytes_sent, 10U * (header_size + 5));
  EXPECT_GE(got.bytes_received, 10U * (header_size + 5));
  EXPECT_EQ(sent.path, path_kind::public_address);
  EXPECT_EQ(sent.at, at("203.0.113.2:2222"));
  EXPECT_EQ(sent.rtt, 10ms);
  EXPECT_EQ(sent.loss, 0.0);
  EXPECT_EQ(of("ann").engine->status(now).data_sent, 10U);
}

TEST_F(peer_status_test, data_that_was_lost_on_the_way_is_not_lost_and_pings_that_came_to_nothing_are_counted) {
  two_peers();
  pass(2s);
  type("ann", "one\n");
  pass(20ms);
  passes = [](const seen_packet& packet) { return !packet.is_data(); };
  type("ann", "lost\n");
  pass(20ms);
  passes = everything();
  type("ann", "three\n");
  pass(1s);
  EXPECT_EQ(of_peer("ben", "ann").data_lost, 0U);
  EXPECT_EQ(read("ben"), "one\nlost\nthree\n");
  int turn = 0;
  passes = [&](const seen_packet& packet) { return packet.is_data() || packet.relayed || ++turn % 4 != 0; };
  for (int i = 0; i < 600; ++i) {
    type("ann", "line\n");
    pass(100ms);
  }
  EXPECT_GT(of_peer("ann", "ben").loss, 0.05);
  EXPECT_LT(of_peer("ann", "ben").loss, 0.8);
  EXPECT_EQ(of_peer("ben", "ann").data_lost, 0U);
}

TEST_F(peer_status_test, a_seed_peer_is_in_the_table_as_far_as_it_is_known) {
  add("ann", "203.0.113.1:1111");
  add_seed("old", "203.0.113.9:9999");
  pass(100ms);
  auto old = of_peer("ann", "old");
  EXPECT_TRUE(old.seed);
  EXPECT_FALSE(old.path);
  EXPECT_EQ(old.why, "it was not heard yet");
  const auto noise = "PINGPING" + std::string(120, 'x');
  of("ann").engine->on_datagram(now, wall, at("203.0.113.9:9999"), as_bytes(noise));
  old = of_peer("ann", "old");
  EXPECT_EQ(old.path, path_kind::public_address);
  EXPECT_EQ(old.bytes_received, header_size);
  of("ann").engine->on_unreachable(now, at("203.0.113.9:9999"));
  EXPECT_FALSE(of_peer("ann", "old").path);
}

// ---- ICMP

TEST_F(peer_status_test, the_relay_carries_at_once_for_a_path_that_icmp_calls_unreachable_until_that_answers) {
  two_peers();
  pass(2s);
  type("ann", "before\n");
  pass(50ms);
  trace.clear();
  of("ann").engine->on_unreachable(now, at("203.0.113.2:2222"));
  type("ann", "doubted\n");
  EXPECT_EQ(sent_count([](const auto& each) { return each.is_data() && each.relayed; }), 1U);
  EXPECT_EQ(sent_count([](const auto& each) { return each.is_data() && !each.relayed; }), 0U);
  pass(100ms);  // its PING was answered
  EXPECT_EQ(path_to("ann", "ben"), "public");
  trace.clear();
  type("ann", "after\n");
  EXPECT_EQ(sent_count([](const auto& each) { return each.is_data() && each.relayed; }), 0U);
  pass(1s);
  EXPECT_EQ(read("ben"), "before\ndoubted\nafter\n");
}

// ---- why not

TEST(obstacle, names_the_nat_that_stands_in_the_way) {
  const time_point start{1h};
  session who("ben", name_tag{}, start);
  const own_side plain{.nat = nat_behavior{nat_mapping::independent, false}, .has_public_address = true};
  const own_side dependent{.nat = nat_behavior{nat_mapping::dependent, false}, .has_public_address = true};
  EXPECT_EQ(obstacle_to(start, who, plain), obstacle::trying) << "it tells its addresses as it learns them";
  EXPECT_EQ(obstacle_to(start + announcing, who, plain), obstacle::no_address_there);
  const path_offer offer{at("203.0.113.2:2222"), path_kind::public_address};
  who.paths().offer(start, {&offer, 1});
  EXPECT_EQ(obstacle_to(start, who, plain), obstacle::trying);
  auto now = start;
  while (who.paths().is_trying(now)) {
    now = *who.paths().next_deadline();
    who.paths().next_due(now);
  }
  EXPECT_GT(now, start + 2s);
  EXPECT_LT(now, start + 10s);
  EXPECT_EQ(obstacle_to(now, who, plain), obstacle::no_answer);
  EXPECT_EQ(obstacle_to(now, who, dependent), obstacle::own_nat);
  EXPECT_EQ(obstacle_to(now, who, {}), obstacle::no_udp_here);
  who.nat = nat_behavior{nat_mapping::dependent, false};
  EXPECT_EQ(obstacle_to(now, who, plain), obstacle::other_nat);
  EXPECT_EQ(obstacle_to(now, who, dependent), obstacle::both_nats);
}

}  // namespace
}  // namespace nat
