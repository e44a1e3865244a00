// A stream whose byte at each offset is known, so that whatever comes out of an inbox can be checked.
#pragma once

#include "nat/stream_inbox.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace nat {

using verdict = stream_inbox::verdict;

inline std::uint8_t stream_byte(std::uint64_t offset) {
  return static_cast<std::uint8_t>((offset * 0x9e3779b97f4a7c15U) >> 56);
}

inline std::vector<std::uint8_t> stream_bytes(std::uint64_t offset, std::size_t size) {
  std::vector<std::uint8_t> out(size);
  for (auto& byte : out) byte = stream_byte(offset++);
  return out;
}

inline data_header data(std::uint64_t number, std::uint64_t offset, std::uint8_t flags = 0) {
  data_header header;
  header.sender = 7;
  header.number = number;
  header.offset = offset;
  header.flags = flags;
  return header;
}

inline std::vector<std::uint8_t> whole(const stream_inbox::record& record) {
  std::vector<std::uint8_t> out(record.first.begin(), record.first.end());
  out.insert(out.end(), record.second.begin(), record.second.end());
  return out;
}

class stream_inbox_test : public testing::Test {
 protected:
  static constexpr std::size_t size = 1000;  // of a payload where it does not matter
  static constexpr time_point start{std::chrono::hours(1)};
  static constexpr unix_millis wall = 1'700'000'000'000;

  /// As a session does: opened where it stays if its place is in one part.
  verdict give(const data_header& header, byte_view payload) {
    const auto what = inbox.judge(header, payload.size());
    if (what == verdict::duplicate) inbox.on_duplicate(now);
    if (what != verdict::taken) return what;
    const auto at = inbox.place(header, payload.size());
    if (!at.empty()) std::ranges::copy(payload, at.begin());
    inbox.take(now, wall + std::chrono::duration_cast<std::chrono::milliseconds>(now - start).count(), header,
               at.empty() ? payload : byte_view(at));
    return what;
  }
  verdict give(std::uint64_t number, std::uint64_t offset, std::size_t bytes, std::uint8_t flags = 0) {
    const auto payload = stream_bytes(offset, bytes);
    return give(data(number, offset, flags), payload);
  }
  verdict give(std::uint64_t number, std::uint64_t offset, std::string_view text, std::uint8_t flags = 0) {
    return give(data(number, offset, flags), as_bytes(text));
  }
  /// The packet of a stream of full ones that began with number 1.
  verdict full(std::uint64_t number) { return give(number, (number - 1) * size, size); }

  /// Writes all that may be written as bytes; returns how many those were. Each is checked.
  std::size_t write_bytes(std::size_t most = 64U << 10) {
    std::size_t out = 0;
    auto from = inbox.written();
    while (const auto piece = inbox.next_bytes(most)) {
      const auto bytes = whole(*piece);
      const auto end = inbox.take_out(bytes.size());
      EXPECT_EQ(bytes, stream_bytes(from, bytes.size()));
      inbox.on_written(now, end);
      from = end;
      out += bytes.size();
      if (bytes.empty()) break;
    }
    return out;
  }
  /// The next record, written; none: there is none.
  std::optional<std::string> write_record() {
    const auto record = inbox.next_record();
    if (!record) return std::nullopt;
    const auto bytes = whole(*record);
    inbox.on_written(now, inbox.take_out(bytes.size()));
    return std::string(as_text(bytes));
  }
  std::vector<ping_acknowledgement> acks(duration round_trip = {}) {
    std::vector<ping_acknowledgement> out;
    while (const auto ack = inbox.next_ack(now, round_trip)) out.push_back(*ack);
    return out;
  }
  /// As a timer does, until nothing is due any more.
  std::vector<ping_acknowledgement> acks_within(duration time, duration round_trip = {}) {
    std::vector<ping_acknowledgement> out;
    const auto end = now + time;
    while (const auto due = inbox.next_deadline()) {
      if (*due > end) break;
      now = std::max(now, *due);
      inbox.on_time(now);
      const auto more = acks(round_trip);
      out.insert(out.end(), more.begin(), more.end());
      const auto after = inbox.next_deadline();
      EXPECT_TRUE(!after || *after > now) << "a deadline in the past would spin";
      if (after && *after <= now) break;
    }
    now = end;
    return out;
  }

  stream_inbox inbox{stream_inbox::first_window};
  time_point now = start;
};

}  // namespace nat
