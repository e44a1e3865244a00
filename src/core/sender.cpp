#include "nat/sender.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <utility>

namespace nat {

void start_gate::update(time_point now, std::span<const awaited> peers) {
  if (open_) return;
  wake_.reset();
  if (peers.size() < wait_for_) {
    counted_at_.reset();
    return;
  }
  if (!counted_at_) counted_at_ = now;
  for (const auto& peer : peers) {
    const auto patient_until = peer.known_since + patience;
    const bool waited_for = peer.known_since <= *counted_at_ && !peer.ready && now < patient_until;
    if (waited_for) wake_ = earliest(wake_, patient_until);
  }
  open_ = !wake_;
}

void sender::pump(time_point now, const surroundings& to) {
  held_up_until_.reset();
  // Asked after every event: without input it costs nothing, however many peers there are.
  if (!gate_.is_open() || splitter_.front().empty() || !pacer_.ready(now)) return;
  for (;;) {
    choose_recipients(now, to);
    if (directs_.empty() && relayed_.empty()) return discard(now);
    reaches_nobody_ = false;
    burst_.clear();
    while (burst_.size() < max_burst && may_send(now)) {
      const auto payload = splitter_.front();
      const auto size = header_size + payload.size();
      if (payload.empty() || !to.out.has_room(size, (burst_.size() + 1) * directs_.size())) break;
      if (!relayed_.empty() && to.relay.holds_up(now)) {
        held_up_until_ = to.relay.next_deadline();
        break;
      }
      const auto packet = to.out.append(size);
      const auto bytes = to.out.fill(packet);
      std::ranges::copy(payload, bytes.subspan(header_size).begin());
      to.sealer.seal_data(bytes, ++packets_, offset_, 0, to.random);
      if (!relayed_.empty()) to.relay.push(now, relayed_, bytes);
      offset_ += payload.size();
      splitter_.pop();
      on_sent(now, size);
      burst_.push_back(packet);
    }
    address_burst(now, to);
    if (to.out.empty()) to.out.consume(0);  // what only the relay takes, or nobody
    if (burst_.size() < max_burst) return;
  }
}

/// Each of them may have one packet at least, so that no packet in the outbox is nobody's.
void sender::choose_recipients(time_point now, const surroundings& to) {
  directs_.clear();
  relayed_.clear();
  for (auto& seed : to.seeds) {
    if (seed.is_ours || seed.unreachable || !to.seeds_too) continue;
    if (seed.has_consent(now) || to.unproven.has(now, seed.address, max_datagram)) {
      directs_.push_back({seed.address, &seed, nullptr});
    }
  }
  only_seeds_ = !directs_.empty();
  to.ours.for_each([&](session& who) {
    if (!who.accepts()) return;
    who.paths().on_data(now);
    to.ours.reschedule(now, who);
    const auto way = who.paths().route(now);
    if (way.direct != nullptr) directs_.push_back({way.direct->at, nullptr, who.paths().find(way.direct->at)});
    if (way.relay) relayed_.push_back(who.relay_id);
    only_seeds_ &= way.direct == nullptr && !way.relay;
  });
}

void sender::address_burst(time_point now, const surroundings& to) {
  for (auto& [at, seed, via] : directs_) {
    const bool proven = seed == nullptr || seed->has_consent(now);
    for (const auto packet : burst_) {
      if (seed != nullptr && !seed->budget.ready(now)) break;  // it cannot say that it is too much
      if (!proven && !to.unproven.take(now, at, packet.size)) break;
      if (seed != nullptr) seed->budget.on_sent(now, packet.size);
      (seed != nullptr ? seed->bytes_sent : via->bytes_sent) += packet.size;
      to.out.send(packet, at);
    }
  }
}

void sender::on_sent(time_point now, std::size_t bytes) {
  pacer_.on_sent(now, bytes);
  if (only_seeds_) seed_pacer_.on_sent(now, bytes);
}

/// What is said while nobody is there reaches nobody, at the pace at which it would have left.
void sender::discard(time_point now) {
  if (!std::exchange(reaches_nobody_, true)) loss_is_news_ = true;
  while (pacer_.ready(now) && !splitter_.front().empty()) {
    pacer_.on_sent(now, header_size + splitter_.front().size());
    splitter_.pop();
  }
}

deadline sender::next_deadline() {
  if (!gate_.is_open()) return gate_.next_deadline();
  if (splitter_.front().empty()) return std::nullopt;
  if (held_up_until_) return held_up_until_;
  return only_seeds_ ? std::max(pacer_.next_time(), seed_pacer_.next_time()) : pacer_.next_time();
}

}  // namespace nat
