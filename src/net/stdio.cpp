#include "nat/net/stdio.hpp"

#include "shared_file.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>

#if defined(__linux__)
#include <sys/epoll.h>
#endif

namespace nat::net {

namespace asio = boost::asio;

namespace {

using clock = std::chrono::steady_clock;
using deadline = std::optional<clock::time_point>;

enum class wake_reason { ready, timeout, stopped };

/// Waits until `fd` is ready for `events` (or has failed), or for as long as `until` says.
wake_reason wait_ready(int fd, short events, const wake_pipe& stop, deadline until = {}) {
  pollfd both[2] = {{fd, events, 0}, {stop.fd(), POLLIN, 0}};
  for (;;) {
    int patience_ms = -1;
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - clock::now());
      patience_ms = static_cast<int>(std::max(left, std::chrono::milliseconds(0)).count());
    }
    const int found = ::poll(both, 2, patience_ms);
    if (found == 0) return wake_reason::timeout;
    if (found > 0) return both[1].revents == 0 ? wake_reason::ready : wake_reason::stopped;
    if (errno != EINTR) return wake_reason::stopped;
  }
}

/// A regular file; or /dev/null, which does not block at all.
bool never_blocks_for_long(int fd) {
  struct stat info {};
  struct stat null {};
  if (::fstat(fd, &info) != 0) return false;
  const bool is_null = S_ISCHR(info.st_mode) && ::stat("/dev/null", &null) == 0 && info.st_rdev == null.st_rdev;
  return S_ISREG(info.st_mode) || is_null;
}

/// How much one write may carry without blocking once `poll` says there is room: PIPE_BUF for a pipe (POSIX), and as
/// much for terminals and sockets.
std::size_t unblocking_write(int fd) {
  return never_blocks_for_long(fd) ? std::numeric_limits<std::size_t>::max() : PIPE_BUF;
}

/// Writes what goes into the page cache now. 0: that would block, or cannot be told, which errno says.
std::size_t write_at_once([[maybe_unused]] int fd, [[maybe_unused]] byte_view bytes) {
#if defined(__linux__) && defined(RWF_NOWAIT)
  const iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};  // as the call for reading wants it
  constexpr off_t here = -1;
  const auto size = ::pwritev2(fd, &part, 1, here, RWF_NOWAIT);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
#else
  errno = EOPNOTSUPP;
  return 0;
#endif
}

std::error_code canceled() { return std::make_error_code(std::errc::operation_canceled); }

/// `output_stream::write` without the thread, and without the stream, which may be destroyed meanwhile. Nothing written
/// and no error: `file` cannot do it.
asio::awaitable<output_stream::written> write_shared(std::shared_ptr<shared_file> file, byte_view bytes) {
  output_stream::written out;
  deadline until;
  for (;;) {
    if (file->stopped()) co_return output_stream::written{out.size, canceled()};
    const auto [size, error] = file->write(bytes.subspan(out.size));
    if (error == EOPNOTSUPP) co_return out;
    if (error != 0 && error != EAGAIN) {
      co_return output_stream::written{out.size, {error, std::generic_category()}};
    }
    out.size += size;
    if (out.size == bytes.size()) break;
    const auto now = clock::now();
    if (size > 0 && !until) until = now + output_stream::progress_interval;
    if (until && now >= *until) break;
    co_await file->ready(until);
  }
  co_await file->others_first();  // the bytes are out, and whoever calls this in a loop starves nobody
  co_return out;
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

blocking_thread::~blocking_thread() {
  stop_pipe.wake();
  pool.stop();
  pool.join();
}

bool blocking_thread::stop() {
  stop_pipe.wake();
  return at_work.wait_idle();
}

// ---- stdin

input_stream::input_stream(asio::io_context& io, int fd, const stdio_options& options)
    : fd_(fd), chunk_(std::make_unique_for_overwrite<std::uint8_t[]>(max_chunk)) {
  if (!options.portable) file_ = shared_file::open(io, fd, shared_file::use::reading);
  if (!file_) thread_ = std::make_unique<blocking_thread>();
}

input_stream::~input_stream() {
  if (file_) file_->stop();
}

bool input_stream::stop() {
  if (file_) file_->stop();
  return !thread_ || thread_->stop();
}

asio::awaitable<byte_view> input_stream::next() {
  if (const auto file = file_) {
    if (file->stopped()) co_return byte_view{};
    // Tried before waiting under load, when the next bytes are already there. Behind everybody else's turn, so that a
    // fast writer starves nobody.
    if (may_have_more_) {
      file->rest();
      co_await file->others_first();
    } else {
      co_await file->ready();
    }
    for (;;) {
      if (file->stopped()) co_return byte_view{};  // and perhaps destroyed
      const auto [size, error] = file->read({chunk_.get(), max_chunk});
      if (error == EOPNOTSUPP) break;
      if (error != EAGAIN) {
        may_have_more_ = size >= large_chunk;
        co_return byte_view(chunk_.get(), size);
      }
      co_await file->ready();
    }
    thread_ = std::make_unique<blocking_thread>();
    file_.reset();
  }
  co_return co_await asio::co_spawn(
      thread_->pool, [this, &thread = *thread_]() -> asio::awaitable<byte_view> { co_return read_some(thread); },
      asio::use_awaitable);
}

void input_stream::rest() {
  if (file_) file_->rest();
}

byte_view input_stream::read_some(blocking_thread& thread) {
  const at_work mark(thread.at_work);
  for (;;) {
    if (wait_ready(fd_, POLLIN, thread.stop_pipe) == wake_reason::stopped) return {};
    const auto size = ::read(fd_, chunk_.get(), max_chunk);
    if (size > 0) return {chunk_.get(), static_cast<std::size_t>(size)};
    // EAGAIN: somebody else made the file non-blocking, and read what was there before us.
    if (size == 0 || (errno != EINTR && errno != EAGAIN)) return {};
  }
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

output_stream::output_stream(asio::io_context& io, int fd, const stdio_options& options)
    : executor_(io.get_executor()),
      fd_(fd),
      max_write_(unblocking_write(fd)),
      tries_at_once_(!options.portable && never_blocks_for_long(fd)),
      hangup_(std::make_unique<hangup_watch>(io, fd)) {
  if (!options.portable) file_ = shared_file::open(io, fd, shared_file::use::writing);
  if (!file_) thread_ = std::make_unique<blocking_thread>();
}

output_stream::~output_stream() {
  if (file_) file_->stop();
}

bool output_stream::stop() {
  if (file_) file_->stop();
  return !thread_ || thread_->stop();
}

std::size_t output_stream::try_write(byte_view bytes) {
  if (bytes.empty()) return 0;
  if (file_) return file_->write(bytes).size;
  if (!tries_at_once_) return 0;
  const auto size = write_at_once(fd_, bytes);
  tries_at_once_ = size > 0 || errno == EAGAIN;
  return size;
}

asio::awaitable<output_stream::written> output_stream::write(byte_view bytes) {
  if (bytes.empty()) co_return written{};
  if (file_) {
    const auto out = co_await write_shared(file_, bytes);
    if (out.size > 0 || out.error) co_return out;
    thread_ = std::make_unique<blocking_thread>();
    file_.reset();
  }
  if (const auto size = try_write(bytes); size > 0) {
    co_await asio::post(executor_, asio::use_awaitable);  // whoever calls this in a loop starves nobody
    co_return written{size, {}};
  }
  co_return co_await asio::co_spawn(
      thread_->pool,
      [this, bytes, &thread = *thread_]() -> asio::awaitable<written> { co_return write_some(thread, bytes); },
      asio::use_awaitable);
}

output_stream::written output_stream::write_some(blocking_thread& thread, byte_view bytes) const {
  const at_work mark(thread.at_work);
  written out;
  deadline until;
  while (out.size < bytes.size()) {
    const auto woken_by = wait_ready(fd_, POLLOUT, thread.stop_pipe, until);
    if (woken_by == wake_reason::stopped) return {out.size, canceled()};
    if (woken_by == wake_reason::timeout) break;
    const auto rest = bytes.subspan(out.size);
    const auto size = ::write(fd_, rest.data(), std::min(rest.size(), max_write_));
    if (size < 0 && errno != EINTR && errno != EAGAIN) return {out.size, {errno, std::generic_category()}};
    if (size > 0) out.size += static_cast<std::size_t>(size);
    if (size > 0 && !until) until = clock::now() + progress_interval;
  }
  return out;
}

asio::awaitable<void> output_stream::closed() { return hangup_->wait(); }

}  // namespace nat::net
