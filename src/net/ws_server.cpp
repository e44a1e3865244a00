#include "nat/net/ws_server.hpp"

#include "sockaddr.hpp"
#include "ws_session.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/ip/v6_only.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <system_error>

namespace nat::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

/// How long accepting rests when the machine is out of files or memory, unless a connection ends before.
constexpr auto accept_rest = std::chrono::milliseconds(100);

/// Opens, binds and listens; the error is that of the step that failed.
error_code open(tcp_acceptor& acceptor, const endpoint& at) {
  error_code error;
  const tcp::endpoint where(to_asio(at.ip), at.port);
  acceptor.open(where.protocol(), error);
  if (!error && at.ip.is_v6()) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.set_option(tcp_acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(where, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  return error;
}

bool means_no_ipv6(const error_code& error) {
  return error == asio::error::address_family_not_supported || error == asio::error::no_protocol_option ||
         error == boost::system::errc::address_not_available;
}

/// Whether accepting failed for lack of something that comes back.
bool means_exhausted(const error_code& error) {
  return error == boost::system::errc::too_many_files_open ||
         error == boost::system::errc::too_many_files_open_in_system || error == boost::system::errc::no_buffer_space ||
         error == boost::system::errc::not_enough_memory;
}

void tune(tcp_socket& socket) {
  error_code ignored;
  // Bytes (the kernel doubles them). It would else queue up to 4 MB of old lists for each client that does not read.
  constexpr int send_buffer = 64 * 1024;
  socket.set_option(asio::socket_base::send_buffer_size(send_buffer), ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
#if defined(TCP_USER_TIMEOUT)
  // Milliseconds for which sent data may stay unacknowledged: a client that vanished is gone within a minute
  // (RFC 5482).
  constexpr int user_timeout = 60'000;
  socket.set_option(asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>(user_timeout), ignored);
#endif
}

}  // namespace

bool ws_request::offers(std::string_view subprotocol) const {
  return std::ranges::find(subprotocols, subprotocol) != subprotocols.end();
}

void ws_server_events::on_text(ws_id, std::string_view) {}
void ws_server_events::on_binary(ws_id, byte_view) {}
void ws_server_events::on_messages_dropped(ws_id) {}

ws_server::ws_server(asio::io_context& io, const ws_server_options& options, ws_server_events& events)
    : options_(options), events_(events), acceptor_(io.get_executor()), accept_retry_(io.get_executor()) {
  endpoint at{options.listen, options.port};
  auto error = open(acceptor_, at);
  if (error && means_no_ipv6(error) && at.ip == ip_address{}) {
    error_code ignored;
    acceptor_.close(ignored);
    at.ip = ip_address(ip_address::v4_bytes{});
    error = open(acceptor_, at);
  }
  if (error) throw std::system_error(error, "cannot listen on " + at.to_string());
  accept();
}

ws_server::~ws_server() {
  websockets_.clear();  // nobody is left to be told
  for (const auto& session : std::exchange(sessions_, {})) session->cut();
}

endpoint ws_server::local() const {
  const auto at = acceptor_.local_endpoint();
  return {from_asio(at.address()), at.port()};
}

void ws_server::accept() {
  if (accepting_ || !acceptor_.is_open() || sessions_.size() >= options_.max_sockets) return;
  accepting_ = true;
  acceptor_.async_accept([this](const error_code& error, tcp_socket socket) { on_accept(error, std::move(socket)); });
}

void ws_server::on_accept(const error_code& error, tcp_socket socket) {
  if (error == asio::error::operation_aborted) return;
  accepting_ = false;
  if (!acceptor_.is_open()) return;
  if (means_exhausted(error)) {
    events_.on_exhausted(error);
    return retry_accept();
  }
  if (!error) {
    error_code gone;
    const auto from = socket.remote_endpoint(gone);
    if (!gone) {
      tune(socket);
      const auto session = std::make_shared<ws_session>(*this, std::move(socket), from_asio(from.address()));
      sessions_.insert(session);
      session->start();
    }
  }
  accept();  // other errors belong to the one connection that failed (accept(2))
}

void ws_server::retry_accept() {
  accept_retry_.expires_after(accept_rest);
  accept_retry_.async_wait([this](const error_code& error) {
    if (!error) accept();
  });
}

ws_session* ws_server::find(ws_id id) const {
  const auto found = websockets_.find(id);
  return found == websockets_.end() ? nullptr : found->second;
}

void ws_server::send_text(ws_id id, std::shared_ptr<const std::string> text) {
  if (auto* session = find(id)) session->send_text(std::move(text));
}

void ws_server::send_message(ws_id id, std::shared_ptr<const std::string> text) {
  if (auto* session = find(id)) session->send_message(std::move(text));
}

void ws_server::send_relayed(ws_id id, std::shared_ptr<const std::vector<std::uint8_t>> frame) {
  if (auto* session = find(id)) session->send_relayed(std::move(frame));
}

void ws_server::ping(ws_id id) {
  if (auto* session = find(id)) session->ping();
}

void ws_server::close(ws_id id, std::uint16_t code, std::string_view reason) {
  if (auto* session = find(id)) session->close(code, reason);
}

void ws_server::stop() {
  error_code ignored;
  acceptor_.close(ignored);
  accept_retry_.cancel();
  const std::vector<session_ptr> all(sessions_.begin(), sessions_.end());
  for (const auto& session : all) {
    if (!session->is_websocket()) session->cut();
  }
}

void ws_server::closed(ws_id id) {
  if (websockets_.erase(id) != 0) events_.on_closed(id);
}

void ws_server::ended(const session_ptr& session) {
  sessions_.erase(session);
  accept();
}

}  // namespace nat::net
