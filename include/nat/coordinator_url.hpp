// Where a coordinator is: the `--coordinator` URL, and where it redirects to.
#pragma once

#include "nat/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace nat {

struct coordinator_url {
  bool tls = false;
  std::string host;  ///< a name or a literal address, without brackets
  std::uint16_t port = 0;
  std::string path;  ///< percent-encoded as given; empty, or begins with '/' and does not end with one

  /// `host:port` for the Host header, with brackets around IPv6 and without a default port (RFC 9110, 7.2).
  std::string authority() const;
  /// `ws://host:port/path`, for people.
  std::string to_string() const;
};

/// Reads `[ws|wss|http|https]://host[:port][/path]`, where http means ws and https wss. The default port is the
/// scheme's, 80 or 443. Errors: `bad_url`, also for a user name, a query or a fragment; `bad_port`.
result<coordinator_url> parse_coordinator_url(std::string_view text);

/// A request to a coordinator: to whom, and for what.
struct coordinator_request {
  coordinator_url server;  ///< its path is not used
  std::string target;      ///< path and query
};

/// Where a redirect leads (RFC 9110, 10.2.2): `location` may be relative. Errors: `bad_url`, also for a redirect from
/// TLS to none.
result<coordinator_request> resolve_redirect(const coordinator_request& from, std::string_view location);

}  // namespace nat
