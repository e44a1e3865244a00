// What natcoord costs: memory of an idle connection, time for a crowd to meet, CPU of one change in a large
// topic.
//
//   coordinator_bench NATCOORD [CONNECTIONS [PEERS]]
//
// It starts the given natcoord for each figure and plays all clients itself, with epoll and frames made by
// hand, since both share the machine. Figures that miss their target do not fail it; what should not happen
// does.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace {

using steady_clock = std::chrono::steady_clock;
using seconds = std::chrono::duration<double>;

constexpr auto patience = std::chrono::seconds(120);  // for each step; it fails beyond
constexpr int changes = 20;                           // joins and leaves that the CPU figure is averaged over
constexpr double memory_target = 12.0;                // KB a connection (issue 2)
constexpr double crowd_target = 3.0;                  // s
constexpr double change_target = 100.0;               // ms

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

/// A natcoord of our own on a free port, ended with us.
class coordinator_process {
 public:
  explicit coordinator_process(const char* program) {
    int err[2];
    if (::pipe(err) != 0) fail("pipe");
    pid_ = ::fork();
    if (pid_ < 0) fail("fork");
    if (pid_ == 0) {
      ::dup2(err[1], STDERR_FILENO);
      ::close(err[0]);
      ::close(err[1]);
      ::execl(program, program, "--listen", "127.0.0.1", "--port", "0", "--stun-port", "off", "--max-peers", "100000",
              nullptr);
      ::_exit(127);
    }
    ::close(err[1]);
    err_ = err[0];
    port_ = read_port();
  }
  coordinator_process(const coordinator_process&) = delete;
  coordinator_process& operator=(const coordinator_process&) = delete;
  ~coordinator_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(err_);
  }

  std::uint16_t port() const { return port_; }

  /// KB of anonymous memory that are resident.
  long anonymous_kb() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("RssAnon:")) return std::stol(line.substr(8));
    }
    throw std::runtime_error("no RssAnon in /proc");
  }

  /// User and system time used so far.
  seconds cpu() const {
    clockid_t clock{};
    timespec used{};
    if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &used) != 0) fail("CPU clock");
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
  }

 private:
  std::uint16_t read_port() const {
    constexpr std::string_view mark = "listens on 127.0.0.1:";
    std::string said;
    char byte = 0;
    while (::read(err_, &byte, 1) == 1) {
      said += byte;
      const auto at = said.find(mark);
      if (byte != '\n' || at == std::string::npos) continue;
      std::uint16_t port = 0;
      std::from_chars(said.data() + at + mark.size(), said.data() + said.size(), port);
      return port;
    }
    throw std::runtime_error("natcoord did not start: " + said);
  }

  pid_t pid_ = -1;
  int err_ = -1;
  std::uint16_t port_ = 0;
};

/// Every entry has this form and length, so a list's size tells how many peers it names.
constexpr std::string_view entry_form =
    R"({"ip":"10.0.0.1","port":20000,"name":"peer-00000","last_seen":1656829882876})";
constexpr std::string_view list_form = R"({"peers":[]})";

std::size_t peers_in(std::uint64_t list_bytes) {
  return list_bytes < list_form.size() ? 0 : (list_bytes - list_form.size() + 1) / (entry_form.size() + 1);
}

struct client {
  int fd = -1;
  std::string head;  ///< of the HTTP answer, then of the frame that is being read
  bool upgraded = false;
  std::uint64_t list = 0;    ///< bytes of the frame that is being read
  std::uint64_t unread = 0;  ///< of them
  std::size_t peers = 0;     ///< in the newest list
};

/// Many websocket clients on one epoll.
class crowd {
 public:
  explicit crowd(std::uint16_t port) : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (epoll_ < 0) fail("epoll");
    to_.sin_family = AF_INET;
    to_.sin_port = htons(port);
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  crowd(const crowd&) = delete;
  crowd& operator=(const crowd&) = delete;
  ~crowd() {
    for (const auto& c : clients_) {
      if (c.fd >= 0) ::close(c.fd);
    }
    ::close(epoll_);
  }

  void join(const std::string& topic) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) != 0) fail("connect");
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    char name[16];
    std::snprintf(name, sizeof name, "peer-%05zu", clients_.size() % 100'000);
    const auto request = "GET /websocket?topic=" + topic + "&name=" + name +
                         "&ip=10.0.0.1&port=20000 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) fail("send");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = clients_.size();
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
    clients_.emplace_back().fd = fd;
  }

  /// The last who joined says goodbye.
  void leave() {
    constexpr std::uint8_t close_frame[] = {0x88, 0x80, 0, 0, 0, 0};
    auto& last = clients_.back();
    if (::send(last.fd, close_frame, sizeof close_frame, MSG_NOSIGNAL) < 0) fail("send");
    ::close(last.fd);
    clients_.pop_back();
  }

  /// Reads until every client has a list of so many peers.
  void await_lists(std::size_t peers) {
    const auto give_up = steady_clock::now() + patience;
    std::vector<epoll_event> events(256);
    for (auto here = how_many_see(peers); here < clients_.size(); here = how_many_see(peers)) {
      if (steady_clock::now() > give_up) {
        throw std::runtime_error(std::to_string(here) + " of " + std::to_string(clients_.size()) +
                                 " clients got their list");
      }
      const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1000);
      for (int i = 0; i < ready; ++i) read(clients_.at(events[static_cast<std::size_t>(i)].data.u64));
    }
  }

  std::size_t size() const { return clients_.size(); }

 private:
  std::size_t how_many_see(std::size_t peers) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(clients_, [&](const client& c) { return c.unread == 0 && c.peers == peers; }));
  }

  void read(client& c) {
    const auto got = ::recv(c.fd, scratch_.data(), scratch_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) throw std::runtime_error("natcoord closed a connection");
    std::string_view bytes(scratch_.data(), static_cast<std::size_t>(got));
    while (!bytes.empty()) c.upgraded ? read_frame(c, bytes) : read_answer(c, bytes);
  }

  static void read_answer(client& c, std::string_view& bytes) {
    c.head += bytes.front();
    bytes.remove_prefix(1);
    if (!c.head.ends_with("\r\n\r\n")) return;
    if (!c.head.starts_with("HTTP/1.1 101 ")) throw std::runtime_error("natcoord answered " + c.head);
    c.upgraded = true;
    c.head.clear();
  }

  /// RFC 6455, 5.2, of a server: never masked, and natcoord never fragments.
  static void read_frame(client& c, std::string_view& bytes) {
    if (c.unread == 0) {
      c.head += bytes.front();
      bytes.remove_prefix(1);
      const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(c.head[i]); };
      if (c.head.size() < 2) return;
      const std::size_t more = at(1) == 127 ? 8 : at(1) == 126 ? 2 : 0;
      if (c.head.size() < 2 + more) return;
      if (at(0) != 0x81) throw std::runtime_error("natcoord sent something that is no text");
      c.list = more == 0 ? at(1) : 0;
      for (std::size_t i = 0; i < more; ++i) c.list = c.list << 8 | at(2 + i);
      c.unread = c.list;
      c.head.clear();
      return;
    }
    const auto taken = std::min<std::uint64_t>(c.unread, bytes.size());
    bytes.remove_prefix(taken);
    c.unread -= taken;
    if (c.unread == 0) c.peers = peers_in(c.list);
  }

  int epoll_ = -1;
  sockaddr_in to_{};
  std::vector<client> clients_;
  std::vector<char> scratch_ = std::vector<char>(1 << 18);
};

void print(const char* what, double figure, const char* unit, double target) {
  std::printf("%-58s %9.2f %-3s (target %.0f)%s\n", what, figure, unit, target, figure <= target ? "" : "  MISSED");
}

/// KB of anonymous memory for each of many idle connections, ten to a topic.
void measure_memory(const char* program, std::size_t connections) {
  constexpr std::size_t peers = 10;
  const coordinator_process server(program);
  crowd clients(server.port());
  const auto before = server.anonymous_kb();
  while (clients.size() + peers <= connections) {
    const auto topic = "topic-" + std::to_string(clients.size());
    for (std::size_t i = 0; i < peers; ++i) clients.join(topic);
    if (clients.size() % 1000 == 0) clients.await_lists(peers);
  }
  clients.await_lists(peers);
  const auto each = static_cast<double>(server.anonymous_kb() - before) / static_cast<double>(clients.size());
  const auto what = "memory of each of " + std::to_string(clients.size()) + " idle connections";
  print(what.c_str(), each, "KB", memory_target);
}

/// How long a crowd needs to know each other, and what one more and one less costs then.
void measure_topic(const char* program, std::size_t peers) {
  const coordinator_process server(program);
  crowd clients(server.port());
  const auto start = steady_clock::now();
  for (std::size_t i = 0; i < peers; ++i) clients.join("topic");
  clients.await_lists(peers);
  const seconds took = steady_clock::now() - start;
  const auto crowd_what = std::to_string(peers) + " peers join one topic: all see the full list";
  print(crowd_what.c_str(), took.count(), "s", crowd_target);
  std::printf("%-58s %9.2f ms\n", "  CPU of natcoord for that", server.cpu().count() * 1e3);

  const auto before = server.cpu();
  const auto changes_start = steady_clock::now();
  for (int i = 0; i < changes; i += 2) {
    clients.join("topic");
    clients.await_lists(peers + 1);
    clients.leave();
    clients.await_lists(peers);
  }
  const seconds changes_took = (steady_clock::now() - changes_start) / changes;
  print("  CPU of natcoord for one change to it", (server.cpu() - before).count() / changes * 1e3, "ms", change_target);
  std::printf("%-58s %9.2f ms\n", "  one change until all have seen it", changes_took.count() * 1e3);
}

void raise_file_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::size_t number(const char* text) { return static_cast<std::size_t>(std::stoul(text)); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::cerr << "usage: coordinator_bench NATCOORD [CONNECTIONS [PEERS]]\n";
    return 2;
  }
  try {
    raise_file_limit();
    measure_memory(argv[1], argc > 2 ? number(argv[2]) : 10'000);
    measure_topic(argv[1], argc > 3 ? number(argv[3]) : 1'000);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "coordinator_bench: " << error.what() << '\n';
    return 1;
  }
}
