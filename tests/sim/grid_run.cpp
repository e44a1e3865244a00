#include "runs.hpp"

#include <utility>

namespace nat::sim {
namespace {

constexpr duration talk_interval = std::chrono::milliseconds(10);
constexpr duration long_enough = std::chrono::seconds(3);
constexpr duration on_its_way = std::chrono::milliseconds(500);  // a line may be, or wait for those before it

host& place(world& in, const nat_kind& kind) {
  // Jitter has what comes directly overtake what the relay carries: the move from one to the other is to be seen.
  const link_config line{.delay = std::chrono::milliseconds(10), .jitter = std::chrono::milliseconds(20)};
  if (kind.open) return in.net().add_host(in.net().open(), line);
  return in.net().add_host(in.net().add_network(in.net().open(), kind.config, line));
}

constexpr std::size_t port_block = 512;  // as carriers give (RFC 7422's examples are of this size)

nat_kind named(const std::string& name, const nat_config& config) { return {name, false, config}; }

}  // namespace

std::vector<nat_kind> all_nat_kinds() {
  using enum mapping_behavior;
  constexpr std::pair<const char*, filtering_behavior> filterings[] = {
      {"ei", filtering_behavior::endpoint_independent},
      {"ad", filtering_behavior::address_dependent},
      {"apd", filtering_behavior::address_and_port_dependent}};
  constexpr std::pair<const char*, mapping_behavior> mappings[] = {
      {"ei", endpoint_independent}, {"ad", address_dependent}, {"apd", address_and_port_dependent}};
  constexpr std::pair<const char*, port_allocation> allocations[] = {{"pres", port_allocation::preserving},
                                                                     {"seq", port_allocation::sequential},
                                                                     {"rand", port_allocation::random},
                                                                     {"block", port_allocation::block}};
  std::vector<nat_kind> all{{"open", true, {}}};
  for (const auto& [filter, filtering] : filterings) {
    all.push_back(named(std::string("firewall/") + filter, {.mapping = none, .filtering = filtering}));
  }
  for (const auto& [map, mapping] : mappings) {
    for (const auto& [filter, filtering] : filterings) {
      for (const auto& [alloc, ports] : allocations) {
        all.push_back(named(std::string(map) + '/' + filter + '/' + alloc,
                            {.mapping = mapping, .filtering = filtering, .ports = ports, .block_size = port_block}));
      }
    }
  }
  for (const auto& [alloc, ports] : allocations) {
    all.push_back(
        named(std::string("session/") + alloc, {.mapping = per_session, .ports = ports, .block_size = port_block}));
  }
  all.push_back(named("session/accepting", {.mapping = per_session, .accepts_unsolicited = true}));
  all.push_back(named("no-udp", {.drops_udp = true}));
  return all;
}

grid run_grid(std::uint64_t seed) {
  grid out{all_nat_kinds(), {}, {}, {}};
  chance seeds(seed);
  out.cells.resize(out.kinds.size(), std::vector<grid_cell>(out.kinds.size()));
  for (std::size_t i = 0; i < out.kinds.size(); ++i) {
    for (std::size_t j = i; j < out.kinds.size(); ++j) {
      world pair(seeds.next(), talk_interval);
      auto& first = pair.add_peer(place(pair, out.kinds[i]), "grid", "first");
      auto& second = pair.add_peer(place(pair, out.kinds[j]), "grid", "second");
      pair.start(first);
      pair.time().run_for(std::chrono::seconds(1));
      pair.start(second);
      pair.time().run_for(long_enough);
      pair.check_connected(scheduler::start, true);
      pair.check_gapless(on_its_way);
      out.cells[i][j] = {pair.expected(first.words(), second.words()), second.received_from("first") != nullptr};
      out.cells[j][i] = {pair.expected(second.words(), first.words()), first.received_from("second") != nullptr};
      const auto result = pair.finish(seed);
      for (const auto& what : result.failures) {
        out.failures.push_back(out.kinds[i].name + " with " + out.kinds[j].name + ": " + what);
      }
      out.connect_times.insert(out.connect_times.end(), result.connect_times.begin(), result.connect_times.end());
    }
  }
  return out;
}

}  // namespace nat::sim
