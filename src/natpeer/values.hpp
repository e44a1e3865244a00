// The kinds of values that natpeer's options take.
#pragma once

#include "nat/time.hpp"

#include "options.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace natpeer {

/// `host`, `host:port`, `address`, `[address]:port`; `default_port` where none is given.
std::optional<host_port> parse_host_port(std::string_view text, std::uint16_t default_port);

/// A decimal number with `ms` or `s` behind it, or alone, in `unit`.
std::optional<nat::duration> parse_duration(std::string_view text, nat::duration unit);

constexpr double lowest_rate = 1e4;  // bit/s: about one packet a second
constexpr double highest_rate = 1e12;

/// A decimal number of bit/s with `k`, `M` or `G` behind it, or alone, within these bounds.
std::optional<std::uint64_t> parse_rate(std::string_view text);

/// A whole number of bytes with `k`, `M` or `G` (powers of 1024) behind it, or alone.
std::optional<std::size_t> parse_size(std::string_view text);

}  // namespace natpeer
