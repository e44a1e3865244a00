// How long a line takes from one pipe to another: writes one, waits until it has come out, sleeps, and so on.
//
//   line_probe IN OUT COUNT INTERVAL      file descriptors, lines, milliseconds; prints the times in ns, one a line
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include <poll.h>
#include <unistd.h>

namespace {

constexpr std::size_t line_size = 100;  // bytes, with its end
constexpr int patience = 10'000;        // ms for a line that does not come
constexpr int warm_up = 50;             // lines that are not counted

bool pass_line(int in, int out) {
  std::array<char, line_size> line;
  line.fill('x');
  line.back() = '\n';
  if (::write(in, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return false;
  for (std::size_t have = 0; have < line_size;) {
    pollfd there{out, POLLIN, 0};
    if (::poll(&there, 1, patience) != 1) return false;
    const auto size = ::read(out, line.data(), line_size - have);
    if (size <= 0) return false;
    have += static_cast<std::size_t>(size);
  }
  return true;
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::fputs("usage: line_probe IN OUT COUNT INTERVAL\n", stderr);
    return 2;
  }
  using clock = std::chrono::steady_clock;
  const int in = std::atoi(words[1]);
  const int out = std::atoi(words[2]);
  std::vector<long long> times(static_cast<std::size_t>(std::atoi(words[3])));
  const std::chrono::milliseconds interval(std::atoi(words[4]));
  const auto pass = [&](long long& took) {
    std::this_thread::sleep_for(interval);
    const auto start = clock::now();
    if (!pass_line(in, out)) {
      std::fputs("line_probe: a line did not come\n", stderr);
      std::exit(1);
    }
    took = std::chrono::nanoseconds(clock::now() - start).count();
  };
  long long unused = 0;
  for (int i = 0; i < warm_up; ++i) pass(unused);
  std::for_each(times.begin(), times.end(), pass);
  for (const auto took : times) std::printf("%lld\n", took);
}
