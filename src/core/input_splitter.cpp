#include "nat/input_splitter.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <cassert>

namespace nat {
namespace {

// Bytes of the longest UTF-8 sequence. A cut between two records looks at one less before and behind it.
constexpr std::size_t longest_sequence = 4;

static_assert(input_splitter::largest_payload + 2 * longest_sequence <=
                  input_splitter::max_buffered - input_splitter::max_chunk,
              "while a piece waits for more bytes, stdin is read");

}  // namespace

void input_splitter::push(byte_view chunk) {
  assert(wants_input() && chunk.size() <= max_chunk);
  if (buffer_.capacity() == 0) buffer_.reserve(storage);
  if (begin_ == buffer_.size() || buffer_.size() + chunk.size() > storage) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), chunk.begin(), chunk.end());
  found_ = {};
}

input_splitter::piece input_splitter::front(std::size_t max_payload) {
  assert(max_payload > 0 && max_payload <= largest_payload);
  found_ = mode_ == input_mode::bytes ? find_bytes(max_payload) : find_line(max_payload);
  return found_;
}

void input_splitter::pop() {
  assert(!found_.bytes.empty());
  record_left_ = found_.continues ? record_left_ - found_.bytes.size() : largest_record_;
  take(found_taken_);
  found_ = {};
}

bool input_splitter::finished() {
  if (!ended_) return false;
  if (mode_ == input_mode::lines) skip_empty_lines();
  return size() == 0;
}

void input_splitter::take(std::size_t bytes) {
  begin_ += bytes;
  plain_ -= std::min(plain_, bytes);
}

input_splitter::piece input_splitter::find_bytes(std::size_t max_payload) {
  if (size() == 0) return {};
  found_taken_ = utf8_cut(as_text(rest()), max_payload);
  const auto newline = ends_at_newlines_ ? as_text(rest().first(found_taken_)).rfind('\n') : std::string_view::npos;
  if (newline != std::string_view::npos) found_taken_ = newline + 1;
  const auto bytes = rest().first(found_taken_);
  return {bytes, false, bytes.back() != '\n'};
}

input_splitter::piece input_splitter::find_line(std::size_t max_payload) {
  const auto [length, taken, whole] = skip_empty_lines();
  const bool is_last = whole && length <= std::min(max_payload, record_left_);
  if (!is_last) return cut_line(length, whole, max_payload);
  found_taken_ = taken;
  return {rest().first(length)};
}

/// A piece of a line that does not fit into one. It is made when it is known that something follows it in the record,
/// for the last piece is never empty.
input_splitter::piece input_splitter::cut_line(std::size_t length, bool whole, std::size_t max_payload) {
  const bool limit_is_there = whole ? length > record_left_ : length >= record_left_ + longest_sequence;
  if (limit_is_there) {
    // The record ends between two characters: lowered while the bytes before and behind the limit are all there, once.
    record_left_ = utf8_cut(as_text(rest().first(length)), record_left_);
  } else if (!whole && max_payload + longest_sequence > record_left_) {
    return {};
  }
  if (length <= max_payload && length <= record_left_) return {};
  found_taken_ = std::min(max_payload, record_left_);
  return {rest().first(found_taken_), found_taken_ < record_left_};
}

input_splitter::line input_splitter::find_end() {
  const auto text = as_text(rest());
  plain_ = std::min(text.find('\n', plain_), text.size());
  const bool has_newline = plain_ < text.size();
  const bool has_return = plain_ > 0 && text[plain_ - 1] == '\r';
  return {plain_ - (has_return ? 1 : 0), plain_ + (has_newline ? 1 : 0), has_newline || ended_};
}

input_splitter::line input_splitter::skip_empty_lines() {
  auto next = find_end();
  for (; next.whole && next.length == 0 && next.taken != 0; next = find_end()) take(next.taken);
  return next;
}

}  // namespace nat
