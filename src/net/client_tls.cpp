#include "client_tls.hpp"

#include "nat/endpoint.hpp"

#include <openssl/x509v3.h>

namespace nat::net {

// OpenSSL's own check says why it fails; that of Asio's callback would be told as an unspecified error.
bool expect_host(::SSL* tls, const std::string& host) {
  auto* wanted = ::SSL_get0_param(tls);
  if (ip_address::parse(host)) return ::X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1;
  ::X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return ::X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size()) == 1;
}

void set_server_name(::SSL* tls, std::string& host) {
  if (ip_address::parse(host)) return;
  ::SSL_ctrl(tls, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             host.data());  // the macro has an old-style cast
}

}  // namespace nat::net
