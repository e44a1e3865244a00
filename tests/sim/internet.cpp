#include "internet.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat::sim {

namespace {

ip_address v4(std::uint32_t n) {
  return ip_address(ip_address::v4_bytes{static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
                                         static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)});
}

/// What a NAT takes for the size of a datagram's payload: none of them drops ICMP for being small.
std::size_t payload_of(const datagram& what) { return what.is_refusal ? max_datagram : what.bytes.size(); }

bool is_firewalled(const network& where) {
  return where.outer() != nullptr && where.box()->config().mapping == mapping_behavior::none;
}

}  // namespace

/// A new address in this network. A firewall translates nothing: what is behind it has addresses of the network outside
/// it, which leads to them.
ip_address internet::new_address(network& in) {
  if (!is_firewalled(in)) return v4(in.next_address_++);
  const auto address = new_address(*in.outer_);
  in.outer_->nodes_[address] = {nullptr, &in};
  return address;
}

/// Nothing leads to this address any more.
void internet::release(network& in, const ip_address& address) {
  in.nodes_.erase(address);
  if (is_firewalled(in)) release(*in.outer_, address);
}

network& internet::add_network(network& outer, const nat_config& config, const link_config& line) {
  auto& inner = *networks_.emplace_back(std::make_unique<network>());
  inner.outer_ = &outer;
  const auto outside = new_address(outer);
  inner.box_ = std::make_unique<nat_box>(config, outside, seeds_.next());
  inner.line_ = std::make_unique<sim::line>(line, seeds_);
  inner.way_out_.push_back(&inner.box_->config());
  inner.way_out_.insert(inner.way_out_.end(), outer.way_out_.begin(), outer.way_out_.end());
  inner.next_address_ = outer.outer_ == nullptr ? first_shared : first_private;
  outer.nodes_[outside] = {nullptr, &inner};
  return inner;
}

host& internet::add_host(network& where, const link_config& line) {
  auto& machine = *hosts_.emplace_back(std::make_unique<host>(where, new_address(where), line, seeds_));
  where.nodes_[machine.ip_] = {&machine, nullptr};
  return machine;
}

void internet::move(host& machine, network& to) {
  release(*machine.where_, machine.ip_);
  ++machine.moves_;
  machine.where_ = &to;
  machine.ip_ = new_address(to);
  to.nodes_[machine.ip_] = {&machine, nullptr};
}

endpoint internet::bind(host& machine, receiver_of_datagrams& reader, std::uint16_t port) {
  // Linux's ephemeral range, and no port twice as long as there are others: theory knows of no two hosts behind one NAT
  // that want the same.
  constexpr std::uint64_t first = 32'768, count = 28'232;
  for (int tries = 0; port == 0 || machine.sockets_.contains(port); ++tries) {
    port = static_cast<std::uint16_t>(first + seeds_.below(count));
    if (!ports_.insert(port).second && tries < 100) port = 0;
  }
  machine.sockets_[port] = &reader;
  return {machine.ip_, port};
}

void internet::unbind(host& machine, std::uint16_t port) { machine.sockets_.erase(port); }

// ---- the way of a datagram

void internet::send(host& machine, std::uint16_t from, const endpoint& to, byte_view bytes) {
  send_forged(machine, {machine.ip_, from}, to, bytes);
}

void internet::send_forged(host& machine, const endpoint& source, const endpoint& to, byte_view bytes) {
  ++counters_.sent;
  counters_.bytes += bytes.size() + header_bytes;
  if (machine.blocks_datagrams_) {
    ++counters_.lost;
    return;
  }
  datagram what{source, to, {bytes.begin(), bytes.end()}};
  carry(machine.line_.up, std::move(what),
        [this, where = machine.where_](datagram arrived) { route(*where, std::move(arrived)); });
}

/// Takes a datagram over one end of a line; `then` gets each copy that arrives.
template <typename Then>
void internet::carry(link& over, datagram what, Then then) {
  if (over.is_perfect()) return then(std::move(what));
  const auto copies = over.carry(time_.now(), what.bytes.size() + header_bytes);
  if (copies.count == 0) ++counters_.lost;
  for (std::size_t i = 0; i < copies.count; ++i) {
    auto copy = i + 1 < copies.count ? what : std::move(what);
    time_.at(copies.at[i], [then, copy = std::move(copy)]() mutable { then(std::move(copy)); });
  }
}

void internet::route(network& in, datagram what) {
  const auto found = in.nodes_.find(what.to.ip);
  if (found == in.nodes_.end()) {
    if (in.outer_ != nullptr) return leave(in, std::move(what));
    ++counters_.unreachable;
    return;
  }
  auto& [machine, inner] = found->second;
  if (inner != nullptr) {
    return carry(inner->line_->down, std::move(what),
                 [this, inner](datagram arrived) { enter(*inner, std::move(arrived)); });
  }
  // Even over a perfect line: nobody receives while somebody is sending.
  if (machine->line_.down.is_perfect()) {
    return time_.at(time_.now(), [this, machine, what = std::move(what)] { arrive(*machine, what); });
  }
  carry(machine->line_.down, std::move(what), [this, machine](const datagram& arrived) { arrive(*machine, arrived); });
}

void internet::leave(network& from, datagram what) {
  const auto outside = from.box_->outbound(time_.now(), what.from, what.to, payload_of(what));
  if (!outside) return dropped_by(*from.box_, what);
  what.from = *outside;
  const bool to_itself = what.to.ip == from.box_->outside();
  if (to_itself) return turn_round(from, std::move(what));
  carry(from.line_->up, std::move(what),
        [this, outer = from.outer_](datagram arrived) { route(*outer, std::move(arrived)); });
}

/// From inside to the outside address of the box itself: hairpinning (RFC 4787, 6).
void internet::turn_round(network& in, datagram what) {
  if (in.box_->config().hairpin) return enter(in, std::move(what));
  dropped_by(*in.box_, what);
}

void internet::dropped_by(const nat_box& box, const datagram& what) {
  ++counters_.dropped_by_nat;
  if (!log_.is_on()) return;
  log_.write(time_.elapsed(), box.outside().to_string(), "drops", what.from.to_string(), "->", what.to.to_string());
}

void internet::enter(network& to, datagram what) {
  const auto inside = to.box_->inbound(time_.now(), what.to, what.from, payload_of(what));
  if (!inside) return dropped_by(*to.box_, what);
  what.to = *inside;
  if (to.nodes_.contains(what.to.ip)) return route(to, std::move(what));
  ++counters_.unreachable;  // who had the mapping has moved away
}

void internet::arrive(host& at, const datagram& what) {
  if (at.blocks_datagrams_) {
    ++counters_.lost;
    return;
  }
  if (at.watcher_ != nullptr) at.watcher_->on_arrival(what);
  const auto socket = at.sockets_.find(what.to.port);
  if (socket == at.sockets_.end() || what.to.ip != at.ip_) {
    ++counters_.unreachable;
    return refuse(at, what);
  }
  if (what.is_refusal) return socket->second->on_unreachable(what.from);
  ++counters_.delivered;
  socket->second->on_datagram(what.from, what.bytes);
}

void internet::refuse(host& at, const datagram& what) {
  if (!at.refuses_ || what.is_refusal || what.to.ip != at.ip_) return;
  carry(at.line_.up, {what.to, what.from, {}, true},
        [this, where = at.where_](datagram arrived) { route(*where, std::move(arrived)); });
}

internet::way internet::way_out(const host& machine) const {
  way out{.works = true, .seen_as = machine.ip_};
  double arrives = 1;
  const auto pass = [&](const sim::line& over) {
    out.works = out.works && over.up.is_up();
    out.delay += over.up.config().delay;
    out.jitter += over.up.config().jitter;
    arrives *= 1 - over.up.config().loss;
    out.duplicates = out.duplicates || over.up.config().duplicate > 0;
  };
  pass(machine.line_);
  for (const auto* at = machine.where_; at->outer_ != nullptr; at = at->outer_) {
    pass(*at->line_);
    if (at->box_->config().mapping != mapping_behavior::none) out.seen_as = at->box_->outside();
  }
  out.loss = 1 - arrives;
  return out;
}

}  // namespace nat::sim
