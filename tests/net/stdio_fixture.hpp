// Files of every kind that stdin and stdout can be, and what happens at their other ends.
#pragma once

#include "nat/net/stdio.hpp"

#include "test_loop.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <pty.h>
#include <string>
#include <string_view>
#include <termios.h>
#include <utility>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nat::net {

/// Owns a descriptor.
class file {
 public:
  file() = default;
  explicit file(int fd) : fd_(fd) {}
  file(file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file& operator=(file&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file() { close(); }

  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

/// Two ends of a pipe, a socket pair or a pseudo terminal: `ours` is what the stream under test works on.
struct file_pair {
  file ours;
  file theirs;
};

inline file_pair pipe_to_read() {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  return {file(ends[0]), file(ends[1])};
}

inline file_pair pipe_to_write() {
  auto ends = pipe_to_read();
  std::swap(ends.ours, ends.theirs);
  return ends;
}

inline file_pair socket_pair() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  return {file(ends[0]), file(ends[1])};
}

/// `theirs` is the terminal's other side, where a person would sit.
inline file_pair terminal(bool raw) {
  int person = -1;
  int program = -1;
  EXPECT_EQ(::openpty(&person, &program, nullptr, nullptr, nullptr), 0);
  termios settings{};
  ::tcgetattr(program, &settings);
  if (raw) ::cfmakeraw(&settings);
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(program, TCSANOW, &settings);
  return {file(program), file(person)};
}

/// A regular file that is gone when it is closed.
inline file regular_file() {
  char path[] = "/tmp/natpeer-test-XXXXXX";
  file out(::mkstemp(path));
  EXPECT_GE(out.fd(), 0);
  ::unlink(path);
  return out;
}

/// A number that no descriptor has, nor gets while lower ones are free.
inline int closed_descriptor() {
  const int fd = ::fcntl(STDERR_FILENO, F_DUPFD, 900);
  EXPECT_GE(fd, 0);
  ::close(fd);
  return fd;
}

/// Writes all of it, which must fit the kernel's buffer.
inline void put(const file& to, std::string_view bytes) {
  EXPECT_EQ(::write(to.fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

/// Reads `size` bytes, or what there is before the end or before nothing comes for long.
inline std::string take(const file& from, std::size_t size, std::size_t at_once = 65'536) {
  constexpr int longest_wait_ms = 10'000;
  std::string out(size, '\0');
  std::size_t got = 0;
  for (ssize_t some = 1; some > 0 && got < size;) {
    pollfd ready{from.fd(), POLLIN, 0};
    if (::poll(&ready, 1, longest_wait_ms) != 1) break;
    some = ::read(from.fd(), out.data() + got, std::min(at_once, size - got));
    if (some > 0) got += static_cast<std::size_t>(some);
  }
  out.resize(got);
  return out;
}

/// How many bytes wait to be read there.
inline int waiting(const file& from) {
  int out = 0;
  EXPECT_EQ(::ioctl(from.fd(), FIONREAD, &out), 0);
  return out;
}

class stdio_test : public testing::Test {
 protected:
  // The programs ignore it too: a broken pipe is an error code.
  stdio_test() { std::signal(SIGPIPE, SIG_IGN); }

  std::string next(input_stream& in) { return std::string(as_text(loop.finish(in.next()))); }

  /// Starts a `next`. The text is copied before anything else can change it.
  std::future<std::string> start_next(input_stream& in) {
    return loop.start([](input_stream& from) -> boost::asio::awaitable<std::string> {
      co_return std::string(as_text(co_await from.next()));
    }(in));
  }

  std::error_code write(output_stream& out, std::string_view text) { return loop.finish(out.write(as_bytes(text))); }

  test_loop loop;
};

}  // namespace nat::net
