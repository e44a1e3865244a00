#include "nat/net/udp_link.hpp"

#include "sockaddr.hpp"
#include "udp_batches.hpp"

#include <string>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <system_error>

namespace nat::net {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;

// Bytes asked of the kernel, which may grant less: a burst of 20 Mbit/s that waits 100 ms for us is 250 KB, each
// datagram charged about twice its size.
constexpr int receive_buffer_bytes = 4 << 20;
constexpr int send_buffer_bytes = 1 << 20;

[[noreturn]] void fail(const boost::system::error_code& error, const endpoint& at) {
  throw std::system_error(error, "cannot use UDP address " + at.to_string());
}

/// Opens and binds; the error is that of the step that failed.
boost::system::error_code open(udp::socket& socket, const endpoint& at) {
  boost::system::error_code error;
  const udp::endpoint where(to_asio(at.ip), at.port);
  socket.open(where.protocol(), error);
  if (!error && at.ip.is_v6()) socket.set_option(asio::ip::v6_only(false), error);
  if (!error) socket.bind(where, error);
  return error;
}

void enlarge_buffers(udp::socket& socket) {
#if defined(SO_RCVBUFFORCE)
  // Beyond net.core.rmem_max, where we may (CAP_NET_ADMIN).
  const int wanted = receive_buffer_bytes;
  if (::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) != 0)
#endif
  {
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::receive_buffer_size(receive_buffer_bytes), ignored);
  }
  boost::system::error_code ignored;
  socket.set_option(asio::socket_base::send_buffer_size(send_buffer_bytes), ignored);
}

}  // namespace

udp_link::udp_link(asio::io_context& io, const udp_options& options)
    : socket_(io), on_unreachable_(options.on_unreachable), on_too_large_(options.on_too_large) {
  endpoint at{options.bind, options.port};
  auto error = open(socket_, at);
  const bool without_ipv6 = error == asio::error::address_family_not_supported ||
                            error == asio::error::no_protocol_option || error.value() == EADDRNOTAVAIL;
  if (error && without_ipv6 && at.ip == ip_address{}) {
    boost::system::error_code ignored;
    socket_.close(ignored);
    at.ip = ip_address(ip_address::v4_bytes{});
    error = open(socket_, at);
  }
  if (error) fail(error, at);
  socket_.native_non_blocking(true);
  enlarge_buffers(socket_);
  batches_ = std::make_unique<batches>(socket_.native_handle(), at.ip.is_v4() ? AF_INET : AF_INET6,
                                       options.tell_destination, options.portable);
  if (on_unreachable_ || on_too_large_) batches_->enable_errors();
}

udp_link::~udp_link() = default;

endpoint udp_link::local() const {
  const auto at = socket_.local_endpoint();
  return {from_asio(at.address()), at.port()};
}

asio::awaitable<std::span<const datagram_in>> udp_link::receive() {
  // Tried before waiting under load, when the next batch is already there. Behind everybody else's turn, so that a
  // flood of datagrams starves nobody.
  if (batches_->may_have_more()) {
    co_await asio::post(socket_.get_executor(), asio::use_awaitable);
  } else {
    co_await socket_.async_wait(udp::socket::wait_read, asio::use_awaitable);
  }
  for (;;) {
    if (!socket_.is_open()) throw boost::system::system_error(asio::error::operation_aborted);  // closed meanwhile
    const auto arrived = batches_->receive();
    batches_->take_errors(on_unreachable_, on_too_large_);
    if (!arrived.empty()) co_return arrived;
    co_await socket_.async_wait(udp::socket::wait_read, asio::use_awaitable);
  }
}

asio::awaitable<void> udp_link::writable() {
  co_await socket_.async_wait(udp::socket::wait_write, asio::use_awaitable);
}

std::size_t udp_link::send(std::span<const datagram_out> datagrams) { return batches_->send(datagrams); }

void udp_link::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

const udp_counters& udp_link::counters() const { return batches_->counters(); }

}  // namespace nat::net
