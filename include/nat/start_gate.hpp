// When stdin is read for the first time.
#pragma once

#include "nat/time.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

namespace nat {

/// Holds stdin back until the first peers can hear us: so many are listed, and everyone listed at that moment is ready
/// or was waited for `patience`. Once open it stays open.
class start_gate {
 public:
  static constexpr duration patience = std::chrono::seconds(2);

  struct awaited {
    time_point known_since;
    bool ready = false;  ///< it was heard, or, if it is ours, takes our DATA
  };

  explicit start_gate(std::size_t wait_for) : wait_for_(wait_for), open_(wait_for == 0) {}

  bool is_open() const { return open_; }
  /// To be called when peers come, go or get ready, and at `next_deadline`.
  void update(time_point now, std::span<const awaited> peers);
  deadline next_deadline() const { return open_ ? std::nullopt : wake_; }

 private:
  std::size_t wait_for_;
  bool open_;
  std::optional<time_point> counted_at_;  ///< when enough were listed; who came later is not waited for
  deadline wake_;
};

}  // namespace nat
