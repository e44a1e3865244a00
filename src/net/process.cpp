#include "nat/net/process.hpp"

#include <chrono>
#include <csignal>
#include <ctime>

#include <sys/resource.h>

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

void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace nat::net
