// stdin and stdout of whatever kind: terminal, pipe, socket, regular file, /dev/null, closed.
//
// O_NONBLOCK belongs to the open file, not to us: set on a terminal or an inherited pipe it changes the shell's and the
// neighbours' too, and stays after a kill -9. So it is never set. Linux can try a pipe or a stream socket without it
// (shared_file.hpp); everything else, and other systems, get a thread each that makes the blocking calls.
#pragma once

#include "nat/bytes.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <system_error>

namespace nat::net {

class shared_file;

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

/// A thread for calls that block, and what ends them.
class blocking_thread {
 public:
  /// Waits for the system call to end (see `stop`).
  ~blocking_thread();

  /// Ends a wait in `poll`, and every later one. False: the thread hangs in another system call.
  bool stop();

  wake_pipe stop_pipe;
  work_flag at_work;
  boost::asio::thread_pool pool{1};
};

struct stdio_options {
  /// Uses the thread for every kind of file, as on other systems; tests run both ways.
  bool portable = false;
};

class input_stream {
 public:
  static constexpr std::size_t max_chunk = 65'536;  // a Linux pipe's capacity
  // Behind a smaller one the next is awaited: mostly it is not there yet.
  static constexpr std::size_t large_chunk = 4096;

  input_stream(boost::asio::io_context& io, int fd, const stdio_options& options = {});
  /// Where there is a thread, waits for its system call to end (see `stop`).
  ~input_stream();

  /// The next bytes, as soon as there are any, 1..max_chunk; they hold until the next call. Empty: the end, which an
  /// error is too.
  boost::asio::awaitable<byte_view> next();
  /// `next` will not be called soon: what comes meanwhile is not to wake the program.
  void rest();
  /// Ends a `next` that waits, and every later one. False: a thread hangs in the system call, because another process
  /// that shares the file took what was there; the destructor would wait for it.
  bool stop();

 private:
  byte_view read_some(blocking_thread& thread);

  int fd_;
  std::unique_ptr<std::uint8_t[]> chunk_;
  bool may_have_more_ = true;  ///< the last chunk was large
  std::shared_ptr<shared_file> file_;
  std::unique_ptr<blocking_thread> thread_;  ///< where there is no `file_`
};

class output_stream {
 public:
  // What is written is acknowledged to the sender, who waits for that: of a slow reader's progress it hears this often.
  static constexpr std::chrono::milliseconds progress_interval{100};

  struct written {
    std::size_t size = 0;  ///< bytes, from the front; with an error too
    std::error_code error;
  };

  output_stream(boost::asio::io_context& io, int fd, const stdio_options& options = {});
  /// Where there is a thread, waits for its system call to end (see `stop`).
  ~output_stream();

  /// Ends a `write` that waits, and every later one. False: a thread hangs in the system call, on a terminal stopped
  /// with ^S say; the destructor would wait for it.
  bool stop();

  /// Writes everything, or, where the reader is slow, what it took within `progress_interval` of the first byte: at
  /// least one, unless there is an error. (A terminal does not say how much room it has: there a full step of PIPE_BUF
  /// bytes has to be taken before the rest is reported.) `EPIPE`: whoever read it is gone; `ECANCELED`: stopped; others
  /// as write(2) gives them, a full disk say.
  boost::asio::awaitable<written> write(byte_view bytes);
  /// As much as is taken at once, from the front. 0: nothing is, or it failed, or this file cannot tell: `write` it.
  /// Not while a `write` waits.
  std::size_t try_write(byte_view bytes);

  /// Returns when the other end of a pipe or socket is closed. Not every system and kind of file tells: then it waits
  /// for ever, and the next `write` finds out.
  boost::asio::awaitable<void> closed();

 private:
  written write_some(blocking_thread& thread, byte_view bytes) const;

  boost::asio::any_io_executor executor_;
  int fd_;
  std::size_t max_write_;
  bool tries_at_once_;  ///< the file may take bytes without blocking, though it cannot be awaited
  std::shared_ptr<shared_file> file_;
  std::unique_ptr<blocking_thread> thread_;  ///< where there is no `file_`
  class hangup_watch;
  std::unique_ptr<hangup_watch> hangup_;
};

}  // namespace nat::net
