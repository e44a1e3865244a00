// From the peers to stdout: formats payloads and holds them until they are written.
#pragma once

#include "nat/output_format.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nat {

class receiver {
 public:
  // About 6 s of the default rate for a reader that stands still. What comes above it is dropped and counted: without
  // acknowledgements nobody can be asked to wait.
  static constexpr std::size_t max_unwritten = 16U << 20;

  explicit receiver(output_mode mode) : mode_(mode) {}

  /// False: there was no room, and the payload is dropped.
  bool on_payload(const output_source& source, byte_view payload);

  bool has_output() const { return !ready_.empty(); }
  /// Hands over what is to be written, in exchange for an empty buffer to go on with.
  void swap_output(std::vector<std::uint8_t>& empty);
  void on_written(std::size_t bytes);
  std::size_t unwritten() const { return ready_.size() + being_written_; }  ///< bytes, against `max_unwritten`
  /// Whether all that came is written.
  bool drained() const { return ready_.empty() && being_written_ == 0; }

 private:
  output_mode mode_;
  std::vector<std::uint8_t> ready_;
  std::size_t being_written_ = 0;
  bool full_ = false;  ///< until a write is done: formatting what is dropped costs, too
};

}  // namespace nat
