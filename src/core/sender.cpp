#include "nat/sender.hpp"

#include "nat/wire.hpp"

#include <algorithm>

namespace nat {

void start_gate::update(time_point now, const std::vector<known_peer>& peers) {
  if (open_) return;
  wake_.reset();
  if (peers.size() < wait_for_) {
    counted_at_.reset();
    return;
  }
  if (!counted_at_) counted_at_ = now;
  for (const auto& peer : peers) {
    const auto patient_until = peer.known_since + patience;
    const bool waited_for = peer.known_since <= *counted_at_ && !peer.heard && now < patient_until;
    if (waited_for) wake_ = earliest(wake_, patient_until);
  }
  open_ = !wake_;
}

namespace {

bool has_consent(time_point now, const known_peer& peer) {
  return peer.heard && now - peer.last_heard < sender::consent;
}

}  // namespace

void sender::pump(time_point now, std::vector<known_peer>& peers, random_source& random, outbox& out) {
  // Asked after every event: without input it costs nothing, however many peers there are.
  if (!gate_.is_open() || splitter_.front().empty()) return;
  for (;;) {
    choose_recipients(now, peers);
    if (recipients_.empty()) return discard(now);
    burst_.clear();
    while (burst_.size() < max_burst && pacer_.ready(now)) {
      const auto payload = splitter_.front();
      const auto size = header_size + payload.size();
      if (payload.empty() || !out.has_room(size, (burst_.size() + 1) * recipients_.size())) break;
      const auto packet = out.append(size);
      const auto bytes = out.fill(packet);
      encode_header(bytes, packet_kind::data, random);
      std::ranges::copy(payload, bytes.subspan(header_size).begin());
      splitter_.pop();
      pacer_.on_sent(now, size);
      burst_.push_back(packet);
      ++packets_;
    }
    address_burst(now, out);
    if (burst_.size() < max_burst) return;
  }
}

/// Each of them may have one packet at least, so that no packet in the outbox is nobody's.
void sender::choose_recipients(time_point now, std::vector<known_peer>& peers) {
  recipients_.clear();
  for (auto& peer : peers) {
    if (has_consent(now, peer) || peer.unproven + max_datagram <= max_unproven) recipients_.push_back(&peer);
  }
}

void sender::address_burst(time_point now, outbox& out) {
  for (auto* peer : recipients_) {
    const bool proven = has_consent(now, *peer);
    for (const auto packet : burst_) {
      if (!proven && peer->unproven + packet.size > max_unproven) break;
      if (!proven) peer->unproven += packet.size;
      out.send(packet, peer->address);
    }
  }
}

/// What is said while nobody is there reaches nobody, at the pace at which it would have left.
void sender::discard(time_point now) {
  while (pacer_.ready(now) && !splitter_.front().empty()) {
    pacer_.on_sent(now, header_size + splitter_.front().size());
    splitter_.pop();
  }
}

deadline sender::next_deadline() {
  if (!gate_.is_open()) return gate_.next_deadline();
  if (splitter_.front().empty()) return std::nullopt;
  return pacer_.next_time();
}

}  // namespace nat
