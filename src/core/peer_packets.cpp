// Packets from other peers: who sent one, whether it counts, and what is answered.
#include "nat/peer.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace nat {

// ---- in

void peer::on_packet(const arrival& how, byte_view datagram, const header_stream* made) {
  const auto decoded = decode_packet(datagram);
  if (!decoded) {
    ++counters_.malformed;
    return;
  }
  const auto header = open_header(keys_, datagram, made);
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
  if (const auto* ping = std::get_if<ping_header>(&*header)) return on_sealed_ping(how, *ping, datagram.size());
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

void peer::on_too_large(time_point now, const ip_address& to, std::size_t mtu) {
  sessions_.for_each([&](session& who) {
    if (who.paths().on_too_large(now, to, mtu)) sessions_.reschedule(now, who);
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
  who->payload_bytes += decoded.payload.size();
  counters_.payload_bytes += decoded.payload.size();
  write_out(how.now, {who->name, who->address, how.wall}, decoded.payload);
}

void peer::write_out(time_point now, const output_source& source, byte_view payload) {
  const bool fits = receiver_.on_unsealed(source, payload);
  if (fits) return;
  ++counters_.data_overflow;
  if (!std::exchange(output_is_full_, true)) notes_.push(now, {.kind = note_kind::output_full});
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

void peer::on_sealed_ping(const arrival& how, const ping_header& ping, std::size_t size) {
  ++counters_.pings_received;
  if (registration_.is_leaving()) return;
  if (ping.sender == self_ || (ping.recipient != 0 && ping.recipient != self_)) {
    ++counters_.misdirected;
    return;
  }
  auto* who = session_of(how, ping);
  if (who == nullptr) {
    if (!on_last_words(how, ping)) ++counters_.pings_unlisted;
    return;
  }
  if (!who->take_number(ping)) {
    ++counters_.replayed;
    return;
  }
  if (std::holds_alternative<ping_header::acknowledgement>(ping.body)) return on_acknowledgement(how, *who, ping);
  if (std::holds_alternative<ping_header::stream>(ping.body)) return on_stream(how, *who, ping);
  if (std::holds_alternative<ping_header::size>(ping.body)) return on_size(how, *who, ping, size);
  auto* by = how.from ? who->paths().learn(how.now, *how.from) : &who->paths().relay();
  if (by == nullptr) return;  // more addresses than a peer has
  const auto news = who->on_ping(how.now, challenges_, *by, ping, self_);
  if (news.began_to_accept) sender_.start_stream(how.now, *who, random_);
  if (by->echoed_at == how.now && how.from) pings_allowed_.forget(how.now, *how.from);
  if (news.wants_answer || news.became_fresh || news.began_to_accept) {
    const bool is_proven = by->is_relay() || who->paths().is_valid(how.now, *by);
    const bool wants_answer = !is_proven || !who->accepts();
    // What a newcomer is asked is not asked of the one whose path it is.
    const bool counts = wants_answer && !news.is_newcomer;
    if (counts) who->paths().on_pinged(how.now, *by);
    const bool may =
        who->take_answer(how.now, news.is_newcomer) && (is_proven || pings_allowed_.take_answer(how.now, by->at));
    const bool sent = may && this->ping(how.now, *who, *by, wants_answer, news.is_newcomer);
    if (counts && !sent) who->paths().on_not_pinged(how.now, *by);
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

/// Of one that has just left: the coordinator's news of that may overtake what it said before, by the relay above all.
bool peer::on_last_words(const arrival& how, const ping_header& ping) {
  auto* who = sessions_.retired_by_sender(how.now, ping.sender);
  if (who == nullptr || ping.recipient != self_) return false;
  if (!who->take_number(ping)) {
    ++counters_.replayed;
  } else if (std::holds_alternative<ping_header::stream>(ping.body)) {
    take_ending(*who, ping);
  } else if (std::holds_alternative<ping_header::acknowledgement>(ping.body)) {
    on_acknowledgement(how, *who, ping);
  }
  return true;
}

/// A probe that came whole, or the answer to one of ours: it is about the path that it came by.
void peer::on_size(const arrival& how, session& who, const ping_header& ping, std::size_t size) {
  auto* by = how.from ? who.paths().find(*how.from) : nullptr;
  if (by == nullptr || !who.paths().is_valid(how.now, *by) || ping.sender != who.id() || ping.recipient != self_)
    return;
  const auto bytes = std::get<ping_header::size>(ping.body).bytes;
  if ((ping.flags & ping_size::answers) != 0) {
    by->mtu.on_answer(how.now, bytes);
    sessions_.reschedule(how.now, who);
  } else if (bytes == size && who.take_answer(how.now)) {
    send_size(how.now, who, *by, header_size, {bytes}, ping_size::answers);
  }
}

void peer::remove_session(time_point now, std::string_view name) { sessions_.remove(now, name); }

void peer::on_sealed_data(const arrival& how, const data_header& header, byte_view datagram) {
  ++counters_.data_received;
  auto* who = sessions_.by_sender(header.sender);
  const bool has_left = who == nullptr;
  if (has_left) who = sessions_.retired_by_sender(how.now, header.sender);
  if (who == nullptr) {
    ++counters_.data_unexpected;
    return;
  }
  switch (who->on_data(how.now, how.wall, keys_, header, datagram, scratch_)) {
    case data_verdict::unexpected: ++counters_.data_unexpected; return;
    case data_verdict::duplicate:
      ++counters_.data_duplicate;
      if (!has_left) sessions_.touch(*who);  // who left has no deadlines, and may be forgotten
      return;
    case data_verdict::no_room: ++counters_.data_early; return;
    case data_verdict::forged: ++counters_.forged; return;
    case data_verdict::not_begun: ++counters_.data_early; return ask_for_stream(how.now, *who);
    case data_verdict::taken: break;
  }
  auto* by = how.from ? who->paths().find(*how.from) : &who->paths().relay();
  if (by != nullptr) by->bytes_received += datagram.size();
  if (by != nullptr) by->heard_at = how.now;
  who->paths().on_data(how.now);
  ++who->payloads;
  who->payload_bytes += datagram.size() - header_size;
  counters_.payload_bytes += datagram.size() - header_size;
  receiver_.on_arrival(how.now, *who);
  if (!has_left) sessions_.touch(*who);
}

}  // namespace nat
