// natcoord.v2: who is welcomed, what v2 clients are told of each other and of section 1's, and the other way round.
#include "nat/coordinator.hpp"

#include "coordinator_v2_fixture.hpp"

#include <initializer_list>
#include <map>
#include <string>
#include <vector>

namespace nat {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class v2_registration : public coordinator_v2_fixture {};
class v2_resume : public coordinator_v2_fixture {};
class v2_lists : public coordinator_v2_fixture {};

// ---- registration

TEST_F(v2_registration, welcomes_a_client_first_and_gives_it_a_snapshot_at_once) {
  engine->set_stun_ports({6969, 6970, 6971});
  const auto id = join_v2("a");
  ASSERT_EQ(views[id].told.size(), 2U);
  EXPECT_THAT(views[id].told[0], HasSubstr(R"("type":"welcome")"));
  const auto& welcomed = views[id].welcomed;
  EXPECT_EQ(welcomed.id, id);
  EXPECT_EQ(welcomed.resume.size(), 32U);
  EXPECT_EQ(welcomed.seen, ip("192.0.2.1"));
  EXPECT_TRUE(welcomed.relay);
  EXPECT_EQ(welcomed.relay_rate, 32'000'000U);
  EXPECT_THAT(welcomed.stun_ports, ElementsAre(6969, 6970, 6971));
  EXPECT_EQ(views[id].snapshots, 1U);
  EXPECT_THAT(views[id].names(), IsEmpty());
  EXPECT_TRUE(after(1s).nothing());
  EXPECT_EQ(engine->listed_v2(), 1U);
}

TEST_F(v2_registration, takes_a_client_without_an_address_only_with_v2) {
  EXPECT_EQ(ask_v2("a").status, 101U);
  const auto refused = engine->admit(now(), {topic, "b", std::nullopt}, ip(source));
  EXPECT_EQ(refused.status, 400U);
  EXPECT_THAT(refused.reason, HasSubstr("address"));
  EXPECT_FALSE(refused.v2);
}

TEST_F(v2_registration, takes_an_address_in_the_query_for_an_unproven_candidate) {
  const auto a = join_v2("a");
  const auto b = join_v2("b", "", at("9.9.9.9:9"));
  after(5ms);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 9.9.9.9:9"));
}

TEST_F(v2_registration, tells_nobody_before_the_upgrade_is_done) {
  const auto a = join_v2("a");
  pass(1s);
  const auto id = ask_v2("b").id;
  EXPECT_TRUE(say(id, R"({"type":"resync"})").nothing());
  EXPECT_TRUE(after(1s).nothing());
  EXPECT_TRUE(punch(a, id).nothing());
}

TEST_F(v2_registration, pings_and_closes_the_silent_as_ever) {
  const auto id = join_v2("a");
  EXPECT_THAT(after(60s).pings, ElementsAre(id));
  const auto all = after(15s);
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].code, 1001);
  EXPECT_EQ(engine->listed_v2(), 0U);
  EXPECT_EQ(engine->topics(), 0U);
}

TEST_F(v2_registration, counts_a_message_as_a_sign_of_life) {
  const auto id = join_v2("a");
  pass(59s);
  say(id, R"({"type":"resync"})");
  EXPECT_TRUE(pass(59s).nothing());
}

// ---- resume

TEST_F(v2_resume, takes_the_name_back_at_once_from_anywhere) {
  const auto other = join_v2("other");
  const auto old = join_v2("a");
  after(1s);
  const auto token = views[old].welcomed.resume;
  source = "198.51.100.7";
  const auto id = join_v2("a", token);
  ASSERT_EQ(joined.closes.size(), 1U);
  EXPECT_EQ(joined.closes[0].who, old);
  EXPECT_EQ(views[id].welcomed.resume, token) << "a welcome may be lost: the token stays good";
  EXPECT_EQ(views[id].welcomed.seen, ip(source));
  after(5ms);
  EXPECT_THAT(views[other].names(), ElementsAre("a"));
  EXPECT_EQ(views[other].find("a")->id, id);
  EXPECT_EQ(views[other].deltas, 2U) << "leaving and coming is one change";
  EXPECT_EQ(engine->counters().resumed, 1U);
}

TEST_F(v2_resume, works_again_when_the_first_try_was_lost) {
  const auto old = join_v2("a");
  const auto token = views[old].welcomed.resume;
  const auto lost = ask_v2("a", token);
  const auto again = ask_v2("a", token);
  EXPECT_EQ(again.status, 101U);
  const auto all = deliver(open(again.id));
  std::vector<client_id> closed;
  for (const auto& close : all.closes) closed.push_back(close.who);
  EXPECT_THAT(closed, ::testing::UnorderedElementsAre(old, lost.id));
  EXPECT_EQ(ask_v2("a", token).status, 101U);
}

TEST_F(v2_resume, needs_the_right_token) {
  const auto id = join_v2("a");
  auto token = views[id].welcomed.resume;
  token.back() = token.back() == '0' ? '1' : '0';
  for (const auto& wrong : {std::string(), token, token.substr(1), token + "0", std::string(32, '0')}) {
    const auto refused = ask_v2("a", wrong);
    EXPECT_EQ(refused.status, 409U) << wrong;
    EXPECT_THAT(refused.reason, HasSubstr("taken"));
  }
  EXPECT_EQ(ask("a").status, 409U) << "a client of section 1 has no token";
}

TEST_F(v2_resume, is_over_when_the_client_is_gone) {
  const auto id = join_v2("a");
  const auto token = views[id].welcomed.resume;
  go(id);
  const auto next = join_v2("a", token);
  EXPECT_NE(views[next].welcomed.resume, token);
}

TEST_F(v2_resume, gives_each_client_another_token) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  EXPECT_NE(views[a].welcomed.resume, views[b].welcomed.resume);
}

TEST_F(v2_resume, is_not_needed_where_the_holder_is_silent_and_comes_from_the_same_address) {
  join_v2("a");
  pass(15s - 1ns);
  EXPECT_EQ(ask_v2("a").status, 409U);
  pass(1ns);
  source = "192.0.2.2";
  EXPECT_EQ(ask_v2("a").status, 409U);
  source = "192.0.2.1";
  EXPECT_EQ(ask_v2("a").status, 101U);
}

TEST_F(v2_resume, leaves_the_holder_alone_until_the_upgrade_is_done) {
  const auto holder = join_v2("a");
  const auto id = ask_v2("a", views[holder].welcomed.resume).id;
  EXPECT_TRUE(look().nothing());
  EXPECT_TRUE(go(id).nothing());
  EXPECT_EQ(engine->listed_v2(), 1U);
}

// ---- snapshots and deltas

TEST_F(v2_lists, tell_those_who_are_here_by_delta_and_the_newcomer_by_snapshot) {
  const auto a = join_v2("a");
  after(1s);
  const auto b = join_v2("b");
  EXPECT_THAT(views[b].names(), ElementsAre("a"));
  EXPECT_EQ(views[b].snapshots, 1U);
  EXPECT_EQ(views[b].deltas, 0U);
  EXPECT_THAT(views[a].names(), ElementsAre("b"));
  EXPECT_EQ(views[a].snapshots, 1U);
  EXPECT_EQ(views[a].deltas, 1U);
  EXPECT_THAT(views[a].told, ElementsAre(R"({"type":"delta","from":1,"to":2,"left":[],"joined":[{"id":)" +
                                         std::to_string(b) + R"(,"name":"b","candidates":[]}],"changed":[]})"));
}

TEST_F(v2_lists, tell_of_a_leaver) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  after(1s);
  go(b);
  EXPECT_THAT(views[a].names(), IsEmpty());
  EXPECT_THAT(views[a].told, ElementsAre(HasSubstr("\"left\":[" + std::to_string(b) + "]")));
}

TEST_F(v2_lists, fold_changes_that_come_close_together_into_one_delta) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  after(1s);
  const auto before = views[a].deltas;
  const auto c = join_v2("c");  // told at once
  announce(b, {host("10.0.0.1:1")});
  announce(b, {host("10.0.0.1:1"), host("10.0.0.2:1")});
  const auto d = join_v2("d");
  go(c);
  EXPECT_EQ(views[a].deltas, before + 1);
  EXPECT_EQ(wait(), 5ms);
  after(5ms);
  EXPECT_EQ(views[a].deltas, before + 2);
  EXPECT_THAT(views[a].names(), ElementsAre("b", "d"));
  EXPECT_THAT(candidates(a, b), ElementsAre("host 10.0.0.1:1", "host 10.0.0.2:1"));
  EXPECT_THAT(views[d].names(), ElementsAre("a", "b")) << "it knew the leaver from its snapshot";
}

TEST_F(v2_lists, say_nothing_of_somebody_who_came_and_went_unseen) {
  const auto a = join_v2("a");
  after(1s);
  join_v2("b");  // uses up the pacer's moment
  const auto passer_by = reserve("c", "2.2.2.2:2");
  engine->on_open(now(), passer_by);
  engine->on_closed(now(), passer_by);
  look();
  after(5ms);
  EXPECT_THAT(views[a].told, Not(::testing::Contains(HasSubstr("\"left\":[" + std::to_string(passer_by)))));
  EXPECT_THAT(views[a].names(), ElementsAre("b"));
}

TEST_F(v2_lists, are_one_text_for_all_and_grow_with_the_change_not_the_topic) {
  std::vector<client_id> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(join_v2("peer " + std::to_string(i)));
  after(1s);
  const auto all = announce(ids[7], {host("10.0.0.1:1")});
  ASSERT_EQ(all.messages.size(), 1U);
  EXPECT_EQ(all.messages[0].to.size(), 100U);
  EXPECT_LT(all.messages[0].text->size(), 200U);
}

TEST_F(v2_lists, share_a_snapshot_between_those_who_need_it_at_once) {
  const auto a = ask_v2("a").id;
  const auto b = ask_v2("b").id;
  engine->on_open(now(), a);
  engine->on_open(now(), b);
  const auto all = deliver(look());
  ASSERT_EQ(all.messages.size(), 3U) << "two welcomes, one snapshot";
  EXPECT_THAT(all.messages[2].to, ElementsAre(a, b));
  EXPECT_THAT(views[a].names(), ElementsAre("b"));
  EXPECT_THAT(views[b].names(), ElementsAre("a"));
}

TEST_F(v2_lists, stay_within_their_topic) {
  const auto here = join_v2("a");
  topic = "another";
  const auto there = join_v2("b");
  after(1s);
  EXPECT_THAT(views[here].names(), IsEmpty());
  EXPECT_THAT(views[there].names(), IsEmpty());
  EXPECT_TRUE(punch(here, there).nothing());
  EXPECT_EQ(engine->counters().punches_dropped, 1U);
}

TEST_F(v2_lists, show_clients_of_section_1) {
  const auto a = join_v2("a");
  const auto seed = join_seed("s", "1.1.1.1:6969");
  after(5ms);
  const auto* shown = views[a].find("s");
  ASSERT_NE(shown, nullptr);
  EXPECT_TRUE(shown->seed);
  EXPECT_EQ(shown->nat, std::nullopt);
  EXPECT_THAT(candidates(a, seed), ElementsAre("reflexive 1.1.1.1:6969"));
  const auto b = join_v2("b");
  EXPECT_THAT(candidates(b, seed), ElementsAre("reflexive 1.1.1.1:6969"));
  go(seed);
  after(5ms);
  EXPECT_THAT(views[a].names(), ElementsAre("b"));
}

TEST_F(v2_lists, give_clients_of_section_1_nothing_but_section_1s) {
  const auto seed = join_seed("s");
  const auto a = join_v2("a");
  const auto all = announce(a, {proven("5.5.5.5:5")});
  const auto later = after(1s);
  for (const done* one : std::initializer_list<const done*>{&joined, &all, &later}) {
    for (const auto& message : one->messages) EXPECT_THAT(message.to, Not(::testing::Contains(seed)));
    for (const auto& list : one->lists) EXPECT_THAT(list.to, Not(::testing::Contains(a)));
  }
}

TEST_F(v2_lists, show_a_v2_client_to_section_1_once_it_has_a_public_address) {
  const auto seed = join_seed("s", "1.1.1.1:1");
  after(1s);
  const auto a = join_v2("a");
  EXPECT_EQ(joined.lists_for(seed), 0U);
  EXPECT_EQ(announce(a, {host("10.0.0.1:5")}).lists_for(seed), 0U);
  EXPECT_TRUE(after(1s).silent());
  const auto text =
      announce(a, {host("10.0.0.1:5"), reflexive("[2001:db8::1]:5"), reflexive("5.5.5.5:5")}).last_list_for(seed);
  EXPECT_EQ(text, R"({"peers":[{"ip":"1.1.1.1","port":1,"name":"s","last_seen":1656829882876},)"
                  R"({"ip":"5.5.5.5","port":5,"name":"a","last_seen":1656829883876}]})");
  after(1s);
  EXPECT_THAT(announce(a, {proven("[2001:db8::1]:5"), reflexive("5.5.5.5:5")}).last_list_for(seed),
              AllOf(HasSubstr("2001:db8::1"), Not(HasSubstr("5.5.5.5"))))
      << "a proven address goes before another";
  after(1s);
  EXPECT_THAT(announce(a, {}).last_list_for(seed), Not(HasSubstr("\"a\"")));
  after(1s);
  EXPECT_TRUE(go(a).silent());
}

TEST_F(v2_lists, are_not_sent_to_section_1_for_what_it_does_not_see) {
  join_seed("s");
  const auto a = join_v2("a");
  announce(a, {proven("5.5.5.5:5")});
  after(1s);
  EXPECT_TRUE(announce(a, {proven("5.5.5.5:5"), host("10.0.0.1:5")}).silent());
  EXPECT_TRUE(after(1s).silent());
}

TEST_F(v2_lists, serve_a_client_of_section_1_that_joins_v2_clients) {
  const auto a = join_v2("a");
  announce(a, {proven("5.5.5.5:5")});
  after(1s);
  const auto seed = join_seed("s", "1.1.1.1:1");
  EXPECT_THAT(joined.last_list_for(seed), AllOf(HasSubstr("5.5.5.5"), HasSubstr("1.1.1.1")));
}

TEST_F(v2_lists, leave_nobody_behind_when_more_leave_than_a_delta_holds) {
  restart_with({.max_connections = 10'000, .max_peers = 10'000});
  std::vector<client_id> crowd;
  const auto a = join_v2("a");
  for (std::size_t i = 0; i <= max_untold_leavers; ++i) {
    crowd.push_back(reserve("peer " + std::to_string(i)));
    engine->on_open(now(), crowd.back());
  }
  deliver(look());
  after(1s);
  EXPECT_EQ(views[a].peers.size(), crowd.size());
  list_cost = 1s;
  announce(a, {host("10.0.0.1:1")});  // the pacer holds the next back
  join_seed("s");
  for (const auto id : crowd) engine->on_closed(now(), id);
  deliver(look());
  after(1s);
  EXPECT_THAT(views[a].names(), ElementsAre("s"));
  EXPECT_EQ(views[a].snapshots, 2U);
  EXPECT_EQ(views[a].gaps, 0U);
}

TEST_F(v2_lists, always_end_with_the_last_state) {
  list_cost = 2ms;
  std::map<client_id, std::string> members;
  std::uint32_t state = 7;
  for (int step = 0; step < 3000; ++step) {
    state = state * 1664525 + 1013904223;  // Numerical Recipes' generator: the same run each time
    const auto choice = state >> 24;
    const auto some = [&] { return std::next(members.begin(), static_cast<std::ptrdiff_t>(choice % members.size())); };
    const auto name = "peer " + std::to_string(step);
    if (choice < 60 || members.empty()) {
      members[join_v2(name)] = name;
    } else if (choice < 90) {
      members[join_seed(name)] = name;
    } else if (choice < 180) {
      const auto gone = some();
      go(gone->first);
      members.erase(gone);
    } else if (choice < 190) {
      say(some()->first, R"({"type":"resync"})");
    } else {
      announce(some()->first, {reflexive("5.5.5.5:" + std::to_string(1 + step))});
    }
    after(std::chrono::milliseconds(choice % 4));
  }
  after(20s);  // what was announced too fast is told, too
  std::size_t clients = 0;
  const auto last = ask_v2("last").id;
  deliver(open(last));
  after(1s);
  for (const auto& [id, view] : views) {
    if (view.welcomed.id == 0 || id == last) continue;
    ++clients;
    EXPECT_EQ(view.gaps, 0U);
    EXPECT_EQ(view.version, views[last].version);
    auto all = views[last].peers;
    all.erase(id);
    auto mine = view.peers;
    mine.erase(last);
    EXPECT_EQ(mine, all) << id;
  }
  EXPECT_GT(clients, 3U);
  EXPECT_EQ(views[last].peers.size(), members.size());
}

}  // namespace
}  // namespace nat
