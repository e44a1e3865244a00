// A peer that says what cannot be: nothing of it is believed, and nothing of it costs much.
#include "delivery_fixture.hpp"
#include "plain_random.hpp"

#include <tuple>

namespace nat {
namespace {

using namespace std::chrono_literals;

class delivery_nonsense_test : public delivery_test {
 protected:
  void SetUp() override {
    settle();
    fill(20);
    ASSERT_EQ(send_within(5ms, 8).size(), 8U);
    now += round_trip;
    acknowledge(ack_of(3, {}, far, 1500));
  }
  auto all() const {
    return std::tuple(to.floor(), to.written(), to.received(), to.limit(), to.in_flight(), to.lost(), to.round_trip());
  }
};

TEST_F(delivery_nonsense_test, an_acknowledgement_of_what_was_never_made_changes_nothing) {
  const auto before = all();
  for (const auto next : {log.end() + 1, UINT64_MAX, std::uint64_t{1} << 63}) {
    EXPECT_FALSE(acknowledge(next).progress) << next;
    EXPECT_EQ(all(), before);
  }
}

TEST_F(delivery_nonsense_test, what_came_without_being_sent_there_is_not_sent) {
  ASSERT_EQ(log.end(), 21U);
  EXPECT_TRUE(acknowledge(ack_of(15, {}, far, far - log.at(15).offset)).progress) << "a relay gave it to everybody";
  EXPECT_EQ(to.received(), 15U);
  EXPECT_EQ(to.in_flight(), 0U);
  EXPECT_EQ(send_within(5ms, 1), (std::vector<std::uint64_t>{15}));
}

TEST_F(delivery_nonsense_test, an_acknowledgement_from_before_the_stream_changes_nothing) {
  const auto before = all();
  acknowledge(0, {0, 8});
  EXPECT_EQ(all(), before);
}

TEST_F(delivery_nonsense_test, more_unwritten_than_the_limit_changes_nothing) {
  const auto before = all();
  auto ack = ack_of(9);
  ack.limit = 100;
  ack.unwritten = 101;
  EXPECT_FALSE(acknowledge(ack).progress);
  EXPECT_EQ(all(), before);
}

TEST_F(delivery_nonsense_test, more_written_than_there_is_is_no_more_than_came) {
  acknowledge(ack_of(5, {}, far, far));
  EXPECT_EQ(to.floor(), 5U);
  EXPECT_LE(to.written(), log.end_offset());
}

TEST_F(delivery_nonsense_test, runs_beyond_what_was_sent_tell_of_what_was_sent) {
  auto ack = ack_of(3, {0, (1U << 28) - 1, (1U << 28) - 1, (1U << 28) - 1});
  EXPECT_TRUE(acknowledge(ack).progress);
  EXPECT_EQ(to.in_flight(), 0U);
  EXPECT_EQ(to.received(), 3U) << "only `next` says that";
}

TEST_F(delivery_nonsense_test, runs_that_begin_far_beyond_tell_of_nothing) {
  const auto before = all();
  auto ack = ack_of(3, {0, 5}, far, 1500);
  ack.from = UINT32_MAX;
  EXPECT_FALSE(acknowledge(ack).progress);
  EXPECT_EQ(all(), before);
}

TEST_F(delivery_nonsense_test, a_delay_longer_than_the_packet_took_gives_no_sample) {
  const auto before = to.round_trip();
  auto ack = ack_of(4);
  ack.newest = -1;
  ack.delay = UINT32_MAX;
  EXPECT_EQ(acknowledge(ack).round_trip, std::nullopt);
  EXPECT_EQ(to.round_trip(), before);
}

TEST_F(delivery_nonsense_test, a_newest_that_was_never_sent_gives_no_sample) {
  for (const auto newest : {INT32_MAX, INT32_MIN + 1, 1000, -1000}) {
    auto ack = ack_of(3, {0, 1});
    ack.newest = newest;
    EXPECT_EQ(acknowledge(ack).round_trip, std::nullopt) << newest;
  }
}

TEST_F(delivery_nonsense_test, what_is_written_is_not_revoked) {
  const auto before = to.floor();
  acknowledge(ack_of(before - 1, {}, far, 0), ping_acknowledgement::revoked);
  EXPECT_EQ(to.floor(), before);
  EXPECT_EQ(to.received(), 3U);
}

TEST_F(delivery_nonsense_test, whatever_is_said_the_stream_stays_within_its_bounds_and_ends) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    plain_random random(seed);
    const auto draw = [&](std::uint64_t below) { return random.next_u64() % below; };
    log = send_log(64U << 20);
    to = delivery(1, 0, seed);
    now = start;
    pings = 0;
    settle();
    fill(200);
    for (int step = 0; step < 300; ++step) {
      now += std::chrono::microseconds(draw(30'000));
      to.on_time(now);
      if (to.wants_to_tell(now)) to.on_told(now);
      send(1 + draw(20));
      ping_acknowledgement ack;
      const auto highest = to.received() + 40;
      ack.next = draw(4) == 0 ? random.next_u64() : draw(highest);
      ack.limit = draw(2) == 0 ? random.next_u64() : draw(400'000);
      ack.unwritten = static_cast<std::uint32_t>(draw(2) == 0 ? random.next_u64() : draw(10'000));
      ack.delay = static_cast<std::uint32_t>(draw(2) == 0 ? random.next_u64() : draw(50'000));
      ack.newest = static_cast<std::int32_t>(draw(2) == 0 ? random.next_u64() : draw(40));
      ack.from = static_cast<std::uint32_t>(draw(4) == 0 ? random.next_u64() : draw(40));
      ack.duplicates = static_cast<std::uint16_t>(draw(4));
      random.fill(ack.runs);
      if (draw(2) == 0) ack.runs = {0, static_cast<std::uint8_t>(1 + draw(20)), 1, static_cast<std::uint8_t>(draw(9))};
      const auto flags = static_cast<std::uint8_t>(draw(8) == 0 ? draw(256) : 0);
      const auto floor = to.floor();
      const auto written = to.written();
      to.on_ack(now, draw(8) == 0 ? random.next_u64() >> 40 : ++pings, ack, flags, log);
      ASSERT_GE(to.floor(), floor);
      ASSERT_GE(to.written(), written);
      ASSERT_LE(to.floor(), to.received());
      ASSERT_LE(to.received(), log.end());
      ASSERT_LE(to.written(), log.end_offset());
      ASSERT_LE(to.in_flight(), 200U * (size + header_size));
      ASSERT_GE(to.round_trip(), duration{});
    }
    // From here on it says what is so.
    for (int step = 0; step < 2000 && !to.has_all(log); ++step) {
      now += 50ms;
      to.on_time(now);
      if (to.wants_to_tell(now)) to.on_told(now);
      send();
      to.on_ack(now, UINT64_MAX, ack_of(to.received(), {0, 200}, far, log.end_offset()), 0, log);
      const auto next = std::min(to.received() + 200, log.end());
      for (auto each = next; each > to.received(); --each) {
        to.on_ack(now, UINT64_MAX, ack_of(each, {}, far, log.end_offset()), 0, log);
      }
    }
    ASSERT_TRUE(to.has_all(log)) << to.received();
    ASSERT_EQ(to.in_flight(), 0U);
  }
}

}  // namespace
}  // namespace nat
