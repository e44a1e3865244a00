// What both programs' command lines share: amounts, and what is said of a wrong option.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

namespace cli {

/// A plain decimal number, not negative: no sign, no exponent.
std::optional<double> parse_number(std::string_view text);

/// A plain decimal number, alone or with `k`, `M` or `G` behind it, in units of 1.
std::optional<double> parse_amount(std::string_view text);

/// One line for the user, where CLI11's own words are for programmers.
std::string message_of(const CLI::ParseError& error);

}  // namespace cli
