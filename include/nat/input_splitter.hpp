// Cuts the bytes of stdin into payloads, and marks which of them belong together.
#pragma once

#include "nat/bytes.hpp"
#include "nat/stream_limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nat {

enum class input_mode {
  bytes,  ///< a stream: what arrives, as it arrives, in full payloads while there is enough for one
  lines,  ///< records: each non-empty line without its ending (`\n` or `\r\n`), in as many payloads as it needs
};

class input_splitter {
 public:
  /// One payload, and the marks that its packet carries.
  struct piece {
    byte_view bytes;          ///< empty: there is none yet
    bool continues = false;   ///< lines: the record goes on in the next piece
    bool open_ended = false;  ///< bytes: no newline at the end, so what follows may belong to the same line
  };

  /// `largest_record`: bytes of one record; a longer line goes on as another one.
  explicit input_splitter(input_mode mode, std::size_t largest_record = max_record)
      : mode_(mode), largest_record_(largest_record), record_left_(largest_record) {}

  // One read of stdin, and what the one before left. Above it stdin waits.
  static constexpr std::size_t max_chunk = 65'536;
  static constexpr std::size_t max_buffered = 2 * max_chunk;
  // Bytes of one record: a receiver keeps it whole until it is written, and so does the sender until it is there.
  static constexpr std::size_t max_record = nat::max_record;
  // No payload is larger than a UDP datagram, and a piece must never wait for more than `wants_input` lets in.
  static constexpr std::size_t largest_payload = 65'507;

  /// Whether another chunk of up to `max_chunk` bytes may be pushed.
  bool wants_input() const { return !ended_ && size() + max_chunk <= max_buffered; }
  void push(byte_view chunk);
  /// Nothing will follow: an unfinished last line is a line.
  void end() { ended_ = true; }

  /// Bytes: a piece ends behind the last newline that fits, where there is one. So it is wanted by who sees nothing but
  /// packets; otherwise pieces are full.
  void end_at_newlines(bool wanted) { ends_at_newlines_ = wanted; }

  /// The next piece, of 1..max_payload bytes. It holds until `pop`, `push` or the next `front`, which may ask for
  /// another size.
  piece front(std::size_t max_payload);
  /// Takes the piece that `front` gave last.
  void pop();

  std::size_t held() const { return size(); }  ///< bytes, against `max_buffered`

  /// Whether all is read and taken.
  bool finished();

 private:
  std::size_t size() const { return buffer_.size() - begin_; }
  byte_view rest() const { return byte_view(buffer_).subspan(begin_); }
  void take(std::size_t bytes);
  piece find_bytes(std::size_t max_payload);
  piece find_line(std::size_t max_payload);
  piece cut_line(std::size_t length, bool whole, std::size_t max_payload);

  /// The line in front, as far as it is there.
  struct line {
    std::size_t length = 0;  ///< bytes without the ending, and without a `\r` that may become part of one
    std::size_t taken = 0;   ///< bytes with the ending
    bool whole = false;      ///< its end is there
  };
  line find_end();
  line skip_empty_lines();

  // Bytes are moved to the front only where they reach this: then as many came since as are moved.
  static constexpr std::size_t storage = 2 * max_buffered;

  input_mode mode_;
  bool ended_ = false;
  std::vector<std::uint8_t> buffer_;
  std::size_t begin_ = 0;  ///< what stands before it is taken
  std::size_t plain_ = 0;  ///< bytes from begin_ that hold no newline; those behind are not searched yet
  std::size_t largest_record_;
  std::size_t record_left_;  ///< bytes that the record in front may still have
  bool ends_at_newlines_ = false;
  piece found_;                  ///< what `front` gave
  std::size_t found_taken_ = 0;  ///< bytes that pop() takes: the piece and its line ending
};

}  // namespace nat
