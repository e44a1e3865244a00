#include "usage.hpp"

#include "nat/text.hpp"

#include <charconv>
#include <cmath>

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

namespace {

constexpr std::size_t longest_message = 300;  // bytes; a config file's names have no limit

/// What stands between the two, if the text begins and ends with them.
std::optional<std::string> between(std::string_view front, std::string_view text, std::string_view back) {
  if (text.size() < front.size() + back.size() || !text.starts_with(front) || !text.ends_with(back))
    return std::nullopt;
  return std::string(text.substr(front.size(), text.size() - front.size() - back.size()));
}

std::string reworded(const CLI::ParseError& error) {
  const std::string told = error.what();
  if (dynamic_cast<const CLI::ConfigError*>(&error) != nullptr) {
    constexpr std::string_view not_parsed = "INI was not able to parse ";
    if (const auto section = between(not_parsed, told, ".++")) {
      return "the config file has a section [" + *section + "], and needs none";
    }
    if (const auto name = between(not_parsed, told, "")) return "the config file has " + *name + ", which is no option";
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    constexpr std::string_view too_many = ": At Most 1 required but received ";
    const auto at = told.find(too_many);
    if (at != told.npos) return told.substr(0, at) + ": one value is wanted, not " + told.substr(at + too_many.size());
    const auto option = told.substr(0, told.find(": 1 required "));
    if (option.size() < told.size() && told.ends_with(" missing")) return option + ": its value is missing";
  }
  if (const auto option = between("", told, ": is empty")) return *option + " is empty";
  return told;
}

}  // namespace

std::string message_of(const CLI::ParseError& error) {
  auto message = nat::visible(reworded(error));
  if (message.size() > longest_message) {
    message.resize(nat::utf8_cut(message, longest_message));
    message += "...";
  }
  return message;
}

}  // namespace cli
