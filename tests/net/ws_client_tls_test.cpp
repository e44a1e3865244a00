#include "ws_client_fixture.hpp"

#include <boost/system/system_error.hpp>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <unistd.h>

namespace nat::net {
namespace {

namespace asio = boost::asio;

/// A certificate that signs itself, and its key, both as PEM.
struct identity {
  std::string certificate;
  std::string key;
};

template <typename Object, typename Write>
std::string to_pem(Object* what, Write write) {
  BIO* memory = ::BIO_new(::BIO_s_mem());
  write(memory, what);
  std::string out(1 << 14, '\0');
  out.resize(static_cast<std::size_t>(::BIO_read(memory, out.data(), static_cast<int>(out.size()))));
  ::BIO_free(memory);
  return out;
}

/// `names` as OpenSSL writes them: "DNS:localhost,IP:127.0.0.1".
identity make_identity(const std::string& names) {
  EVP_PKEY* key = ::EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  X509* certificate = ::X509_new();
  ::X509_set_version(certificate, X509_VERSION_3);
  ::ASN1_INTEGER_set(::X509_get_serialNumber(certificate), 1);
  ::X509_gmtime_adj(::X509_getm_notBefore(certificate), -3600);  // an hour ago, and for an hour, in seconds
  ::X509_gmtime_adj(::X509_getm_notAfter(certificate), 3600);
  ::X509_set_pubkey(certificate, key);
  X509_NAME* subject = ::X509_get_subject_name(certificate);
  const auto* common_name = reinterpret_cast<const unsigned char*>("natpeer test");
  ::X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common_name, -1, -1, 0);
  ::X509_set_issuer_name(certificate, subject);
  const std::pair<int, std::string> extensions[] = {{NID_basic_constraints, "critical,CA:TRUE"},
                                                    {NID_subject_alt_name, names}};
  for (const auto& [kind, value] : extensions) {
    X509_EXTENSION* extension = ::X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
    ::X509_add_ext(certificate, extension, -1);
    ::X509_EXTENSION_free(extension);
  }
  ::X509_sign(certificate, key, ::EVP_sha256());
  identity out;
  out.certificate = to_pem(certificate, [](BIO* to, X509* from) { ::PEM_write_bio_X509(to, from); });
  out.key = to_pem(key, [](BIO* to, EVP_PKEY* from) {
    ::PEM_write_bio_PrivateKey(to, from, nullptr, nullptr, 0, nullptr, nullptr);
  });
  ::X509_free(certificate);
  ::EVP_PKEY_free(key);
  return out;
}

/// A file with a certificate, for `tls_trust`.
class certificate_file {
 public:
  explicit certificate_file(const std::string& content) {
    char path[] = "/tmp/natpeer-test-XXXXXX";
    const int fd = ::mkstemp(path);
    EXPECT_EQ(::write(fd, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ::close(fd);
    path_ = path;
  }
  ~certificate_file() { ::unlink(path_.c_str()); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class ws_client_tls_test : public ws_client_test {
 protected:
  explicit ws_client_tls_test(const std::string& names = "DNS:localhost,IP:127.0.0.1") : own(make_identity(names)) {
    tls.use_certificate(asio::buffer(own.certificate), asio::ssl::context::pem);
    tls.use_private_key(asio::buffer(own.key), asio::ssl::context::pem);
  }

  /// Connects to the server by this name, trusting `ca`.
  connect_result connect(const std::string& host, const std::string& ca) {
    const certificate_file file(ca);
    options.trust = std::make_shared<tls_trust>(file.path());
    client = make_client();
    accepted = loop.start(server.next_connection());
    return loop.finish(client->connect(url("wss://" + host + ':' + std::to_string(server.port()))));
  }

  /// Why that failed; the server's part ends with an error as well.
  std::string failure(const std::string& host, const std::string& ca) {
    const auto reached = connect(host, ca);
    EXPECT_TRUE(std::holds_alternative<ws_error>(reached));
    client.reset();
    EXPECT_THROW(loop.finish(std::move(accepted)), boost::system::system_error);
    return std::holds_alternative<ws_error>(reached) ? std::get<ws_error>(reached).reason : "";
  }

  std::string refusal(const std::string& host, const std::string& why) {
    return "no TLS with " + host + ':' + std::to_string(server.port()) + ": the certificate does not verify: " + why;
  }

  identity own;
  asio::ssl::context tls{asio::ssl::context::tls_server};
  hand_made_server server{loop.io, &tls};
  std::shared_ptr<ws_client> client;
  std::future<std::shared_ptr<ws_peer>> accepted;
};

TEST_F(ws_client_tls_test, joins_a_server_whose_certificate_it_trusts) {
  for (const auto* host : {"localhost", "127.0.0.1"}) {
    const auto reached = connect(host, own.certificate);
    ASSERT_TRUE(std::holds_alternative<endpoint>(reached)) << std::get<ws_error>(reached).reason;
    const auto peer = loop.finish(std::move(accepted));
    auto upgraded = loop.start(peer->accept());
    ASSERT_TRUE(std::holds_alternative<ws_client::joined>(loop.finish(client->join("q=1"))));
    loop.finish(std::move(upgraded));
    loop.finish(peer->write(server_frame(opcodes::text, "in secret")));
    EXPECT_EQ(loop.finish(next(*client)), "text in secret");
    auto end = loop.start(next(*client));
    client->ping();
    EXPECT_EQ(loop.finish(peer->read_frame()).first, opcodes::ping);
    client->abandon();
    EXPECT_TRUE(loop.finish(std::move(end)).starts_with("closed 1006 "));
  }
}

TEST_F(ws_client_tls_test, refuses_a_certificate_that_nobody_vouches_for) {
  const auto other = make_identity("DNS:localhost");
  const auto why = failure("localhost", other.certificate);
  EXPECT_TRUE(why.starts_with(refusal("localhost", "self-signed certificate")) ||
              why.starts_with(refusal("localhost", "certificate signature failure")))
      << why;
}

TEST_F(ws_client_tls_test, does_not_follow_a_redirect_from_tls_to_plain) {
  ASSERT_TRUE(std::holds_alternative<endpoint>(connect("localhost", own.certificate)));
  const auto peer = loop.finish(std::move(accepted));
  auto answer = loop.start(client->join("q=1"));
  loop.finish(peer->read_request());
  hand_made_server plain(loop.io);
  const auto asked_in_plain = loop.start(plain.next_connection());
  const auto target = "http://" + plain.address() + "/websocket";
  loop.finish(peer->write("HTTP/1.1 302 Found\r\nLocation: " + target + "\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(std::get<ws_refused>(loop.finish(std::move(answer))).reason,
            "redirected to " + target + ", which is not followed");
  EXPECT_FALSE(test_loop::has_ended(asked_in_plain));
}

TEST_F(ws_client_tls_test, follows_a_redirect_from_plain_to_tls) {
  const certificate_file file(own.certificate);
  options.trust = std::make_shared<tls_trust>(file.path());
  hand_made_server plain(loop.io);
  client = make_client();
  auto asked_in_plain = loop.start(plain.next_connection());
  loop.finish(client->connect(url("ws://" + plain.address())));
  const auto first = loop.finish(std::move(asked_in_plain));
  auto answer = loop.start(client->join("q=1"));
  loop.finish(first->read_request());
  accepted = loop.start(server.next_connection());
  loop.finish(first->write("HTTP/1.1 302 Found\r\nLocation: https://" + server.address() +
                           "/websocket\r\nContent-Length: 0\r\n\r\n"));
  const auto peer = loop.finish(std::move(accepted));
  loop.finish(peer->accept());
  EXPECT_TRUE(std::holds_alternative<ws_client::joined>(loop.finish(std::move(answer))));
}

TEST_F(ws_client_tls_test, a_server_without_tls_is_an_error) {
  const certificate_file file(own.certificate);
  options.trust = std::make_shared<tls_trust>(file.path());
  hand_made_server plain(loop.io);
  client = make_client();
  auto asked = loop.start(plain.next_connection());
  auto connecting = loop.start(client->connect(url("wss://" + plain.address())));
  const auto peer = loop.finish(std::move(asked));
  loop.finish(peer->write("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const auto reached = loop.finish(std::move(connecting));
  ASSERT_TRUE(std::holds_alternative<ws_error>(reached));
  EXPECT_TRUE(std::get<ws_error>(reached).reason.starts_with("no TLS with " + plain.address() + ": "));
}

TEST_F(ws_client_tls_test, says_which_certificates_it_cannot_read) {
  try {
    tls_trust("/nowhere/ca.pem");
    FAIL() << "no such file";
  } catch (const std::runtime_error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("cannot use the certificates in /nowhere/ca.pem: "))
        << error.what();
  }
}

TEST_F(ws_client_tls_test, a_trusted_file_that_is_gone_later_ends_nothing) {
  auto file = std::make_unique<certificate_file>(own.certificate);
  options.trust = std::make_shared<tls_trust>(file->path());
  file.reset();
  client = make_client();
  accepted = loop.start(server.next_connection());
  const auto reached = loop.finish(client->connect(url("wss://127.0.0.1:" + std::to_string(server.port()))));
  EXPECT_TRUE(std::holds_alternative<endpoint>(reached));
  loop.finish(std::move(accepted));
}

class ws_client_other_host_test : public ws_client_tls_test {
 protected:
  ws_client_other_host_test() : ws_client_tls_test("DNS:example.org,IP:127.0.0.9") {}
};

TEST_F(ws_client_other_host_test, refuses_a_certificate_of_another_host) {
  EXPECT_EQ(failure("localhost", own.certificate), refusal("localhost", "hostname mismatch"));
  EXPECT_EQ(failure("127.0.0.1", own.certificate), refusal("127.0.0.1", "IP address mismatch"));
}

}  // namespace
}  // namespace nat::net
