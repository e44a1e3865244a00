// Whom a client believes: the certificate authorities that may vouch for a server.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>

namespace nat::net {

/// Read once and shared by every connection, so that a file that is exchanged later ends nothing that runs.
class tls_trust {
 public:
  /// `ca_file` is PEM; empty: the system's certificates. Throws `std::runtime_error` where it cannot be read.
  explicit tls_trust(std::string ca_file = {});

  /// Made at first use: the system's certificates cost some megabytes, and a client without TLS needs none.
  std::shared_ptr<boost::asio::ssl::context> context();

 private:
  std::string ca_file_;
  std::shared_ptr<boost::asio::ssl::context> context_;
};

}  // namespace nat::net
