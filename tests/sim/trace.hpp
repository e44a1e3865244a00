// What happened, line by line: to be read by people, and compared byte for byte.
#pragma once

#include "nat/time.hpp"

#include <cstdint>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>

namespace nat::sim {

class trace {
 public:
  /// Lines go to `out`; null: only their number and checksum are kept. Formatting costs, so a run that needs neither
  /// leaves the trace off.
  void start(std::ostream* out) {
    on_ = true;
    out_ = out;
  }
  bool is_on() const { return on_; }

  /// A line `SECONDS WHO WORDS...`.
  template <typename... Words>
  void write(duration at, std::string_view who, const Words&... words) {
    if (!on_) return;
    std::ostringstream text;
    const auto fraction = std::to_string(at.count() % 1'000'000'000);
    text << at.count() / 1'000'000'000 << '.' << std::string(9 - fraction.size(), '0') << fraction << ' ' << who;
    ((text << ' ' << words), ...);
    text << '\n';
    add(text.str());
  }

  std::uint64_t lines() const { return lines_; }
  /// FNV-1a (64 bit) over all lines.
  std::uint64_t checksum() const { return checksum_; }

 private:
  void add(const std::string& line) {
    ++lines_;
    for (const unsigned char c : line) checksum_ = (checksum_ ^ c) * 0x100000001b3U;
    if (out_ != nullptr) *out_ << line;
  }

  bool on_ = false;
  std::ostream* out_ = nullptr;
  std::uint64_t lines_ = 0;
  std::uint64_t checksum_ = 0xcbf29ce484222325U;
};

}  // namespace nat::sim
