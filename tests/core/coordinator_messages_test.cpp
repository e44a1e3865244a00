// natcoord.v2: punches, resyncs, and what comes of messages that are none.
#include "nat/coordinator.hpp"

#include "coordinator_v2_fixture.hpp"

#include <string>
#include <vector>

namespace nat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class v2_messages_to_coordinator : public coordinator_v2_fixture {};

TEST_F(v2_messages_to_coordinator, pass_a_punch_on_to_whom_it_is_for) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  const auto c = join_v2("c");
  after(1s);
  const auto all = punch(a, b);
  ASSERT_EQ(all.messages.size(), 1U);
  EXPECT_THAT(all.messages[0].to, ElementsAre(b));
  EXPECT_THAT(views[b].punched_by, ElementsAre(a));
  EXPECT_THAT(views[c].punched_by, IsEmpty());
}

TEST_F(v2_messages_to_coordinator, drop_punches_for_nobody) {
  const auto a = join_v2("a");
  const auto seed = join_seed("s");
  after(1s);
  for (const auto to : {a, seed, client_id{77}}) EXPECT_TRUE(punch(a, to).nothing()) << to;
  EXPECT_EQ(engine->counters().punches_dropped, 3U);
}

TEST_F(v2_messages_to_coordinator, pass_100_punches_at_once_and_20_a_second_later) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  for (int i = 0; i < 150; ++i) punch(a, b);
  EXPECT_EQ(views[b].punched_by.size(), 100U);
  EXPECT_EQ(engine->counters().punches_dropped, 50U);
  after(1s);
  for (int i = 0; i < 50; ++i) punch(a, b);
  EXPECT_EQ(views[b].punched_by.size(), 120U);
}

TEST_F(v2_messages_to_coordinator, pass_1000_punches_at_once_and_100_a_second_on_to_one_client_whoever_they_are_from) {
  const auto target = join_v2("target");
  std::vector<client_id> crowd;
  for (int i = 0; i < 12; ++i) crowd.push_back(join_v2("p" + std::to_string(i)));
  const auto everybody_punches = [&] {
    for (const auto from : crowd) {
      for (int i = 0; i < 100; ++i) punch(from, target);
    }
  };
  everybody_punches();
  EXPECT_EQ(views[target].punched_by.size(), 1000U);
  EXPECT_EQ(engine->counters().punches_dropped, 200U);
  punch(crowd[11], crowd[0]);
  EXPECT_EQ(views[crowd[0]].punched_by.size(), 1U) << "what was dropped costs its sender nothing";
  after(1s);
  everybody_punches();
  EXPECT_EQ(views[target].punched_by.size(), 1100U);
}

TEST_F(v2_messages_to_coordinator, that_a_slow_client_was_not_sent_are_made_up_for_by_a_snapshot) {
  const auto a = join_v2("a");
  after(5s);
  join_v2("b");
  views[a].peers.clear();  // the delta with b was dropped on its way
  engine->on_messages_dropped(now(), a);
  deliver(look());
  after(1s);
  EXPECT_EQ(views[a].snapshots, 2U);
  EXPECT_THAT(views[a].names(), ElementsAre("b"));
  EXPECT_EQ(engine->counters().resyncs, 0U) << "it did not ask for it";
  for (int i = 0; i < 100; ++i) engine->on_messages_dropped(now(), a);
  deliver(look());
  after(2s);
  EXPECT_EQ(views[a].snapshots, 4U) << "one at once, and one for all that came within the second";
  engine->on_messages_dropped(now(), 77);  // has gone meanwhile
  EXPECT_TRUE(after(1s).nothing());
}

TEST_F(v2_messages_to_coordinator, ask_for_a_snapshot_once_a_second) {
  const auto a = join_v2("a");
  join_v2("b");
  after(5s);
  EXPECT_EQ(views[a].snapshots, 1U);
  say(a, R"({"type":"resync"})");
  EXPECT_EQ(views[a].snapshots, 2U);
  say(a, R"({"type":"resync"})");
  say(a, R"({"type":"resync"})");
  after(1s - 1ns);
  EXPECT_EQ(views[a].snapshots, 2U);
  after(1ns);
  EXPECT_EQ(views[a].snapshots, 3U) << "both are one";
  after(5s);
  EXPECT_EQ(views[a].snapshots, 3U);
  EXPECT_THAT(views[a].names(), ElementsAre("b"));
}

TEST_F(v2_messages_to_coordinator, lead_to_a_snapshot_that_the_next_delta_fits) {
  const auto a = join_v2("a");
  join_v2("b");
  after(5s);
  list_cost = 100ms;
  join_v2("c");  // dear: the next delta waits
  join_v2("d");
  say(a, R"({"type":"resync"})");
  EXPECT_THAT(views[a].names(), ElementsAre("b", "c", "d"));
  join_v2("e");
  after(1s);
  EXPECT_THAT(views[a].names(), ElementsAre("b", "c", "d", "e"));
  EXPECT_EQ(views[a].gaps, 0U);
}

TEST_F(v2_messages_to_coordinator, close_a_client_that_does_not_speak_v2) {
  const auto a = join_v2("a");
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(say(a, "hello").nothing());
  const auto all = say(a, "hello");
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].code, 1013);
  EXPECT_THAT(all.closes[0].reason, HasSubstr("natcoord.v2"));
  EXPECT_TRUE(say(a, "hello").nothing());
  EXPECT_EQ(engine->clients(), 0U);
}

TEST_F(v2_messages_to_coordinator, may_be_of_a_type_that_comes_later) {
  const auto a = join_v2("a");
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(say(a, R"({"type":"weather"})").nothing());
  EXPECT_EQ(engine->clients(), 1U);
}

TEST_F(v2_messages_to_coordinator, close_a_client_that_sends_far_too_many) {
  const auto a = join_v2("a");
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(say(a, R"({"type":"weather"})").nothing());
  const auto all = say(a, R"({"type":"weather"})");
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].code, 1013);
}

TEST_F(v2_messages_to_coordinator, are_only_activity_from_a_client_of_section_1) {
  const auto seed = join_seed("s");
  pass(59s);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(say(seed, "hello").nothing());
  EXPECT_TRUE(pass(59s).nothing());
  EXPECT_EQ(engine->counters().bad_messages, 0U);
}

TEST_F(v2_messages_to_coordinator, keep_every_queue_within_its_bound) {
  restart_with({.max_connections = 4});
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  for (int i = 0; i < 90; ++i) engine->on_message(now(), a, encode_client_message(v2::punch_to{b}));
  for (const auto& queue : engine->queues()) EXPECT_LE(queue.held, queue.bound) << queue.name;
  EXPECT_GT(engine->counters().punches_dropped, 0U) << "nobody took the actions";
}

}  // namespace
}  // namespace nat
