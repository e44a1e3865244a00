#include "nat_box.hpp"

#include <algorithm>

namespace nat::sim {
namespace {

constexpr std::uint16_t stun_port = 3478;
constexpr std::uint32_t port_count = 65'536 - nat_box::first_port;

}  // namespace

std::string nat_config::to_string() const {
  constexpr const char* mappings[] = {"none", "ei", "ad", "apd", "session"};
  constexpr const char* filterings[] = {"ei", "ad", "apd"};
  constexpr const char* allocations[] = {"preserving", "sequential", "random", "block"};
  std::string out = std::string("mapping=") + mappings[static_cast<int>(mapping)] +
                    " filtering=" + filterings[static_cast<int>(filtering)] +
                    " ports=" + allocations[static_cast<int>(ports)];
  if (ports == port_allocation::block) out += '(' + std::to_string(block_size) + ')';
  out += " life=" + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lifetime).count()) + 's';
  if (hairpin) out += " hairpin";
  if (min_payload > 0) out += " drops-below=" + std::to_string(min_payload);
  if (accepts_unsolicited) out += " accepts-unsolicited";
  if (drops_udp) out += " drops-udp";
  return out;
}

nat_box::nat_box(const nat_config& config, const ip_address& outside, std::uint64_t seed)
    : config_(config), outside_(outside), chance_(seed) {
  config_.block_size = std::clamp<std::size_t>(config_.block_size, 1, port_count - 1);
  block_base_ = first_port + static_cast<std::uint32_t>(chance_.below(port_count - config_.block_size));
  next_port_ = static_cast<std::uint32_t>(chance_.below(port_count));
}

bool nat_box::passes(const endpoint& remote, std::size_t payload) {
  if (config_.drops_udp) return false;
  if (payload >= config_.min_payload || remote.port == stun_port) return true;
  ++counters_.small;
  return false;
}

/// What of a destination tells two mappings apart.
endpoint nat_box::mapping_scope(const endpoint& remote) const {
  switch (config_.mapping) {
    case mapping_behavior::none:
    case mapping_behavior::endpoint_independent: return {};
    case mapping_behavior::address_dependent: return {remote.ip, 0};
    case mapping_behavior::address_and_port_dependent:
    case mapping_behavior::per_session: return remote;
  }
  return remote;
}

endpoint nat_box::filter_scope(const endpoint& remote) const {
  return config_.filtering == filtering_behavior::address_dependent ? endpoint{remote.ip, 0} : remote;
}

// ---- out

std::optional<endpoint> nat_box::outbound(time_point now, const endpoint& inside, const endpoint& remote,
                                          std::size_t payload) {
  if (!passes(remote, payload)) return std::nullopt;
  sweep(now);
  if (config_.mapping == mapping_behavior::none) {
    permit(now, inside, remote);
    return inside;
  }
  auto* found = find_or_map(now, {inside, mapping_scope(remote)}, remote);
  if (found == nullptr) {
    ++counters_.exhausted;
    return std::nullopt;
  }
  found->expires = now + config_.lifetime;
  const endpoint outside{outside_, found->port};
  permit(now, outside, remote);
  return outside;
}

void nat_box::permit(time_point now, const endpoint& local, const endpoint& remote) {
  const bool needed =
      config_.mapping != mapping_behavior::per_session && config_.filtering != filtering_behavior::endpoint_independent;
  if (!needed) return;
  const flow key{local, filter_scope(remote)};
  if (permissions_.size() < max_mappings || permissions_.contains(key)) permissions_[key] = now + config_.lifetime;
}

nat_box::mapping* nat_box::find_or_map(time_point now, const flow& from, const endpoint& remote) {
  if (const auto known = by_inside_.find(from); known != by_inside_.end()) {
    if (known->second->expires > now) return known->second;
    erase(*known->second);
  }
  if (by_outside_.size() >= max_mappings) return nullptr;
  const auto port = allocate(now, from.local.port, remote);
  if (!port) return nullptr;
  ++counters_.mapped;
  auto& made = by_outside_[outside_key(*port, remote)];
  made = {from, outside_key(*port, remote), *port, false, now + config_.lifetime};
  by_inside_[from] = &made;
  return &made;
}

/// The port, and with per_session the destination: only together are they taken.
nat_box::flow nat_box::outside_key(std::uint16_t port, const endpoint& remote) const {
  return {{{}, port}, config_.mapping == mapping_behavior::per_session ? remote : endpoint{}};
}

bool nat_box::is_taken(time_point now, std::uint16_t port, const endpoint& remote) {
  const auto found = by_outside_.find(outside_key(port, remote));
  if (found == by_outside_.end()) return false;
  if (found->second.expires > now) return true;
  erase(found->second);
  return false;
}

std::optional<std::uint16_t> nat_box::allocate(time_point now, std::uint16_t wanted, const endpoint& remote) {
  const auto search = [&](std::uint32_t base, std::uint32_t count,
                          std::uint32_t start) -> std::optional<std::uint16_t> {
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto port = static_cast<std::uint16_t>(base + (start + i) % count);
      if (!is_taken(now, port, remote)) return port;
    }
    return std::nullopt;
  };
  switch (config_.ports) {
    case port_allocation::preserving: return search(first_port, port_count, std::max(wanted, first_port) - first_port);
    case port_allocation::sequential: {
      const auto port = search(first_port, port_count, next_port_);
      if (port) next_port_ = *port - first_port + 1U;
      return port;
    }
    case port_allocation::random:
      return search(first_port, port_count, static_cast<std::uint32_t>(chance_.below(port_count)));
    case port_allocation::block: {
      const auto size = static_cast<std::uint32_t>(config_.block_size);
      return search(block_base_, size, static_cast<std::uint32_t>(chance_.below(size)));
    }
  }
  return std::nullopt;
}

// ---- in

std::optional<endpoint> nat_box::inbound(time_point now, const endpoint& outside, const endpoint& remote,
                                         std::size_t payload) {
  if (!passes(remote, payload)) return std::nullopt;
  if (config_.mapping == mapping_behavior::none) {
    if (lets_in(now, outside, remote)) return outside;
    ++counters_.filtered;
    return std::nullopt;
  }
  const auto found = by_outside_.find(outside_key(outside.port, remote));
  const bool is_mapped = found != by_outside_.end() && found->second.expires > now && !found->second.is_own;
  if (is_mapped && lets_in(now, outside, remote)) return found->second.from.local;
  ++counters_.filtered;
  if (!is_mapped && config_.accepts_unsolicited && config_.mapping == mapping_behavior::per_session)
    accept(now, outside, remote);
  return std::nullopt;
}

bool nat_box::lets_in(time_point now, const endpoint& local, const endpoint& remote) const {
  if (config_.mapping == mapping_behavior::per_session) return true;  // the session says who
  if (config_.filtering == filtering_behavior::endpoint_independent) return true;
  const auto permission = permissions_.find({local, filter_scope(remote)});
  return permission != permissions_.end() && permission->second > now;
}

/// A session of the box itself.
void nat_box::accept(time_point now, const endpoint& outside, const endpoint& remote) {
  const auto key = outside_key(outside.port, remote);
  if (by_outside_.size() >= max_mappings && !by_outside_.contains(key)) return;
  if (const auto old = by_outside_.find(key); old != by_outside_.end() && !old->second.is_own) erase(old->second);
  by_outside_[key] = {{}, key, outside.port, true, now + config_.lifetime};
}

// ---- forgetting

void nat_box::erase(mapping& old) {
  const auto key = old.key;
  if (!old.is_own) by_inside_.erase(old.from);
  by_outside_.erase(key);
}

void nat_box::forget() {
  forgotten_ = true;
  by_inside_.clear();
  by_outside_.clear();
  permissions_.clear();
}

/// Once a lifetime: what is expired then is gone within two.
void nat_box::sweep(time_point now) {
  if (now < next_sweep_) return;
  next_sweep_ = now + config_.lifetime;
  std::erase_if(permissions_, [&](const auto& one) { return one.second <= now; });
  std::erase_if(by_inside_, [&](const auto& one) { return one.second->expires <= now; });
  std::erase_if(by_outside_, [&](const auto& one) { return one.second.expires <= now; });
}

}  // namespace nat::sim
