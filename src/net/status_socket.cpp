#include "nat/net/status_socket.hpp"

#include "nat/net/event.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

namespace nat::net {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr auto await = asio::as_tuple(asio::use_awaitable);

[[noreturn]] void fail(int error, const std::string& path) {
  throw std::system_error(error, std::generic_category(), "status socket " + path);
}

/// A descriptor that is closed at the end.
class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) fail(errno, path);
  return fd;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.empty()) fail(EINVAL, path);
  if (path.size() >= sizeof out.sun_path) fail(ENAMETOOLONG, path);
  std::memcpy(out.sun_path, path.c_str(), path.size());
  return out;
}

template <typename Call>
int with_address(const sockaddr_un& at, Call call) {
  return call(reinterpret_cast<const sockaddr*>(&at), static_cast<socklen_t>(sizeof at)) == 0 ? 0 : errno;
}

int bind_to(int fd, const sockaddr_un& at) {
  return with_address(at, [&](auto* where, auto size) { return ::bind(fd, where, size); });
}

int connect_to(int fd, const sockaddr_un& at) {
  return with_address(at, [&](auto* where, auto size) { return ::connect(fd, where, size); });
}

/// Whether a program that is gone has left its socket here.
bool is_stale(const std::string& path, const sockaddr_un& at) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const descriptor probe(open_socket(path));
  static_cast<void>(::fcntl(probe.get(), F_SETFL, O_NONBLOCK));  // a living program's queue may be full
  return connect_to(probe.get(), at) == ECONNREFUSED;
}

int listen_at(const std::string& path) {
  const auto at = address_of(path);
  descriptor out(open_socket(path));
  // Linux gives the file the socket's own mode, so that nobody slips in before `chmod`; elsewhere `chmod` has to do.
  static_cast<void>(::fchmod(out.get(), S_IRUSR | S_IWUSR));
  auto error = bind_to(out.get(), at);
  if (error == EADDRINUSE && is_stale(path, at) && ::unlink(path.c_str()) == 0) error = bind_to(out.get(), at);
  if (error != 0) fail(error, path);
  if (::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0 || ::listen(out.get(), SOMAXCONN) != 0) {
    error = errno;
    ::unlink(path.c_str());
    fail(error, path);
  }
  return out.release();
}

}  // namespace

struct status_socket::server : std::enable_shared_from_this<server> {
  server(asio::io_context& io, std::string where, std::function<std::string()> what)
      : path(std::move(where)), text(std::move(what)), acceptor(io), freed(io) {
    const int fd = listen_at(path);
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0) identity = {info.st_dev, info.st_ino};
    acceptor.assign(stream_protocol(), fd);
  }

  struct client {
    explicit client(stream_protocol::socket from) : socket(std::move(from)), timer(socket.get_executor()) {}
    stream_protocol::socket socket;
    asio::steady_timer timer;
    std::string text;
  };

  // A coroutine may begin after its `status_socket` has gone: it keeps what it uses.
  static asio::awaitable<void> serve(std::shared_ptr<server> self) {
    auto& acceptor = self->acceptor;
    while (acceptor.is_open()) {
      while (acceptor.is_open() && self->clients == max_clients) co_await self->freed.wait();
      auto [error, socket] = co_await acceptor.async_accept(await);
      if (!acceptor.is_open()) co_return;
      if (!error) {
        self->answer(std::move(socket));
      } else {
        // No descriptor left, say: it passes, or it does not, but must not cost all our time.
        asio::steady_timer pause(acceptor.get_executor(), std::chrono::seconds(1));
        co_await pause.async_wait(await);
      }
    }
  }

  void answer(stream_protocol::socket socket) {
    const auto to = std::make_shared<client>(std::move(socket));
    ++clients;
    to->text = text();
    to->timer.expires_after(client_timeout);
    to->timer.async_wait([to](const error_code& error) {
      error_code ignored;
      if (!error) to->socket.close(ignored);
    });
    asio::async_write(to->socket, asio::buffer(to->text),
                      [to, held = weak_from_this()](const error_code&, std::size_t) {
                        error_code ignored;
                        to->timer.cancel();
                        to->socket.close(ignored);
                        if (const auto self = held.lock()) self->on_answered();
                      });
  }

  void on_answered() {
    --clients;
    freed.notify();
  }

  void stop() {
    error_code ignored;
    acceptor.close(ignored);
    freed.notify();
    struct stat info {};
    const bool is_ours = ::lstat(path.c_str(), &info) == 0 && identity == std::pair(info.st_dev, info.st_ino);
    if (is_ours) ::unlink(path.c_str());
  }

  std::string path;
  std::function<std::string()> text;
  stream_protocol::acceptor acceptor;
  event freed;  ///< a client has gone
  std::size_t clients = 0;
  std::pair<dev_t, ino_t> identity{};  ///< of the file, which somebody may replace
};

status_socket::status_socket(asio::io_context& io, std::string path, std::function<std::string()> text)
    : server_(std::make_shared<server>(io, std::move(path), std::move(text))) {}

status_socket::~status_socket() { server_->stop(); }

asio::awaitable<void> status_socket::serve() { return server::serve(server_); }

std::string ask_status(const std::string& path) {
  constexpr std::size_t longest = 16U << 20;  // bytes
  const auto at = address_of(path);
  const descriptor from(open_socket(path));
  const auto give_up = std::chrono::steady_clock::now() + status_socket::client_timeout;
  timeval patience{};
  patience.tv_sec = status_socket::client_timeout.count();
  ::setsockopt(from.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(from.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);  // `connect` waits in the queue
  if (const auto error = connect_to(from.get(), at)) fail(error, path);
  std::string out;
  for (char bytes[4096];;) {
    const auto got = ::recv(from.get(), bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(errno == EAGAIN ? ETIMEDOUT : errno, path);
    if (std::chrono::steady_clock::now() > give_up) fail(ETIMEDOUT, path);
    if (got == 0) return out;
    out.append(bytes, static_cast<std::size_t>(got));
    if (out.size() > longest) fail(EMSGSIZE, path);
  }
}

}  // namespace nat::net
