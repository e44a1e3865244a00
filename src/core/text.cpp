#include "nat/text.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace nat {
namespace {

constexpr char hex_digits[] = "0123456789abcdef";

struct code_point {
  char32_t value = 0;
  std::size_t size = 0;  ///< bytes read; 0: not UTF-8
};

/// Reads the sequence at the front of `text`, which is not empty.
code_point decode_front(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = at(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  char32_t value = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((at(i) & 0xc0) != 0x80) return {};
    value = (value << 6) | (at(i) & 0x3fU);
  }
  constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (value < smallest[size] || surrogate || value > 0x10ffff) return {};
  return {value, size};
}

// Records have up to 16 MiB, so runs of what needs no decoding are passed over at once.

/// How many bytes at the front are ASCII; up to seven more may be.
std::size_t ascii_run(std::string_view text) {
  std::size_t run = 0;
  for (std::uint64_t word = 0; text.size() - run >= sizeof(word); run += sizeof(word)) {
    std::memcpy(&word, text.data() + run, sizeof(word));
    if ((word & 0x8080808080808080U) != 0) break;
  }
  return run;
}

bool is_control(char32_t value) { return value < 0x20 || (value >= 0x7f && value <= 0x9f); }

/// Characters that reorder what stands around them, break lines or cannot be seen, and so can make a line read as
/// another's.
bool is_deceptive(char32_t value) {
  const bool reorders = value == 0x061c || value == 0x200e || value == 0x200f || (value >= 0x202a && value <= 0x202e) ||
                        (value >= 0x2066 && value <= 0x2069);
  const bool breaks_lines = value == 0x2028 || value == 0x2029;
  // ZWNJ and ZWJ (U+200C, U+200D) belong to ordinary text in many scripts, and to emoji.
  const bool invisible = value == 0x200b || value == 0xfeff || (value >= 0xe0000 && value <= 0xe007f);
  return reorders || breaks_lines || invisible;
}

/// How many bytes at the front no format escapes: they are appended in one piece.
std::size_t shown_run(std::string_view text) {
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  for (std::size_t run = 0;;) {
    while (run < text.size() && is_plain(text[run])) ++run;
    if (run == text.size() || static_cast<std::uint8_t>(text[run]) < 0x80) return run;
    const auto [value, size] = decode_front(text.substr(run));
    if (size == 0 || is_control(value) || is_deceptive(value)) return run;
    run += size;
  }
}

void append_hex_byte(std::string& out, std::uint8_t byte) {
  out += "\\x";
  out += hex_digits[byte >> 4];
  out += hex_digits[byte & 0xf];
}

void append_escaped(std::string& out, char32_t value) {
  switch (value) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  if (value <= 0xff) return append_hex_byte(out, static_cast<std::uint8_t>(value));
  out += "\\u{";
  for (int shift = value > 0xffff ? 16 : 12; shift >= 0; shift -= 4) out += hex_digits[(value >> shift) & 0xf];
  out += '}';
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (;;) {
    text.remove_prefix(ascii_run(text));
    if (text.empty()) return true;
    const auto size = decode_front(text).size;
    if (size == 0) return false;
    text.remove_prefix(size);
  }
}

bool has_control_character(std::string_view text) {
  while (!text.empty()) {
    const auto [value, size] = decode_front(text);
    if (size != 0 && is_control(value)) return true;
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return false;
}

std::size_t utf8_cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text.size();
  // A sequence that crosses the limit begins at most three bytes before it.
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, limit); ++back) {
    const auto start = limit - back;
    const auto size = decode_front(text.substr(start)).size;
    if (size > back && start > 0) return start;
    if (size != 0) return limit;
  }
  return limit;
}

void append_visible(std::string& out, std::string_view text) {
  for (;;) {
    const auto run = shown_run(text);
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) return;
    const auto [value, size] = decode_front(text);
    if (size == 0) {
      append_hex_byte(out, static_cast<std::uint8_t>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    if (is_control(value) || is_deceptive(value)) {
      append_escaped(out, value);
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
}

std::string visible(std::string_view text) {
  std::string out;
  append_visible(out, text);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  append_json_escaped(out, text);
  out += '"';
}

void append_json_escaped(std::string& out, std::string_view text) {
  for (;;) {
    const auto run = shown_run(text);
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) return;
    const auto [value, size] = decode_front(text);
    const auto length = std::max<std::size_t>(size, 1);
    if (value == '"' || value == '\\') {
      out += '\\';
      out += text.front();
    } else if (size != 0 && value <= 0xffff && (is_control(value) || is_deceptive(value))) {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += hex_digits[(value >> shift) & 0xf];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
}

}  // namespace nat
