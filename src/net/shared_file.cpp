#include "shared_file.hpp"

#include <cerrno>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#endif

namespace nat::net {

namespace asio = boost::asio;

namespace {

bool is_pipe(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode);
}

/// Datagrams are left to the thread: it is the size of its writes that makes them.
bool is_stream_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

/// What preadv2 and pwritev2 say where they do not know the flag, or not for this file; EPERM is a sandbox's word.
bool means_unsupported(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == EPERM;
}

}  // namespace

shared_file::shared_file(asio::io_context& io, int fd, use purpose, way how)
    : fd_(fd), use_(purpose), way_(how), set_(io), timer_(io) {}

shared_file::~shared_file() {
  if (own_ >= 0) ::close(own_);
}

std::shared_ptr<shared_file> shared_file::open(asio::io_context& io, int fd, use purpose) {
  const auto how = is_stream_socket(fd) ? way::socket : is_pipe(fd) ? way::nowait : way::none;
  if (how == way::none) return nullptr;
  std::shared_ptr<shared_file> out(new shared_file(io, fd, purpose, how));
  return out->watch() ? out : nullptr;
}

shared_file::outcome shared_file::read(std::span<std::uint8_t> into) {
  const auto out = transfer(into.data(), into.size());
  const bool at_end = out.size == 0 && out.error == 0;
  return at_end && !has_ended() ? outcome{0, EAGAIN} : out;
}

shared_file::outcome shared_file::write(byte_view bytes) {
  return transfer(const_cast<std::uint8_t*>(bytes.data()), bytes.size());  // as iovec and the calls for reading want it
}

shared_file::outcome shared_file::transfer(void* data, std::size_t size) {
  for (;;) {
    const auto done = call(data, size);
    if (done >= 0) return {static_cast<std::size_t>(done), 0};
    const int error = errno;
    if (error == EINTR) continue;
    if (way_ != way::nowait || !means_unsupported(error)) return {0, error};
    reopen();
  }
}

/// A FIFO that nobody has opened for writing yet reads as one that ended; only poll knows the difference.
bool shared_file::has_ended() const {
  if (way_ == way::socket) return true;
  pollfd state{fd_, POLLIN, 0};
  const bool hung_up = ::poll(&state, 1, 0) != 0;
  return hung_up && (state.revents & POLLIN) == 0;  // with POLLIN: the first writer came just now
}

asio::awaitable<void> shared_file::ready(std::optional<std::chrono::steady_clock::time_point> until) {
  armed_ = armed_ || arm();
  if (!armed_) {
    way_ = way::none;  // `fd_` was closed: whoever uses it next is told
    co_return;
  }
  if (until && timer_.expiry() != *until) {
    timer_.expires_at(*until);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!error && self) self->set_.cancel();
    });
  }
  co_await set_.async_wait(asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
  if (use_ == use::writing) rest();
}

void shared_file::rest() {
  if (std::exchange(armed_, false)) disarm();
}

asio::awaitable<void> shared_file::others_first() { co_await asio::post(set_.get_executor(), asio::use_awaitable); }

void shared_file::stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  set_.cancel(ignored);
  timer_.cancel();
}

#if defined(__linux__) && defined(RWF_NOWAIT)

bool shared_file::watch() {
  const int set = ::epoll_create1(EPOLL_CLOEXEC);
  if (set < 0) return false;
  boost::system::error_code error;
  set_.assign(set, error);
  if (error) {
    ::close(set);
    return false;
  }
  epoll_event event{.events = EPOLLONESHOT, .data = {}};
  return ::epoll_ctl(set, EPOLL_CTL_ADD, fd_, &event) == 0;
}

/// A pipe that we do not wait for must not wake the program at each byte that passes.
bool shared_file::arm() {
  epoll_event event{.events = EPOLLONESHOT, .data = {}};
  event.events |= use_ == use::reading ? EPOLLIN : EPOLLOUT;
  return ::epoll_ctl(set_.native_handle(), EPOLL_CTL_MOD, fd_, &event) == 0;
}

/// Taking the event ends it; where there is none yet it has to be said.
void shared_file::disarm() {
  epoll_event event{};
  if (::epoll_wait(set_.native_handle(), &event, 1, 0) == 1) return;
  event = {.events = EPOLLONESHOT, .data = {}};
  ::epoll_ctl(set_.native_handle(), EPOLL_CTL_MOD, fd_, &event);
}

ssize_t shared_file::call(void* data, std::size_t size) const {
  const bool reading = use_ == use::reading;
  switch (way_) {
    case way::socket:
      return reading ? ::recv(fd_, data, size, MSG_DONTWAIT) : ::send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    case way::nowait: {
      const iovec part{data, size};
      constexpr off_t here = -1;  // as a stream
      return reading ? ::preadv2(fd_, &part, 1, here, RWF_NOWAIT) : ::pwritev2(fd_, &part, 1, here, RWF_NOWAIT);
    }
    case way::reopened: return reading ? ::read(own_, data, size) : ::write(own_, data, size);
    case way::none: break;
  }
  errno = EOPNOTSUPP;
  return -1;
}

/// Fails without /proc, where the pipe is another user's, and for writing where its reader is gone.
void shared_file::reopen() {
  way_ = way::none;
  const int access = ::fcntl(fd_, F_GETFL) & O_ACCMODE;
  const int wanted = use_ == use::reading ? O_RDONLY : O_WRONLY;
  if (access != wanted && access != O_RDWR) return;  // opening it again would give what we were not given
  const auto path = "/proc/self/fd/" + std::to_string(fd_);
  own_ = ::open(path.c_str(), wanted | O_NONBLOCK | O_CLOEXEC);
  if (own_ >= 0) way_ = way::reopened;
}

#else

bool shared_file::watch() { return false; }
bool shared_file::arm() { return false; }
void shared_file::disarm() {}
void shared_file::reopen() { way_ = way::none; }

ssize_t shared_file::call(void*, std::size_t) const {
  errno = EOPNOTSUPP;
  return -1;
}

#endif

}  // namespace nat::net
