// Streams over bad networks: one or two senders with --quit-on-eof, whose every byte has to come out everywhere.
#include "runs.hpp"
#include "stream_user.hpp"
#include "topology.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

// Peers start within `start_time`; what goes wrong begins within `fault_time` of that.
constexpr duration start_time = 3s;
constexpr duration fault_time = 40s;
constexpr std::uint64_t max_faults = 4;
constexpr duration long_stall = 60s;
constexpr duration longest_outage = 30s;
// A sender gives up when nobody has more of its stream for so long: longer than all that goes wrong.
constexpr duration patience = 150s;
// Of virtual time, for all of it: the worst of the lines carry a few kilobytes a second.
constexpr duration stream_deadline = 1800s;
constexpr duration step = 250ms;
// Five peers make a few hundred events at one moment, a thousand where one has been asleep.
constexpr std::uint64_t most_events_at_once = 100'000;

constexpr std::size_t largest_stream = 3'000'000;
constexpr std::size_t smallest_stream = 50'000;
constexpr std::size_t largest_over_bad_lines = 300'000;

struct stream_line {
  link_config config;
  bool is_bad = false;  ///< it carries little
};

duration millis_below(chance& random, std::uint64_t bound) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(random.below(bound)));
}

stream_line random_stream_line(chance& random) {
  stream_line out{.config = {.delay = millis_below(random, 40)}, .is_bad = false};
  auto& line = out.config;
  if (random.happens(0.15)) line.delay = millis_below(random, 501);
  if (random.happens(0.5)) line.jitter = millis_below(random, 30);
  if (random.happens(0.3)) line.reorder = 0.01 * static_cast<double>(random.below(11));
  if (random.happens(0.3)) line.duplicate = 0.01 * static_cast<double>(random.below(11));
  if (random.happens(0.5)) line.loss = 0.001 * static_cast<double>(random.below(31));
  if (random.happens(0.15)) line.loss = 0.01 * static_cast<double>(random.below(31));
  if (random.happens(0.5)) {
    constexpr std::uint64_t rates[] = {500'000, 1'000'000, 2'000'000, 5'000'000, 20'000'000, 100'000'000};
    line.rate = random.pick(rates);
    line.queue = std::max<std::size_t>(15'000, line.rate / 8 / 1000 * (20 + random.below(300)));
  }
  out.is_bad = line.loss > 0.05 || line.delay > 150ms;
  return out;
}

class stream_run {
 public:
  stream_run(std::uint64_t seed, std::ostream* log, bool traced) : seed_(seed), world_(seed, 1s) {
    if (traced || log != nullptr) world_.log().start(log);
    world_.time().limit_moments(most_events_at_once);
    draw();
  }

  stream_outcome run() {
    for (auto& each : all_) {
      const bool is_late = each.is_late;
      plan(is_late ? start_time + within(fault_time) : within(start_time), [this, &each] { start(each); });
    }
    const auto faults = random().below(max_faults + 1);
    for (std::uint64_t i = 0; i < faults; ++i) plan_fault(start_time + within(fault_time));
    const auto end = world_.time().now() + stream_deadline;
    while (world_.time().now() < end && !is_over()) {
      world_.time().run_for(step);
      for (auto& each : all_) each.machine->on_input_ready();
      for (auto& each : all_) on_end_of(each);
    }
    finish();
    stream_outcome out{
        world_.finish(seed_), world_.time().elapsed(), whole_, parts_, cut_, unserved_, unkept_, unheard_};
    return out;
  }

 private:
  struct party {
    peer_host* machine = nullptr;
    std::unique_ptr<stream_user> user;
    std::optional<speech> speaks;
    duration spread{};
    bool is_late = false;
    bool leaves = false;
    bool is_judged = false;
    std::optional<time_point> gone_at{};
  };

  chance& random() { return world_.random(); }
  duration within(duration most) { return random().between(duration::zero(), most); }
  void plan(duration wait, scheduler::action what) { world_.time().after(wait, std::move(what)); }
  party& any() { return all_[random().below(all_.size())]; }

  template <typename... Words>
  void log(const Words&... words) {
    world_.log().write(world_.time().elapsed(), "fault", words...);
  }

  // ---- what is drawn

  host& draw_host() {
    auto& net = world_.net();
    const auto line = random_stream_line(random());
    is_bad_ = is_bad_ || line.is_bad;
    if (random().happens(0.3)) return net.add_host(net.open(), line.config);
    if (networks_.empty() || random().happens(0.8)) {
      auto box = random_nat(random());
      box.drops_udp = random().happens(0.1);
      networks_.push_back(&net.add_network(net.open(), box, {.delay = millis_below(random(), 20)}));
      world_.log().write({}, "network", box.to_string());
    }
    return net.add_host(*networks_[random().below(networks_.size())], line.config);
  }

  void draw() {
    const auto count = 2 + random().below(4);
    const auto senders = 1 + random().below(2);
    std::vector<host*> hosts;
    for (std::uint64_t i = 0; i < count; ++i) hosts.push_back(&draw_host());
    std::optional<secret_key> key;
    if (random().happens(0.4)) key = random_key(random());
    const bool is_printable = random().happens(0.4);
    const bool has_latecomer = count > 2 && random().happens(0.3);
    std::vector<std::string> names;
    for (std::uint64_t i = 0; i < senders; ++i) names.push_back("peer" + std::to_string(i));

    for (std::uint64_t i = 0; i < count; ++i) {
      const auto name = "peer" + std::to_string(i);
      const bool is_labelled = random().happens(0.5);
      peer_options options{.key = key, .input = input_mode::bytes, .output = output_mode::raw};
      if (is_printable) options.output = is_labelled ? output_mode::json : output_mode::text;
      if (!is_printable && is_labelled) options.output = output_mode::json;
      auto& one = all_.emplace_back();
      one.is_late = has_latecomer && i + 1 == count;
      if (i < senders) {
        if (random().happens(0.3)) options.input = input_mode::lines;
        draw_speech(one, options.input, is_printable ? alphabet::printable : i == 0 ? alphabet::low : alphabet::high);
        options.wait_for = count - 1 - (has_latecomer ? 1 : 0);
        options.quit_on_eof = patience;
        constexpr std::size_t memories[] = {64'000'000, 64'000'000, 4'000'000, 500'000};
        options.memory = senders == 1 ? random().pick(memories) : 64'000'000;
      } else if (random().happens(0.3)) {
        options.memory = 4'000'000;  // the least
      }
      one.machine = &world_.add_peer(*hosts[i], "topic", name, options);
      one.user = std::make_unique<stream_user>(world_.around(), name, options.output, names);
      one.machine->use(*one.user);
      draw_reader(*one.machine);
    }
  }

  void draw_speech(party& who, input_mode mode, alphabet of) {
    const auto largest = is_bad_ ? largest_over_bad_lines : largest_stream;
    auto most = largest;
    while (most > 2 * smallest_stream && random().happens(0.4)) most /= 2;
    const auto size = smallest_stream + random().below(most - smallest_stream);
    who.speaks = random_speech(random(), mode, of, size);
    if (random().happens(0.6)) who.spread = within(60s);
  }

  void draw_reader(peer_host& who) {
    if (random().happens(0.1)) who.be_slow();
    if (random().happens(0.1)) who.read_with({.piece = 4096, .pause = 5ms + millis_below(random(), 30)});
  }

  // ---- what happens

  void start(party& who) {
    if (who.speaks) who.user->speak(*who.speaks, who.spread);
    who.machine->start();
  }

  void plan_fault(duration when) {
    auto* who = &any();
    auto& machine = *who->machine;
    switch (random().below(11)) {
      case 0: return plan_coordinator(when, false);
      case 1: return plan_coordinator(when, true);
      case 2:
      case 3:
        plan(when, [this, &machine] { block(machine.machine(), true); });
        return plan(when + within(longest_outage), [this, &machine] { block(machine.machine(), false); });
      case 4: return plan(when, [this] { forget_all(); });
      case 5: return plan(when, [&machine] { machine.stall_output(long_stall); });
      case 6: return plan(when, [&machine] { machine.stop_for(long_stall); });
      case 7:
        plan(when, [this, &machine] { set_line(machine.machine(), false); });
        return plan(when + long_stall, [this, &machine] { set_line(machine.machine(), true); });
      case 8: return plan_departure(when);
      case 9:
        return plan(when, [&machine] {
          if (auto* link = machine.link_to_coordinator()) link->cut();
        });
      case 10:
        return plan(when, [this, &machine] {
          world_.move(machine.machine(), world_.net().open());
          log("a host moves to", machine.machine().ip().to_string());
        });
    }
  }

  void plan_coordinator(duration when, bool kindly) {
    auto& coordinator = world_.coordinator();
    plan(when, [&coordinator, kindly] { kindly ? coordinator.stop() : coordinator.crash(); });
    plan(when + within(longest_outage), [&coordinator] { coordinator.start(); });
  }

  void block(host& machine, bool blocked) {
    log(machine.ip().to_string(), blocked ? "sends no datagram" : "sends datagrams again");
    machine.block_datagrams(blocked);
  }

  void set_line(host& machine, bool up) {
    log("the line of", machine.ip().to_string(), up ? "is up" : "is down");
    machine.line().set_up(up);
  }

  void forget_all() {
    log("the NATs forget");
    for (auto* each : networks_) each->box()->forget();
  }

  /// One that does not send.
  void plan_departure(duration when) {
    auto& who = all_.back();
    if (who.speaks || who.leaves || all_.size() == 2) return;
    who.leaves = true;
    constexpr void (peer_host::*ways[])() = {&peer_host::leave, &peer_host::kill, &peer_host::vanish};
    const auto how = random().pick(ways);
    plan(when, [this, &who, how] {
      who.gone_at = world_.time().now();
      (who.machine->*how)();
    });
  }

  // ---- what has to come of it

  bool is_over() const {
    return std::ranges::all_of(all_, [](const party& each) { return !each.speaks || each.is_judged; });
  }

  static bool is_gone(const party& who, time_point by) {
    const bool has_left = who.gone_at && *who.gone_at <= by;
    return has_left || (who.user->left_at() && *who.user->left_at() <= by);
  }

  /// A sender has ended: everyone who is still there has everything, and its status says whether everyone had.
  void on_end_of(party& sender) {
    if (!sender.speaks || sender.is_judged || !sender.user->ended()) return;
    sender.is_judged = true;
    const auto when = *sender.user->left_at();
    judge(sender, when);
    const auto& how = *sender.user->ended();
    bool somebody_lacks = false;
    bool somebody_is_gone = false;
    for (auto& each : all_) {
      const auto to = sender.user->served().find(each.user->name());
      if (to == sender.user->served().end()) continue;
      somebody_lacks = somebody_lacks || to->second.was_cut || !has_all(*sender.user, *each.user);
      somebody_is_gone = somebody_is_gone || to->second.may_be_cut || is_gone(each, when);
    }
    const auto says = "ends with " + std::to_string(how.status) + " (" + how.reason + "), and ";
    if (how.status == 0 && somebody_lacks) fail(sender, says + "not everybody has everything");
    if (how.status != 0 && !somebody_lacks && !somebody_is_gone) fail(sender, says + "everybody has everything");
    if (how.status != 0 && how.status != 3) fail(sender, says + "that is no status for it");
    unkept_ += how.status != 0 ? 1 : 0;
    unheard_ += sender.user->unheard() > 0 ? 1 : 0;
  }

  void judge(party& sender, time_point when) {
    for (auto& each : all_) {
      if (&each == &sender) continue;
      const auto to = sender.user->served().find(each.user->name());
      const bool is_served = to != sender.user->served().end();
      const bool stays = !is_gone(each, when);
      const bool may_be_cut = is_served && to->second.may_be_cut;
      check_heard(world_.check(), *sender.user, *each.user, stays && !may_be_cut);
      if (!stays) continue;
      if (!is_served) {
        ++unserved_;
      } else {
        ++(may_be_cut ? cut_ : to->second.offset == 0 ? whole_ : parts_);
      }
    }
  }

  void finish() {
    for (auto& each : all_) {
      if (!each.speaks || each.is_judged) continue;
      // Who went before as many as it waits for were there leaves it waiting.
      const auto now = world_.time().now();
      const bool waits =
          !each.user->has_begun() && std::ranges::any_of(all_, [&](const party& other) { return is_gone(other, now); });
      if (waits) continue;
      fail(each, "has not ended by the deadline");
      judge(each, now);
    }
  }

  void fail(const party& who, const std::string& what) { world_.check().fail(who.user->name(), what); }

  std::uint64_t seed_;
  world world_;
  std::vector<network*> networks_;
  std::deque<party> all_;  ///< the senders first; addresses stay
  bool is_bad_ = false;
  std::size_t whole_ = 0;
  std::size_t parts_ = 0;
  std::size_t cut_ = 0;
  std::size_t unserved_ = 0;
  std::size_t unkept_ = 0;
  std::size_t unheard_ = 0;
};

}  // namespace

stream_outcome run_stream(std::uint64_t seed, std::ostream* log, bool traced) {
  return stream_run(seed, log, traced).run();
}

}  // namespace nat::sim
