#include "values.hpp"

#include "../cli/usage.hpp"

#include <charconv>
#include <cstdint>

namespace natpeer {
std::string host_port::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

std::optional<host_port> parse_host_port(std::string_view text, std::uint16_t default_port) {
  constexpr std::size_t longest_name = 253;  // RFC 1035, 2.3.4, less the root
  if (nat::ip_address::parse(text)) return host_port{std::string(text), default_port};
  auto host = text;
  auto port = default_port;
  if (const auto colon = text.rfind(':'); colon != std::string_view::npos && !text.ends_with(']')) {
    const auto given = nat::parse_port(text.substr(colon + 1));
    if (!given) return std::nullopt;
    port = *given;
    host = text.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!nat::ip_address::parse(host)) return std::nullopt;
    return host_port{std::string(host), port};
  }
  constexpr auto name_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  const bool name =
      !host.empty() && host.size() <= longest_name && host.find_first_not_of(name_characters) == host.npos;
  if (!name) return std::nullopt;
  return host_port{std::string(host), port};
}

std::optional<nat::duration> parse_duration(std::string_view text, nat::duration unit) {
  using namespace std::chrono_literals;
  if (text.ends_with("ms")) {
    text.remove_suffix(2);
    unit = 1ms;
  } else if (text.ends_with('s')) {
    text.remove_suffix(1);
    unit = 1s;
  }
  const auto number = cli::parse_number(text);
  constexpr nat::duration longest = 24h * 365;
  if (!number || *number * static_cast<double>(unit.count()) > static_cast<double>(longest.count()))
    return std::nullopt;
  return nat::duration(static_cast<nat::duration::rep>(*number * static_cast<double>(unit.count())));
}

std::optional<std::uint64_t> parse_rate(std::string_view text) {
  const auto rate = cli::parse_amount(text);
  if (!rate || *rate < lowest_rate || *rate > highest_rate) return std::nullopt;
  return static_cast<std::uint64_t>(*rate);
}

std::optional<std::size_t> parse_size(std::string_view text) {
  unsigned shift = 0;
  if (text.ends_with('k')) shift = 10;
  if (text.ends_with('M')) shift = 20;
  if (text.ends_with('G')) shift = 30;
  if (shift != 0) text.remove_suffix(1);
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool fits = error == std::errc{} && end == text.data() + text.size() && number <= (SIZE_MAX >> shift);
  return fits ? std::optional(number << shift) : std::nullopt;
}

}  // namespace natpeer
