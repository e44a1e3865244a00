// A pipe, FIFO or stream socket that other processes have open too, read and written without blocking and without
// O_NONBLOCK, which would be theirs as well. Only Linux offers that.
#pragma once

#include "nat/bytes.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/types.h>

namespace nat::net {

/// Whoever awaits one holds a share of it: a stream may be destroyed meanwhile.
class shared_file : public std::enable_shared_from_this<shared_file> {
 public:
  enum class use { reading, writing };

  /// `error` is an errno. EAGAIN: nothing now, await `ready`. EOPNOTSUPP: not without blocking, now and for good, and
  /// nothing was done; a plain call says what is wrong, if anything is. No bytes and no error: the end of the file.
  struct outcome {
    std::size_t size = 0;
    int error = 0;
  };

  /// Null: a file of another kind, or a system that cannot do it. `fd` stays the caller's, and outlives this.
  static std::shared_ptr<shared_file> open(boost::asio::io_context& io, int fd, use purpose);
  ~shared_file();
  shared_file(const shared_file&) = delete;
  shared_file& operator=(const shared_file&) = delete;

  outcome read(std::span<std::uint8_t> into);
  outcome write(byte_view bytes);

  /// Returns when it is worth trying again, at `until` at the latest; or earlier, for no reason.
  boost::asio::awaitable<void> ready(std::optional<std::chrono::steady_clock::time_point> until = {});
  /// It will not be awaited soon. Until then each byte that passes through a file for reading wakes the program.
  void rest();
  /// Returns when everybody else who waits for the program's thread has had a turn.
  boost::asio::awaitable<void> others_first();

  /// Ends a `ready` that waits.
  void stop();
  bool stopped() const { return stopped_; }

 private:
  enum class way {
    socket,    ///< recv and send have a flag for it
    nowait,    ///< so have preadv2 and pwritev2: pipes since Linux 6.4, but no FIFO that has a name
    reopened,  ///< an open file of our own, whose flags are ours
    none,
  };

  shared_file(boost::asio::io_context& io, int fd, use purpose, way how);
  bool watch();
  bool arm();
  void disarm();
  outcome transfer(void* data, std::size_t size);
  ssize_t call(void* data, std::size_t size) const;
  void reopen();
  bool has_ended() const;

  int fd_;
  use use_;
  way way_;
  int own_ = -1;
  bool stopped_ = false;
  bool armed_ = false;  ///< `set_` tells of `fd_`
  // An epoll instance with nothing but `fd_` in it, which can be awaited itself: Asio would make `fd_` non-blocking.
  boost::asio::posix::stream_descriptor set_;
  boost::asio::steady_timer timer_;
};

}  // namespace nat::net
