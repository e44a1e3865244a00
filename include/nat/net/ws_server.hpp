// Websockets of many clients on one thread. The server moves bytes; who may come in, and what they are told,
// is decided by its events.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <system_error>

namespace nat::net {

class ws_session;

// Everything is tied to the executor's concrete type: the type-erased one of Asio's defaults costs memory in
// each object.
using tcp_socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;
using tcp_acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;
using steady_clock = std::chrono::steady_clock;
using tcp_timer = boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>,
                                                    boost::asio::io_context::executor_type>;

/// Names one open websocket. The answer to its request chose it.
using ws_id = std::uint64_t;

/// An HTTP request. The views hold during the call.
struct ws_request {
  std::string_view method;
  std::string_view target;
  ip_address from;
  bool upgrade = false;  ///< a complete opening handshake (RFC 6455, 4.2.1); a broken one never comes this far
  std::vector<std::string_view> subprotocols;  ///< offered, the client's favourite first; at most 16 of them
  std::string_view bearer;                     ///< of "Authorization: Bearer ..." (RFC 6750, 2.1); empty: none

  bool offers(std::string_view subprotocol) const;
};

/// 101: the request becomes the websocket `id`. Anything else is sent with `text` as its body, and the
/// connection ends.
struct ws_answer {
  unsigned status = 101;
  std::string text;  ///< one line, without its end
  ws_id id = 0;
  std::optional<std::chrono::seconds> retry_after;
  /// One of those offered. With one the client's messages come whole, as `on_text` and `on_binary`; without, what it
  /// says is dropped and costs no buffer.
  std::string subprotocol;
};

class ws_server_events {
 public:
  virtual ~ws_server_events() = default;

  virtual ws_answer on_request(const ws_request& request) = 0;
  /// The websocket is open: it takes texts.
  virtual void on_open(ws_id id) = 0;
  /// A pong came, a part of a message, or a message of a websocket without a subprotocol.
  virtual void on_activity(ws_id id) = 0;
  /// A whole message, which is activity as well. The views hold during the call.
  virtual void on_text(ws_id id, std::string_view text);
  virtual void on_binary(ws_id id, byte_view message);
  /// Queued messages to this client were dropped, since it takes them too slowly; only the latest is queued now. Comes
  /// from within `send_message`.
  virtual void on_messages_dropped(ws_id id);
  /// A ping came; its pong is on the way.
  virtual void on_ping(ws_id id) = 0;
  /// Exactly once for every id that an answer gave, opened or not, whoever closed it.
  virtual void on_closed(ws_id id) = 0;
  /// The machine is out of files or memory for more connections. Accepting goes on when one ends, or in a
  /// moment.
  virtual void on_exhausted(const std::error_code& error) = 0;
};

struct ws_server_options {
  /// `::` takes IPv4 too, and falls back to 0.0.0.0 on a machine without IPv6.
  ip_address listen;
  std::uint16_t port = 0;  ///< 0: any free port
  /// Open sockets, websockets or not; beyond them new connections wait in the kernel's backlog.
  std::size_t max_sockets = 10'128;
  steady_clock::duration handshake_timeout = std::chrono::seconds(10);  ///< from accept to the end of the answer
  steady_clock::duration close_timeout = std::chrono::seconds(2);       ///< for the closing handshake (RFC 6455, 7.1.1)
  steady_clock::duration write_timeout = std::chrono::seconds(60);  ///< for one text; a client slower than that is cut
  steady_clock::duration linger_timeout = std::chrono::seconds(1);  ///< to read an answer whose request was cut short
  std::size_t max_relay_queue = 256'000;  ///< bytes of relayed frames that wait for one client; the oldest are dropped
};

/// Since the start.
struct ws_server_counters {
  std::uint64_t relayed_frames = 0;    ///< given to the kernel
  std::uint64_t relayed_bytes = 0;     ///< in them
  std::uint64_t relay_dropped = 0;     ///< frames whose receiver was too slow
  std::uint64_t messages_dropped = 0;  ///< the same of queued messages
};

class ws_server {
 public:
  /// Opens, binds and listens; accepts as soon as `io` runs. `events` outlives the server, the server
  /// outlives the runs of `io`. Throws `std::system_error` with the address in its text.
  ws_server(boost::asio::io_context& io, const ws_server_options& options, ws_server_events& events);
  ~ws_server();

  endpoint local() const;
  /// Open sockets, websockets or not.
  std::size_t size() const { return sessions_.size(); }
  std::size_t max_sockets() const { return options_.max_sockets; }
  const ws_server_counters& counters() const { return counters_; }

  /// Sends `text`, UTF-8, once what is in flight to this client is sent, unless a newer text comes before. An
  /// unknown id is ignored, here and below: its `on_closed` is told or on the way.
  void send_text(ws_id id, std::shared_ptr<const std::string> text);
  /// Sends all messages of one client in order. More than 64 of them or 1 MiB in the queue: those before the newest are
  /// dropped, and `on_messages_dropped` is told.
  void send_message(ws_id id, std::shared_ptr<const std::string> text);
  /// Sends a binary message once nothing else waits, and at most 64 KiB wait in the kernel, so that whatever else comes
  /// goes before the rest. Over `max_relay_queue` the oldest are dropped.
  void send_relayed(ws_id id, std::shared_ptr<const std::vector<std::uint8_t>> frame);
  void ping(ws_id id);
  /// Starts the closing handshake, and cuts the connection when that takes too long. What is pending is
  /// dropped.
  void close(ws_id id, std::uint16_t code, std::string_view reason);

  /// Accepts no more and cuts what is no websocket yet. `io` runs out of work when the websockets are closed
  /// as well.
  void stop();

 private:
  friend class ws_session;
  using session_ptr = std::shared_ptr<ws_session>;

  void accept();
  void on_accept(const boost::system::error_code& error, tcp_socket socket);
  void retry_accept();
  ws_session* find(ws_id id) const;
  // What sessions report.
  void closed(ws_id id);
  void ended(const session_ptr& session);

  ws_server_options options_;
  ws_server_events& events_;
  tcp_acceptor acceptor_;
  tcp_timer accept_retry_;
  bool accepting_ = false;  ///< one accept is under way
  std::unordered_set<session_ptr> sessions_;
  ws_server_counters counters_;
  std::unordered_map<ws_id, ws_session*> websockets_;  ///< from the answer that chose the id until `on_closed`
};

}  // namespace nat::net
