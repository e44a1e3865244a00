#include "nat/input_splitter.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <cassert>

namespace nat {

void input_splitter::push(byte_view chunk) {
  assert(wants_input() && chunk.size() <= max_chunk);
  if (begin_ == buffer_.size()) {
    buffer_.clear();
  } else {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
  }
  begin_ = 0;
  payload_ = 0;
  buffer_.insert(buffer_.end(), chunk.begin(), chunk.end());
}

byte_view input_splitter::front() {
  if (payload_ == 0 && size() != 0) mode_ == input_mode::bytes ? find_bytes() : find_line();
  return rest().first(payload_);
}

void input_splitter::pop() {
  assert(payload_ != 0);
  begin_ += taken_;
  payload_ = 0;
}

void input_splitter::find_bytes() {
  const auto window = as_text(rest().first(std::min(size(), max_payload)));
  const auto newline = window.rfind('\n');
  payload_ = newline != std::string_view::npos ? newline + 1 : utf8_cut(as_text(rest()), max_payload);
  taken_ = payload_;
}

void input_splitter::find_line() {
  for (;;) {
    const auto text = as_text(rest());
    // A line of max_payload bytes may still be followed by "\r\n".
    const auto newline = text.substr(0, max_payload + 2).find('\n');
    if (newline == std::string_view::npos) {
      const bool too_long = text.size() >= max_payload + 2;
      if (!too_long && !ended_) return;
      const bool ends_with_return = ended_ && text.ends_with('\r') && text.size() <= max_payload + 1;
      payload_ = ends_with_return ? text.size() - 1 : utf8_cut(text, max_payload);
      taken_ = payload_ + (ends_with_return ? 1 : 0);
      if (payload_ == 0) begin_ += taken_;
      return;
    }
    payload_ = newline > 0 && text[newline - 1] == '\r' ? newline - 1 : newline;
    taken_ = newline + 1;
    if (payload_ > max_payload) {
      payload_ = utf8_cut(text, max_payload);
      taken_ = payload_;
    }
    if (payload_ != 0) return;
    begin_ += taken_;  // an empty line
    if (size() == 0) return;
  }
}

}  // namespace nat
