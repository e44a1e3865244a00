// Who may register, who replaces whom, and what happens to the silent.
#include "nat/coordinator.hpp"

#include "coordinator_fixture.hpp"

namespace nat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class coordinator_registration : public coordinator_fixture {};
class coordinator_takeover : public coordinator_fixture {};
class coordinator_silence : public coordinator_fixture {};

TEST_F(coordinator_registration, tells_nobody_of_a_name_before_its_upgrade_is_done) {
  const auto first = join("first");
  pass(1s);
  const auto second = reserve("second", "2.2.2.2:2");
  EXPECT_TRUE(look().nothing());
  EXPECT_TRUE(pass(10s).nothing());
  EXPECT_EQ(engine->listed(), 1U);
  const auto all = open(second);
  EXPECT_EQ(all.lists_for(first), 1U);
  EXPECT_EQ(all.lists_for(second), 1U);
}

TEST_F(coordinator_registration, never_gives_an_id_twice) {
  const auto first = join("a");
  leave(first);
  EXPECT_NE(join("a"), first);
}

TEST_F(coordinator_registration, keeps_the_same_name_apart_in_two_topics) {
  const auto here = join("name");
  topic = "another";
  join("name", "2.2.2.2:2");
  EXPECT_EQ(engine->topics(), 2U);
  EXPECT_EQ(joined.lists_for(here), 0U);
  EXPECT_THAT(joined.last_list_for(here), Not(HasSubstr("2.2.2.2")));
}

TEST_F(coordinator_registration, forgets_an_empty_topic) {
  const auto a = join("a");
  const auto b = reserve("b");
  leave(a);
  EXPECT_EQ(engine->topics(), 1U) << "b's reservation still needs it";
  leave(b);
  EXPECT_EQ(engine->topics(), 0U);
  EXPECT_EQ(engine->clients(), 0U);
  EXPECT_EQ(engine->next_deadline(), std::nullopt);
}

TEST_F(coordinator_registration, ignores_connections_it_does_not_know) {
  engine->on_open(now(), 77);
  engine->on_activity(now(), 77);
  engine->on_ping(now(), 77);
  engine->on_closed(now(), 77);
  EXPECT_TRUE(look().nothing());
  EXPECT_EQ(engine->clients(), 0U);
}

TEST_F(coordinator_registration, gives_up_a_reservation_whose_upgrade_does_not_come) {
  const auto id = reserve("name");
  EXPECT_EQ(wait(), 15s);
  engine->on_activity(now(), id);
  pass(10s);
  engine->on_activity(now(), id);  // a trickle of bytes does not help
  look();
  EXPECT_TRUE(pass(5s - 1ns).nothing());
  source = "192.0.2.9";
  EXPECT_EQ(ask("name", "2.2.2.2:2").status, 409U);
  const auto all = pass(1ns);
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].who, id);
  EXPECT_EQ(all.closes[0].code, 1001);
  EXPECT_EQ(ask("name", "2.2.2.2:2").status, 101U);
  EXPECT_TRUE(open(id).nothing()) << "it comes too late";
}

TEST_F(coordinator_registration, is_full_at_max_connections) {
  restart_with({.max_connections = 2, .max_peers = 1000});
  const auto a = join("a");
  topic = "another";
  reserve("b");
  const auto refused = ask("c");
  EXPECT_EQ(refused.status, 503U);
  EXPECT_EQ(refused.reason, "the server is full");
  EXPECT_EQ(refused.retry_after, 30s);
  EXPECT_EQ(refused.id, 0U);
  leave(a);
  EXPECT_EQ(ask("c").status, 101U);
}

TEST_F(coordinator_registration, is_full_at_max_peers_of_one_topic) {
  restart_with({.max_connections = 10, .max_peers = 1});
  join("a");
  const auto refused = ask("b");
  EXPECT_EQ(refused.status, 503U);
  EXPECT_EQ(refused.reason, "the topic is full");
  EXPECT_EQ(refused.retry_after, 30s);
  topic = "another";
  EXPECT_EQ(ask("b").status, 101U);
}

TEST_F(coordinator_registration, leaves_no_topic_behind_after_a_refusal) {
  restart_with({.max_connections = 1, .max_peers = 0});
  EXPECT_EQ(ask("a").status, 503U);
  EXPECT_EQ(engine->topics(), 0U);
}

TEST_F(coordinator_registration, closes_everyone_and_lets_nobody_in_when_it_shuts_down) {
  const auto open_one = join("a");
  const auto silent_one = join("b");
  clock += 59s;
  ping(open_one);
  pass(1s);
  const auto reserved_one = reserve("c");
  engine->shut_down(now());
  const auto all = look();
  std::vector<client_id> closed;
  for (const auto& close : all.closes) {
    EXPECT_EQ(close.code, 1001);
    EXPECT_FALSE(close.reason.empty());
    closed.push_back(close.who);
  }
  EXPECT_THAT(closed, ::testing::UnorderedElementsAre(open_one, silent_one, reserved_one));
  EXPECT_TRUE(all.lists.empty());
  EXPECT_EQ(engine->clients(), 0U);
  EXPECT_EQ(engine->next_deadline(), std::nullopt);
  const auto refused = ask("d");
  EXPECT_EQ(refused.status, 503U);
  EXPECT_TRUE(refused.retry_after.has_value());
}

// ---- the same name again

struct takeover_case {
  std::string_view what;
  std::string_view address;
  std::string source;
  duration holder_silent_for;
  unsigned status;
};

TEST_F(coordinator_takeover, needs_the_same_address_and_the_same_source_or_a_silent_holder) {
  const takeover_case cases[] = {
      {"same source, at once", "1.1.1.1:6969", "192.0.2.1", 0s, 101},
      {"another source, at once", "1.1.1.1:6969", "192.0.2.2", 0s, 409},
      {"another source, just before", "1.1.1.1:6969", "192.0.2.2", 15s - 1ns, 409},
      {"another source, silent holder", "1.1.1.1:6969", "192.0.2.2", 15s, 101},
      {"another port", "1.1.1.1:6970", "192.0.2.1", 0s, 409},
      {"another ip", "1.1.1.2:6969", "192.0.2.1", 0s, 409},
      {"another port, silent holder", "1.1.1.1:6970", "192.0.2.1", 59s, 409},
      {"another ip, silent holder", "1.1.1.2:6969", "192.0.2.1", 59s, 409},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    restart_with({});
    source = "192.0.2.1";
    const auto holder = join("name");
    pass(20s);
    engine->on_activity(now(), holder);
    pass(one.holder_silent_for);
    source = one.source;
    const auto answer = ask("name", one.address);
    EXPECT_EQ(answer.status, one.status);
    EXPECT_TRUE(look().nothing()) << "the holder stays until the newcomer's upgrade is done";
    if (one.status != 101) {
      EXPECT_EQ(answer.reason, "the name \"name\" is taken in this topic");
      continue;
    }
    const auto all = open(answer.id);
    ASSERT_EQ(all.closes.size(), 1U);
    EXPECT_EQ(all.closes[0].who, holder);
    EXPECT_EQ(all.closes[0].code, 1008);
    EXPECT_FALSE(all.closes[0].reason.empty());
    EXPECT_EQ(engine->clients(), 1U);
  }
}

TEST_F(coordinator_takeover, counts_any_frame_of_the_holder_as_life) {
  const auto holder = join("name");
  pass(10s);
  engine->on_activity(now(), holder);
  pass(10s);
  source = "192.0.2.2";
  EXPECT_EQ(ask("name").status, 409U);
  pass(5s);
  EXPECT_EQ(ask("name").status, 101U);
}

TEST_F(coordinator_takeover, puts_the_newcomer_last_and_shows_the_name_once) {
  join("a", "1.1.1.1:1");
  const auto other = join("b", "2.2.2.2:2");
  pass(1s);
  const auto newcomer = join("a", "1.1.1.1:1");
  const auto text = R"({"peers":[{"ip":"2.2.2.2","port":2,"name":"b","last_seen":1656829882876},)"
                    R"({"ip":"1.1.1.1","port":1,"name":"a","last_seen":1656829883876}]})";
  EXPECT_EQ(joined.last_list_for(newcomer), text);
  EXPECT_EQ(joined.last_list_for(other), text);
}

TEST_F(coordinator_takeover, tells_the_others_in_one_list) {
  join("a");
  const auto other = join("b");
  pass(1s);
  join("a");
  EXPECT_EQ(joined.lists_for(other), 1U);
  EXPECT_TRUE(pass(1s).nothing());
}

TEST_F(coordinator_takeover, changes_nothing_when_the_old_connection_closes_later) {
  const auto holder = join("a");
  pass(1s);
  const auto newcomer = join("a");
  pass(1s);
  EXPECT_TRUE(leave(holder).nothing());
  EXPECT_EQ(engine->listed(), 1U);
  EXPECT_EQ(wait(), 59s) << "the newcomer's ping";
  EXPECT_TRUE(leave(newcomer).nothing());
  EXPECT_EQ(engine->topics(), 0U);
}

TEST_F(coordinator_takeover, leaves_the_holder_alone_when_the_newcomer_does_not_come) {
  const auto holder = join("a");
  pass(1s);
  const auto newcomer = reserve("a");
  EXPECT_TRUE(leave(newcomer).nothing());
  const auto late = reserve("a");
  ping(holder);
  const auto all = pass(15s);
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].who, late);
  EXPECT_EQ(engine->listed(), 1U);
  EXPECT_TRUE(all.lists.empty());
}

TEST_F(coordinator_takeover, passes_the_name_on_when_the_holder_goes_first) {
  const auto holder = join("a");
  pass(1s);
  const auto newcomer = reserve("a");
  leave(holder);
  source = "192.0.2.2";
  EXPECT_EQ(ask("a").status, 409U) << "the newcomer holds it now";
  const auto all = open(newcomer);
  EXPECT_TRUE(all.closes.empty());
  EXPECT_EQ(all.lists_for(newcomer), 1U);
}

TEST_F(coordinator_takeover, lets_a_third_replace_the_second_before_its_upgrade) {
  const auto holder = join("a");
  pass(1s);
  const auto second = reserve("a");
  const auto third = reserve("a");
  auto all = look();
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].who, second);
  EXPECT_TRUE(open(second).nothing());
  all = open(third);
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].who, holder);
  EXPECT_EQ(engine->clients(), 1U);
  EXPECT_EQ(engine->counters().replaced, 2U);
}

TEST_F(coordinator_takeover, needs_no_room_of_its_own) {
  restart_with({.max_connections = 1, .max_peers = 1});
  join("a");
  pass(1s);
  const auto newcomer = join("a");
  EXPECT_EQ(ask("b").status, 503U);
  leave(newcomer);
  EXPECT_EQ(ask("b").status, 101U);
}

// ---- the silent

TEST_F(coordinator_silence, is_pinged_after_60_s_and_closed_after_75_s) {
  const auto id = join("a");
  EXPECT_EQ(wait(), 60s);
  EXPECT_TRUE(pass(60s - 1ns).nothing());
  auto all = pass(1ns);
  EXPECT_THAT(all.pings, ElementsAre(id));
  EXPECT_TRUE(all.closes.empty());
  EXPECT_EQ(wait(), 15s);
  EXPECT_TRUE(pass(15s - 1ns).nothing());
  all = pass(1ns);
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].who, id);
  EXPECT_EQ(all.closes[0].code, 1001) << "it may come back";
  EXPECT_EQ(engine->counters().timed_out, 1U);
}

TEST_F(coordinator_silence, tells_the_others_when_it_ends_in_a_close) {
  join("a");
  const auto alive = join("b", "2.2.2.2:2");
  pass(59s);
  ping(alive);
  pass(1s);
  const auto all = pass(15s);
  EXPECT_EQ(all.closes.size(), 1U);
  EXPECT_THAT(all.last_list_for(alive), Not(HasSubstr("1.1.1.1")));
}

TEST_F(coordinator_silence, is_over_with_any_sign_of_life) {
  const auto id = join("a");
  pass(59s);
  engine->on_activity(now(), id);
  EXPECT_TRUE(pass(60s - 1ns).nothing());
  EXPECT_THAT(pass(1ns).pings, ElementsAre(id));
  pass(14s);
  engine->on_activity(now(), id);  // the pong
  EXPECT_TRUE(pass(60s - 1ns).nothing());
  EXPECT_THAT(pass(1ns).pings, ElementsAre(id));
}

TEST_F(coordinator_silence, is_measured_for_each_client) {
  std::vector<client_id> ids;
  for (int i = 0; i < 3; ++i) {
    ids.push_back(join("peer " + std::to_string(i)));
    pass(10s);
  }
  engine->on_activity(now(), ids[0]);  // at 30 s: last of all to be pinged
  EXPECT_THAT(pass(40s).pings, ElementsAre(ids[1]));
  EXPECT_THAT(pass(10s).pings, ElementsAre(ids[2]));
  EXPECT_EQ(wait(), 5s) << "the second's close, at 85 s";
}

}  // namespace
}  // namespace nat
