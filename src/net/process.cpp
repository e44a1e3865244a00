#include "nat/net/process.hpp"

#include <chrono>
#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace nat::net {

std::uint64_t raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return unlimited_files;
  const auto before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  // Some systems name a hard limit that they do not grant.
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  return limit.rlim_cur == RLIM_INFINITY ? unlimited_files : std::uint64_t{limit.rlim_cur};
}

duration thread_cpu_time() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec used{};
  if (::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0) {
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }
#endif
  return std::chrono::nanoseconds(std::chrono::seconds(1)) / CLOCKS_PER_SEC * std::clock();
}

void open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is taken, which is `fd`: those below it are open by now. A stdout that was closed takes
    // nothing, and whoever prints to it is told.
    [[maybe_unused]] const int opened = ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void let_closed_stdout_discard() {
  const int flags = ::fcntl(STDOUT_FILENO, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY) return;
  const int sink = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (sink < 0) return;
  ::dup2(sink, STDOUT_FILENO);
  ::close(sink);
}

void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace nat::net
