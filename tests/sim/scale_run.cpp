#include "runs.hpp"

#include <algorithm>
#include <chrono>
#include <malloc.h>
#include <string>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

constexpr duration joining_spread = 5s;     // peers start evenly over this
constexpr duration joining_deadline = 60s;  // then nobody waits any longer for those that have not heard each other
constexpr duration look_again = 100ms;
constexpr duration steady_time = 5s;
constexpr duration change_time = 3s;

std::size_t heap() { return mallinfo2().uordblks + mallinfo2().hblkhd; }

class scale_run {
 public:
  scale_run(std::uint64_t seed, std::size_t topics, std::size_t peers_each)
      : seed_(seed), peers_each_(peers_each), world_(seed, {}, protocol::v2, {20'000, 2'000}) {
    row_.topics = topics;
    row_.peers = topics * peers_each;
    for (std::size_t i = 0; i < row_.peers; ++i) {
      // No losses and no NATs: what is measured is what the engines do.
      auto& machine = world_.net().add_host(world_.net().open(), {.delay = 10ms});
      world_.add_peer(machine, "topic" + std::to_string(i / peers_each), "peer" + std::to_string(i));
    }
  }

  scale_row run() {
    const auto began = std::chrono::steady_clock::now();
    join();
    measure_steady();
    measure_change();
    measure_memory();
    row_.failures = world_.finish(seed_).failures;
    row_.real_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return row_;
  }

 private:
  void join() {
    auto& time = world_.time();
    for (std::size_t i = 0; i < row_.peers; ++i) {
      const auto when = joining_spread * static_cast<duration::rep>(i) / static_cast<duration::rep>(row_.peers);
      time.after(when, [who = world_.peers()[i].get()] { who->start(); });
    }
    time.run_for(joining_spread);
    while (!everybody_heard() && time.elapsed() < joining_deadline) time.run_for(look_again);
    if (!everybody_heard()) world_.check().fail("scale", "not everybody has heard everybody of its topic");
    row_.joining = time.elapsed();
    row_.lists = world_.coordinator().counts().lists;
    row_.list_bytes = world_.coordinator().counts().list_bytes;
  }

  bool everybody_heard() const {
    return std::ranges::all_of(world_.peers(), [this](const auto& who) {
      std::size_t ready = 0;
      who->engine().sessions().for_each([&](const session& known) { ready += known.accepts() ? 1 : 0; });
      return ready == peers_each_ - 1;
    });
  }

  void measure_steady() {
    const auto before = world_.net().counts();
    world_.time().run_for(steady_time);
    const auto& after = world_.net().counts();
    const auto peer_seconds = static_cast<double>(row_.peers) * std::chrono::duration<double>(steady_time).count();
    row_.packets = static_cast<double>(after.sent - before.sent) / peer_seconds;
    row_.bytes = static_cast<double>(after.bytes - before.bytes) / peer_seconds;
  }

  void measure_change() {
    const auto before = world_.coordinator().counts();
    world_.peers().front()->leave();
    world_.time().run_for(change_time);
    row_.change_lists = world_.coordinator().counts().lists - before.lists;
    row_.change_bytes = world_.coordinator().counts().list_bytes - before.list_bytes;
    world_.check_forgotten();
  }

  /// What is freed when the engines go is what they held.
  void measure_memory() {
    const auto left = row_.peers - 1;  // one has gone
    auto before = heap();
    for (const auto& who : world_.peers()) who->drop_engine();
    row_.peer_memory = (before - heap()) / left;
    before = heap();
    world_.coordinator().drop_engine();
    row_.coordinator_memory = (before - heap()) / left;
  }

  std::uint64_t seed_;
  std::size_t peers_each_;
  world world_;
  scale_row row_;
};

}  // namespace

scale_row run_scale(std::uint64_t seed, std::size_t topics, std::size_t peers_each) {
  return scale_run(seed, topics, peers_each).run();
}

}  // namespace nat::sim
