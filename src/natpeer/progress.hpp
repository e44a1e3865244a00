// --progress: how far the streams are, as a few lines for a terminal.
#pragma once

#include "nat/progress_report.hpp"
#include "nat/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace natpeer {

/// How fast two totals grow, over the last seconds.
class progress_rates {
 public:
  // Long enough that a number can be read, short enough that a change is seen soon.
  static constexpr nat::duration window = std::chrono::seconds(5);
  // Of the past so much is kept apart; however often it is asked, that bounds what is kept.
  static constexpr nat::duration spacing = std::chrono::milliseconds(250);

  void on_totals(nat::time_point now, std::uint64_t sent, std::uint64_t received);
  double sent() const;  ///< bytes/s
  double received() const;
  std::size_t samples() const { return past_.size(); }

 private:
  struct totals {
    nat::time_point at{};
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
  };
  double since_oldest(std::uint64_t totals::*what) const;

  std::deque<totals> past_;  ///< the oldest first, about a window ago
  totals newest_;
};

// More peers than this nobody reads at a glance.
constexpr std::size_t max_progress_peers = 20;

/// Lines that each end with a newline, and are narrower than `columns` and fewer than `rows`, so that the terminal
/// neither breaks them nor scrolls. Where not all peers fit, those that lack most are shown.
std::string progress_text(const nat::progress_report& report, const progress_rates& rates, std::size_t columns,
                          std::size_t rows);

/// How many columns a terminal takes for this UTF-8 text without control characters, or a few less.
std::size_t width_of(std::string_view text);

}  // namespace natpeer
