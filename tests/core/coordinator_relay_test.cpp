// natcoord.v2: packets relayed between the clients of a topic.
#include "nat/coordinator.hpp"

#include "coordinator_v2_fixture.hpp"

#include <cstdint>
#include <vector>

namespace nat {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

using bytes = std::vector<std::uint8_t>;

class coordinator_relay : public coordinator_v2_fixture {
 protected:
  const bytes packet{0x44, 0x41, 0x54, 0x41, 1, 2, 3};

  done relay(client_id from, const std::vector<peer_id>& to, byte_view what) {
    bytes frame;
    append_relay_upload(frame, to, what);
    return relay_frame(from, frame);
  }
  done relay(client_id from, const std::vector<peer_id>& to) { return relay(from, to, packet); }
  done relay_frame(client_id from, byte_view frame) {
    engine->on_relay(now(), from, frame);
    return deliver(look());
  }
  /// Three v2 clients who know each other.
  void SetUp() override {
    a = join_v2("a");
    b = join_v2("b");
    c = join_v2("c");
    after(1s);
  }
  void restart_with_limits(const relay_limits& relay) {
    views.clear();
    restart_with({.relay = relay});
    SetUp();
  }

  client_id a = 0;
  client_id b = 0;
  client_id c = 0;
};

TEST_F(coordinator_relay, brings_a_packet_to_the_one_it_is_for) {
  const auto all = relay(a, {b});
  ASSERT_EQ(all.relayed.size(), 1U);
  EXPECT_THAT(all.relayed[0].to, ElementsAre(b));
  const auto delivery = decode_relay_delivery(*all.relayed[0].frame).value();
  EXPECT_EQ(delivery.from, a);
  EXPECT_THAT(delivery.packet, ElementsAreArray(packet));
  EXPECT_EQ(engine->counters().relayed_packets, 1U);
  EXPECT_EQ(engine->counters().relayed_bytes, packet.size());
}

TEST_F(coordinator_relay, brings_a_packet_to_everyone_else_in_one_frame) {
  const auto all = relay(a, {});
  ASSERT_EQ(all.relayed.size(), 1U);
  EXPECT_THAT(all.relayed[0].to, ElementsAre(b, c));
  EXPECT_EQ(engine->counters().relayed_packets, 2U);
  EXPECT_EQ(engine->counters().relayed_bytes, 2 * packet.size());
}

TEST_F(coordinator_relay, brings_a_packet_to_several_each_once) {
  const auto all = relay(a, {c, b, c, a, 77});
  ASSERT_EQ(all.relayed.size(), 1U);
  EXPECT_THAT(all.relayed[0].to, ElementsAre(b, c)) << "not to itself, nor to nobody";
}

TEST_F(coordinator_relay, stays_within_the_topic) {
  topic = "another";
  const auto stranger = join_v2("d");
  EXPECT_TRUE(relay(a, {stranger}).nothing());
  EXPECT_TRUE(relay(stranger, {}).nothing());
  EXPECT_EQ(engine->counters().relay_for_nobody, 2U);
}

TEST_F(coordinator_relay, is_not_for_clients_of_section_1) {
  const auto seed = join_seed("s");
  after(1s);
  EXPECT_TRUE(relay(a, {seed}).nothing());
  EXPECT_THAT(relay(a, {}).relayed.at(0).to, ElementsAre(b, c));
  EXPECT_TRUE(relay(seed, {a}).nothing());
}

TEST_F(coordinator_relay, is_not_for_those_whose_upgrade_is_not_done) {
  const auto id = ask_v2("d").id;
  EXPECT_TRUE(relay(a, {id}).nothing());
  EXPECT_TRUE(relay(id, {a}).nothing());
}

TEST_F(coordinator_relay, can_be_off) {
  restart_with_limits({.on = false});
  EXPECT_FALSE(views[a].welcomed.relay);
  EXPECT_TRUE(relay(a, {b}).nothing());
  EXPECT_EQ(engine->counters().relay_off, 1U);
}

TEST_F(coordinator_relay, counts_as_a_sign_of_life) {
  pass(59s);
  for (const auto id : {a, b, c}) relay(id, {});
  EXPECT_TRUE(pass(59s).nothing());
}

TEST_F(coordinator_relay, drops_what_a_client_sends_too_fast_and_nobody_elses) {
  restart_with_limits({.rate = 8'000'000});
  const bytes large(1000);
  std::size_t through = 0;
  for (int i = 0; i < 1000; ++i) through += relay(a, {b}, large).relayed.size();
  EXPECT_EQ(through, 263U) << "256 KiB at once";
  EXPECT_EQ(engine->counters().relay_over_rate, 737U);
  EXPECT_EQ(relay(b, {a}, large).relayed.size(), 1U);
  after(1ms);
  EXPECT_EQ(relay(a, {b}, large).relayed.size(), 1U);
  EXPECT_EQ(relay(a, {b}, large).relayed.size(), 0U);
}

TEST_F(coordinator_relay, drops_what_all_send_too_fast) {
  restart_with_limits({.rate = 0, .total_rate = 80'000'000});
  const bytes large(1000);
  for (int i = 0; i < 10'000; ++i) relay(a, {}, large);
  EXPECT_NEAR(static_cast<double>(engine->counters().relayed_bytes), 8 << 20, 2000);
  EXPECT_GT(engine->counters().relay_over_total_rate, 0U);
  EXPECT_TRUE(relay(b, {a}, large).nothing());
}

TEST_F(coordinator_relay, gives_each_client_a_days_quota_which_a_resume_does_not_renew) {
  restart_with_limits({.quota = 10'000});
  const bytes large(1000);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(relay(a, {b}, large).relayed.size(), 1U) << i;
  EXPECT_TRUE(relay(a, {b}, large).nothing());
  EXPECT_EQ(engine->counters().relay_over_quota, 1U);
  EXPECT_EQ(relay(b, {a}, large).relayed.size(), 1U);
  const auto again = join_v2("a", views[a].welcomed.resume);
  EXPECT_TRUE(relay(again, {b}, large).nothing());
}

TEST_F(coordinator_relay, closes_a_client_that_sends_frames_which_are_none) {
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(relay_frame(a, bytes{1, 0, 0}).nothing());
  const auto all = relay_frame(a, bytes{});
  ASSERT_EQ(all.closes.size(), 1U);
  EXPECT_EQ(all.closes[0].code, 1013);
}

TEST_F(coordinator_relay, drops_what_nobody_takes_away) {
  restart_with({.max_connections = 3});
  views.clear();
  SetUp();
  bytes frame;
  append_relay_upload(frame, {}, packet);
  for (int i = 0; i < 100; ++i) engine->on_relay(now(), a, frame);
  for (const auto& queue : engine->queues()) EXPECT_LE(queue.held, queue.bound) << queue.name;
  EXPECT_EQ(engine->counters().relay_over_total_rate, 82U);
}

}  // namespace
}  // namespace nat
