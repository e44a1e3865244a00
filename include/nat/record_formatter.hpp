// Writes a received record to stdout's buffer, piece by piece, so that a large one neither floods nor is copied.
#pragma once

#include "nat/bytes.hpp"
#include "nat/output_format.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nat {

class record_formatter {
 public:
  // What one `write_some` may append above its limit: four bytes of the record as JSON escapes, and the object's end.
  static constexpr std::size_t max_overrun = 4 * 6 + 3;

  explicit record_formatter(output_mode mode) : mode_(mode) {}

  /// Begins one record, given as two spans one after the other, either of which may be empty. What they view must hold
  /// as long as it is not `taken`; `source` is read here only. In JSON the record is searched here, once, for bytes
  /// that are no UTF-8.
  void begin(const output_source& source, byte_view first, byte_view second);
  /// Whether a record was begun and is not written whole.
  bool busy() const { return busy_; }

  /// Appends at most `max_bytes` + `max_overrun` bytes to `out`, and at least one where `max_bytes` is not 0 and the
  /// record has any left to write. True: it is written whole.
  bool write_some(std::vector<std::uint8_t>& out, std::size_t max_bytes);

  /// Bytes of the record that are formatted and not read again, so that their place can be freed.
  std::size_t taken() const { return taken_ + (busy_ ? 0 : left_out_); }

 private:
  // Bytes of the record that are formatted at once, and so the bound of `formatted_`. A multiple of 3, for base64.
  static constexpr std::size_t max_step = 4095;

  std::size_t left() const { return first_.size() + second_.size() - taken_; }
  byte_view ahead();
  std::size_t cut(byte_view bytes, std::size_t limit) const;
  bool is_text();

  void write_head(std::vector<std::uint8_t>& out, std::size_t room);
  void write_bytes(std::vector<std::uint8_t>& out, std::size_t room);
  void write_lines(std::vector<std::uint8_t>& out, std::size_t room);
  void write_json_text(std::vector<std::uint8_t>& out, std::size_t room);
  void write_base64(std::vector<std::uint8_t>& out, std::size_t room);

  output_mode mode_;
  bool busy_ = false;
  bool in_base64_ = false;  ///< JSON: the record is not UTF-8
  byte_view first_;
  byte_view second_;
  std::size_t taken_ = 0;
  std::size_t left_out_ = 0;           ///< text: the last newline, which is in neither span
  std::string head_;                   ///< what stands in front: of each line in text, of the record in JSON
  std::size_t head_at_ = 0;            ///< bytes of it that are written
  std::string_view tail_;              ///< what ends the record
  std::string formatted_;              ///< of one step
  std::array<std::uint8_t, 16> seam_;  ///< bytes around the border of the two spans, in one piece
};

/// Appends one whole record at once.
void append_output(std::vector<std::uint8_t>& out, output_mode mode, const output_source& source, byte_view record);

}  // namespace nat
