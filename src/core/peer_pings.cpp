// PINGs: to whom, when, how many.
#include "nat/peer.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace nat {

// A peer that claims longer ones keeps nobody from noticing that the coordinator is gone.
constexpr duration longest_relay_rtt = std::chrono::seconds(1);

/// To an address whose owner is not known to be ours: a seed peer sees noise, one of ours introduces itself in turn.
void peer::ping(time_point now, const endpoint& to) {
  if (!outbox_.has_room(header_size, 1) || !ping_pacer_.ready(now)) return;  // the next one is an interval away
  ping_pacer_.on_sent(now, header_size);
  ping_header header;
  header.number = ++unaddressed_pings_;
  header.challenge = challenges_.of(now, to);
  header.flags = ping_header::wants_answer;
  header.body = ping_header::introduction{own_tag_};
  const auto packet = outbox_.append(header_size);
  sealer_.seal_ping(outbox_.fill(packet), header, random_);
  outbox_.send(packet, to);
}

/// False: there is no room for it now.
bool peer::ping(time_point now, session& who, path& on, bool wants_answer, bool to_newcomer) {
  if (registration_.is_leaving() || !outbox_.has_room(header_size, 1) || !ping_pacer_.ready(now)) return false;
  ping_pacer_.on_sent(now, header_size);
  auto header = who.make_ping(now, challenges_, on, wants_answer, own_tag_, to_newcomer);
  header.number = header.recipient != 0 ? who.next_ping_number() : ++unaddressed_pings_;
  on.bytes_sent += header_size;
  if (on.is_relay()) {
    std::array<std::uint8_t, header_size> bytes;
    sealer_.seal_ping(bytes, header, random_);
    return relay_.push_ping(who.relay_id, bytes);
  }
  const auto packet = outbox_.append(header_size);
  sealer_.seal_ping(outbox_.fill(packet), header, random_);
  outbox_.send(packet, on.at);
  return true;
}

duration peer::ping_slot() const {
  return config_.ping_interval / static_cast<duration::rep>(std::max<std::size_t>(1, table_.size()));
}

/// A PING to who does not answer is futile, mostly: it gets few. One of ours that is known by its address alone, and to
/// which no path works, is pinged as a seed peer is: without a coordinator that tells when, two that ping rarely do not
/// open their NATs at the same time.
bool peer::wants_ping(time_point now, const known_peer& to) {
  if (!to.is_ours && to.may_come_back(now)) return true;
  const auto* who = to.is_ours ? sessions_.by_name(to.name) : nullptr;
  const bool is_taken_care_of = who != nullptr && who->paths().chosen() != nullptr;
  return !is_taken_care_of && pings_allowed_.take(now, to.address);
}

void peer::ping_seeds_in_turn(time_point now) {
  if (!next_ping_) return;
  const auto& peers = table_.peers();
  // After a long sleep of the machine everyone is pinged once, not once for each interval slept through.
  for (std::size_t turns = 0; now >= *next_ping_ && turns < peers.size(); ++turns) {
    const auto& next = peers[ping_turn_++ % peers.size()];
    if (wants_ping(now, next)) ping(now, next.address);
    *next_ping_ += ping_slot();
  }
  if (now >= *next_ping_) next_ping_ = now + ping_slot();
}

void peer::ping_due(time_point now, session& who) {
  while (auto* on = who.paths().next_due(now)) {
    const bool is_proven = on->is_relay() || who.paths().is_valid(now, *on);
    const bool may = is_proven || pings_allowed_.take(now, on->at);
    if (!may || !ping(now, who, *on, true)) who.paths().on_not_pinged(now, *on);
  }
}

/// Looks for the largest datagram that the path in use carries.
void peer::probe_size(time_point now, session& who) {
  auto* by = who.accepts() ? who.paths().to_be_sized(now) : nullptr;
  if (by == nullptr) return;
  for (const auto size : by->mtu.next_probes(now, by->rtt)) {
    send_size(now, who, *by, size, {static_cast<std::uint16_t>(size)}, 0);
  }
}

void peer::send_size(time_point now, session& who, path& on, std::size_t padded, ping_size what, std::uint8_t flags) {
  if (registration_.is_leaving() || !outbox_.has_room(padded, 1) || !ping_pacer_.ready(now)) return;
  ping_pacer_.on_sent(now, padded);
  ping_header header;
  header.recipient = who.id();
  header.number = who.next_ping_number();
  header.flags = flags;
  header.body = what;
  on.bytes_sent += padded;
  const auto packet = outbox_.append(padded);
  sealer_.seal_ping(outbox_.fill(packet), header, random_);
  random_.fill(outbox_.fill(packet).subspan(header_size));
  outbox_.send(packet, on.at, padded > max_datagram ? fragmenting::never : fragmenting::as_usual);
}

void peer::ping_sessions(time_point now) {
  sessions_.reschedule_touched(now);
  std::optional<duration> silent_relay;
  // Each once at most: a deadline that stays must not hold up everything else.
  for (auto turns = sessions_.size(); turns > 0; --turns) {
    auto* who = sessions_.next_due(now);
    if (who == nullptr) break;
    who->paths().choose(now);
    ping_due(now, *who);
    probe_size(now, *who);
    who->inbox().on_time(now);
    if (who->inbox().is_quiet()) receiver_.on_arrival(now, *who);
    acknowledge(now, *who);
    announce(now, *who);
    note_path(now, *who);
    tell_gap(now, *who);
    if (who->paths().relay_is_silent(now))
      silent_relay = std::max(silent_relay.value_or(duration{}), who->paths().relay().rtt);
    sessions_.reschedule(now, *who);
  }
  if (silent_relay) registration_.probe(now, 3 * std::min(*silent_relay, longest_relay_rtt));
}

/// Something was heard of it: it may have another path now, and something to be pinged.
void peer::on_session_changed(time_point now, session& who) {
  who.paths().choose(now);
  ping_due(now, who);
  probe_size(now, who);
  announce(now, who);
  note_path(now, who);
  sessions_.reschedule(now, who);
}

}  // namespace nat
