// Run lengths as acknowledgements carry them: LEB128, the least significant 7 bits first, in a fixed room that zeros
// fill up.
#pragma once

#include "nat/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace nat {

class run_writer {
 public:
  /// `room` is zero, and stays zero behind what is written.
  explicit run_writer(byte_span room) : room_(room) {}

  /// False: it does not fit, and nothing is written. Only the first length may be 0.
  bool push(std::uint64_t length) {
    std::size_t size = 1;
    for (auto rest = length >> 7; rest != 0; rest >>= 7) ++size;
    if (size > room_.size() - used_) return false;
    for (; size > 1; --size, length >>= 7) room_[used_++] = static_cast<std::uint8_t>(0x80 | (length & 0x7f));
    room_[used_++] = static_cast<std::uint8_t>(length);
    return true;
  }
  std::size_t used() const { return used_; }

 private:
  byte_span room_;
  std::size_t used_ = 0;
};

class run_reader {
 public:
  explicit run_reader(byte_view room) : rest_(room) {}

  /// None: there is no further run, or what stands there is none (a length of 2^28 or more).
  std::optional<std::uint32_t> next() {
    constexpr unsigned most_bits = 28;
    std::uint32_t length = 0;
    for (unsigned shift = 0; shift < most_bits && !rest_.empty(); shift += 7) {
      const auto byte = rest_.front();
      rest_ = rest_.subspan(1);
      length |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) != 0) continue;
      if (length == 0 && !is_first_) rest_ = {};
      if (length == 0 && !is_first_) return std::nullopt;
      is_first_ = false;
      return length;
    }
    rest_ = {};
    return std::nullopt;
  }

 private:
  byte_view rest_;
  bool is_first_ = true;
};

}  // namespace nat
