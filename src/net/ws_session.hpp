// One connection of a ws_server: first an HTTP request, then an answer or a websocket.
#pragma once

#include "nat/net/ws_server.hpp"

#include "ws_outbox.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/websocket/stream.hpp>

namespace nat::net {

/// Held by the server's table, and by the handlers of what is under way. Single-threaded; nothing here
/// blocks.
class ws_session : public std::enable_shared_from_this<ws_session> {
 public:
  ws_session(ws_server& server, tcp_socket socket, const ip_address& from);

  /// Reads the request.
  void start();

  void send_text(std::shared_ptr<const std::string> text);
  void send_message(std::shared_ptr<const std::string> text);
  void send_relayed(std::shared_ptr<const std::vector<std::uint8_t>> frame);
  void ping();
  void close(std::uint16_t code, std::string_view reason);
  /// Ends the connection at once.
  void cut();
  bool is_websocket() const { return state_ == state::open || state_ == state::closing; }

 private:
  using error_code = boost::system::error_code;
  enum class state : std::uint8_t {
    handshake,  ///< the request is read, or its answer written
    open,       ///< a websocket
    closing,    ///< a websocket in its closing handshake, by either side
    ended,      ///< every handler that still comes does nothing
  };

  /// What only the HTTP stage needs; freed when the websocket opens.
  struct http_stage {
    boost::beast::flat_buffer buffer;
    std::optional<boost::beast::http::request_parser<boost::beast::http::empty_body>> parser;
    std::string answer;
    std::size_t drained = 0;  ///< bytes of the request read after the answer
  };

  /// What only a websocket with a subprotocol needs.
  struct talk {
    ws_outbox outbox;
    std::vector<std::uint8_t> message;  ///< no memory before the first message that is longer than `piece_`
    std::size_t received = 0;           ///< bytes of `message`
    bool awaits_room = false;           ///< until the kernel holds less than it may of relayed frames
    bool guarded = false;               ///< the deadline is set, and looks at `progress` when it comes
    steady_clock::time_point progress;  ///< of sending
  };

  void on_request(const error_code& error);
  void answer(const ws_answer& answer, bool with_body);
  void linger();
  void upgrade(const ws_answer& decision);

  void read();
  void on_piece(std::size_t bytes);
  void deliver(byte_view message);
  void on_control(boost::beast::websocket::frame_type kind);
  void write_next();
  void write_message(std::shared_ptr<const std::string> text);
  void write_relayed();
  void await_room();
  void on_written(const error_code& error);
  void drop_pending();

  void guard_write();
  void on_guard();
  void set_deadline(steady_clock::duration after);
  void clear_deadline();
  /// An operation of Beast's is over. False: so is the session.
  bool goes_on(bool& operation);
  void report_closed();

  ws_server& server_;
  /// Without permessage-deflate, which costs 90 KB a connection. Empty only after the end.
  std::optional<boost::beast::websocket::stream<tcp_socket, false>> stream_;
  tcp_timer deadline_;
  std::unique_ptr<http_stage> http_;
  std::unique_ptr<talk> talk_;
  ip_address from_;
  state state_ = state::handshake;
  bool reading_ = false;
  bool writing_ = false;  ///< a text, a ping or a close is under way: one at a time
  bool ping_pending_ = false;
  std::optional<ws_id> id_;  ///< until its end is reported
  std::shared_ptr<const void> in_flight_;
  std::shared_ptr<const std::string> pending_;  ///< the newest, waiting for what is in flight
  std::unique_ptr<boost::beast::websocket::close_reason> close_pending_;
  std::array<std::uint8_t, 256> piece_;  ///< what clients say ends here, where nobody listens
};

}  // namespace nat::net
