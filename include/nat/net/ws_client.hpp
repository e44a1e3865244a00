// A natpeer's websocket to its coordinator (RFC 6455): connect, register, messages in, messages and pings out.
#pragma once

#include "nat/bytes.hpp"
#include "nat/coordinator_url.hpp"
#include "nat/endpoint.hpp"
#include "nat/net/resolver.hpp"
#include "nat/net/tls_trust.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

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
struct ws_binary {
  byte_view message;  ///< holds until the next call of `next`
};
struct ws_closed {
  std::uint16_t code = 1006;
  std::string reason;
};

struct ws_client_options {
  std::shared_ptr<tls_trust> trust;  ///< none: the system's certificates
  std::string user_agent;
  std::size_t max_message = 16U << 20;
  std::function<void(bool pong)> on_control;  ///< a ping or a pong came
  std::function<void()> on_sent;              ///< what waits has fallen below `ws_client::low_water` again
  // A name's addresses are tried one after the other, each for its share of this.
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds handshake_timeout{10'000};  ///< for TLS, and for the upgrade
  /// Where the server was when it was last reached: there it is looked for while its name does not resolve.
  std::optional<endpoint> last_known;
};

/// What the request for the upgrade says beyond its query.
struct ws_join_options {
  std::string subprotocol;  ///< offered; empty: none
  std::string
      bearer;  ///< a secret (RFC 6750, 2.1), told to the server that was asked for and to no redirect's; empty: none
};

/// One connection. Its calls are made in the order written here; `ping`, `close` and `abandon` at any time.
class ws_client {
 public:
  // An address's share of `connect_timeout` keeps within these bounds: the lower gives a slow path its round trip, the
  // upper a lost SYN its second try (RFC 6298, 2.1: after 1 s).
  static constexpr std::chrono::milliseconds address_min{1'000};
  static constexpr std::chrono::milliseconds address_max{2'500};
  static constexpr int max_redirects = 3;
  // A name that resolves at all does so within this, mostly; then `last_known` is tried, and again each time this is
  // over.
  static constexpr std::chrono::milliseconds lookup_patience{500};
  // What waits here for the socket. Below the low mark the next message is welcome; a binary message that does not fit
  // below the high one is dropped, and with more texts than this the connection is given up, as nobody takes them.
  static constexpr std::size_t low_water = 64U << 10;    // bytes
  static constexpr std::size_t high_water = 256U << 10;  // bytes
  static constexpr std::size_t max_texts = 64;
  static constexpr std::size_t max_text_bytes = 1U << 20;
  // What waits in the kernel, where nothing overtakes any more, a ping or a text among relayed packets say.
  static constexpr int unsent_in_kernel = 64 << 10;  // bytes

  ws_client(boost::asio::io_context& io, ws_client_options options);
  ~ws_client();

  /// Resolves, connects, and shakes hands for TLS. The result is the server's address.
  boost::asio::awaitable<std::variant<endpoint, ws_error>> connect(coordinator_url url);

  struct joined {
    endpoint remote;          ///< the server's address, after redirects
    std::string subprotocol;  ///< selected by the server; empty: none
  };
  /// Asks for the upgrade with this query; follows redirects. A server that selects a subprotocol which was not offered
  /// is an error (RFC 6455, 4.1).
  boost::asio::awaitable<std::variant<joined, ws_refused, ws_error>> join(std::string query,
                                                                          ws_join_options options = {});

  boost::asio::awaitable<std::variant<ws_text, ws_binary, ws_closed>> next();

  // What is sent goes one after the other: a close before a ping, a ping before texts, texts before binary messages,
  // each kind in order. After `close` or `close_behind`, and before `join` has succeeded, nothing more is taken.
  void send_text(std::string message);
  /// False: dropped, as there is too much waiting.
  bool send_binary(std::shared_ptr<const std::vector<std::uint8_t>> message);
  /// Texts and binary messages that the kernel has not taken.
  std::size_t bytes_waiting() const;
  /// Whether a message would be sent, and soon.
  bool can_send() const;
  void ping();
  /// Sends a close frame with 1000; `next` then ends with `ws_closed`.
  void close();
  /// The same, behind everything that waits.
  void close_behind();
  /// Closes the socket as it is. Whatever waits ends with an error.
  void abandon();
  bool is_abandoned() const { return abandoned_; }
  /// Whether a name is being resolved (see `resolver::busy`).
  bool is_resolving() const { return resolver_->busy(); }

 private:
  struct connection;
  template <typename Stream>
  struct connection_of;

  boost::asio::awaitable<std::variant<endpoint, ws_error>> reach(coordinator_url url);

  boost::asio::io_context& io_;
  ws_client_options options_;
  std::shared_ptr<resolver> resolver_;
  coordinator_url url_;
  std::shared_ptr<connection> connection_;
  endpoint remote_;
  bool abandoned_ = false;
};

}  // namespace nat::net
