#include "hostile_client.hpp"
#include "runs.hpp"
#include "victim.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

constexpr duration joining = 20s;  // the clients come evenly over this
constexpr duration listening = 10s;
constexpr duration talk_interval = 100ms;
// Below what is said, so that the bound is met.
constexpr std::uint64_t seed_rate = 80'000;  // bit/s
constexpr int lines_beyond_seed_rate = 10;
// Design, 2.3 (RFC 7675): so long after it was heard last it may still get DATA; what is on its way comes later.
constexpr duration consent = 30s;
constexpr duration on_its_way = 1s;

/// Three on public addresses, three behind NATs of their own, so that a source address tells who has sent.
std::vector<network*> homes(world& in) {
  std::vector<network*> all(3, &in.net().open());
  for (const auto mapping : {mapping_behavior::endpoint_independent, mapping_behavior::address_and_port_dependent,
                             mapping_behavior::per_session}) {
    all.push_back(&in.net().add_network(in.net().open(), {.mapping = mapping}));
  }
  return all;
}

victim_allowance allowance_of(const hostile_case& chosen) {
  victim_allowance out;
  if (chosen.forges_sealed) out.answers = 500ms;
  if (!chosen.section_1) out.data = 0;  // a peer of ours has to prove its address before
  if (chosen.forges_seed) {
    // The seed's interval, twice: who is heard under one more name is given its allowance back.
    out.seed_pings = 125ms;
    out.seed_rate = seed_rate;
  }
  return out;
}

class victim_run {
 public:
  victim_run(std::uint64_t seed, const hostile_case& chosen)
      : seed_(seed),
        case_(chosen),
        world_(seed, talk_interval, protocol::v2, {20'000, 2'000}),
        victim_(world_.around(), world_.net().add_host(world_.net().open()), allowance_of(chosen)),
        plot_{"topic", topic_keys::open("topic"), victim_.ip(), chosen.forges_sealed, chosen.forges_seed, 0, {}, 0, 0} {
    if (chosen.refuses) victim_.machine().refuse_with_icmp();
    const link_config line{.delay = 10ms};
    for (auto* home : homes(world_)) {
      const auto name = "honest" + std::to_string(world_.peers().size());
      const peer_options options{.unanswered_data = contact_book::most_data, .seed_rate = seed_rate};
      auto& peer = world_.add_peer(world_.net().add_host(*home, line), plot_.topic, name, options);
      victim_.know(world_.net().way_out(peer.machine()).seen_as, name);
    }
    for (std::size_t i = 0; i < chosen.clients; ++i) {
      auto& machine = world_.net().add_host(world_.net().open(), line);
      clients_.push_back(std::make_unique<hostile_client>(world_.around(), world_.coordinator(), machine, plot_,
                                                          role_of(i), world_.random().next()));
    }
  }

  hostile_row run() {
    const int lines = case_.forges_seed ? lines_beyond_seed_rate : 1;
    for (const auto& peer : world_.peers()) world_.start(*peer, lines);
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      const auto when = joining * static_cast<duration::rep>(i) / static_cast<duration::rep>(clients_.size());
      world_.time().after(when, [who = clients_[i].get()] { who->start(); });
    }
    world_.time().run_for(case_.time);
    const auto settled = world_.time().now();
    world_.time().run_for(listening);
    world_.check_connected(settled);
    check_that_it_was_tried();
    if (case_.forges_seed) check_that_it_ends();
    hostile_row row{plot_.joined, plot_.forged, {}, victim_.in_all(), {}};
    for (const auto& peer : world_.peers()) row.each.push_back(victim_.from(peer->name()));
    row.failures = world_.finish(seed_).failures;
    return row;
  }

 private:
  /// Half know section 1 alone, of whom one in five seems to be a peer of ours at first; of the others one in ten is a
  /// peer at its own address.
  hostile_client::role role_of(std::size_t i) const {
    using enum hostile_client::role;
    if (i == 0) return scout;
    if (case_.section_1 && i % 2 == 0) return i % 10 == 2 ? turncoat : section_1;
    return i % 20 == 1 ? member : v2;
  }

  /// A run in which nobody sends anything proves nothing.
  void check_that_it_was_tried() {
    const auto fail = [&](const std::string& who, const char* what) { world_.check().fail(who, what); };
    for (const auto& peer : world_.peers()) {
      const auto got = victim_.from(peer->name());
      if (got.pings < 40) fail(peer->name(), "was not made to PING the victim");
      if (victim_.ports(peer->name()) < 2) fail(peer->name(), "was not told of several ports");
      if (case_.section_1 && got.data == 0) fail(peer->name(), "was not made to send DATA to the victim");
    }
    if ((case_.forges_sealed || case_.forges_seed) && plot_.forged == 0) fail("conspiracy", "has forged nothing");
    if (case_.forges_seed && victim_.in_all().data_bytes < 2 * contact_book::most_data * world_.peers().size()) {
      fail("conspiracy", "has not made the victim seem to be there");
    }
  }

  /// Nobody forges any more: the victim gets no DATA but what an address gets that never answered.
  void check_that_it_ends() {
    for (const auto& client : clients_) client->rest();
    world_.time().run_for(case_.refuses ? on_its_way : consent + on_its_way);
    std::map<std::string, std::uint64_t> before;
    for (const auto& peer : world_.peers()) before[peer->name()] = victim_.from(peer->name()).data_bytes;
    world_.time().run_for(case_.time);
    for (const auto& peer : world_.peers()) {
      const auto more = victim_.from(peer->name()).data_bytes - before[peer->name()];
      if (more > contact_book::most_data) {
        world_.check().fail(peer->name(),
                            "has sent " + std::to_string(more) + " bytes more to a victim that is silent");
      }
    }
  }

  std::uint64_t seed_;
  hostile_case case_;
  world world_;
  victim victim_;
  conspiracy plot_;
  std::vector<std::unique_ptr<hostile_client>> clients_;
};

}  // namespace

std::vector<hostile_case> all_hostile_cases(std::size_t clients) {
  // The first is what 1000 can do that forge nothing. Where an address seems to be there, each port may have its rate.
  const auto few = clients / 10;
  return {{.name = "registered", .clients = clients},
          {.name = "v2 alone", .clients = few, .section_1 = false, .forges_sealed = true, .time = 2min},
          {.name = "forged PINGs under the seal", .clients = clients / 4, .forges_sealed = true, .time = 2min},
          {.name = "forged seed PINGs", .clients = few, .forges_seed = true, .time = 1min},
          {.name = "forged seed PINGs, ICMP", .clients = few, .forges_seed = true, .refuses = true, .time = 1min}};
}

hostile_row run_hostile(std::uint64_t seed, const hostile_case& chosen) { return victim_run(seed, chosen).run(); }

}  // namespace nat::sim
