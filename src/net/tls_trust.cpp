#include "nat/net/tls_trust.hpp"

#include <stdexcept>
#include <utility>

namespace nat::net {

namespace ssl = boost::asio::ssl;

tls_trust::tls_trust(std::string ca_file) : ca_file_(std::move(ca_file)) {
  if (!ca_file_.empty()) context();
}

std::shared_ptr<ssl::context> tls_trust::context() {
  if (context_) return context_;
  auto out = std::make_shared<ssl::context>(ssl::context::tls_client);
  ::SSL_CTX_set_min_proto_version(out->native_handle(), TLS1_2_VERSION);
  out->set_verify_mode(ssl::verify_peer);
  boost::system::error_code error;
  if (ca_file_.empty()) {
    out->set_default_verify_paths(error);
  } else {
    out->load_verify_file(ca_file_, error);
  }
  if (error) throw std::runtime_error("cannot use the certificates in " + ca_file_ + ": " + error.message());
  context_ = std::move(out);
  return context_;
}

}  // namespace nat::net
