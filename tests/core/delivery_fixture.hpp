// One peer's delivery and the log, driven by hand.
#pragma once

#include "nat/ack_runs.hpp"
#include "nat/delivery.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace nat {

class delivery_test : public testing::Test {
 protected:
  static constexpr time_point start{std::chrono::hours(1)};
  static constexpr std::size_t size = 1000;  // of a payload
  static constexpr std::uint64_t far = 1U << 30;
  static constexpr duration round_trip = std::chrono::milliseconds(40);

  static delivery::way way_to(std::uint16_t port, duration time = round_trip, std::uint64_t rate = 0) {
    return {endpoint{ip_address(ip_address::v4_bytes{192, 0, 2, 1}), port}, time, rate};
  }
  void fill(std::size_t packets, std::size_t payload = size) {
    for (std::size_t i = 0; i < packets; ++i) std::ranges::fill(log.append(header_size, payload), std::uint8_t{1});
  }
  /// The peer has been told of the stream and has answered.
  void settle() {
    to.on_path(now, way_to(1));
    to.on_told(now);
    acknowledge(1);
  }
  /// What may leave now.
  std::vector<std::uint64_t> send(std::size_t most = 1000) {
    std::vector<std::uint64_t> out;
    for (; most > 0; --most) {
      const auto number = to.next(now, log);
      if (!number) break;
      to.on_sent(now, *number, log);
      out.push_back(*number);
    }
    return out;
  }
  /// What leaves until then, each at its time.
  std::vector<std::uint64_t> send_within(duration time, std::size_t most = 1000) {
    const auto end = now + time;
    std::vector<std::uint64_t> out = send(most);
    while (out.size() < most) {
      const auto due = to.next_deadline(log, 0, false);
      if (!due || *due > end) break;
      EXPECT_GT(*due, now) << "a deadline in the past would spin";
      if (*due <= now) break;
      now = *due;
      to.on_time(now);
      if (to.wants_to_tell(now)) to.on_told(now);
      const auto more = send(most - out.size());
      out.insert(out.end(), more.begin(), more.end());
    }
    if (out.size() < most) now = end;
    return out;
  }
  ping_acknowledgement ack_of(std::uint64_t next, std::initializer_list<std::uint32_t> runs = {},
                              std::uint64_t limit = far, std::uint64_t written = 0) const {
    ping_acknowledgement ack{.next = next, .limit = limit, .unwritten = static_cast<std::uint32_t>(limit - written)};
    ack.newest = ping_acknowledgement::no_newest;
    run_writer into(ack.runs);
    for (const auto length : runs) EXPECT_TRUE(into.push(length));
    return ack;
  }
  delivery::ack_result acknowledge(const ping_acknowledgement& ack, std::uint8_t flags = 0) {
    return to.on_ack(now, ++pings, ack, flags, log);
  }
  delivery::ack_result acknowledge(std::uint64_t next, std::initializer_list<std::uint32_t> runs = {}) {
    return acknowledge(ack_of(next, runs));
  }

  send_log log{64U << 20};
  delivery to{1, 0, 1};
  time_point now = start;
  std::uint64_t pings = 0;
};

}  // namespace nat
