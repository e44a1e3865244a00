#include "usage.hpp"

#include <charconv>
#include <cmath>
#include <regex>
#include <system_error>

namespace cli {

std::optional<double> parse_number(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const bool whole = error == std::errc{} && end == text.data() + text.size() && std::isfinite(value);
  return whole ? std::optional(value) : std::nullopt;
}

std::optional<double> parse_amount(std::string_view text) {
  double unit = 1;
  if (text.ends_with('k')) unit = 1e3;
  if (text.ends_with('M')) unit = 1e6;
  if (text.ends_with('G')) unit = 1e9;
  if (unit > 1) text.remove_suffix(1);
  const auto number = parse_number(text);
  return number && std::isfinite(*number * unit) ? std::optional(*number * unit) : std::nullopt;
}

std::string message_of(const CLI::ParseError& error) {
  const std::string told = error.what();
  const auto reworded = [&](const char* pattern, const char* words) {
    return std::regex_replace(told, std::regex(pattern), words, std::regex_constants::format_no_copy);
  };
  if (dynamic_cast<const CLI::ConfigError*>(&error) != nullptr) {
    auto better = reworded("^INI was not able to parse (.*)\\.\\+\\+$", "the config file has a section [$1], and needs none");
    if (better.empty()) better = reworded("^INI was not able to parse (.*)$", "the config file has $1, which is no option");
    return better.empty() ? told : better;
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    auto better = reworded("^(.*): At Most 1 required but received (.*)$", "$1: one value is wanted, not $2");
    if (better.empty()) better = reworded("^(.*): 1 required .* missing$", "$1: its value is missing");
    return better.empty() ? told : better;
  }
  return told;
}

}  // namespace cli
