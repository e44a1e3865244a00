// One direction of a line: delay, jitter, loss, duplication, reordering, rate.
#pragma once

#include "nat/time.hpp"

#include "chance.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace nat::sim {

struct link_config {
  duration delay{};
  duration jitter{};            ///< added evenly from [0, jitter]; packets keep their order all the same
  double loss = 0;              ///< shares of the packets, 0..1
  double duplicate = 0;         ///< arrive twice, the copy right behind
  double reorder = 0;           ///< arrive `late_by` later than they would, and so behind others
  std::uint64_t rate = 0;       ///< bit/s; 0: no limit
  std::size_t queue = 262'144;  ///< bytes that may wait for the rate, what is left of the packet being sent included;
                                ///< beyond it packets are dropped (drop-tail). Below 2^31.

  static constexpr duration late_by = std::chrono::milliseconds(20);
};

/// When the copies of one datagram arrive: none, one or two, both at the same moment.
struct arrivals {
  std::array<time_point, 2> at;
  std::size_t count = 0;
};

class link {
 public:
  explicit link(const link_config& config = {}, std::uint64_t seed = 1) : config_(config), chance_(seed) {}

  /// A datagram of `bytes` (with all headers, at most 64 KiB) is handed over at `now`, which never goes back. One that
  /// is lost has used the rate all the same.
  arrivals carry(time_point now, std::size_t bytes);

  /// A line that is down loses everything.
  void set_up(bool up) { up_ = up; }
  bool is_up() const { return up_; }
  const link_config& config() const { return config_; }
  bool is_perfect() const;  ///< up, and every packet arrives at once

 private:
  deadline serialise(time_point now, std::size_t bytes);

  link_config config_;
  chance chance_;
  bool up_ = true;
  time_point busy_until_{};    ///< when the last byte of what waits is on the line
  time_point last_arrival_{};  ///< of a packet that was not reordered
};

}  // namespace nat::sim
