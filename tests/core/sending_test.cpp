// The pieces between stdin and the sender: pacer, outbox, gate.
#include "nat/backoff.hpp"
#include "nat/outbox.hpp"
#include "nat/pacer.hpp"
#include "nat/sender.hpp"

#include "plain_random.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};

TEST(pacer, lets_a_burst_through_and_then_keeps_the_rate) {
  constexpr std::uint64_t rate = 8'000'000;  // a byte a microsecond
  pacer limit(rate);
  auto now = start;
  std::size_t sent = 0;
  const auto send_what_may = [&] {
    while (limit.ready(now)) {
      limit.on_sent(now, 1000);
      sent += 1000;
    }
  };
  send_what_may();
  EXPECT_EQ(sent, 13'000U) << "the burst of 12,320 bytes, and the packet that overdraws it";
  const auto after_burst = sent;
  for (; now < start + 1s; now = limit.next_time()) send_what_may();
  EXPECT_NEAR(static_cast<double>(sent - after_burst), 1e6, 14'000);
}

TEST(pacer, does_not_save_up_more_than_its_burst) {
  pacer limit(8'000'000);
  limit.on_sent(start, 1000);
  const auto later = start + 1h;
  std::size_t sent = 0;
  for (; limit.ready(later); sent += 1000) limit.on_sent(later, 1000);
  EXPECT_EQ(sent, 13'000U);
}

TEST(pacer, catches_up_after_a_timer_that_came_late) {
  pacer limit(8'000'000);
  auto now = start;
  std::size_t sent = 0;
  for (; now < start + 1s; now = limit.next_time() + 1ms) {  // every wake-up 1 ms late
    for (; limit.ready(now); sent += 1000) limit.on_sent(now, 1000);
  }
  EXPECT_GT(sent, 980'000U);
}

TEST(backoff, doubles_its_bound_up_to_the_cap_and_starts_over) {
  highest_random random;
  backoff wait(250ms, 30s);
  // A draw is `low + (2^64-1) mod (span + 1)`, so only its bound is known.
  for (const auto bound : {250ms, 500ms, 1000ms, 2000ms, 4000ms, 8000ms, 16000ms, 30000ms, 30000ms}) {
    EXPECT_LE(wait.next(random), bound);
  }
  wait.reset();
  EXPECT_LE(wait.next(random), 250ms);
}

TEST(backoff, spreads_over_the_whole_span) {
  plain_random random;
  duration least = 1h;
  duration most{};
  for (int i = 0; i < 1000; ++i) {
    backoff wait(250ms, 30s);
    const auto drawn = wait.next(random);
    least = std::min(least, drawn);
    most = std::max(most, drawn);
  }
  EXPECT_LT(least, 10ms);
  EXPECT_GT(most, 240ms);
  EXPECT_LE(most, 250ms);
}

endpoint at(std::uint16_t port) { return {ip_address::parse("192.0.2.1").value(), port}; }

TEST(outbox, keeps_one_copy_of_a_packet_for_many) {
  outbox out;
  const auto packet = out.append(as_bytes("hello"));
  out.send(packet, at(1));
  out.send(packet, at(2));
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out.bytes(out.at(0)).data(), out.bytes(out.at(1)).data());
  EXPECT_EQ(as_text(out.bytes(out.at(1))), "hello");
  EXPECT_EQ(out.at(1).to, at(2));
}

TEST(outbox, goes_on_behind_what_was_consumed) {
  outbox out;
  out.send(out.append(as_bytes("a")), at(1));
  out.send(out.append(as_bytes("b")), at(2));
  out.consume(1);
  EXPECT_EQ(as_text(out.bytes(out.at(0))), "b");
  out.consume(1);
  EXPECT_TRUE(out.empty());
}

TEST(outbox, refuses_above_its_bounds_and_has_room_again_once_empty) {
  outbox out;
  EXPECT_FALSE(out.has_room(outbox::max_bytes + 1, 1));
  const auto packet = out.append(outbox::max_bytes);
  EXPECT_FALSE(out.has_room(1, 1));
  for (std::size_t i = 0; i < outbox::max_datagrams; ++i) out.send(packet, at(1));
  EXPECT_FALSE(out.has_room(0, 1));
  out.consume(outbox::max_datagrams);
  EXPECT_TRUE(out.has_room(outbox::max_bytes, outbox::max_datagrams));
}

void update(start_gate& gate, time_point now, const std::vector<start_gate::awaited>& peers) {
  gate.update(now, peers);
}

TEST(start_gate, opens_at_once_when_nobody_is_waited_for) { EXPECT_TRUE(start_gate(0).is_open()); }

TEST(start_gate, waits_for_enough_peers_and_for_each_to_be_heard) {
  start_gate gate(2);
  update(gate, start, {{start, true}});
  EXPECT_FALSE(gate.is_open());
  EXPECT_EQ(gate.next_deadline(), std::nullopt);
  update(gate, start + 1s, {{start, true}, {start + 1s, false}});
  EXPECT_FALSE(gate.is_open());
  update(gate, start + 2s, {{start, true}, {start + 1s, true}});
  EXPECT_TRUE(gate.is_open());
}

TEST(start_gate, gives_a_silent_peer_two_seconds_of_pings) {
  start_gate gate(1);
  update(gate, start, {{start, false}});
  EXPECT_EQ(gate.next_deadline(), start + 2s);
  update(gate, start + 2s - 1ns, {{start, false}});
  EXPECT_FALSE(gate.is_open());
  update(gate, start + 2s, {{start, false}});
  EXPECT_TRUE(gate.is_open());
}

TEST(start_gate, does_not_wait_for_who_comes_later) {
  start_gate gate(1);
  update(gate, start, {{start, false}});
  update(gate, start + 1s, {{start, true}, {start + 1s, false}});
  EXPECT_TRUE(gate.is_open());
}

TEST(start_gate, starts_over_when_too_many_have_left) {
  start_gate gate(1);
  update(gate, start, {{start, false}});
  update(gate, start + 1s, {});
  EXPECT_EQ(gate.next_deadline(), std::nullopt);
  update(gate, start + 3s, {{start + 3s, false}});
  EXPECT_EQ(gate.next_deadline(), start + 5s);
}

TEST(start_gate, stays_open) {
  start_gate gate(1);
  update(gate, start, {{start, true}});
  update(gate, start + 1s, {});
  EXPECT_TRUE(gate.is_open());
}

}  // namespace
}  // namespace nat
