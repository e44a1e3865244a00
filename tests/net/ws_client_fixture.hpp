// Websocket servers made by hand, plain and with TLS, so that a client can be told what no server library would say.
#pragma once

#include "nat/bytes.hpp"
#include "nat/net/ws_client.hpp"

#include "test_loop.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

namespace nat::net {

/// The answer that accepts the upgrade that `request` asks for (RFC 6455, 4.2.2). `more` are further header lines, each
/// with its line end.
inline std::string accept_upgrade(std::string_view request, const std::string& more = "") {
  constexpr std::string_view name = "Sec-WebSocket-Key: ";
  const auto at = request.find(name);
  if (at == request.npos) throw std::runtime_error("no websocket key");
  auto key = std::string(request.substr(at + name.size(), 24));  // base64 of 16 bytes
  key += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";                 // RFC 6455, 1.3
  unsigned char digest[SHA_DIGEST_LENGTH];
  ::SHA1(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest);
  unsigned char text[4 * ((SHA_DIGEST_LENGTH + 2) / 3) + 1];
  ::EVP_EncodeBlock(text, digest, SHA_DIGEST_LENGTH);
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
         std::string(reinterpret_cast<const char*>(text)) + "\r\n" + more + "\r\n";
}

/// A frame of a server: not masked, final.
inline std::string server_frame(std::uint8_t opcode, std::string_view payload) {
  std::string out(1, static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    out += static_cast<char>(payload.size());
  } else {
    out += static_cast<char>(126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size() & 0xff);
  }
  return out.append(payload);
}

/// One accepted connection of a server made by hand.
class ws_peer {
 public:
  ws_peer(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls) : socket_(std::move(socket)) {
    if (tls != nullptr) tls_ = std::make_unique<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>>(socket_, *tls);
  }

  boost::asio::awaitable<void> shake_hands() {
    if (tls_) co_await tls_->async_handshake(boost::asio::ssl::stream_base::server, boost::asio::use_awaitable);
  }

  /// Reads up to and with the first `end`.
  boost::asio::awaitable<std::string> read_until(std::string end) {
    const auto buffer = boost::asio::dynamic_buffer(received_);
    const auto size = tls_ ? co_await boost::asio::async_read_until(*tls_, buffer, end, boost::asio::use_awaitable)
                           : co_await boost::asio::async_read_until(socket_, buffer, end, boost::asio::use_awaitable);
    auto out = received_.substr(0, size);
    received_.erase(0, size);
    co_return out;
  }

  boost::asio::awaitable<std::string> read_request() { return read_until("\r\n\r\n"); }

  /// Reads a frame of a client, of less than 64 KiB, and takes off the mask (RFC 6455, 5.3). The opcode comes first.
  boost::asio::awaitable<std::pair<std::uint8_t, std::string>> read_frame() {
    constexpr std::size_t mask_size = 4;
    co_await fill(2 + mask_size);
    auto size = static_cast<std::size_t>(received_[1] & 0x7f);
    const std::size_t header_size = (size < 126 ? 2 : 4) + mask_size;
    co_await fill(header_size);
    if (size >= 126) size = load_be<std::uint16_t>(reinterpret_cast<const std::uint8_t*>(received_.data()) + 2);
    co_await fill(header_size + size);
    std::pair<std::uint8_t, std::string> out{static_cast<std::uint8_t>(received_[0] & 0xf),
                                             received_.substr(header_size, size)};
    for (std::size_t i = 0; i < size; ++i) {
      out.second[i] = static_cast<char>(out.second[i] ^ received_[header_size - mask_size + i % mask_size]);
    }
    received_.erase(0, header_size + size);
    co_return out;
  }

  boost::asio::awaitable<void> write(std::string bytes) {
    if (tls_) {
      co_await boost::asio::async_write(*tls_, boost::asio::buffer(bytes), boost::asio::use_awaitable);
    } else {
      co_await boost::asio::async_write(socket_, boost::asio::buffer(bytes), boost::asio::use_awaitable);
    }
  }

  boost::asio::awaitable<void> accept() { co_await write(accept_upgrade(co_await read_request())); }

  /// Waits until the client has gone.
  boost::asio::awaitable<void> gone() {
    for (;;) {
      const auto before = received_.size();
      try {
        co_await fill(before + 1);
      } catch (const boost::system::system_error&) {
        co_return;
      }
    }
  }

 private:
  boost::asio::awaitable<void> fill(std::size_t size) {
    while (received_.size() < size) {
      char some[4096];
      const auto space = boost::asio::buffer(some);
      const auto got = tls_ ? co_await tls_->async_read_some(space, boost::asio::use_awaitable)
                            : co_await socket_.async_read_some(space, boost::asio::use_awaitable);
      received_.append(some, got);
    }
  }

  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
  std::string received_;
};

/// Listens on 127.0.0.1. It has no behaviour: a test says what each connection does.
class hand_made_server {
 public:
  explicit hand_made_server(boost::asio::io_context& io, boost::asio::ssl::context* tls = nullptr)
      : acceptor_(io, {boost::asio::ip::address_v4::loopback(), 0}), tls_(tls) {}

  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }

  boost::asio::awaitable<std::shared_ptr<ws_peer>> next_connection() {
    auto socket = co_await acceptor_.async_accept(boost::asio::use_awaitable);
    auto out = std::make_shared<ws_peer>(std::move(socket), tls_);
    co_await out->shake_hands();
    co_return out;
  }

  void stop() { acceptor_.close(); }

 private:
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ssl::context* tls_;
};

class ws_client_test : public testing::Test {
 protected:
  using connect_result = std::variant<endpoint, ws_error>;
  using join_result = std::variant<ws_client::joined, ws_refused, ws_error>;

  std::shared_ptr<ws_client> make_client() {
    options.user_agent = "natpeer/test";
    options.on_control = [this](bool pong) { controls.push_back(pong ? "pong" : "ping"); };
    return std::make_shared<ws_client>(loop.io, options);
  }

  static coordinator_url url(const std::string& text) { return parse_coordinator_url(text).value(); }

  /// A client that is connected and has joined through `peer`.
  std::shared_ptr<ws_client> joined_client(hand_made_server& server, std::shared_ptr<ws_peer>& peer) {
    auto out = make_client();
    auto accepted = loop.start(server.next_connection());
    const auto reached = loop.finish(out->connect(url("ws://" + server.address())));
    EXPECT_TRUE(std::holds_alternative<endpoint>(reached));
    peer = loop.finish(std::move(accepted));
    auto upgraded = loop.start(peer->accept());
    const auto answer = loop.finish(out->join("topic=t"));
    EXPECT_TRUE(std::holds_alternative<ws_client::joined>(answer));
    loop.finish(std::move(upgraded));
    return out;
  }

  /// What comes next, in words.
  static boost::asio::awaitable<std::string> next(ws_client& client) {
    const auto message = co_await client.next();
    if (const auto* text = std::get_if<ws_text>(&message)) co_return "text " + std::string(text->message);
    if (const auto* closed = std::get_if<ws_closed>(&message)) {
      co_return "closed " + std::to_string(closed->code) + ' ' + closed->reason;
    }
    co_return "binary " + std::string(as_text(std::get<ws_binary>(message).message));
  }

  test_loop loop;
  ws_client_options options;
  std::vector<std::string> controls;
};

namespace opcodes {  // RFC 6455, 5.2
constexpr std::uint8_t text = 1, binary = 2, close = 8, ping = 9, pong = 10;
}

}  // namespace nat::net
