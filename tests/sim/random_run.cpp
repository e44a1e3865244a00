#include "runs.hpp"
#include "topology.hpp"

#include <algorithm>
#include <string>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

// Peers start within `start_time`, then nothing happens for `calm_deadline`, then faults for `fault_time`, then nothing
// until everything must have settled, and for `listening` after that it is watched who hears whom.
constexpr duration start_time = 5s;
constexpr duration fault_time = 60s;
constexpr std::uint64_t max_faults = 8;
constexpr duration longest_outage = 40s;
constexpr duration talk_interval = 1s;
// In five minutes, more than 64 KiB to who never answers.
constexpr int many_lines = 4;
// A line may be, over three lines of the worst kind and back, and a slow reader takes it in his time.
constexpr duration on_its_way = 2s;
// All of so many in a row are lost once in 10^8, at the worst loss there is.
constexpr duration listening = 20s;

class random_run {
 public:
  random_run(std::uint64_t seed, std::ostream* log, bool traced) : seed_(seed), world_(seed, talk_interval) {
    if (traced || log != nullptr) world_.log().start(log);
    all_ = random_topology(world_);
    for (const auto* where : all_.networks) {
      world_.log().write({}, "network", where->box()->outside().to_string(), "is behind",
                         where->box()->config().to_string());
    }
  }

  outcome run() {
    for (auto* peer : all_.peers) {
      const bool is_late = random().happens(0.1);
      const int lines = random().happens(0.2) ? many_lines : 1;
      if (random().happens(0.2)) peer->be_slow();
      plan(is_late ? start_time + calm_deadline + within(fault_time) : within(start_time),
           [this, peer, lines] { world_.start(*peer, lines); });
    }
    for (auto* seed : all_.seeds) plan(within(start_time), [this, seed] { world_.start(*seed); });
    world_.time().run_for(start_time + calm_deadline);
    world_.check_connected(scheduler::start, true);
    world_.check_gapless(on_its_way, true);
    const auto faults = random().below(max_faults + 1);
    for (std::uint64_t i = 0; i < faults; ++i) plan_fault(within(fault_time));
    world_.time().run_for(fault_time + longest_outage + settle_deadline);
    const auto settled = world_.time().now();
    world_.time().run_for(listening);
    world_.check_connected(settled);
    world_.check_forgotten();
    return world_.finish(seed_);
  }

 private:
  chance& random() { return world_.random(); }
  duration within(duration most) { return random().between(duration::zero(), most); }
  void plan(duration wait, scheduler::action what) { world_.time().after(wait, std::move(what)); }
  template <typename T>
  T* any(const std::vector<T*>& of) {
    return of[random().below(of.size())];
  }

  template <typename... Words>
  void log(const Words&... words) {
    world_.log().write(world_.time().elapsed(), "fault", words...);
  }

  void plan_fault(duration when) {
    switch (random().below(11)) {
      case 0: return plan_coordinator(when, false);
      case 1: return plan_coordinator(when, true);
      case 2: return plan_outage(when, any(all_.hosts)->line());
      case 3: return plan_outage(when, *any(all_.networks)->line());
      case 4: return plan(when, [this, where = any(all_.networks)] { forget(*where); });
      case 5: return plan_cut(when);
      case 6: return plan_move(when);
      case 7: return plan_departure(when, &peer_host::leave);
      case 8: return plan_departure(when, &peer_host::kill);
      case 9: return plan_departure(when, &peer_host::vanish);
      case 10: return plan_departure_of_seed(when);
    }
  }

  void plan_coordinator(duration when, bool kindly) {
    auto& coordinator = world_.coordinator();
    plan(when, [&coordinator, kindly] { kindly ? coordinator.stop() : coordinator.crash(); });
    plan(when + within(longest_outage), [&coordinator] { coordinator.start(); });
  }

  void plan_outage(duration when, line& of) {
    plan(when, [this, &of] {
      log("a line is down");
      of.set_up(false);
    });
    plan(when + within(longest_outage), [this, &of] {
      log("a line is up");
      of.set_up(true);
    });
  }

  void forget(network& where) {
    log("the NAT", where.box()->outside().to_string(), "forgets");
    where.box()->forget();
  }

  void plan_cut(duration when) {
    if (all_.peers.empty()) return;
    plan(when, [this, who = any(all_.peers)] {
      log("the connection of", who->name(), "is cut");
      if (auto* link = who->link_to_coordinator()) link->cut();
    });
  }

  void plan_move(duration when) {
    auto* to = random().happens(0.3) ? &world_.net().open() : any(all_.networks);
    plan(when, [this, who = any(all_.hosts), to] {
      world_.move(*who, *to);
      log("a host moves to", who->ip().to_string());
    });
  }

  void plan_departure_of_seed(duration when) {
    if (all_.seeds.empty()) return;
    auto* who = any(all_.seeds);
    const auto how = random().happens(0.5) ? &seed_peer::kill : &seed_peer::vanish;
    plan(when, [who, how] { (who->*how)(); });
    if (random().happens(0.5)) plan(when + within(longest_outage), [this, who] { world_.start(*who); });
  }

  /// Half of them come back.
  void plan_departure(duration when, void (peer_host::*how)()) {
    if (all_.peers.empty()) return;
    auto* who = any(all_.peers);
    plan(when, [who, how] { (who->*how)(); });
    if (random().happens(0.5)) plan(when + within(longest_outage), [this, who] { world_.start(*who); });
  }

  std::uint64_t seed_;
  world world_;
  topology all_;
};

}  // namespace

outcome run_random(std::uint64_t seed, std::ostream* log, bool traced) { return random_run(seed, log, traced).run(); }

}  // namespace nat::sim
