#include "topology.hpp"

#include <array>
#include <optional>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t max_networks = 6;
constexpr std::uint64_t max_hosts_in_each = 3;
constexpr std::uint64_t max_open_hosts = 3;
constexpr std::uint64_t max_topics = 3;
constexpr double keyed_share = 0.4;  // of the topics
constexpr double mixed_share = 0.4;  // of the open ones
constexpr double seed_share = 0.3;   // of the peers in a mixed one

duration millis_below(chance& random, std::uint64_t bound) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(random.below(bound)));
}

}  // namespace

secret_key random_key(chance& random) {
  std::array<std::uint8_t, secret_key::size> bytes{};
  random.fill(bytes);
  return secret_key(bytes);
}

nat_config random_nat(chance& random) {
  constexpr mapping_behavior mappings[] = {
      mapping_behavior::endpoint_independent,
      mapping_behavior::endpoint_independent,  // as common as the rest together
      mapping_behavior::endpoint_independent,       mapping_behavior::address_dependent,
      mapping_behavior::address_and_port_dependent, mapping_behavior::per_session};
  constexpr filtering_behavior filterings[] = {filtering_behavior::endpoint_independent,
                                               filtering_behavior::address_dependent,
                                               filtering_behavior::address_and_port_dependent};
  constexpr port_allocation allocations[] = {port_allocation::preserving, port_allocation::sequential,
                                             port_allocation::random, port_allocation::block};
  // Not below the time that peers may be alone: a mapping that nobody refreshes comes back with another port.
  constexpr duration lifetimes[] = {10s, 20s, 30s, 60s, 120s, 300s};
  constexpr std::size_t smallest[] = {0, 0, 0, 64, 128};
  nat_config out;
  out.mapping = random.happens(0.1) ? mapping_behavior::none : random.pick(mappings);
  out.filtering = random.pick(filterings);
  out.ports = random.pick(allocations);
  out.lifetime = random.pick(lifetimes);
  out.hairpin = random.happens(0.5);
  out.min_payload = random.pick(smallest);
  out.block_size = random.happens(0.5) ? 8 : 512;
  out.accepts_unsolicited = random.happens(0.3);
  out.drops_udp = random.happens(0.03);
  return out;
}

link_config random_line(chance& random) {
  link_config out{.delay = millis_below(random, 60)};
  if (random.happens(0.5)) return out;
  out.jitter = millis_below(random, 30);
  out.loss = 0.01 * static_cast<double>(random.below(11));
  out.duplicate = 0.01 * static_cast<double>(random.below(11));
  out.reorder = 0.01 * static_cast<double>(random.below(11));
  if (random.happens(0.3)) out.rate = 500'000 + random.below(20'000'000);
  return out;
}

topology random_topology(world& in) {
  auto& random = in.random();
  auto& net = in.net();
  topology out;
  const auto networks = 1 + random.below(max_networks);
  for (std::uint64_t i = 0; i < networks; ++i) {
    const bool nested = !out.networks.empty() && random.happens(0.3);
    auto& outer = nested ? *out.networks[random.below(out.networks.size())] : net.open();
    const auto box = random_nat(random);  // two statements: the order of arguments is the compiler's
    const auto line = random_line(random);
    auto& inner = net.add_network(outer, box, line);
    out.networks.push_back(&inner);
    const auto hosts = 1 + random.below(max_hosts_in_each);
    for (std::uint64_t j = 0; j < hosts; ++j) out.hosts.push_back(&net.add_host(inner, random_line(random)));
  }
  const auto open = random.below(max_open_hosts + 1);
  for (std::uint64_t j = 0; j < open; ++j) out.hosts.push_back(&net.add_host(net.open(), random_line(random)));

  const auto topics = 1 + random.below(max_topics);
  std::vector<std::optional<secret_key>> keys(topics);
  std::vector<bool> is_mixed(topics);
  for (std::size_t i = 0; i < topics; ++i) {
    if (random.happens(keyed_share)) keys[i] = random_key(random);
    is_mixed[i] = !keys[i] && random.happens(mixed_share);
  }
  for (std::size_t i = 0; i < out.hosts.size(); ++i) {
    const auto topic = random.below(topics);
    const auto called = "topic" + std::to_string(topic);
    const auto number = std::to_string(i);
    if (is_mixed[topic] && random.happens(seed_share)) {
      out.seeds.push_back(&in.add_seed(*out.hosts[i], called, "seed" + number));
      continue;
    }
    peer_options options{.key = keys[topic]};
    if (is_mixed[topic]) options.unanswered_data = contact_book::most_data;
    out.peers.push_back(&in.add_peer(*out.hosts[i], called, "peer" + number, options));
  }
  return out;
}

}  // namespace nat::sim
