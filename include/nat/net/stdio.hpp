// stdin and stdout of whatever kind: terminal, pipe, socket, regular file, /dev/null, closed.
//
// Each has a thread of its own that makes the blocking calls. The alternative, O_NONBLOCK, belongs to the open file,
// not to us: set on a terminal or an inherited pipe it changes the shell's and the neighbours' too, and stays after a
// kill -9.
#pragma once

#include "nat/bytes.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <system_error>

namespace nat::net {

/// A pipe that ends a wait in `poll`.
class wake_pipe {
 public:
  wake_pipe();
  ~wake_pipe();
  wake_pipe(const wake_pipe&) = delete;
  wake_pipe& operator=(const wake_pipe&) = delete;

  void wake();
  int fd() const { return ends_[0]; }

 private:
  int ends_[2] = {-1, -1};
};

/// Whether a thread is at work, for another that would like to see it idle.
class work_flag {
 public:
  // A thread that was woken is back within microseconds; one that is not back by then hangs.
  static constexpr std::chrono::milliseconds patience{100};

  void set(bool at_work);
  /// False: still at work after `patience`.
  bool wait_idle();

 private:
  std::mutex mutex_;
  std::condition_variable idle_;
  bool at_work_ = false;
};

class input_stream {
 public:
  static constexpr std::size_t max_chunk = 65'536;  // a Linux pipe's capacity

  explicit input_stream(int fd);
  /// Waits for the thread's system call to end (see `stop`).
  ~input_stream();

  /// The next bytes, as soon as there are any, 1..max_chunk; they hold until the next call. Empty: the end, which an
  /// error is too.
  boost::asio::awaitable<byte_view> next();
  /// Ends a `next` that waits, and every later one. False: it hangs in the system call, because another process that
  /// shares the pipe took what was there; the destructor would wait for it.
  bool stop();

 private:
  byte_view read_some();

  int fd_;
  std::unique_ptr<std::uint8_t[]> chunk_;
  wake_pipe stop_;
  work_flag reading_;
  boost::asio::thread_pool thread_{1};
};

class output_stream {
 public:
  output_stream(boost::asio::io_context& io, int fd);
  /// Waits for the thread's system call to end (see `stop`).
  ~output_stream();

  /// Ends a `write` that waits, and every later one. False: it hangs in the system call, on a terminal stopped with ^S
  /// say; the destructor would wait for it.
  bool stop();

  /// Writes everything. `EPIPE`: whoever read it is gone; `ECANCELED`: stopped; others as write(2) gives them, a full
  /// disk say.
  boost::asio::awaitable<std::error_code> write(byte_view bytes);

  /// Returns when the other end of a pipe or socket is closed. Not every system and kind of file tells: then it waits
  /// for ever, and the next `write` finds out.
  boost::asio::awaitable<void> closed();

 private:
  std::error_code write_all(byte_view bytes);

  int fd_;
  std::size_t max_write_;
  wake_pipe stop_;
  work_flag writing_;
  class hangup_watch;
  std::unique_ptr<hangup_watch> hangup_;
  boost::asio::thread_pool thread_{1};
};

}  // namespace nat::net
