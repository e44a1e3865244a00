// natpeer's command line, config file and environment.
#pragma once

#include "nat/coordinator_url.hpp"
#include "nat/endpoint.hpp"
#include "nat/peer.hpp"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace natpeer {

/// A name or literal address, and a port.
struct host_port {
  std::string host;
  std::uint16_t port = 0;

  std::string to_string() const;
};

struct options {
  nat::peer_config engine;
  nat::coordinator_url coordinator;
  std::string ca_file;             ///< PEM; empty: the system's certificates
  std::vector<host_port> stun;     ///< empty with `engine.advertise` only
  nat::ip_address bind;            ///< `::`: every address, IPv4 and IPv6
  std::uint16_t bind_port = 0;     ///< 0: any free port
  std::string status_socket;       ///< a path; empty: none
  bool progress = false;           ///< shown on stderr, if that is a terminal
  std::string log_level = "info";  ///< one of spdlog's names
};

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

/// Reads the command line, the config file and `NATPEER_*`. The exit status instead of options: everything is said
/// already, help on stdout or a reason on stderr.
std::variant<options, int> parse_options(int argc, const char* const* argv);

}  // namespace natpeer
