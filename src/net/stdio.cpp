#include "nat/net/stdio.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#endif

namespace nat::net {

namespace asio = boost::asio;

namespace {

/// Waits until `fd` is ready for `events` (or has failed). False: woken up instead.
bool wait_ready(int fd, short events, const wake_pipe& stop) {
  pollfd both[2] = {{fd, events, 0}, {stop.fd(), POLLIN, 0}};
  while (::poll(both, 2, -1) < 0) {
    if (errno != EINTR) return false;
  }
  return both[1].revents == 0;
}

/// How much one write may carry without blocking once `poll` says there is room: PIPE_BUF for a pipe (POSIX), and as
/// much for terminals and sockets. A regular file never blocks for long.
std::size_t unblocking_write(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) return std::numeric_limits<std::size_t>::max();
  return PIPE_BUF;
}

/// Holds a work_flag for a scope.
class at_work {
 public:
  explicit at_work(work_flag& flag) : flag_(flag) { flag_.set(true); }
  ~at_work() { flag_.set(false); }
  at_work(const at_work&) = delete;
  at_work& operator=(const at_work&) = delete;

 private:
  work_flag& flag_;
};

}  // namespace

wake_pipe::wake_pipe() {
  if (::pipe(ends_) != 0) throw std::system_error(errno, std::generic_category(), "cannot open a pipe");
  for (const int end : ends_) ::fcntl(end, F_SETFD, FD_CLOEXEC);
}

wake_pipe::~wake_pipe() {
  for (const int end : ends_) ::close(end);
}

void wake_pipe::wake() {
  const char byte = 0;
  [[maybe_unused]] const auto written = ::write(ends_[1], &byte, 1);
}

void work_flag::set(bool at_work) {
  const std::lock_guard lock(mutex_);
  at_work_ = at_work;
  if (!at_work) idle_.notify_all();
}

bool work_flag::wait_idle() {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, patience, [this] { return !at_work_; });
}

// ---- stdin

input_stream::input_stream(int fd) : fd_(fd), chunk_(std::make_unique_for_overwrite<std::uint8_t[]>(max_chunk)) {}

input_stream::~input_stream() {
  stop_.wake();
  thread_.stop();
  thread_.join();
}

bool input_stream::stop() {
  stop_.wake();
  return reading_.wait_idle();
}

byte_view input_stream::read_some() {
  const at_work mark(reading_);
  for (;;) {
    if (!wait_ready(fd_, POLLIN, stop_)) return {};
    const auto size = ::read(fd_, chunk_.get(), max_chunk);
    if (size > 0) return {chunk_.get(), static_cast<std::size_t>(size)};
    // EAGAIN: somebody else made the file non-blocking, and read what was there before us.
    if (size == 0 || (errno != EINTR && errno != EAGAIN)) return {};
  }
}

asio::awaitable<byte_view> input_stream::next() {
  co_return co_await asio::co_spawn(
      thread_, [this]() -> asio::awaitable<byte_view> { co_return read_some(); }, asio::use_awaitable);
}

// ---- stdout

/// Watches for the hang-up of an idle pipe, without touching the flags of the shared file: an epoll instance can itself
/// be awaited.
class output_stream::hangup_watch {
 public:
  hangup_watch(asio::io_context& io, [[maybe_unused]] int fd) : never_(io), set_(io) {
    never_.expires_at(asio::steady_timer::time_point::max());
#if defined(__linux__)
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) return;
    epoll_event event{};  // EPOLLERR and EPOLLHUP are always told
    if (::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0) {
      set_.assign(set);
    } else {
      ::close(set);  // a regular file has no other end
    }
#endif
  }

  asio::awaitable<void> wait() {
    if (set_.is_open()) {
      co_await set_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    } else {
      co_await never_.async_wait(asio::use_awaitable);
    }
  }

 private:
  asio::steady_timer never_;
  asio::posix::stream_descriptor set_;
};

output_stream::output_stream(asio::io_context& io, int fd)
    : fd_(fd), max_write_(unblocking_write(fd)), hangup_(std::make_unique<hangup_watch>(io, fd)) {}

output_stream::~output_stream() {
  stop_.wake();
  thread_.stop();
  thread_.join();
}

bool output_stream::stop() {
  stop_.wake();
  return writing_.wait_idle();
}

std::error_code output_stream::write_all(byte_view bytes) {
  const at_work mark(writing_);
  while (!bytes.empty()) {
    if (!wait_ready(fd_, POLLOUT, stop_)) return std::make_error_code(std::errc::operation_canceled);
    const auto size = ::write(fd_, bytes.data(), std::min(bytes.size(), max_write_));
    if (size > 0) bytes = bytes.subspan(static_cast<std::size_t>(size));
    if (size < 0 && errno != EINTR && errno != EAGAIN) return {errno, std::generic_category()};
  }
  return {};
}

asio::awaitable<std::error_code> output_stream::write(byte_view bytes) {
  co_return co_await asio::co_spawn(
      thread_, [this, bytes]() -> asio::awaitable<std::error_code> { co_return write_all(bytes); },
      asio::use_awaitable);
}

asio::awaitable<void> output_stream::closed() { return hangup_->wait(); }

}  // namespace nat::net
