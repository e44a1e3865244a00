#include "nat/bbr.hpp"

#include "bbr_link.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t datagram = 1250;

// 100 Mbit/s, 50 ms and a queue of one bandwidth-delay product, unless a test says otherwise.

double loss_share(link_model& link, std::size_t flows = 1) {
  double lost = 0;
  double sent = 0;
  for (std::size_t i = 0; i < flows; ++i) {
    lost += static_cast<double>(link[i].lost);
    sent += static_cast<double>(link[i].sent);
  }
  return lost / sent;
}

double megabits(std::uint64_t bytes_per_second) { return static_cast<double>(bytes_per_second) * 8e-6; }

/// What each of two flows gets, in Mbit/s, while `time` goes by.
std::pair<double, double> shares(link_model& link, duration time) {
  const auto before = link[0].delivered;
  const auto second = link.goodput(time, 1);
  const auto first =
      static_cast<double>(link[0].delivered - before) * 8e-6 / std::chrono::duration<double>(time).count();
  return {first, second};
}

TEST(bbr, fills_the_link_within_a_second_and_without_loss_keeps_it_full) {
  link_model link({});
  link.add_bbr();
  link.run_for(600ms);
  EXPECT_GE(link.goodput(200ms), 90);
  link.run_for(9200ms);
  EXPECT_GE(static_cast<double>(link[0].delivered) * 8e-6 / 10, 94);
  EXPECT_LT(loss_share(link), 0.005);  // all of it at the end of startup
}

TEST(bbr, leaves_the_queue_nearly_empty_while_it_cruises) {
  link_model link({});
  auto& control = link.add_bbr();
  link.run_for(2s);
  ASSERT_EQ(control.state(), bbr::phase::cruise);
  EXPECT_LT(link.queue_bytes(), 0.05 * 625'000);
}

TEST(bbr, loses_little_of_its_rate_to_one_loss_in_a_hundred) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    link_model link({.loss = 0.01}, seed);
    link.add_bbr(seed);
    EXPECT_GE(link.goodput(10s), 85) << seed;
  }
}

TEST(bbr, gets_most_of_the_rate_at_one_loss_in_twenty) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    link_model link({.loss = 0.05}, seed);
    link.add_bbr(seed);
    link.run_for(600ms);
    EXPECT_GE(link.goodput(200ms), 70) << seed;
    EXPECT_GE(link.goodput(9200ms), 75) << seed;
  }
}

TEST(bbr, gets_most_of_the_rate_at_one_loss_in_twenty_although_acknowledgements_come_unevenly) {
  link_model link({.loss = 0.05, .jitter = 5ms});
  link.add_bbr();
  EXPECT_GE(link.goodput(10s), 65);
}

TEST(bbr, round_trips_that_vary_by_a_fifth_are_no_queue) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U, 6U}) {
    link_model link({.loss = 0.02, .jitter = 10ms}, seed);
    link.add_bbr(seed);
    EXPECT_GE(link.goodput(10s), 60) << seed;
  }
}

TEST(bbr, fills_a_link_whose_buffer_is_shallow_and_loses_little) {
  for (const double buffer : {0.05, 0.1, 0.3}) {
    link_model link({.buffer = buffer});
    link.add_bbr();
    EXPECT_GE(link.goodput(10s), 85) << buffer;
    EXPECT_LT(loss_share(link), 0.025) << buffer;
  }
}

TEST(bbr, a_latecomer_gets_its_share) {
  for (const double buffer : {0.1, 1.0}) {
    double sum = 0;
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
      link_model link({.buffer = buffer}, seed);
      link.add_bbr(seed);
      link.add_bbr(seed + 100, 3s);
      link.run_for(3s);
      const auto [first, second] = shares(link, 20s);
      EXPECT_GE(second, buffer < 1 ? 28 : 20) << "seed " << seed << ", buffer " << buffer;
      EXPECT_LE(second, 70) << "seed " << seed << ", buffer " << buffer;
      EXPECT_GE(first + second, 90) << "seed " << seed << ", buffer " << buffer;
      EXPECT_LT(loss_share(link, 2), 0.05) << "seed " << seed << ", buffer " << buffer;
      sum += second;
    }
    EXPECT_GE(sum / 4, 30) << buffer;
  }
}

TEST(bbr, shares_with_cubic_whoever_comes_first) {
  link_model together({});
  together.add_bbr();
  together.add_cubic();
  auto [ours, cubic] = shares(together, 20s);
  EXPECT_GE(ours, 30);
  EXPECT_GE(cubic, 30);

  link_model after({});
  after.add_cubic();
  after.add_bbr(1, 3s);
  after.run_for(3s);
  std::tie(cubic, ours) = shares(after, 20s);
  EXPECT_GE(ours, 30);
  EXPECT_GE(cubic, 30);

  link_model before({});
  before.add_bbr();
  before.add_cubic(3s);
  before.run_for(3s);
  std::tie(ours, cubic) = shares(before, 20s);
  EXPECT_GE(ours, 30);
  EXPECT_GE(cubic, 24);
}

TEST(bbr, follows_a_path_that_becomes_slower_and_drains_the_queue) {
  // At any moment of its cycle, and whether the buffer overflows or swallows it all.
  for (const double buffer : {0.2, 1.0}) {
    for (const auto before : {4000ms, 4700ms, 5400ms, 6100ms}) {
      link_model link({.buffer = buffer});
      link.add_bbr();
      link.run_for(before);
      link.set_rate(20e6 / 8);
      double least = 1e9;
      for (int i = 0; i < 200; ++i) {
        link.run_for(10ms);
        least = std::min(least, link.queue_bytes());
      }
      EXPECT_LT(least, 20'000) << before.count() << " ms, buffer " << buffer;  // 8 ms of the new rate
      EXPECT_GE(link.goodput(3s), 18);
    }
  }
}

TEST(bbr, follows_a_path_that_becomes_faster) {
  link_model link({.rate = 20e6 / 8, .buffer = 5});
  link.add_bbr();
  link.run_for(4s);
  link.set_rate(100e6 / 8);
  link.run_for(3500ms);
  EXPECT_GE(link.goodput(2s), 85);
}

TEST(bbr, follows_a_path_that_becomes_longer) {
  link_model link({});
  auto& control = link.add_bbr();
  link.run_for(4s);
  link.set_round_trip(100ms);
  link.run_for(16s);  // the filter's ten seconds, and a look at the path
  EXPECT_GE(*control.min_rtt(), 100ms);
  EXPECT_GE(link.goodput(3s), 85);
}

TEST(bbr, goes_on_after_the_path_was_dead_for_a_while) {
  for (const auto outage : {200ms, 1000ms, 5000ms}) {
    link_model link({});
    link.add_bbr();
    link.run_for(4s);
    link.set_loss(1);
    link.run_for(outage);
    link.set_loss(0);
    link.run_for(1s);
    EXPECT_GE(link.goodput(1s), 90) << outage.count() << " ms";
  }
}

TEST(bbr, little_to_send_does_not_make_the_path_look_slow) {
  link_model link({});
  auto& control = link.add_bbr();
  link.offer(0, 30'000'000);
  link.run_for(4s);
  ASSERT_EQ(link[0].in_flight, 0U);
  const auto before = control.bandwidth();
  ASSERT_GE(megabits(before), 95);
  for (int i = 0; i < 200; ++i) {  // 1 Mbit/s
    link.offer(0, 12'500);
    link.run_for(100ms);
  }
  EXPECT_TRUE(control.is_app_limited());
  EXPECT_GE(control.bandwidth(), before * 95 / 100);
}

TEST(bbr, goes_on_at_the_rate_it_knew_after_it_was_idle) {
  link_model link({});
  link.add_bbr();
  link.offer(0, 30'000'000);
  link.run_for(34s);
  const auto lost = link[0].lost;
  link.offer(0, 12'000'000);
  link.run_for(100ms);
  EXPECT_GE(link.goodput(500ms), 90);
  EXPECT_EQ(link[0].lost, lost);
}

TEST(bbr, fills_a_fast_short_path_whose_acknowledgements_are_few_and_late) {
  for (const double buffer : {1.0, 10.0}) {
    link_model link({.rate = 5e9 / 8, .round_trip = 100us, .buffer = buffer, .packets_per_ack = 32});
    auto& control = link.add_bbr();
    link.run_for(20ms);
    EXPECT_GE(link.goodput(50ms), 4000) << buffer;
    EXPECT_EQ(control.send_quantum(), 65'536U);
    if (buffer > 1) {
      EXPECT_GE(control.window(), 3U * 65'536);  // one at each end, one between
    }
  }
  link_model rare({.rate = 5e9 / 8, .round_trip = 100us, .buffer = 10, .packets_per_ack = 1'000'000});  // each 1 ms
  rare.add_bbr();
  rare.run_for(50ms);
  EXPECT_GE(rare.goodput(50ms), 4000);
}

TEST(bbr, random_loss_does_not_stop_a_path_of_fifty_microseconds) {
  link_model link({.rate = 5e9 / 8, .round_trip = 50us, .buffer = 5, .loss = 0.01, .packets_per_ack = 32});
  link.add_bbr();
  link.run_for(20ms);
  EXPECT_GE(link.goodput(100ms), 3000);
}

TEST(bbr, fills_a_slow_long_path) {
  for (const double loss : {0.0, 0.05}) {
    link_model link({.rate = 1e6 / 8, .round_trip = 500ms, .loss = loss});
    auto& control = link.add_bbr();
    EXPECT_GE(link.goodput(30s), loss > 0 ? 0.7 : 0.85);
    EXPECT_LE(control.send_quantum(), 2 * datagram);
  }
}

TEST(bbr, keeps_a_link_full_whose_acknowledgements_come_in_heaps) {
  // Heaps smaller than the path holds, and four times as large.
  for (const auto round_trip : {50ms, 5ms}) {
    link_model link({.round_trip = round_trip,
                     .buffer = 50.0 / static_cast<double>(round_trip.count()),
                     .packets_per_ack = 1'000'000,
                     .ack_delay = 20ms});
    link.add_bbr();
    EXPECT_GE(link.goodput(10s), 85) << round_trip.count() << " ms";
  }
}

TEST(bbr, a_timeout_leaves_the_least_window_until_something_is_acknowledged) {
  bbr control(datagram);
  time_point now{};
  std::vector<bbr::packet_state> packets;
  for (std::uint64_t i = 0; i < 10; ++i) packets.push_back(control.on_sent(now, datagram, i * datagram));
  const auto before = control.window();
  ASSERT_EQ(before, 10 * datagram);
  now += 1s;
  for (const auto& packet : packets) control.on_lost(now, packet, datagram);
  control.on_timeout(0);
  EXPECT_EQ(control.window(), 4 * datagram);
  control.on_timeout(0);  // what there was to restore is not forgotten
  const auto again = control.on_sent(now, datagram, 0);
  control.on_acked(now + 50ms, again, datagram);
  control.on_ack_done(now + 50ms, 50ms, 0);
  EXPECT_GE(control.window(), before);
}

TEST(bbr, losses_that_were_none_are_undone) {
  link_model link({});
  auto& control = link.add_bbr();
  link.run_for(2s);
  ASSERT_EQ(control.state(), bbr::phase::cruise);
  const auto before = control.bandwidth();
  link.set_loss(0.5);
  link.run_for(80ms);  // two rounds, of which the second costs more than a quarter
  link.set_loss(0);
  link.run_for(100ms);
  ASSERT_LT(control.bandwidth(), before * 9 / 10);
  control.on_spurious_loss(link.now());
  link.run_for(10ms);
  EXPECT_GE(control.bandwidth(), before * 95 / 100);
}

TEST(bbr, a_path_that_was_dead_at_first_is_filled_all_the_same) {
  link_model link({.loss = 1});
  link.add_bbr();
  link.run_for(3s);
  link.set_loss(0);
  link.run_for(2s);  // until a packet is tried again, and startup is over
  EXPECT_GE(link.goodput(1s), 90);
}

TEST(bbr, paces_the_first_window_after_the_first_round_trip) {
  bbr control(datagram);
  const auto packet = control.on_sent(time_point{}, datagram, 0);
  control.on_acked(time_point(100ms), packet, datagram);
  control.on_ack_done(time_point(100ms), 100ms, 0);
  // 2.77 windows of ten in a round trip.
  EXPECT_NEAR(static_cast<double>(control.pacing_rate()), 2.77 * 12'500 / 0.1, 1);
}

TEST(bbr, larger_datagrams_raise_the_least_window) {
  bbr control(datagram);
  control.on_timeout(0);
  EXPECT_EQ(control.window(), 4 * datagram);
  control.set_datagram_size(8900);
  EXPECT_EQ(control.window(), 4U * 8900);
}

TEST(bbr, what_is_kept_of_a_packet_is_small) { EXPECT_LE(sizeof(bbr::packet_state), 40U); }

TEST(bbr, stays_within_its_bounds_whatever_it_is_told) {
  std::uint64_t state = 7;
  const auto pick = [&](std::uint64_t below) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (state >> 33) % below;
  };
  // Any order, any sizes, no time at all between events or hours, round trips of nothing.
  const duration steps[] = {0ns, 0ns, 1ns, 10us, 1ms, 100ms, 3s, 5h};
  for (int run = 0; run < 20; ++run) {
    bbr control(datagram, pick(1000));
    time_point now{};
    std::vector<bbr::packet_state> flying;
    for (int i = 0; i < 5000; ++i) {
      now += steps[pick(run % 2 == 0 ? 5 : std::size(steps))];
      const auto bytes = pick(2) * datagram;
      switch (pick(8)) {
        case 0: control.on_app_limited(pick(3) * datagram); break;
        case 1: control.on_timeout(pick(100'000)); break;
        case 2: control.on_spurious_loss(now); break;
        case 3:
          control.on_ack_done(now, pick(2) == 0 ? std::nullopt : std::optional<duration>(pick(4) * 1ms), pick(50'000));
          break;
        case 4:
        case 5:
          for (int j = 0; j < 4; ++j) flying.push_back(control.on_sent(now, bytes, flying.size() * datagram));
          break;
        default:
          for (std::uint64_t j = pick(8); j > 0 && !flying.empty(); --j) {
            const auto which = pick(flying.size());
            if (pick(5) == 0) {
              control.on_lost(now, flying[which], bytes);
            } else {
              control.on_acked(now, flying[which], bytes);
            }
            flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(which));
          }
          control.on_ack_done(now, pick(5) * 1ms, flying.size() * datagram);
      }
      ASSERT_GE(control.window(), 4 * datagram);
      ASSERT_LE(control.window(), 100'000'000U);  // it has not delivered more than that
      ASSERT_GT(control.pacing_rate(), 0U);
      ASSERT_GE(control.send_quantum(), datagram);
      ASSERT_LE(control.send_quantum(), 65'536U);
    }
  }
}

}  // namespace
}  // namespace nat
