#include "victim.hpp"

#include "nat/wire.hpp"

namespace nat::sim {

std::uint64_t victim_bound::after(duration time, duration more) const {
  auto allowed = burst;
  for (const auto each : {refill, more}) {
    if (each > duration::zero()) allowed += static_cast<std::uint64_t>(time / each) + 1;
  }
  return allowed;
}

void victim::on_arrival(const datagram& what) {
  const auto known = names_.find(what.from.ip);
  if (known == names_.end() || what.is_refusal) return;
  auto& who = senders_[known->second];
  auto& at_port = who.by_port[what.to.port];
  const auto now = around_.time.now();
  count(who.all, now, what.bytes);
  count(at_port, now, what.bytes);
  judge(known->second, who, at_port, what.to);
}

void victim::count(tally& in, time_point now, byte_view bytes) {
  if (in.bytes == 0) in.first = now;
  in.bytes += bytes.size();
  const auto packet = decode_packet(bytes);
  if (!packet) {
    ++in.other;
  } else if (packet->kind == packet_kind::ping) {
    ++in.pings;
  } else {
    ++in.data;
    in.data_bytes += bytes.size();
    in.last_data = now;
  }
}

void victim::judge(const std::string& name, const sender& who, const tally& at_port, const endpoint& to) {
  const auto now = around_.time.now();
  const auto too_much = [&](const std::string& where, const char* what, std::uint64_t got, std::uint64_t allowed) {
    if (got <= allowed || !told_.insert(name + what).second) return;  // once is enough
    around_.check.fail(
        name, "has sent " + std::to_string(got) + what + where + ", a victim: allowed are " + std::to_string(allowed));
  };
  const auto ports = static_cast<duration::rep>(who.by_port.size());
  auto pings = allowed_.pings.after(now - at_port.first, allowed_.answers);
  auto pings_to_host = allowed_.pings_to_host.after(now - who.all.first, allowed_.answers);
  auto data = allowed_.data, data_to_host = allowed_.data;
  if (allowed_.seed_rate > 0) {
    const auto for_one = [&](duration time) { return static_cast<std::uint64_t>(time / allowed_.seed_pings) + 1; };
    pings += for_one(now - at_port.first);
    pings_to_host += for_one((now - who.all.first) * ports);
    const auto bytes = [&](duration time) {
      return allowed_.seed_rate / 8 * static_cast<std::uint64_t>(time / std::chrono::milliseconds(1)) / 1000;
    };
    data += bytes(now - at_port.first);
    data_to_host += bytes((now - who.all.first) * ports);
  }
  const auto host = to.ip.to_string();
  too_much(to.to_string(), " PINGs to ", at_port.pings, pings);
  too_much(host, " PINGs to ", who.all.pings, pings_to_host);
  too_much(to.to_string(), " bytes of DATA to ", at_port.data_bytes, data);
  too_much(host, " bytes of DATA to ", who.all.data_bytes, data_to_host);
  too_much(host, " packets that are neither PINGs nor DATA to ", who.all.other, 0);
}

victim::tally victim::from(const std::string& name) const {
  const auto found = senders_.find(name);
  return found == senders_.end() ? tally{} : found->second.all;
}

std::size_t victim::ports(const std::string& name) const {
  const auto found = senders_.find(name);
  return found == senders_.end() ? 0 : found->second.by_port.size();
}

victim::tally victim::in_all() const {
  tally sum;
  for (const auto& [name, who] : senders_) {
    sum.pings += who.all.pings;
    sum.data += who.all.data;
    sum.data_bytes += who.all.data_bytes;
    sum.other += who.all.other;
    sum.bytes += who.all.bytes;
    if (sum.last_data < who.all.last_data) sum.last_data = who.all.last_data;
  }
  return sum;
}

}  // namespace nat::sim
