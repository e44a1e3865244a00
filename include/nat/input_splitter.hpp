// Cuts the bytes of stdin into payloads.
#pragma once

#include "nat/bytes.hpp"
#include "nat/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nat {

enum class input_mode {
  bytes,  ///< what arrives, as it arrives, cut after the last newline where there is one
  lines,  ///< each non-empty line without its ending (`\n` or `\r\n`); a longer one than a payload in pieces
};

class input_splitter {
 public:
  explicit input_splitter(input_mode mode) : mode_(mode) {}

  // One read of stdin, and what the one before left. Above it stdin waits.
  static constexpr std::size_t max_chunk = 65'536;
  static constexpr std::size_t max_buffered = 2 * max_chunk;

  /// Whether another chunk of up to `max_chunk` bytes may be pushed.
  bool wants_input() const { return !ended_ && size() + max_chunk <= max_buffered; }
  void push(byte_view chunk);
  /// Nothing will follow: an unfinished last line is a line.
  void end() { ended_ = true; }

  /// The next payload, 1..max_payload bytes; empty where there is none yet. It holds until `pop` or `push`.
  byte_view front();
  void pop();

  std::size_t held() const { return size(); }  ///< bytes, against `max_buffered`

  /// Whether all is read and taken.
  bool finished() { return ended_ && front().empty(); }

 private:
  std::size_t size() const { return buffer_.size() - begin_; }
  byte_view rest() const { return byte_view(buffer_).subspan(begin_); }
  void find_bytes();
  void find_line();

  input_mode mode_;
  bool ended_ = false;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;    ///< what stands before it is taken
  std::size_t payload_ = 0;  ///< bytes from begin_ that are the next payload; 0: not found yet
  std::size_t taken_ = 0;    ///< bytes that pop() takes: the payload and its line ending
};

}  // namespace nat
