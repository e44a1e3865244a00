// What a TLS client asks of the server's certificate, and tells the server before that.
#pragma once

#include <string>

#include <openssl/ssl.h>

namespace nat::net {

/// Demands a certificate for this name or literal address (RFC 9110, 4.3.4). False: it is no host name.
bool expect_host(::SSL* tls, const std::string& host);
/// Tells the server which name we came for; not a literal address, which is none (RFC 6066, 3).
void set_server_name(::SSL* tls, std::string& host);

}  // namespace nat::net
