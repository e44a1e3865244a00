#include "nat/output_format.hpp"

#include "nat/text.hpp"

#include <string>

#include <sodium/utils.h>

namespace nat {
namespace {

void append(std::vector<std::uint8_t>& out, byte_view bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

// Bytes of a name in front of a line. Names are longer only on servers without a limit, and a payload of nothing but
// newlines repeats the name 65,000 times.
constexpr std::size_t max_prefix = 128;

/// Each line gets the sender's name in front, so that no payload can pass a line off as another's.
std::string format_text(const output_source& source, std::string_view payload) {
  if (payload.ends_with('\n')) payload.remove_suffix(1);
  auto prefix = visible(source.name);
  prefix.resize(utf8_cut(prefix, max_prefix));
  prefix += ": ";
  std::string out;
  for (;;) {
    const auto newline = payload.find('\n');
    auto line = payload.substr(0, newline);
    if (newline != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
    out += prefix;
    append_visible(out, line);
    out += '\n';
    if (newline == std::string_view::npos) return out;
    payload.remove_prefix(newline + 1);
  }
}

std::string base64(byte_view bytes) {
  std::string out(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), bytes.data(), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // the terminating zero
  return out;
}

std::string format_json(const output_source& source, byte_view payload) {
  std::string out = "{\"from\":";
  append_json_string(out, source.name);
  if (source.address.port != 0) {
    out += ",\"ip\":\"" + source.address.ip.to_string() + "\",\"port\":" + std::to_string(source.address.port);
  } else {
    out += ",\"ip\":null,\"port\":null";  // it came by the relay
  }
  out += ",\"time\":" + std::to_string(source.time);
  if (is_utf8(as_text(payload))) {
    out += ",\"text\":";
    append_json_string(out, as_text(payload));
  } else {
    out += ",\"base64\":\"" + base64(payload) + '"';
  }
  out += "}\n";
  return out;
}

}  // namespace

void append_output(std::vector<std::uint8_t>& out, output_mode mode, const output_source& source, byte_view payload) {
  switch (mode) {
    case output_mode::raw: return append(out, payload);
    case output_mode::lines:
      append(out, payload);
      if (payload.empty() || payload.back() != '\n') out.push_back('\n');
      return;
    case output_mode::text: return append(out, as_bytes(format_text(source, as_text(payload))));
    case output_mode::json: return append(out, as_bytes(format_json(source, payload)));
  }
}

}  // namespace nat
