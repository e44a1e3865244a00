#include "progress_display.hpp"

#include "nat/net/terminal.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

namespace natpeer {
namespace {

/// Makes room on the terminal for each line of the log.
class hiding_sink : public spdlog::sinks::sink {
 public:
  hiding_sink(progress_display& display, spdlog::sink_ptr to) : display_(display), to_(std::move(to)) {}

  void log(const spdlog::details::log_msg& message) override {
    display_.hide();
    to_->log(message);
  }
  void flush() override { to_->flush(); }
  void set_pattern(const std::string& pattern) override { to_->set_pattern(pattern); }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    to_->set_formatter(std::move(formatter));
  }

 private:
  progress_display& display_;
  spdlog::sink_ptr to_;
};

/// Back to the first of so many lines, and everything from there on is gone (ECMA-48: CUU, ED).
std::string erasing(std::size_t lines) { return lines == 0 ? "" : "\r\x1b[" + std::to_string(lines) + "A\x1b[J"; }

}  // namespace

bool progress_display::is_possible() { return nat::net::is_terminal(STDERR_FILENO); }

progress_display::progress_display(boost::asio::io_context& io, std::function<nat::progress_report()> report)
    : report_(std::move(report)), timer_(io), log_(spdlog::default_logger()->sinks()) {
  for (auto& each : spdlog::default_logger()->sinks()) each = std::make_shared<hiding_sink>(*this, each);
}

progress_display::~progress_display() { spdlog::default_logger()->sinks() = log_; }

void progress_display::start() { draw_after(std::chrono::milliseconds(0)); }

void progress_display::draw_after(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    // A terminal that is stopped, or slow, holds up nothing but this.
    if (nat::net::takes_output(STDERR_FILENO)) draw();
    draw_after(interval);
  });
}

/// One write, so that it does not flicker.
void progress_display::draw() {
  const auto report = report_();
  rates_.on_totals(report.at, report.sent, report.received);
  const auto size = nat::net::size_of_terminal(STDERR_FILENO);
  const auto text = progress_text(report, rates_, size.columns, size.rows);
  nat::net::write_to_terminal(STDERR_FILENO, erasing(lines_) + text);
  lines_ = static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

void progress_display::hide() {
  if (lines_ == 0) return;
  nat::net::write_to_terminal(STDERR_FILENO, erasing(std::exchange(lines_, 0)));
  draw_after(std::chrono::milliseconds(0));  // behind what else is written in this turn
}

void progress_display::finish() {
  timer_.cancel();
  if (nat::net::takes_output(STDERR_FILENO)) draw();
  lines_ = 0;
}

}  // namespace natpeer
