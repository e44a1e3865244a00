// A natpeer's websocket to its coordinator (RFC 6455): connect, register, messages in, pings out.
#pragma once

#include "nat/coordinator_url.hpp"
#include "nat/endpoint.hpp"
#include "nat/net/resolver.hpp"
#include "nat/net/tls_trust.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace nat::net {

struct ws_error {
  std::string reason;
};
/// The server's answer was HTTP, but no upgrade.
struct ws_refused {
  unsigned status = 0;
  std::string reason;  ///< the body's first line, else the status line's phrase
  std::optional<std::chrono::seconds> retry_after;
};
struct ws_text {
  std::string_view message;  ///< holds until the next call of `next`
};
struct ws_ignored {};  ///< a binary message: not for us
struct ws_closed {
  std::uint16_t code = 1006;
  std::string reason;
};

struct ws_client_options {
  std::shared_ptr<tls_trust> trust;  ///< none: the system's certificates
  std::string user_agent;
  std::size_t max_message = 16U << 20;
  std::function<void(bool pong)> on_control;  ///< a ping or a pong came
};

/// One connection. Its calls are made in the order written here; `ping`, `close` and `abandon` at any time.
class ws_client {
 public:
  static constexpr std::chrono::milliseconds connect_timeout{10'000};
  // A name's addresses are tried one after the other, each for its share of the time, within these bounds: the lower
  // gives a slow path its round trip, the upper a lost SYN its second try (RFC 6298, 2.1: after 1 s).
  static constexpr std::chrono::milliseconds address_min{1'000};
  static constexpr std::chrono::milliseconds address_max{2'500};
  static constexpr std::chrono::seconds handshake_timeout{10};
  static constexpr int max_redirects = 3;

  ws_client(boost::asio::io_context& io, ws_client_options options);
  ~ws_client();

  /// Resolves, connects, and shakes hands for TLS. The result is the server's address.
  boost::asio::awaitable<std::variant<endpoint, ws_error>> connect(coordinator_url url);

  struct joined {
    endpoint remote;  ///< the server's address, after redirects
  };
  /// Asks for the upgrade with this query; follows redirects.
  boost::asio::awaitable<std::variant<joined, ws_refused, ws_error>> join(std::string query);

  boost::asio::awaitable<std::variant<ws_text, ws_ignored, ws_closed>> next();

  void ping();
  /// Sends a close frame with 1000; `next` then ends with `ws_closed`.
  void close();
  /// Closes the socket as it is. Whatever waits ends with an error.
  void abandon();
  bool is_abandoned() const { return abandoned_; }
  /// Whether a name is being resolved (see `resolver::busy`).
  bool is_resolving() const { return resolver_.busy(); }

 private:
  struct connection;
  template <typename Stream>
  struct connection_of;

  boost::asio::awaitable<std::variant<endpoint, ws_error>> reach(coordinator_url url);

  boost::asio::io_context& io_;
  ws_client_options options_;
  resolver resolver_;
  coordinator_url url_;
  std::shared_ptr<connection> connection_;
  endpoint remote_;
  bool abandoned_ = false;
};

}  // namespace nat::net
