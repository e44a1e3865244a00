// Who is sent which list, and when.
#include "nat/coordinator.hpp"

#include "coordinator_fixture.hpp"

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace nat {
namespace {

using ::testing::ElementsAre;

class coordinator_lists : public coordinator_fixture {
 protected:
  /// The names in a list's text.
  static std::vector<std::string> names(const std::string& text) {
    std::vector<std::string> all;
    const auto list = nlohmann::json::parse(text);
    for (const auto& peer : list.at("peers")) all.push_back(peer.at("name"));
    return all;
  }
};

TEST_F(coordinator_lists, have_the_text_of_the_protocol) {
  const auto id = join("cloudflare", "1.1.1.1:6969");
  EXPECT_EQ(joined.last_list_for(id),
            R"({"peers":[{"ip":"1.1.1.1","port":6969,"name":"cloudflare","last_seen":1656829882876}]})");
}

TEST_F(coordinator_lists, carry_every_name_and_address_unharmed) {
  const std::string strange[] = {"a \"quoted\" name", "back\\slash", "100%", "a+b", "🙂", "grüße"};
  client_id last = 0;
  for (const auto& name : strange) last = join(name, "[2001:db8::1]:65535");
  const auto peers = nlohmann::json::parse(joined.last_list_for(last)).at("peers");
  ASSERT_EQ(peers.size(), std::size(strange));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    EXPECT_EQ(peers[i].at("name"), strange[i]);
    EXPECT_EQ(peers[i].at("ip"), "2001:db8::1");
    EXPECT_EQ(peers[i].at("port"), 65535);
  }
}

TEST_F(coordinator_lists, are_in_order_of_joining_and_one_text_for_all) {
  const auto z = reserve("z");
  const auto a = join("a");
  pass(1s);
  const auto all = open(z);
  ASSERT_EQ(all.lists.size(), 1U);
  EXPECT_THAT(all.lists[0].to, ElementsAre(a, z));
  EXPECT_THAT(names(*all.lists[0].text), ElementsAre("a", "z"));
}

TEST_F(coordinator_lists, go_out_when_somebody_leaves) {
  const auto a = join("a");
  const auto b = join("b");
  pass(1s);
  const auto all = leave(a);
  ASSERT_EQ(all.lists.size(), 1U);
  EXPECT_THAT(all.lists[0].to, ElementsAre(b));
  EXPECT_THAT(names(*all.lists[0].text), ElementsAre("b"));
}

TEST_F(coordinator_lists, stay_within_their_topic) {
  const auto here = join("a");
  pass(1s);
  topic = "another";
  const auto there = join("b");
  ASSERT_EQ(joined.lists.size(), 1U);
  EXPECT_THAT(joined.lists[0].to, ElementsAre(there));
  pass(1s);
  EXPECT_TRUE(leave(there).nothing());
  EXPECT_TRUE(pass(1s).nothing());
  EXPECT_EQ(engine->clients(), 1U);
  EXPECT_TRUE(leave(here).nothing());
}

TEST_F(coordinator_lists, are_not_sent_for_a_ping_but_carry_its_time) {
  const auto a = join("a", "1.1.1.1:1");
  pass(1s);
  EXPECT_TRUE(ping(a).nothing());
  pass(1s);
  engine->on_activity(now(), a);  // no ping: last_seen stays
  EXPECT_TRUE(pass(10s).nothing());
  const auto b = join("b", "2.2.2.2:2");
  EXPECT_EQ(joined.last_list_for(b), R"({"peers":[{"ip":"1.1.1.1","port":1,"name":"a","last_seen":1656829883876},)"
                                     R"({"ip":"2.2.2.2","port":2,"name":"b","last_seen":1656829894876}]})");
}

TEST_F(coordinator_lists, show_the_joining_time_before_the_first_ping) {
  const auto id = reserve("a", "1.1.1.1:1");
  pass(3s);
  EXPECT_EQ(open(id).last_list_for(id),
            R"({"peers":[{"ip":"1.1.1.1","port":1,"name":"a","last_seen":1656829885876}]})");
}

TEST_F(coordinator_lists, go_to_a_joiner_at_once_and_to_the_others_5_ms_after_their_last) {
  const auto a = join("a");
  const auto b = join("b");
  EXPECT_EQ(joined.lists_for(b), 1U);
  EXPECT_EQ(joined.lists_for(a), 0U) << "it was told just now";
  EXPECT_EQ(wait(), 5ms);
  EXPECT_TRUE(pass(5ms - 1ns).nothing());
  const auto all = pass(1ns);
  ASSERT_EQ(all.lists.size(), 1U);
  EXPECT_THAT(all.lists[0].to, ElementsAre(a)) << "b has this very list";
  EXPECT_THAT(names(*all.lists[0].text), ElementsAre("a", "b"));
  EXPECT_EQ(wait(), 60s - 5ms) << "nothing but the first ping is left to do";
}

TEST_F(coordinator_lists, tell_changes_that_come_close_together_as_one) {
  const auto a = join("a");
  std::vector<client_id> others;
  for (int i = 0; i < 4; ++i) {
    pass(1ms);
    others.push_back(join("peer " + std::to_string(i)));
    EXPECT_EQ(joined.lists_for(others.back()), 1U);
    EXPECT_EQ(joined.lists_for(a), 0U);
  }
  leave(others[1]);
  const auto all = pass(1ms);
  ASSERT_EQ(all.lists.size(), 1U);
  EXPECT_THAT(all.lists[0].to, ElementsAre(a, others[0], others[2], others[3]));
  EXPECT_THAT(names(*all.lists[0].text), ElementsAre("a", "peer 0", "peer 2", "peer 3"));
  EXPECT_TRUE(pass(10s).nothing());
}

TEST_F(coordinator_lists, share_one_text_between_a_joiner_and_those_who_wait) {
  join("a");
  join("b");
  const auto first = joined.lists.at(0).text;
  EXPECT_EQ(pass(5ms).lists.at(0).text, first);
}

TEST_F(coordinator_lists, wait_four_times_their_cost) {
  list_cost = 20ms;
  const auto a = join("a");
  EXPECT_EQ(joined.lists_for(a), 1U);
  list_cost = 0ms;
  const auto b = join("b");
  EXPECT_EQ(wait(), 80ms);
  EXPECT_TRUE(pass(80ms - 1ns).nothing());
  EXPECT_EQ(pass(1ns).lists_for(a), 1U);
  pass(1s);
  leave(b);  // the cost is paid: at once again
  EXPECT_EQ(engine->counters().lists, 4U);
}

TEST_F(coordinator_lists, wait_250_ms_at_most) {
  list_cost = 10s;
  const auto a = join("a");
  const auto b = join("b");
  EXPECT_EQ(joined.lists_for(b), 1U) << "a first list never waits";
  EXPECT_EQ(wait(), 250ms);
  EXPECT_TRUE(pass(250ms - 1ns).nothing());
  EXPECT_EQ(pass(1ns).lists_for(a), 1U);
}

TEST_F(coordinator_lists, share_one_budget_over_all_topics) {
  join("a");
  list_cost = 15ms;
  topic = "another";
  join("b");
  topic = "T";
  list_cost = 0ms;
  join("c");
  EXPECT_EQ(wait(), 60ms) << "the other topic's list counts";
  pass(60ms);
  join("d");
  EXPECT_EQ(wait(), 5ms) << "all is paid";
}

TEST_F(coordinator_lists, always_end_with_the_last_state) {
  list_cost = 2ms;
  std::map<client_id, std::string> has;  // what each client was told last
  std::map<client_id, std::string> members;
  const auto note = [&](const done& all) {
    for (const auto& list : all.lists) {
      for (const auto id : list.to) has[id] = *list.text;
    }
  };
  std::uint32_t state = 1;
  for (int step = 0; step < 2000; ++step) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator: the same run each time
    const auto choice = state >> 24;
    if (choice < 120 || members.empty()) {
      const auto name = "peer " + std::to_string(step);
      const auto id = join(name);
      note(joined);
      EXPECT_EQ(joined.lists_for(id), 1U);
      members[id] = name;
    } else {
      const auto gone = std::next(members.begin(), static_cast<std::ptrdiff_t>(choice % members.size()));
      note(leave(gone->first));
      members.erase(gone);
    }
    note(pass(std::chrono::milliseconds(choice % 4)));
  }
  note(pass(250ms));
  std::vector<std::string> expected;
  for (const auto& [id, name] : members) expected.push_back(name);
  ASSERT_GT(expected.size(), 1U);
  for (const auto& [id, name] : members) EXPECT_EQ(names(has[id]), expected);
  EXPECT_TRUE(pass(1s).nothing());
}

TEST_F(coordinator_lists, give_each_of_1000_joiners_one_at_once_and_coalesce_the_rest) {
  list_cost = 10ms;
  std::size_t to_others = 0;
  for (int i = 0; i < 1000; ++i) {
    to_others += pass(1ms).lists.size();
    const auto id = join("peer " + std::to_string(i));
    ASSERT_EQ(joined.lists_for(id), 1U);
    ASSERT_EQ(joined.lists.size(), 1U);
  }
  const auto all = pass(250ms);
  EXPECT_THAT(to_others, ::testing::AllOf(::testing::Ge(3U), ::testing::Le(5U)))
      << "1 s of joining, a list each 250 ms";
  ASSERT_EQ(all.lists.size(), 1U);
  EXPECT_EQ(all.lists[0].to.size(), 999U) << "all but the last joiner, who has it";
  EXPECT_EQ(names(*all.lists[0].text).size(), 1000U);
}

TEST_F(coordinator_lists, are_not_sent_to_somebody_who_left_before) {
  const auto a = join("a");
  const auto b = join("b");
  leave(b);
  leave(a);
  EXPECT_TRUE(pass(1s).nothing());
  EXPECT_EQ(engine->topics(), 0U);
}

TEST_F(coordinator_lists, serve_newcomers_that_opened_before_anybody_looked) {
  const auto a = reserve("a");
  const auto b = reserve("b");
  const auto gone = reserve("gone");
  for (const auto id : {a, b, gone}) engine->on_open(now(), id);
  engine->on_closed(now(), gone);
  const auto all = look();
  ASSERT_EQ(all.lists.size(), 1U);
  EXPECT_THAT(all.lists[0].to, ElementsAre(a, b));
  EXPECT_THAT(names(*all.lists[0].text), ElementsAre("a", "b"));
}

TEST(list_pacer, forgets_a_burst_after_a_second) {
  using namespace std::chrono_literals;
  list_pacer pacer;
  const time_point start(1h);
  for (int i = 0; i < 100; ++i) pacer.on_cost(start, 1s);
  EXPECT_EQ(pacer.next_list(start + 900ms), start + 1000ms);
  EXPECT_EQ(pacer.next_list(start + 1s), start + 1005ms);
}

}  // namespace
}  // namespace nat
