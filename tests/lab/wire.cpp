// A wire in user space, between two TAP interfaces that it creates: delay, jitter, loss, duplication, reordering, rate.
// The laboratory moves the two interfaces into namespaces; the kernels of the machines it builds then see an Ethernet
// cable. It stands here because the kernels it has to run on come without netem.
//
//   TAP_A --read--> [bounded drop-tail queue, serialised at the rate] --> loss, copies --> [delay + jitter] --> TAP_B
//
//   TAP_B --read--> the same, with its own random numbers --> TAP_A
//
// A frame's fate depends on --seed, the direction and its number in that direction, and on nothing else, except that a
// full queue drops by time. Each direction holds at most max_held_bytes and max_held_frames: 18 MiB with
// what belongs to them.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using time_point = clock_type::time_point;
using duration = std::chrono::nanoseconds;

constexpr std::size_t ethernet_header = 14;                // bytes before the payload that the MTU counts
constexpr std::size_t max_held_bytes = 16 << 20;           // bytes under way in a direction: 100 Mbit/s for 1.3 s
constexpr std::size_t max_held_frames = 16384;             // in a direction
constexpr std::size_t address_resolution_reserve = 65536;  // bytes of the queue that only ARP and the like may use
constexpr int batch = 64;                                  // frames read from one side before the other has its turn
constexpr duration longest_sleep = 1h;                     // when nothing is under way

constexpr const char* usage =
    "usage: natpeer_wire TAP_A TAP_B [OPTION VALUE]...\n"
    "  --delay TIME       how long a frame is under way (0ms to 10s)\n"
    "  --jitter TIME      up to so much longer; alone it never reorders (0ms to 10s)\n"
    "  --loss SHARE       frames that vanish (0% to 100%)\n"
    "  --duplicate SHARE  frames that arrive twice\n"
    "  --reorder SHARE    frames that overtake: they skip delay and jitter, so --delay is needed\n"
    "  --rate RATE        bit/s, with kbit, mbit or gbit; none: no limit\n"
    "  --queue SIZE       what waits for its turn at that rate, with B, kB or MB (256kB; 10kB to 16MB)\n"
    "  --mtu BYTES        of both interfaces (1500; 576 to 9000)\n"
    "  --seed NUMBER      of all random choices (1; 0 to 4294967295)\n"
    "Both directions are alike and independent. It prints \"ready\" when both interfaces exist, and counters at "
    "SIGTERM.\n";

struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Times in nanoseconds, shares from 0 to 1, sizes in bytes.
struct wire_options {
  std::array<std::string, 2> taps;
  double delay = 0;
  double jitter = 0;
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;
  double rate = 0;  // bit/s; 0: no limit
  double queue = 256e3;
  double mtu = 1500;  // without the Ethernet header
  double seed = 1;
};

struct unit {
  std::string_view name;
  double factor;
};
constexpr unit times[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
constexpr unit shares[] = {{"%", 0.01}};
constexpr unit rates[] = {{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}};
constexpr unit sizes[] = {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}};
constexpr unit plain[] = {{"", 1}};

struct option {
  std::string_view name;
  double wire_options::*value;
  std::span<const unit> units;
  double low;  // with the unit's factor, as `high`
  double high;
};
const option known_options[] = {
    {"--delay", &wire_options::delay, times, 0, 10e9},       {"--jitter", &wire_options::jitter, times, 0, 10e9},
    {"--loss", &wire_options::loss, shares, 0, 1},           {"--duplicate", &wire_options::duplicate, shares, 0, 1},
    {"--reorder", &wire_options::reorder, shares, 0, 1},     {"--rate", &wire_options::rate, rates, 1e3, 100e9},
    {"--queue", &wire_options::queue, sizes, 10e3, 16e6},    {"--mtu", &wire_options::mtu, plain, 576, 9000},
    {"--seed", &wire_options::seed, plain, 0, 4294967295.0},
};

/// A decimal number with one of the option's units behind it.
double parse_value(const option& wanted, std::string_view text) {
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const std::string_view name(rest, text.data() + text.size());
  for (const auto& [known, factor] : wanted.units) {
    const double value = number * factor;
    if (error == std::errc() && name == known && value >= wanted.low && value <= wanted.high) return value;
  }
  throw usage_error(std::string(wanted.name) + " does not take \"" + std::string(text) + '"');
}

void check_interface_name(const std::string& name) {
  const bool usable =
      !name.empty() && name.size() < IFNAMSIZ && name[0] != '-' && name.find_first_of("/ %:") == name.npos;
  if (!usable) throw usage_error('"' + name + "\" is no name for an interface");
}

wire_options parse_options(std::span<char* const> words) {
  if (words.size() < 3) throw usage_error("two names of interfaces are needed");
  wire_options options{.taps = {words[1], words[2]}};
  for (const auto& name : options.taps) check_interface_name(name);
  if (options.taps[0] == options.taps[1]) throw usage_error("the two interfaces need different names");
  for (std::size_t i = 3; i < words.size(); i += 2) {
    const auto wanted = std::ranges::find(known_options, std::string_view(words[i]), &option::name);
    if (wanted == std::end(known_options)) throw usage_error("unknown option " + std::string(words[i]));
    if (i + 1 == words.size()) throw usage_error(std::string(words[i]) + " needs a value");
    options.*wanted->value = parse_value(*wanted, words[i + 1]);
  }
  // What overtakes has to have something to overtake.
  if (options.reorder > 0 && options.delay == 0) throw usage_error("--reorder needs a --delay");
  return options;
}

duration nanoseconds(double count) { return duration(static_cast<std::int64_t>(count)); }

/// SplitMix64 (Steele, Lea, Flood 2014): one multiplication-and-shift chain, the same on every machine.
class split_mix {
 public:
  explicit split_mix(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// 0 <= result < 1, of 53 random bits.
  double share() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

/// ARP, and ICMPv6 router and neighbour discovery (RFC 4861). These pass without loss, copies or overtaking, and draw
/// no random number. On a real path a lossy hop lies behind the resolved neighbour: a lost ARP answer would here be a
/// second of silence that no path between two sites shows.
bool resolves_addresses(std::span<const unsigned char> frame) {
  constexpr std::size_t ipv6_header = 40;
  if (frame.size() < ethernet_header) return false;
  const int type = frame[12] << 8 | frame[13];
  if (type == 0x0806) return true;
  if (type != 0x86dd || frame.size() <= ethernet_header + ipv6_header) return false;
  const int next_header = frame[ethernet_header + 6];
  const int message = frame[ethernet_header + ipv6_header];
  return next_header == 58 && message >= 133 && message <= 137;
}

/// One end of the wire. The interface lives as long as this does, whatever namespace it is moved to.
class tap {
 public:
  tap(const std::string& name, int mtu) : fd_(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)) {
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    // No packet information, and no TUNSETOFFLOAD: the kernel segments and sums before the wire, so that what it loses
    // is a real frame and not 64 KiB of them.
    // IFF_TUN_EXCL: a name that exists is somebody else's interface.
    request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
    check(fd_, "/dev/net/tun");
    check(::ioctl(fd_, TUNSETIFF, &request), name);
    const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(any, "socket");
    request.ifr_mtu = mtu;
    const int set = ::ioctl(any, SIOCSIFMTU, &request);
    ::close(any);
    check(set, name);
  }
  ~tap() { ::close(fd_); }
  tap(const tap&) = delete;
  tap& operator=(const tap&) = delete;

  int fd() const { return fd_; }

 private:
  static void check(int result, const std::string& what) {
    if (result < 0) throw std::system_error(errno, std::generic_category(), what);
  }

  int fd_;
};

using frame = std::vector<unsigned char>;

/// What became of the frames of one direction. read + duplicated = delivered + lost + dropped + refused + under way.
struct counters {
  std::uint64_t read = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t overtook = 0;
  std::uint64_t dropped = 0;  // the queue was full, or too much was under way
  std::uint64_t refused = 0;  // the interface took no frame: it is down, or its namespace is being removed
};

/// One direction. Frames stay in one of two lines, in both of which the first is due first.
class direction {
 public:
  direction(const wire_options& options, std::uint64_t seed) : options_(options), chance_(seed) {}

  void on_frame(time_point now, std::span<const unsigned char> data) {
    ++count_.read;
    const bool resolution = resolves_addresses(data);
    // Drawn also for what is dropped: the next frame's fate must not depend on this one's.
    const fate drawn = resolution ? fate{} : draw();
    if (!has_room(now, data.size(), resolution)) {
      ++count_.dropped;
      return;
    }
    const time_point sent = serialise(now, data.size());
    if (drawn.lost) {  // it has used the rate all the same: it is lost behind the bottleneck
      ++count_.lost;
      return;
    }
    // Jitter alone does not reorder: what is not to overtake waits for what went before.
    const time_point due =
        drawn.overtakes ? sent : std::max(last_due_, sent + nanoseconds(options_.delay) + drawn.jitter);
    line& where = drawn.overtakes ? overtaking_ : in_order_;
    if (!drawn.overtakes) last_due_ = due;
    hold(where, due, data);
    if (drawn.duplicated) hold(where, due, data);
    count_.overtook += drawn.overtakes;
    count_.duplicated += drawn.duplicated;
  }

  /// Writes to `fd` what is due.
  void deliver(time_point now, int fd) {
    while (auto* first = first_due(now)) {
      const frame& data = first->front().data;
      const bool taken = ::write(fd, data.data(), data.size()) == static_cast<ssize_t>(data.size());
      ++(taken ? count_.delivered : count_.refused);
      held_bytes_ -= data.size();
      first->pop_front();
    }
  }

  /// When `deliver` has something to do next; the far future if nothing is under way.
  time_point next_deadline() const {
    const auto due = [](const line& l) { return l.empty() ? time_point::max() : l.front().due; };
    return std::min(due(in_order_), due(overtaking_));
  }

  const counters& count() const { return count_; }

 private:
  struct held_frame {
    time_point due;
    frame data;
  };
  using line = std::deque<held_frame>;

  struct fate {
    bool lost = false;
    bool duplicated = false;
    bool overtakes = false;
    duration jitter = 0ns;
  };

  fate draw() {  // always four numbers, in this order
    fate drawn;
    drawn.lost = chance_.share() < options_.loss;
    drawn.duplicated = chance_.share() < options_.duplicate;
    drawn.overtakes = chance_.share() < options_.reorder;
    drawn.jitter = nanoseconds(chance_.share() * options_.jitter);
    return drawn;
  }

  bool has_room(time_point now, std::size_t size, bool resolution) const {
    const std::size_t frames = in_order_.size() + overtaking_.size();
    if (frames + 2 > max_held_frames || held_bytes_ + 2 * size > max_held_bytes) return false;  // 2: with its copy
    const double waiting = std::max(0.0, std::chrono::duration<double>(busy_until_ - now).count()) * options_.rate / 8;
    const double limit = options_.queue + (resolution ? double{address_resolution_reserve} : 0);
    return waiting + static_cast<double>(size) <= limit;
  }

  /// When the frame's last bit has left the sender.
  time_point serialise(time_point now, std::size_t size) {
    if (options_.rate == 0) return now;
    const double seconds = static_cast<double>(size) * 8 / options_.rate;
    busy_until_ = std::max(busy_until_, now) + nanoseconds(seconds * 1e9);
    return busy_until_;
  }

  void hold(line& where, time_point due, std::span<const unsigned char> data) {
    where.push_back({due, frame(data.begin(), data.end())});
    held_bytes_ += data.size();
  }

  line* first_due(time_point now) {
    if (next_deadline() > now) return nullptr;
    const bool overtaker =
        !overtaking_.empty() && (in_order_.empty() || overtaking_.front().due < in_order_.front().due);
    return overtaker ? &overtaking_ : &in_order_;
  }

  const wire_options& options_;
  split_mix chance_;
  line in_order_;
  line overtaking_;
  std::size_t held_bytes_ = 0;
  time_point busy_until_{};  // when the last bit of what was taken leaves
  time_point last_due_{};
  counters count_;
};

volatile std::sig_atomic_t stop = 0;

/// Signals arrive only inside ppoll, so that none is missed between a look at `stop` and the wait. Returns its mask.
sigset_t prepare_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop = 1; };
  sigset_t ours;
  sigset_t before;
  ::sigemptyset(&ours);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    ::sigaction(signal, &action, nullptr);
    ::sigaddset(&ours, signal);
  }
  ::sigprocmask(SIG_BLOCK, &ours, &before);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigdelset(&before, signal);
  return before;
}

/// Takes what `fd` has for `way`, at most a batch: the interface's own queue is short (the kernel drops beyond it), so
/// frames are read at once and wait here. False once the interface is gone.
bool take_frames(int fd, direction& way, std::span<unsigned char> buffer) {
  for (int i = 0; i < batch; ++i) {
    const ssize_t size = ::read(fd, buffer.data(), buffer.size());
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    way.on_frame(clock_type::now(), buffer.first(static_cast<std::size_t>(size)));
  }
  return true;
}

timespec until(time_point deadline) {
  const duration left = std::clamp<duration>(
      deadline == time_point::max() ? longest_sleep : deadline - clock_type::now(), 0ns, longest_sleep);
  return {.tv_sec = left / 1s, .tv_nsec = (left % 1s).count()};
}

void pump(std::array<tap, 2>& ends, std::array<direction, 2>& ways) {
  const sigset_t mask = prepare_signals();
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // the default lets the kernel wake us 50 us late
  std::vector<unsigned char> buffer(1 << 16);
  std::array<pollfd, 2> polled{{{.fd = ends[0].fd(), .events = POLLIN}, {.fd = ends[1].fd(), .events = POLLIN}}};
  std::puts("ready");
  std::fflush(stdout);
  while (!stop) {
    const timespec wait = until(std::min(ways[0].next_deadline(), ways[1].next_deadline()));
    if (::ppoll(polled.data(), polled.size(), &wait, &mask) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < 2; ++i) {
      if (polled[i].revents != 0 && !take_frames(polled[i].fd, ways[i], buffer)) return;
    }
    for (std::size_t i = 0; i < 2; ++i) ways[i].deliver(clock_type::now(), polled[1 - i].fd);
  }
}

void print_counters(const wire_options& options, const std::array<direction, 2>& ways) {
  for (std::size_t i = 0; i < 2; ++i) {
    const counters& c = ways[i].count();
    std::printf("%s to %s: read %ju, delivered %ju, lost %ju, duplicated %ju, overtook %ju, dropped %ju, refused %ju\n",
                options.taps[i].c_str(), options.taps[1 - i].c_str(), std::uintmax_t{c.read},
                std::uintmax_t{c.delivered}, std::uintmax_t{c.lost}, std::uintmax_t{c.duplicated},
                std::uintmax_t{c.overtook}, std::uintmax_t{c.dropped}, std::uintmax_t{c.refused});
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);  // a laboratory that was killed leaves no wire behind
    const wire_options options = parse_options({argv, static_cast<std::size_t>(argc)});
    const int mtu = static_cast<int>(options.mtu);
    std::array<tap, 2> ends{tap(options.taps[0], mtu), tap(options.taps[1], mtu)};
    split_mix seeds(static_cast<std::uint64_t>(options.seed));
    std::array<direction, 2> ways{direction(options, seeds.next()), direction(options, seeds.next())};
    pump(ends, ways);
    print_counters(options, ways);
    return 0;
  } catch (const usage_error& error) {
    std::fprintf(stderr, "natpeer_wire: %s\n%s", error.what(), usage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "natpeer_wire: %s\n", error.what());
    return 1;
  }
}
