// Packets from and to other peers: who sent one, whether it counts, and what is answered.
#include "nat/peer.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace nat {

// ---- in

void peer::on_packet(const arrival& how, byte_view datagram) {
  wall_known_at_ = how.now;
  wall_ = how.wall;
  const auto decoded = decode_packet(datagram);
  if (!decoded) {
    ++counters_.malformed;
    return;
  }
  const auto header = open_header(keys_, datagram);
  if (!header) {
    if (header.error() == errc::not_sealed) return on_unsealed(how, *decoded);
    if (header.error() == errc::other_topic) {  // no seed peer: nothing that it sends opens a way for our DATA
      ++counters_.other_topic;
      return;
    }
    if (header.error() != errc::unknown_version && header.error() != errc::unknown_type) ++counters_.forged;
    const bool is_news = header.error() == errc::unknown_version && !std::exchange(said_later_version_, true);
    if (is_news) notes_.push(how.now, {.kind = note_kind::later_version, .where = how.from.value_or(endpoint{})});
    return;
  }
  if (const auto* ping = std::get_if<ping_header>(&*header)) return on_sealed_ping(how, *ping);
  on_sealed_data(how, std::get<data_header>(*header), datagram);
}

void peer::on_unreachable(time_point now, const endpoint& at) {
  table_.on_unreachable(at);
  sessions_.for_each([&](session& who) {
    auto* by = who.paths().find(at);
    if (by == nullptr) return;
    who.paths().on_unreachable(now, *by);
    on_session_changed(now, who);
  });
  settle(now);
}

/// A packet of the seed protocol: an address is all that tells who sent it.
void peer::on_unsealed(const arrival& how, const packet& decoded) {
  const bool is_data = decoded.kind == packet_kind::data;
  ++(is_data ? counters_.data_received : counters_.pings_received);
  if (keys_.is_keyed() || !how.from) {
    ++counters_.unsealed;
    return;
  }
  bool first = false;
  auto* who = table_.on_heard(how.now, *how.from, first);
  if (who == nullptr) {
    ++(is_data ? counters_.data_unlisted : counters_.pings_unlisted);
    return;
  }
  if (who->is_ours) {  // a spoofed source or a flipped bit: no way back to the seed protocol
    ++counters_.unsealed;
    return;
  }
  if (first) {
    note_peer(how.now, note_kind::peer_heard, who->name, who->address);
    pings_allowed_.forget(how.now, *how.from);
    ping(how.now, *how.from);  // its NAT may have dropped our PINGs until now
    on_peers_changed(how.now);
  }
  who->bytes_received += header_size + decoded.payload.size();
  if (!is_data) return;
  ++who->received;
  write_out(how.now, {who->name, who->address, how.wall}, decoded.payload);
}

void peer::write_out(time_point now, const output_source& source, byte_view payload) {
  const bool fits = receiver_.on_payload(source, payload);
  if (fits) return;
  ++counters_.data_overflow;
  if (!std::exchange(output_is_full_, true)) notes_.push(now, {.kind = note_kind::output_full});
}

unix_millis peer::wall_at(time_point when) const {
  return wall_ + std::chrono::duration_cast<std::chrono::milliseconds>(when - wall_known_at_).count();
}

/// Who sent it: by the id that it has proved, else by the name that it shows.
session* peer::session_of(const arrival& how, const ping_header& ping) {
  if (auto* known = sessions_.by_sender(ping.sender)) return known;
  const auto* intro = std::get_if<ping_header::introduction>(&ping.body);
  if (intro == nullptr) return nullptr;
  if (auto* listed = sessions_.by_tag(intro->name)) return listed;
  const auto seed = std::ranges::find(table_.peers(), intro->name, &known_peer::tag);
  if (seed == table_.peers().end()) return nullptr;
  // A section-1 registration does not tell that the peer is one of ours.
  auto& who = sessions_.add(seed->known_since, seed->name, seed->tag);
  const path_offer offer{seed->address, path_kind::public_address};
  who.paths().offer(how.now, {&offer, 1});
  sessions_.reschedule(how.now, who);
  return &who;
}

void peer::on_sealed_ping(const arrival& how, const ping_header& ping) {
  ++counters_.pings_received;
  if (registration_.is_leaving()) return;
  if (ping.sender == self_ || (ping.recipient != 0 && ping.recipient != self_)) {
    ++counters_.misdirected;
    return;
  }
  auto* who = session_of(how, ping);
  if (who == nullptr) {
    ++counters_.pings_unlisted;
    return;
  }
  if (!who->take_number(ping)) {
    ++counters_.replayed;
    return;
  }
  auto* by = how.from ? who->paths().learn(how.now, *how.from) : &who->paths().relay();
  if (by == nullptr) return;  // more addresses than a peer has
  const auto news = who->on_ping(how.now, challenges_, *by, ping, self_);
  if (news.began_to_accept) who->set_first_data(sender_.next_number());
  if (by->echoed_at == how.now && how.from) pings_allowed_.forget(how.now, *how.from);
  if (news.wants_answer || news.became_fresh || news.began_to_accept) {  // before DATA it is told which is the first
    const bool is_proven = by->is_relay() || who->paths().is_valid(how.now, *by);
    const bool wants_answer = !is_proven || !who->accepts();
    if (wants_answer) who->paths().on_pinged(how.now, *by);
    const bool may = who->take_answer(how.now) && (is_proven || pings_allowed_.take_answer(how.now, by->at));
    const bool sent = may && this->ping(how.now, *who, *by, wants_answer);
    if (wants_answer && !sent) who->paths().on_not_pinged(how.now, *by);
  }
  if (news.became_fresh) {
    sessions_.on_fresh(*who);
    for (auto& listed : table_.peers()) listed.is_ours |= listed.tag == who->tag();
  }
  if ((news.became_fresh || news.began_to_accept) && who->accepts()) {  // what is said from now on reaches it
    note_peer(how.now, note_kind::peer_heard, who->name(), how.from.value_or(endpoint{}));
  }
  on_session_changed(how.now, *who);
  if (news.became_fresh || news.began_to_accept) on_peers_changed(how.now);
}

void peer::remove_session(time_point now, std::string_view name) {
  if (auto* who = sessions_.by_name(name)) {
    while (const auto payload = who->last_payload()) write_out(now, {who->name(), {}, wall_at(now)}, *payload);
  }
  sessions_.remove(now, name);
}

void peer::on_sealed_data(const arrival& how, const data_header& header, byte_view datagram) {
  ++counters_.data_received;
  auto* who = sessions_.by_sender(header.sender);
  const bool has_left = who == nullptr;
  if (has_left) who = sessions_.retired_by_sender(how.now, header.sender);
  if (who == nullptr) {
    ++counters_.data_unexpected;
    return;
  }
  const auto verdict = who->on_data(how.now, keys_, header, datagram, payload_);
  switch (verdict) {
    case data_verdict::unexpected: ++counters_.data_unexpected; return;
    case data_verdict::duplicate: ++counters_.data_duplicate; return;
    case data_verdict::late: ++counters_.data_late; return;
    case data_verdict::forged: ++counters_.forged; return;
    case data_verdict::held:
    case data_verdict::next: break;
  }
  auto* by = how.from ? who->paths().find(*how.from) : &who->paths().relay();
  if (by != nullptr) by->bytes_received += datagram.size();
  if (by != nullptr) by->heard_at = how.now;
  who->paths().on_data(how.now);
  ++who->payloads;
  if (verdict == data_verdict::next) {
    write_out(how.now, {who->name(), how.from.value_or(endpoint{}), how.wall}, payload_);
  }
  if (has_left) {
    while (const auto payload = who->last_payload()) write_out(how.now, {who->name(), {}, wall_at(how.now)}, *payload);
    return;
  }
  release_held(how.now, *who);
  sessions_.reschedule(how.now, *who);
}

void peer::release_held(time_point now, session& who) {
  const auto* by = who.paths().chosen();
  const auto where = by == nullptr || by->is_relay() ? endpoint{} : by->at;
  while (const auto payload = who.next_payload(now)) write_out(now, {who.name(), where, wall_at(now)}, *payload);
}

// ---- out

/// To an address whose owner is not known to be ours: a seed peer sees noise, one of ours introduces itself in turn.
void peer::ping(time_point now, const endpoint& to) {
  if (!outbox_.has_room(header_size, 1) || !ping_pacer_.ready(now)) return;  // the next one is an interval away
  ping_pacer_.on_sent(now, header_size);
  ping_header header;
  header.number = ++unaddressed_pings_;
  header.challenge = challenges_.of(now, to);
  header.flags = ping_header::wants_answer;
  header.body = ping_header::introduction{own_tag_, 0};
  const auto packet = outbox_.append(header_size);
  sealer_.seal_ping(outbox_.fill(packet), header, random_);
  outbox_.send(packet, to);
}

/// False: there is no room for it now.
bool peer::ping(time_point now, session& who, path& on, bool wants_answer) {
  if (registration_.is_leaving() || !outbox_.has_room(header_size, 1) || !ping_pacer_.ready(now)) return false;
  ping_pacer_.on_sent(now, header_size);
  auto header = who.make_ping(now, challenges_, on, wants_answer, own_tag_);
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

void peer::ping_sessions(time_point now) {
  std::optional<duration> silent_relay;
  // Each once at most: a deadline that stays must not hold up everything else.
  for (auto turns = sessions_.size(); turns > 0; --turns) {
    auto* who = sessions_.next_due(now);
    if (who == nullptr) break;
    who->paths().choose(now);
    ping_due(now, *who);
    release_held(now, *who);
    note_path(now, *who);
    if (who->paths().relay_is_silent(now))
      silent_relay = std::max(silent_relay.value_or(duration{}), who->paths().relay().rtt);
    sessions_.reschedule(now, *who);
  }
  if (silent_relay) registration_.probe(now, 3 * *silent_relay);
}

/// Something was heard of it: it may have another path now, and something to be pinged.
void peer::on_session_changed(time_point now, session& who) {
  who.paths().choose(now);
  ping_due(now, who);
  note_path(now, who);
  sessions_.reschedule(now, who);
}

}  // namespace nat
