// --progress, on stderr: draws the lines of progress.hpp again and again in the same place, and keeps clear of what
// else is written there.
#pragma once

#include "nat/progress_report.hpp"

#include "progress.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <spdlog/common.h>

namespace natpeer {

class progress_display {
 public:
  // Twice a second: as often as numbers can be read.
  static constexpr std::chrono::milliseconds interval{500};

  /// Draws what `report` gives. While it lives, the log's lines go above it. stderr is a terminal.
  progress_display(boost::asio::io_context& io, std::function<nat::progress_report()> report);
  ~progress_display();
  progress_display(const progress_display&) = delete;
  progress_display& operator=(const progress_display&) = delete;

  /// Whether there is a terminal to draw on.
  static bool is_possible();

  void start();
  /// Before anything else is written to the terminal. It comes back when the loop goes on.
  void hide();
  /// Draws a last time; that stays, and the cursor is below it.
  void finish();

 private:
  void draw();
  void draw_after(std::chrono::milliseconds time);

  std::function<nat::progress_report()> report_;
  boost::asio::steady_timer timer_;
  progress_rates rates_;
  std::size_t lines_ = 0;              ///< on the terminal now; the cursor is below them, at the beginning of a line
  std::vector<spdlog::sink_ptr> log_;  ///< what the log was written to before
};

}  // namespace natpeer
