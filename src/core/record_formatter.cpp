#include "nat/record_formatter.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <cassert>
#include <limits>

#include <sodium/utils.h>

namespace nat {
namespace {

// Bytes of a name in front of a line. Names are longer only on servers without a limit, and a record of nothing but
// newlines repeats the name for each of its bytes.
constexpr std::size_t max_prefix = 128;

// Bytes of the longest UTF-8 sequence.
constexpr std::size_t longest_sequence = 4;

// Bytes that one byte of the record makes at most: `\x1b`, `\u001b`.
constexpr std::size_t visible_growth = 4;
constexpr std::size_t json_growth = 6;

void append(std::vector<std::uint8_t>& out, byte_view bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

// Both fill a string that is used again for each record.
void append_line_prefix(std::string& head, const output_source& source) {
  append_visible(head, source.name);
  head.resize(utf8_cut(head, max_prefix));
  head += ": ";
}

void append_json_head(std::string& head, const output_source& source, bool in_base64) {
  head += "{\"from\":";
  append_json_string(head, source.name);
  if (source.address.port != 0) {
    head += ",\"ip\":\"";
    head += source.address.ip.to_string();
    head += "\",\"port\":";
    head += std::to_string(source.address.port);
  } else {
    head += ",\"ip\":null,\"port\":null";  // it came by the relay
  }
  head += ",\"time\":";
  head += std::to_string(source.time);
  head += in_base64 ? ",\"base64\":\"" : ",\"text\":\"";
}

void encode_base64(std::string& out, byte_view bytes) {
  out.resize(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL));
  sodium_bin2base64(out.data(), out.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // the terminating zero
}

}  // namespace

void record_formatter::begin(const output_source& source, byte_view first, byte_view second) {
  assert(!busy_);
  busy_ = true;
  first_ = first;
  second_ = second;
  taken_ = 0;
  left_out_ = 0;
  head_.clear();
  head_at_ = 0;
  tail_ = {};
  auto& last = second_.empty() ? first_ : second_;
  const bool has_newline = !last.empty() && last.back() == '\n';
  switch (mode_) {
    case output_mode::raw: return;
    case output_mode::lines: tail_ = has_newline ? "" : "\n"; return;
    case output_mode::text:
      append_line_prefix(head_, source);
      tail_ = "\n";
      left_out_ = has_newline ? 1 : 0;
      last = last.first(last.size() - left_out_);
      return;
    case output_mode::json:
      in_base64_ = !is_text();
      append_json_head(head_, source, in_base64_);
      tail_ = "\"}\n";
      return;
  }
}

bool record_formatter::write_some(std::vector<std::uint8_t>& out, std::size_t max_bytes) {
  const auto before = out.size();
  while (busy_ && out.size() - before < max_bytes) {
    const auto room = max_bytes - (out.size() - before);
    if (head_at_ < head_.size()) {
      write_head(out, room);
      continue;
    }
    switch (mode_) {
      case output_mode::raw:
      case output_mode::lines: write_bytes(out, room); break;
      case output_mode::text: write_lines(out, room); break;
      case output_mode::json: in_base64_ ? write_base64(out, room) : write_json_text(out, room); break;
    }
    // Behind a newline an empty line begins, so its prefix comes first.
    if (left() == 0 && head_at_ == head_.size()) {
      append(out, as_bytes(tail_));
      busy_ = false;
    }
  }
  return !busy_;
}

/// What comes next, in one piece: all that is left, or at least eight bytes.
byte_view record_formatter::ahead() {
  if (taken_ >= first_.size()) return second_.subspan(taken_ - first_.size());
  const auto rest = first_.subspan(taken_);
  if (second_.empty() || rest.size() > seam_.size() / 2) return rest;
  const auto more = second_.first(std::min(second_.size(), seam_.size() - rest.size()));
  std::ranges::copy(more, std::ranges::copy(rest, seam_.begin()).out);
  return byte_view(seam_).first(rest.size() + more.size());
}

/// How much of `bytes`, which are `ahead`, can be formatted without the rest: at most `limit`, which is at least
/// `longest_sequence`.
std::size_t record_formatter::cut(byte_view bytes, std::size_t limit) const {
  if (bytes.size() < left()) limit = std::min(limit, bytes.size() - (longest_sequence - 1));
  return utf8_cut(as_text(bytes), limit);
}

bool record_formatter::is_text() {
  bool all = true;
  while (all && left() != 0) {
    const auto bytes = ahead();
    const auto size = cut(bytes, bytes.size());
    all = is_utf8(as_text(bytes.first(size)));
    taken_ += size;
  }
  taken_ = 0;
  return all;
}

void record_formatter::write_head(std::vector<std::uint8_t>& out, std::size_t room) {
  const auto part = std::string_view(head_).substr(head_at_, room);
  append(out, as_bytes(part));
  head_at_ += part.size();
}

void record_formatter::write_bytes(std::vector<std::uint8_t>& out, std::size_t room) {
  const auto bytes = ahead();
  const auto size = std::min(bytes.size(), room);
  append(out, bytes.first(size));
  taken_ += size;
}

/// Each line gets the sender's name in front, so that no record can pass a line off as another's.
void record_formatter::write_lines(std::vector<std::uint8_t>& out, std::size_t room) {
  const auto bytes = ahead();
  const auto size = cut(bytes, std::clamp(room / visible_growth, longest_sequence, max_step));
  auto line = as_text(bytes).substr(0, size);
  // One byte behind it is looked at, so that a `\r` is never parted from its newline.
  const auto newline = as_text(bytes).substr(0, size + 1).find('\n');
  const bool ends = newline != std::string_view::npos;
  if (ends) line = line.substr(0, newline);
  taken_ += line.size() + (ends ? 1 : 0);
  if (ends && line.ends_with('\r')) line.remove_suffix(1);
  formatted_.clear();
  append_visible(formatted_, line);
  if (ends) {
    formatted_ += '\n';
    head_at_ = 0;
  }
  append(out, as_bytes(formatted_));
}

void record_formatter::write_json_text(std::vector<std::uint8_t>& out, std::size_t room) {
  const auto bytes = ahead();
  const auto size = cut(bytes, std::clamp(room / json_growth, longest_sequence, max_step));
  formatted_.clear();
  append_json_escaped(formatted_, as_text(bytes.first(size)));
  append(out, as_bytes(formatted_));
  taken_ += size;
}

void record_formatter::write_base64(std::vector<std::uint8_t>& out, std::size_t room) {
  const auto bytes = ahead();
  // Four characters for each three bytes; only the last may be fewer.
  auto size = std::min({bytes.size(), 3 * std::max<std::size_t>(room / 4, 1), max_step});
  if (size < left()) size -= size % 3;
  encode_base64(formatted_, bytes.first(size));
  append(out, as_bytes(formatted_));
  taken_ += size;
}

void append_output(std::vector<std::uint8_t>& out, output_mode mode, const output_source& source, byte_view record) {
  record_formatter whole(mode);
  whole.begin(source, record, {});
  whole.write_some(out, std::numeric_limits<std::size_t>::max());
}

}  // namespace nat
