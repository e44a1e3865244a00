#include "ws_session.hpp"

#include "nat/relay_frame.hpp"
#include "nat/v2_messages.hpp"

#include "ws_handshake.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/websocket/error.hpp>

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#if defined(__linux__)
#include <linux/sockios.h>
#endif

namespace nat::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

constexpr std::size_t buffer_limit = header_limit + 512;  // the parser meets its limit before the buffer does
constexpr std::size_t message_limit = 4096;               // bytes of a client's message, though it may be dropped
constexpr std::size_t drain_limit = 64 * 1024;            // bytes of a request read after its answer
constexpr std::size_t drain_step = 4096;                  // bytes
constexpr std::size_t reason_limit = 123;  // bytes; a control frame has 125 (RFC 6455, 5.5), the code takes 2
constexpr auto release_delay = std::chrono::seconds(1);  // many turns of the loop, where a few would do

static_assert(max_v2_client_message <= message_limit && max_relay_upload <= message_limit);

/// Bytes of relayed frames that the kernel may hold unsent: a text or a ping waits behind no more.
constexpr int unsent_limit = 64 * 1024;

/// The kernel then takes more only while less than the limit is unsent, and says so by writability.
void limit_unsent(tcp_socket& socket) {
#if defined(TCP_NOTSENT_LOWAT)
  error_code ignored;
  socket.set_option(asio::detail::socket_option::integer<IPPROTO_TCP, TCP_NOTSENT_LOWAT>(unsent_limit), ignored);
#else
  (void)socket;
#endif
}

/// Whether the kernel holds as much unsent as it may. It does not look at the limit itself while there is room in the
/// segment that it fills, of up to 64 KiB.
bool is_full(tcp_socket& socket) {
#if defined(SIOCOUTQNSD)
  int unsent = 0;
  return ::ioctl(socket.native_handle(), SIOCOUTQNSD, &unsent) == 0 && unsent >= unsent_limit;
#else
  (void)socket;
  return false;
#endif
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
  const auto decision = server_.events_.on_request(
      {request.method_string(), request.target(), from_, wanted, subprotocols_of(request), bearer_of(request)});
  if (decision.status == 101) return upgrade(decision);
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

void ws_session::upgrade(const ws_answer& decision) {
  id_ = decision.id;
  server_.websockets_.emplace(decision.id, this);
  if (!decision.subprotocol.empty()) {
    talk_ = std::make_unique<talk>();
    limit_unsent(stream_->next_layer());
    stream_->set_option(websocket::stream_base::decorator([name = decision.subprotocol](websocket::response_type& to) {
      to.set(http::field::sec_websocket_protocol, name);
    }));
  }
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
  auto into = asio::buffer(piece_);
  if (talk_ && !talk_->message.empty()) into = asio::buffer(talk_->message) + talk_->received;
  stream_->async_read_some(into, [self = shared_from_this()](const error_code& error, std::size_t bytes) {
    if (!self->goes_on(self->reading_)) return;
    if (error) return self->cut();  // Beast has answered a close frame or a broken frame by now
    if (self->state_ == state::open) self->on_piece(bytes);
    self->read();
  });
}

void ws_session::on_piece(std::size_t bytes) {
  if (!talk_) return server_.events_.on_activity(*id_);
  const bool whole = stream_->is_message_done();
  auto& message = talk_->message;
  if (message.empty()) {
    if (whole) return deliver({piece_.data(), bytes});
    // Beast keeps messages to the limit; a byte more, since it would take an empty buffer for nothing to do.
    message.resize(message_limit + 1);
    std::copy_n(piece_.begin(), bytes, message.begin());
  }
  talk_->received += bytes;
  if (!whole) return server_.events_.on_activity(*id_);
  deliver({message.data(), std::exchange(talk_->received, 0)});
}

void ws_session::deliver(byte_view message) {
  const auto limit = stream_->got_text() ? max_v2_client_message : max_relay_upload;
  if (message.size() > limit) return close(static_cast<std::uint16_t>(websocket::close_code::too_big), "");
  if (stream_->got_text()) return server_.events_.on_text(*id_, as_text(message));
  server_.events_.on_binary(*id_, message);
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
  drop_pending();
  set_deadline(server_.options_.close_timeout);
  report_closed();
}

void ws_session::send_text(std::shared_ptr<const std::string> text) {
  if (state_ != state::open) return;
  pending_ = std::move(text);
  write_next();
}

void ws_session::send_message(std::shared_ptr<const std::string> text) {
  if (state_ != state::open || !talk_) return;
  const auto dropped = talk_->outbox.push(std::move(text));
  server_.counters_.messages_dropped += dropped;
  write_next();
  if (dropped != 0) server_.events_.on_messages_dropped(*id_);
}

void ws_session::send_relayed(std::shared_ptr<const std::vector<std::uint8_t>> frame) {
  if (state_ != state::open || !talk_) return;
  server_.counters_.relay_dropped += talk_->outbox.push(std::move(frame), server_.options_.max_relay_queue);
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
  drop_pending();
  ping_pending_ = false;
  close_pending_ = std::make_unique<websocket::close_reason>(static_cast<websocket::close_code>(code),
                                                             reason.substr(0, reason_limit));
  set_deadline(server_.options_.close_timeout);
  write_next();
}

void ws_session::write_next() {
  if (writing_) return;
  if (close_pending_) {
    writing_ = true;
    stream_->async_close(*std::exchange(close_pending_, nullptr), [self = shared_from_this()](const error_code&) {
      if (self->goes_on(self->writing_)) self->cut();
    });
  } else if (ping_pending_) {
    writing_ = true;
    ping_pending_ = false;
    stream_->async_ping({}, [self = shared_from_this()](const error_code& error) { self->on_written(error); });
  } else if (pending_) {
    write_message(std::exchange(pending_, nullptr));
  } else if (auto text = talk_ ? talk_->outbox.next_message() : nullptr) {
    write_message(std::move(text));
  } else if (talk_ && talk_->outbox.has_frames() && !talk_->awaits_room) {
    if (is_full(stream_->next_layer())) return await_room();
    write_relayed();
  }
}

void ws_session::write_message(std::shared_ptr<const std::string> text) {
  writing_ = true;
  guard_write();
  stream_->text(true);
  stream_->async_write(asio::buffer(*text),
                       [self = shared_from_this()](const error_code& error, std::size_t) { self->on_written(error); });
  in_flight_ = std::move(text);
}

void ws_session::write_relayed() {
  auto frame = talk_->outbox.next_frame();
  writing_ = true;
  guard_write();
  stream_->binary(true);
  stream_->async_write(asio::buffer(*frame), [self = shared_from_this()](const error_code& error, std::size_t bytes) {
    if (!error) ++self->server_.counters_.relayed_frames;
    self->server_.counters_.relayed_bytes += bytes;
    self->on_written(error);
  });
  in_flight_ = std::move(frame);
}

// Nothing is written meanwhile but what goes before relayed frames: Asio then writes it when there is room.
void ws_session::await_room() {
  talk_->awaits_room = true;
  guard_write();
  stream_->next_layer().async_wait(tcp_socket::wait_write, [self = shared_from_this()](const error_code& error) {
    if (error || self->state_ == state::ended) return;
    self->talk_->awaits_room = false;
    self->talk_->progress = steady_clock::now();
    self->write_next();
  });
}

void ws_session::on_written(const error_code& error) {
  in_flight_.reset();
  if (!goes_on(writing_)) return;
  if (error) return cut();
  if (talk_) {
    talk_->progress = steady_clock::now();
  } else if (state_ == state::open) {
    clear_deadline();
  }
  write_next();
}

void ws_session::drop_pending() {
  pending_.reset();
  if (talk_) talk_->outbox.clear();
}

void ws_session::cut() {
  if (state_ == state::ended) return;
  const auto self = shared_from_this();
  state_ = state::ended;
  error_code ignored;
  stream_->next_layer().close(ignored);
  drop_pending();
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

// Relayed frames are many: for those who get them the timer is not moved for each write.
void ws_session::guard_write() {
  if (state_ != state::open) return;
  if (!talk_) return set_deadline(server_.options_.write_timeout);
  talk_->progress = steady_clock::now();
  if (!std::exchange(talk_->guarded, true)) set_deadline(server_.options_.write_timeout);
}

void ws_session::on_guard() {
  if (!writing_ && !talk_->awaits_room) {
    talk_->guarded = false;
    return;
  }
  const auto quiet = steady_clock::now() - talk_->progress;
  if (quiet >= server_.options_.write_timeout) return cut();
  set_deadline(server_.options_.write_timeout - quiet);
}

void ws_session::set_deadline(steady_clock::duration after) {
  deadline_.expires_after(after);
  deadline_.async_wait([self = shared_from_this()](const error_code& error) {
    // A handler that was on its way when the deadline moved comes without an error.
    const bool moved = self->deadline_.expiry() > steady_clock::now();
    if (error || moved) return;
    if (self->state_ == state::ended) return self->stream_.reset();
    if (self->state_ == state::open && self->talk_) return self->on_guard();
    self->cut();
  });
}

void ws_session::clear_deadline() { deadline_.expires_at(steady_clock::time_point::max()); }

}  // namespace nat::net
