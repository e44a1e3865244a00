// natcoord's command line and config file.
#pragma once

#include "nat/coordinator.hpp"
#include "nat/endpoint.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace natcoord {

struct options {
  nat::ip_address listen;  ///< `::`: every address of the machine, IPv4 and IPv6
  std::uint16_t port = 6969;
  std::optional<std::uint16_t> stun_port = 3478;  ///< RFC 8489, 18.6; none: no STUN
  nat::coordinator_limits limits;
  std::size_t relay_queue = 256'000;  ///< bytes of relayed packets that wait for one client
  std::string log_level = "info";     ///< one of spdlog's names
};

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

/// Reads the command line. The exit status instead of options: everything is said already, help on stdout or
/// a reason on stderr.
std::variant<options, int> parse_options(int argc, const char* const* argv);

}  // namespace natcoord
