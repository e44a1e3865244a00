#include "nat/net/ws_client.hpp"

#include "nat/fifo.hpp"

#include "client_tls.hpp"
#include "server_lookup.hpp"
#include "sockaddr.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <netinet/tcp.h>
#include <sys/socket.h>

namespace nat::net {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto await = asio::as_tuple(asio::use_awaitable);

template <typename Next>
constexpr bool has_tls = !std::is_same_v<Next, beast::tcp_stream>;

/// A dead coordinator is noticed after 35 s of silence, 20 s where we have something to say: the seed's server never
/// sends a pong, so the transport has to tell.
void keep_alive(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  const auto set = [&](int option, int value) {
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  };
#if defined(TCP_KEEPIDLE)
  set(TCP_KEEPIDLE, 15);  // seconds of silence before the first probe
#endif
#if defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
  set(TCP_KEEPINTVL, 5);  // seconds
  set(TCP_KEEPCNT, 4);
#endif
#if defined(TCP_USER_TIMEOUT)
  set(TCP_USER_TIMEOUT, 20'000);  // milliseconds that sent data may stay unacknowledged (RFC 5482)
#endif
#if defined(TCP_NOTSENT_LOWAT)
  set(TCP_NOTSENT_LOWAT, ws_client::unsent_in_kernel);
#endif
}

std::string describe(const error_code& error) {
  if (error == beast::error::timeout) return "timed out";
  if (error == asio::error::eof || error == http::error::end_of_stream) return "the connection was closed";
  return error.message();
}

/// One line for people: the body's first line, of 200 characters at most, or the phrase that belongs to the status.
std::string first_line(const websocket::response_type& response) {
  const auto& body = response.body();
  auto line = body.substr(0, std::min<std::size_t>(body.find_first_of("\r\n"), 200));
  return line.empty() ? std::string(response.reason()) : line;
}

ws_refused refusal(const websocket::response_type& response) {
  ws_refused out{response.result_int(), first_line(response), {}};
  const std::string_view after = response[http::field::retry_after];
  int seconds = 0;
  const auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), seconds);
  const bool number = error == std::errc{} && end == after.data() + after.size() && seconds >= 0;
  if (number && !after.empty())
    out.retry_after = std::chrono::seconds(seconds);  // the other form is a date: not worth a parser
  return out;
}

/// A token as RFC 6750, 2.1 has it. The server has made it, and nothing of what it says may become another header.
bool is_bearer_token(std::string_view text) {
  constexpr std::size_t longest = 512;  // bytes
  constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
  return !text.empty() && text.size() <= longest && text.find_first_not_of(allowed) == text.npos;
}

bool is_same_server(const coordinator_url& a, const coordinator_url& b) {
  return a.tls == b.tls && a.host == b.host && a.port == b.port;
}

}  // namespace

/// What differs between ws and wss, behind one interface.
struct ws_client::connection {
  using message = std::variant<ws_text, ws_binary, ws_closed>;

  virtual ~connection() = default;
  virtual asio::awaitable<std::variant<endpoint, ws_error>> connect(const coordinator_url& url,
                                                                    std::shared_ptr<resolver> names,
                                                                    std::optional<endpoint> last_known) = 0;
  virtual asio::awaitable<std::pair<error_code, websocket::response_type>> shake_hands(const coordinator_url& url,
                                                                                       std::string target,
                                                                                       ws_join_options options) = 0;
  virtual asio::awaitable<message> next() = 0;
  virtual void abandon() = 0;
  /// Sends what `waiting` holds, one thing after the other.
  virtual void pump(std::shared_ptr<connection> self) = 0;

  struct {
    bool close = false;
    bool close_behind = false;
    bool ping = false;
    std::deque<std::string> texts;
    fifo<std::shared_ptr<const std::vector<std::uint8_t>>> binaries;
    std::size_t text_bytes = 0;
    std::size_t binary_bytes = 0;
  } waiting;
  bool open = false;     ///< upgraded, and neither closing nor abandoned
  bool writing = false;  ///< Beast wants one thing at a time
};

template <typename Stream>
struct ws_client::connection_of final : connection {
  connection_of(asio::io_context& loop, const ws_client_options& options) requires(!has_tls<Stream>)
      : io(loop), stream(loop) {
    configure(options);
  }

  connection_of(asio::io_context& loop, const ws_client_options& options) requires(has_tls<Stream>)
      : io(loop), tls(options.trust->context()), stream(loop, *tls) {
    configure(options);
  }

  void configure(const ws_client_options& options) {
    connect_timeout = options.connect_timeout;
    handshake_timeout = options.handshake_timeout;
    on_sent = options.on_sent;
    user_agent = options.user_agent;
    stream.read_message_max(options.max_message);
    stream.auto_fragment(false);
    auto timeouts = websocket::stream_base::timeout::suggested(beast::role_type::client);
    timeouts.handshake_timeout = handshake_timeout;          // of the closing handshake too
    timeouts.idle_timeout = websocket::stream_base::none();  // the engine decides when a server is silent for too long
    timeouts.keep_alive_pings = false;
    stream.set_option(timeouts);
    stream.control_callback([tell = options.on_control](websocket::frame_type kind, beast::string_view) {
      if (kind != websocket::frame_type::close && tell) tell(kind == websocket::frame_type::pong);
    });
  }

  asio::awaitable<std::variant<endpoint, ws_error>> connect(const coordinator_url& url, std::shared_ptr<resolver> names,
                                                            std::optional<endpoint> last_known) override {
    lookup = server_lookup::start(io, names, url.host, url.port);
    auto reached = co_await connect_to_server(url, last_known);
    names->cancel();
    if (std::holds_alternative<ws_error>(reached)) co_return reached;
    auto& socket = beast::get_lowest_layer(stream);
    keep_alive(socket.socket());
    socket.expires_after(handshake_timeout);
    if (auto failed = co_await shake_hands_for_tls(url)) co_return std::move(*failed);
    socket.expires_never();  // from here on the websocket's own timeouts hold
    co_return reached;
  }

  asio::awaitable<std::variant<endpoint, ws_error>> connect_to_server(const coordinator_url& url,
                                                                      std::optional<endpoint> last_known) {
    for (;;) {
      co_await lookup->wait(last_known ? std::optional(lookup_patience) : std::nullopt);
      if (abandoned) co_return ws_error{"abandoned"};
      const auto found = lookup->result();
      auto addresses = found ? found->endpoints : std::vector<endpoint>();
      if (addresses.empty() && last_known) addresses = {*last_known};
      if (addresses.empty()) co_return ws_error{found->error};
      const auto [error, remote] = co_await connect_to_one_of(addresses);
      if (!error) co_return remote;
      if (!found) continue;
      if (!found->error.empty()) co_return ws_error{found->error};
      co_return ws_error{"cannot connect to " + url.authority() + ": " + describe(error)};
    }
  }

  /// Tries one address after the other. An address that swallows what it is sent, as broken IPv6 does, must not cost
  /// all the time there is.
  asio::awaitable<std::pair<error_code, endpoint>> connect_to_one_of(const std::vector<endpoint>& addresses) {
    auto& socket = beast::get_lowest_layer(stream);
    const auto count = static_cast<int>(addresses.size());
    const auto patience = count == 1 ? connect_timeout : std::clamp(connect_timeout / count, address_min, address_max);
    std::pair<error_code, endpoint> out{asio::error::host_unreachable, {}};
    for (const auto& address : addresses) {
      error_code ignored;
      socket.socket().close(ignored);  // what is left of the address before; its family may be another
      socket.expires_after(patience);
      const auto [error] = co_await socket.async_connect(tcp::endpoint(to_asio(address.ip), address.port), await);
      out = {error, address};
      if (!error) break;
      if (abandoned) {
        out.first = asio::error::operation_aborted;
        break;
      }
    }
    co_return out;
  }

  asio::awaitable<std::optional<ws_error>> shake_hands_for_tls(const coordinator_url& url) {
    if constexpr (has_tls<Stream>) {
      auto& layer = stream.next_layer();
      auto name = url.host;
      if (!expect_host(layer.native_handle(), name))
        co_return ws_error{"no TLS with " + url.authority() + ": not a host name"};
      set_server_name(layer.native_handle(), name);
      const auto [error] = co_await layer.async_handshake(asio::ssl::stream_base::client, await);
      if (error) {
        const auto verified = ::SSL_get_verify_result(layer.native_handle());
        const auto why = verified == X509_V_OK ? describe(error)
                                               : std::string("the certificate does not verify: ") +
                                                     ::X509_verify_cert_error_string(verified);
        co_return ws_error{"no TLS with " + url.authority() + ": " + why};
      }
    }
    co_return std::nullopt;
  }

  asio::awaitable<std::pair<error_code, websocket::response_type>> shake_hands(const coordinator_url& url,
                                                                               std::string target,
                                                                               ws_join_options options) override {
    stream.set_option(websocket::stream_base::decorator([this, &options](websocket::request_type& request) {
      request.set(http::field::user_agent, user_agent);
      if (!options.subprotocol.empty()) request.set(http::field::sec_websocket_protocol, options.subprotocol);
      if (is_bearer_token(options.bearer)) request.set(http::field::authorization, "Bearer " + options.bearer);
    }));
    std::pair<error_code, websocket::response_type> out;
    const auto [error] = co_await stream.async_handshake(out.second, url.authority(), target, await);
    out.first = error;
    open = !error && !abandoned;
    co_return out;
  }

  asio::awaitable<message> next() override {
    error_code error;
    do {
      buffer.consume(buffer.size());
      error = std::get<0>(co_await stream.async_read(buffer, await));
      // Beast's closing handshake reads frames by itself, and then says of our message what it knows of the next one.
    } while (!error && closing);
    const auto& why = stream.reason();
    // Our own closing handshake aborts the read when the server's answer is there.
    const bool answered = waiting.close && why.code != websocket::close_code::none;
    if (error == websocket::error::closed || (error && answered)) {
      const auto code = why.code == websocket::close_code::none ? 1005 : static_cast<std::uint16_t>(why.code);
      co_return ws_closed{static_cast<std::uint16_t>(code), std::string(why.reason.c_str(), why.reason.size())};
    }
    if (error) co_return ws_closed{1006, describe(error)};
    const auto bytes = buffer.cdata();
    if (!stream.got_text()) co_return ws_binary{{static_cast<const std::uint8_t*>(bytes.data()), bytes.size()}};
    co_return ws_text{{static_cast<const char*>(bytes.data()), bytes.size()}};
  }

  void pump(std::shared_ptr<connection> self) override {
    if (writing || closing || abandoned) return;
    if (waiting.close) {
      closing = true;
      return stream.async_close(websocket::close_code::normal, [self](const error_code&) {});  // `next` tells
    }
    if (std::exchange(waiting.ping, false)) {
      writing = true;
      return stream.async_ping({}, [this, self](const error_code& error) { on_written(self, error); });
    }
    const bool text = !waiting.texts.empty();
    if (!text && waiting.binaries.empty()) {
      if (!std::exchange(waiting.close_behind, false)) return;
      waiting.close = true;
      return pump(self);
    }
    writing = true;
    stream.text(text);
    const auto bytes = text ? asio::buffer(waiting.texts.front()) : asio::buffer(*waiting.binaries.front());
    stream.async_write(bytes, [this, self, text](const error_code& error, std::size_t) {
      const auto before = waiting.text_bytes + waiting.binary_bytes;
      take_front(text);
      const auto after = waiting.text_bytes + waiting.binary_bytes;
      on_written(self, error);
      if (before >= low_water && after < low_water && on_sent && !abandoned) on_sent();
    });
  }

  void take_front(bool text) {
    if (text) {
      waiting.text_bytes -= waiting.texts.front().size();
      waiting.texts.pop_front();
    } else {
      waiting.binary_bytes -= waiting.binaries.front()->size();
      waiting.binaries.pop_front();
    }
  }

  void on_written(const std::shared_ptr<connection>& self, const error_code& error) {
    writing = false;
    // The server has closed, or broken the protocol, and Beast waits without end for it to hang up.
    if (error) return abandon();
    pump(self);
  }

  void abandon() override {
    abandoned = true;
    open = false;
    if (lookup) lookup->wake();
    beast::get_lowest_layer(stream).close();
  }

  asio::io_context& io;
  std::shared_ptr<server_lookup> lookup;
  std::shared_ptr<asio::ssl::context> tls;
  websocket::stream<Stream, false> stream;  // no deflate: lists are small, its memory is not
  beast::flat_buffer buffer;
  std::string user_agent;
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds handshake_timeout{};
  std::function<void()> on_sent;
  bool closing = false;  ///< our close frame is on its way
  bool abandoned = false;
};

ws_client::ws_client(asio::io_context& io, ws_client_options options)
    : io_(io), options_(std::move(options)), resolver_(std::make_shared<resolver>(io)) {
  if (!options_.trust) options_.trust = std::make_shared<tls_trust>();
}

ws_client::~ws_client() = default;

asio::awaitable<std::variant<endpoint, ws_error>> ws_client::connect(coordinator_url url) {
  url_ = std::move(url);
  co_return co_await reach(url_);
}

asio::awaitable<std::variant<endpoint, ws_error>> ws_client::reach(coordinator_url url) {
  if (url.tls) {
    connection_ = std::make_shared<connection_of<beast::ssl_stream<beast::tcp_stream>>>(io_, options_);
  } else {
    connection_ = std::make_shared<connection_of<beast::tcp_stream>>(io_, options_);
  }
  const auto held = connection_;
  const auto last_known = is_same_server(url, url_) ? options_.last_known : std::nullopt;
  auto reached = co_await held->connect(url, resolver_, last_known);
  if (const auto* remote = std::get_if<endpoint>(&reached)) remote_ = *remote;
  co_return reached;
}

asio::awaitable<std::variant<ws_client::joined, ws_refused, ws_error>> ws_client::join(std::string query,
                                                                                       ws_join_options options) {
  coordinator_request request{url_, url_.path + "/websocket?" + query};
  for (int redirects = 0;; ++redirects) {
    const auto held = connection_;
    if (!is_same_server(request.server, url_)) options.bearer.clear();
    const auto [error, response] = co_await held->shake_hands(request.server, request.target, options);
    if (!error) {
      const std::string selected(response[http::field::sec_websocket_protocol]);
      if (selected.empty() || selected == options.subprotocol) co_return joined{remote_, selected};
      held->abandon();
      co_return ws_error{request.server.authority() + " speaks a subprotocol that it was not asked for"};
    }
    if (error != websocket::error::upgrade_declined) {
      co_return ws_error{request.server.authority() + " did not answer as a websocket server: " + describe(error)};
    }
    const std::string location(response[http::field::location]);
    const bool redirected = response.result_int() / 100 == 3 && !location.empty();
    if (!redirected) co_return refusal(response);
    const auto next = resolve_redirect(request, location);
    if (!next || redirects == max_redirects) {
      co_return ws_refused{response.result_int(), "redirected to " + location + ", which is not followed", {}};
    }
    request = *next;
    held->abandon();
    const auto reached = co_await reach(request.server);
    if (const auto* failed = std::get_if<ws_error>(&reached)) co_return *failed;
    if (abandoned_) co_return ws_error{"abandoned"};
  }
}

asio::awaitable<std::variant<ws_text, ws_binary, ws_closed>> ws_client::next() { return connection_->next(); }

void ws_client::send_text(std::string message) {
  if (!connection_ || !connection_->open) return;
  auto& waiting = connection_->waiting;
  if (waiting.texts.size() == max_texts || waiting.text_bytes + message.size() > max_text_bytes) {
    return connection_->abandon();  // `next` tells
  }
  waiting.text_bytes += message.size();
  waiting.texts.push_back(std::move(message));
  connection_->pump(connection_);
}

bool ws_client::send_binary(std::shared_ptr<const std::vector<std::uint8_t>> message) {
  if (!connection_ || !connection_->open) return false;
  auto& waiting = connection_->waiting;
  if (waiting.binary_bytes + message->size() > high_water) return false;
  waiting.binary_bytes += message->size();
  waiting.binaries.push_back(std::move(message));
  connection_->pump(connection_);
  return true;
}

std::size_t ws_client::bytes_waiting() const {
  return connection_ ? connection_->waiting.text_bytes + connection_->waiting.binary_bytes : 0;
}

bool ws_client::can_send() const { return connection_ && connection_->open && bytes_waiting() < low_water; }

void ws_client::ping() {
  if (!connection_ || !connection_->open) return;
  connection_->waiting.ping = true;
  connection_->pump(connection_);
}

void ws_client::close() {
  if (!connection_ || !connection_->open) return;
  connection_->open = false;
  connection_->waiting.close = true;
  connection_->pump(connection_);
}

void ws_client::close_behind() {
  if (!connection_ || !connection_->open) return;
  connection_->open = false;
  connection_->waiting.close_behind = true;
  connection_->pump(connection_);
}

void ws_client::abandon() {
  abandoned_ = true;
  if (connection_) connection_->abandon();
}

}  // namespace nat::net
