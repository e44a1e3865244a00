#include "forger.hpp"
#include "lying_coordinator.hpp"
#include "outsider.hpp"
#include "runs.hpp"
#include "topology.hpp"

#include <array>
#include <chrono>
#include <string>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

constexpr duration talk_interval = 100ms;
constexpr duration calm = 15s;
constexpr duration lies = 40s;
constexpr duration listening = 5s;
constexpr duration on_its_way = 1s;
// Of a coordinator that speaks the truth again: who found another protocol than before asks for v2 again after 60 s,
// who was told nonsense and gave up a connection is back within 30 s (registration::section_1_memory, backoff_cap).
constexpr duration recovery = 100s;

using manner = lying_coordinator::manner;

class liar_run {
 public:
  liar_run(std::uint64_t seed, std::ostream* log)
      : seed_(seed),
        world_(seed, talk_interval),
        key_(random_key(world_.random())),
        forger_("topic", topic_keys::keyed("topic", key_).public_topic(), world_.random().next()),
        liar_(world_.around(), forger_, world_.random().next()),
        outsider_(world_.around(), liar_, forger_, world_.random().next()) {
    if (log != nullptr) world_.log().start(log);
    auto& net = world_.net();
    add(net.open());
    add(net.open());
    add(net.add_network(net.open(), {.filtering = filtering_behavior::endpoint_independent}));
    add(net.add_network(net.open(), {}));
    // All that these two hear and say goes by the liar.
    for (auto& each : relayed_) each = &add(net.add_network(net.open(), {.drops_udp = true}));
    newcomer_ = &add(net.open());
  }

  liar_row run() {
    for (const auto& peer : world_.peers()) {
      if (peer.get() != newcomer_) world_.start(*peer);
    }
    pass(calm);
    expect_all_hear_each_other("before any lie");
    outsider_.speak(true);
    under_lies();
    restart_under_replay(*world_.peers().front());
    restart_under_replay(*newcomer_);
    outsider_.speak(true);
    for (auto* each : relayed_) each->leave();  // without a relay they are out of reach
    pass(on_its_way);
    liar_.speak(protocol::section_1);
    under_lies();
    if (outsider_.heard() == 0) world_.check().fail("outsider", "was PINGed by nobody: it was never lied about");
    if (refused() == 0) world_.check().fail("members", "have refused nothing");
    return {forger_.made(), forger_.recorded().size(), refused(), world_.finish(seed_).failures};
  }

 private:
  peer_host& add(network& where) {
    const auto name = "member" + std::to_string(world_.peers().size());
    outsider_.know(name);
    const link_config line{.delay = 10ms};
    return world_.add_peer(world_.net().add_host(where, line), "topic", name, {.key = key_, .coordinator = &liar_});
  }

  void pass(duration time) { world_.time().run_for(time); }

  void under_lies() {
    liar_.become(manner::lying);
    pass(lies);
    liar_.become(manner::truthful);
    pass(recovery);
    expect_all_hear_each_other("after the lies");
  }

  /// It comes into a topic that is a record.
  void restart_under_replay(peer_host& who) {
    outsider_.speak(false);  // or it shows who is where
    who.kill();
    liar_.become(manner::replaying, who.name());
    world_.start(who);
    pass(lies);
    for (const auto& other : world_.peers()) {
      if (who.received_from(other->name()) == nullptr) continue;
      world_.check().fail(who.name(), "has heard " + other->name() + ", of whom it got a record alone");
    }
    if (forger_.recorded().empty()) world_.check().fail("liar", "has recorded nothing");
    liar_.become(manner::truthful);
    pass(recovery);
    expect_all_hear_each_other("after a replay");
  }

  void expect_all_hear_each_other(const std::string& when) {
    const auto failures = world_.check().count();
    const auto since = world_.time().now();
    pass(listening);
    world_.check_connected(since);
    if (world_.check().count() != failures) world_.check().fail("liar", "was " + when);
  }

  /// Packets that members have dropped, for whatever reason; of those that run now.
  std::uint64_t refused() const {
    std::uint64_t all = 0;
    for (const auto& peer : world_.peers()) {
      if (!peer->runs()) continue;
      const auto& counts = peer->engine().counters();
      all += counts.other_topic + counts.unsealed + counts.forged + counts.replayed + counts.misdirected +
             counts.data_unexpected + counts.data_duplicate;
    }
    return all;
  }

  std::uint64_t seed_;
  world world_;
  secret_key key_;
  forger forger_;
  lying_coordinator liar_;
  outsider outsider_;
  std::array<peer_host*, 2> relayed_{};
  peer_host* newcomer_ = nullptr;
};

}  // namespace

liar_row run_liar(std::uint64_t seed, std::ostream* log) { return liar_run(seed, log).run(); }

}  // namespace nat::sim
