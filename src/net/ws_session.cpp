#include "ws_session.hpp"

#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/websocket/error.hpp>

namespace nat::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

constexpr std::uint32_t header_limit = 8192;              // bytes of request line and fields
constexpr std::size_t buffer_limit = header_limit + 512;  // the parser meets its limit before the buffer does
constexpr std::size_t message_limit = 4096;               // bytes of a client's message, though it is dropped
constexpr std::size_t drain_limit = 64 * 1024;            // bytes of a request read after its answer
constexpr std::size_t drain_step = 4096;                  // bytes
constexpr std::size_t reason_limit = 123;  // bytes; a control frame has 125 (RFC 6455, 5.5), the code takes 2
constexpr auto release_delay = std::chrono::seconds(1);  // many turns of the loop, where a few would do

using request_header = http::request<http::empty_body>;

ws_answer refuse(http::status status, std::string_view text) {
  ws_answer answer;
  answer.status = static_cast<unsigned>(status);
  answer.text = text;
  return answer;
}

/// What to answer when no request could be read; none: there is nobody to answer.
std::optional<ws_answer> refusal_of(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refuse(http::status::request_header_fields_too_large, "request line and headers are over 8 KiB");
  }
  const bool gone = error == http::error::end_of_stream || error == http::error::partial_message;
  if (gone || error.category() != make_error_code(http::error::bad_method).category()) return std::nullopt;
  return refuse(http::status::bad_request, "not an HTTP request");
}

bool asks_for_websocket(const request_header& request) {
  return http::token_list(request[http::field::upgrade]).exists("websocket");
}

/// What is wrong with an opening handshake (RFC 6455, 4.2.1).
std::optional<ws_answer> fault_of_handshake(const request_header& request) {
  constexpr std::size_t key_size = 24;  // base64 of 16 bytes
  const auto bad = [](std::string_view why) { return refuse(http::status::bad_request, why); };
  if (request.version() != 11) return bad("a websocket needs HTTP/1.1");
  if (request.method() != http::verb::get) return bad("a websocket needs the method GET");
  if (request.count(http::field::host) == 0) return bad("Host is missing");
  if (!http::token_list(request[http::field::connection]).exists("upgrade")) return bad("Connection lacks upgrade");
  if (request[http::field::sec_websocket_key].size() != key_size)
    return bad("Sec-WebSocket-Key is missing or malformed");
  if (request[http::field::sec_websocket_version] != "13") {
    return refuse(http::status::upgrade_required, "only version 13 of websockets is spoken here");
  }
  return std::nullopt;
}

std::string answer_text(const ws_answer& answer, bool with_body) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(answer.status));
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + ' ' + std::string(reason) + "\r\n";
  if (answer.status == 426) out += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";  // RFC 9110, 15.5.22
  if (answer.retry_after) out += "Retry-After: " + std::to_string(answer.retry_after->count()) + "\r\n";
  out += "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: ";
  out += std::to_string(answer.text.size() + 1) + "\r\n\r\n";
  if (with_body) out += answer.text + '\n';
  return out;
}

}  // namespace

ws_session::ws_session(ws_server& server, tcp_socket socket, const ip_address& from)
    : server_(server),
      stream_(std::in_place, std::move(socket)),
      deadline_(stream_->get_executor()),
      http_(std::make_unique<http_stage>()),
      from_(from) {}

void ws_session::start() {
  set_deadline(server_.options_.handshake_timeout);
  http_->buffer.max_size(buffer_limit);
  http_->parser.emplace();
  http_->parser->header_limit(header_limit);
  http_->parser->body_limit(boost::none);  // a body is refused below, whatever its size
  http::async_read_header(stream_->next_layer(), http_->buffer, *http_->parser,
                          [self = shared_from_this()](const error_code& error, std::size_t) {
                            if (self->state_ != state::ended) self->on_request(error);
                          });
}

void ws_session::on_request(const error_code& error) {
  if (error) {
    const auto refusal = refusal_of(error);
    return refusal ? answer(*refusal, true) : cut();
  }
  const auto& parser = *http_->parser;
  const auto& request = parser.get();
  const bool with_body = request.method() != http::verb::head;
  if (parser.chunked() || parser.content_length().value_or(0) != 0) {
    return answer(refuse(http::status::payload_too_large, "a request has no body here"), with_body);
  }
  const bool wanted = asks_for_websocket(request);
  if (wanted) {
    if (const auto fault = fault_of_handshake(request)) return answer(*fault, with_body);
    // RFC 6455, 4.1: a client sends nothing before the handshake is answered.
    if (http_->buffer.size() != 0)
      return answer(refuse(http::status::bad_request, "data before the handshake's end"), true);
  }
  const auto decision = server_.events_.on_request({request.method_string(), request.target(), from_, wanted});
  if (decision.status == 101) return upgrade(decision.id);
  answer(decision, with_body);
}

void ws_session::answer(const ws_answer& answer, bool with_body) {
  http_->answer = answer_text(answer, with_body);
  asio::async_write(stream_->next_layer(), asio::buffer(http_->answer),
                    [self = shared_from_this()](const error_code& error, std::size_t) {
                      if (self->state_ == state::ended) return;
                      if (error) return self->cut();
                      error_code ignored;
                      self->stream_->next_layer().shutdown(tcp_socket::shutdown_send, ignored);
                      self->set_deadline(self->server_.options_.linger_timeout);
                      self->linger();
                    });
}

// Closing while a part of the request is unread would reset the connection, and the reset can overtake the
// answer (RFC 9112, 9.6). So the rest is read until the client has closed, too.
void ws_session::linger() {
  http_->buffer.clear();
  stream_->next_layer().async_read_some(http_->buffer.prepare(drain_step),
                                        [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                                          if (self->state_ == state::ended) return;
                                          self->http_->drained += bytes;
                                          if (error || self->http_->drained > drain_limit) return self->cut();
                                          self->linger();
                                        });
}

void ws_session::upgrade(ws_id id) {
  id_ = id;
  server_.websockets_.emplace(id, this);
  stream_->auto_fragment(false);
  stream_->read_message_max(message_limit);
  stream_->control_callback([this](websocket::frame_type kind, auto) { on_control(kind); });
  stream_->async_accept(http_->parser->get(), [self = shared_from_this()](const error_code& error) {
    if (self->state_ == state::ended) return;
    if (error) return self->cut();
    self->clear_deadline();
    self->http_.reset();
    self->state_ = state::open;
    self->read();
    self->server_.events_.on_open(*self->id_);
  });
}

void ws_session::read() {
  reading_ = true;
  stream_->async_read_some(asio::buffer(dropped_), [self = shared_from_this()](const error_code& error, std::size_t) {
    if (!self->goes_on(self->reading_)) return;
    if (error) return self->cut();  // Beast has answered a close frame or a broken frame by now
    if (self->id_) self->server_.events_.on_activity(*self->id_);
    self->read();
  });
}

// Beast calls this while it reads, for each control frame, and answers pings and closes by itself. It does
// not while a closing handshake is under way.
void ws_session::on_control(websocket::frame_type kind) {
  if (state_ != state::open) return;
  switch (kind) {
    case websocket::frame_type::ping: return server_.events_.on_ping(*id_);
    case websocket::frame_type::pong: return server_.events_.on_activity(*id_);
    case websocket::frame_type::close: break;
  }
  // The client has left, and the others need not wait until it has closed its socket as well.
  state_ = state::closing;
  pending_.reset();
  set_deadline(server_.options_.close_timeout);
  report_closed();
}

void ws_session::send_text(std::shared_ptr<const std::string> text) {
  if (state_ != state::open) return;
  pending_ = std::move(text);
  write_next();
}

void ws_session::ping() {
  if (state_ != state::open) return;
  ping_pending_ = true;
  write_next();
}

void ws_session::close(std::uint16_t code, std::string_view reason) {
  if (state_ == state::handshake) return cut();
  if (state_ != state::open) return;
  state_ = state::closing;
  pending_.reset();
  ping_pending_ = false;
  close_pending_ = std::make_unique<websocket::close_reason>(static_cast<websocket::close_code>(code),
                                                             reason.substr(0, reason_limit));
  set_deadline(server_.options_.close_timeout);
  write_next();
}

void ws_session::write_next() {
  if (writing_) return;
  const auto written = [self = shared_from_this()](const error_code& error, std::size_t = 0) {
    self->on_written(error);
  };
  if (close_pending_) {
    writing_ = true;
    stream_->async_close(*std::exchange(close_pending_, nullptr), [self = shared_from_this()](const error_code&) {
      if (self->goes_on(self->writing_)) self->cut();
    });
  } else if (ping_pending_) {
    writing_ = true;
    ping_pending_ = false;
    stream_->async_ping({}, written);
  } else if (pending_) {
    writing_ = true;
    in_flight_ = std::exchange(pending_, nullptr);
    if (state_ == state::open) set_deadline(server_.options_.write_timeout);
    stream_->async_write(asio::buffer(*in_flight_), written);
  }
}

void ws_session::on_written(const error_code& error) {
  in_flight_.reset();
  if (!goes_on(writing_)) return;
  if (error) return cut();
  if (state_ == state::open) clear_deadline();
  write_next();
}

void ws_session::cut() {
  if (state_ == state::ended) return;
  const auto self = shared_from_this();
  state_ = state::ended;
  error_code ignored;
  stream_->next_layer().close(ignored);
  pending_.reset();
  // Beast 1.81 can lose operations: when a broken frame comes while a close frame is on its way out, the read
  // waits for the close to let go of writing, and the close for the read to let go of reading. Nothing ends
  // them then but the stream's own end, which must not come before every operation that is not lost has met
  // the closed socket.
  if (reading_ || writing_) {
    set_deadline(release_delay);
  } else {
    clear_deadline();
  }
  report_closed();
  server_.ended(self);
}

bool ws_session::goes_on(bool& operation) {
  operation = false;
  if (state_ != state::ended) return true;
  if (!reading_ && !writing_) clear_deadline();
  return false;
}

void ws_session::report_closed() {
  if (const auto id = std::exchange(id_, std::nullopt)) server_.closed(*id);
}

void ws_session::set_deadline(steady_clock::duration after) {
  deadline_.expires_after(after);
  deadline_.async_wait([self = shared_from_this()](const error_code& error) {
    // A handler that was on its way when the deadline moved comes without an error.
    const bool moved = self->deadline_.expiry() > steady_clock::now();
    if (error || moved) return;
    if (self->state_ == state::ended) return self->stream_.reset();
    self->cut();
  });
}

void ws_session::clear_deadline() { deadline_.expires_at(steady_clock::time_point::max()); }

}  // namespace nat::net
