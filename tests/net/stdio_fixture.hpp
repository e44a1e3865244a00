// Files of every kind that stdin and stdout can be, and what happens at their other ends.
#pragma once

#include "nat/net/stdio.hpp"

#include "test_loop.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <iterator>
#include <pty.h>
#include <string>
#include <string_view>
#include <termios.h>
#include <utility>

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/// A FIFO with a name, as mkfifo(1) makes it, that is gone when both ends are closed.
inline file_pair fifo(bool ours_reads) {
  char folder[] = "/tmp/natpeer-test-XXXXXX";
  EXPECT_NE(::mkdtemp(folder), nullptr);
  const auto path = std::string(folder) + "/fifo";
  EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
  file reads(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
  file writes(::open(path.c_str(), O_WRONLY));
  EXPECT_EQ(::fcntl(reads.fd(), F_SETFL, 0), 0);
  ::unlink(path.c_str());
  ::rmdir(folder);
  if (ours_reads) return {std::move(reads), std::move(writes)};
  return {std::move(writes), std::move(reads)};
}

inline file_pair fifo_to_read() { return fifo(true); }
inline file_pair fifo_to_write() { return fifo(false); }

/// A second descriptor of the same open file, as another process would have inherited it.
inline file shared_with(const file& of) { return file(::dup(of.fd())); }

/// How many threads this process has.
inline std::size_t count_threads() {
  const std::filesystem::directory_iterator threads("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(threads), end(threads)));
}

class stdio_test : public testing::Test {
 protected:
  // The programs ignore it too: a broken pipe is an error code.
  explicit stdio_test(bool portable = false) : options{.portable = portable} { std::signal(SIGPIPE, SIG_IGN); }

  input_stream open_input(int fd) { return {loop.io, fd, options}; }
  output_stream open_output(int fd) { return {loop.io, fd, options}; }

  std::string next(input_stream& in) { return std::string(as_text(loop.finish(in.next()))); }

  /// Starts a `next`. The text is copied before anything else can change it.
  std::future<std::string> start_next(input_stream& in) {
    return loop.start([](input_stream& from) -> boost::asio::awaitable<std::string> {
      co_return std::string(as_text(co_await from.next()));
    }(in));
  }

  /// Writes until everything is written, however often that is told.
  static boost::asio::awaitable<std::error_code> write_all(output_stream& out, byte_view bytes) {
    while (!bytes.empty()) {
      const auto [size, error] = co_await out.write(bytes);
      if (error) co_return error;
      EXPECT_GT(size, 0U);
      EXPECT_LE(size, bytes.size());
      bytes = bytes.subspan(size);
    }
    co_return std::error_code{};
  }

  std::error_code write(output_stream& out, std::string_view text) {
    return loop.finish(write_all(out, as_bytes(text)));
  }

  /// Reads on another thread, as another process does.
  static std::future<std::string> start_taking(const file& from, std::size_t size, std::size_t at_once = 65'536) {
    return std::async(std::launch::async, [&from, size, at_once] { return take(from, size, at_once); });
  }

  /// How often somebody else had a turn before `work` ended.
  int turns_of_others(boost::asio::awaitable<void> work) {
    int turns = 0;
    auto done = loop.start(std::move(work));
    std::function<void()> take_turn = [&] {
      if (test_loop::has_ended(done)) return;
      ++turns;
      boost::asio::post(loop.io, take_turn);
    };
    boost::asio::post(loop.io, take_turn);
    EXPECT_TRUE(loop.until([&] { return test_loop::has_ended(done); }));
    loop.poll();  // the turn that finds it ended
    return turns;
  }

  test_loop loop;
  stdio_options options;
};

/// Without a thread where that can be, and with one for every kind of file.
class stdio_ways_test : public stdio_test, public testing::WithParamInterface<bool> {
 protected:
  stdio_ways_test() : stdio_test(GetParam()) {}
};

inline std::string name_of_way(const testing::TestParamInfo<bool>& instance) {
  return instance.param ? "portable" : "without_thread";
}

}  // namespace nat::net
