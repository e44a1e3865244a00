// Puts one sender's DATA packets back into order, as far as a short wait does that: a packet that went the faster of
// two paths waits here for those before it.
#pragma once

#include "nat/bytes.hpp"
#include "nat/time.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace nat {

class reorder_buffer {
 public:
  // A relayed packet is seldom later than this behind a direct one. What is missing then counts as lost.
  static constexpr duration max_wait = std::chrono::milliseconds(100);
  // Of held payloads; beyond either the oldest gap counts as lost at once.
  static constexpr std::size_t max_bytes = 1U << 20;
  static constexpr std::size_t max_packets = 1024;

  struct packet {
    std::vector<std::uint8_t> payload;
    time_point arrived;
  };

  /// The sender's word that its first packet for us has this number. Has no effect once a packet was handed on. Until
  /// it comes, packets wait for it as for one that is missing.
  void expect(std::uint64_t first) {
    if (next_ == 0) next_ = held_.empty() ? first : std::min(first, held_.begin()->first);
  }
  /// Whatever is missing now is not waited for: it went to others. What was handed on stays handed on.
  void skip() { skips_ = next_ != 0; }

  /// A packet, each number once. Whether it may be handed on at once; if not, it is `hold`'s or too late.
  bool is_next(std::uint64_t number) {
    if (next_ == 0 && number == 1) next_ = 1;
    if (skips_ && number > next_ && held_.empty()) next_ = number;
    if (number != next_) return false;
    skips_ = false;
    ++next_;
    return true;
  }
  /// Too late: something behind it was handed on already.
  bool is_late(std::uint64_t number) const { return number < next_; }
  /// Keeps a packet that is neither next nor late.
  void hold(time_point now, std::uint64_t number, byte_view payload);

  /// A payload that is to be handed on now, in order; call until there is none, after each packet and at
  /// `next_deadline`.
  std::optional<std::vector<std::uint8_t>> release(time_point now);
  /// The same, without waiting for anything: its sender is gone.
  std::optional<std::vector<std::uint8_t>> drain();
  deadline next_deadline() const;

  std::size_t held_bytes() const { return bytes_; }
  std::size_t held_packets() const { return held_.size(); }
  std::uint64_t skipped() const { return skipped_; }  ///< numbers that were given up

 private:
  std::vector<std::uint8_t> take_first();
  bool over_limit() const { return bytes_ > max_bytes || held_.size() > max_packets; }

  std::uint64_t next_ = 0;  ///< 0: not known yet
  std::map<std::uint64_t, packet> held_;
  std::size_t bytes_ = 0;
  time_point oldest_{};  ///< arrival of the packet that was held longest; meaningful while something is held
  std::uint64_t skipped_ = 0;
  bool skips_ = false;
};

}  // namespace nat
