// The coordinator: what it says of others, what it is told of us, and what becomes of the connection.
#include "nat/peer.hpp"
#include "nat/roster.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace nat {

using cause = registration_events::retry_later::cause;

void peer::on_coordinator(time_point now, unix_millis wall, const coordinator_event& event) {
  registration_.on_event(now, event);
  if (const auto* reached = std::get_if<coordinator_events::reached>(&event)) coordinator_ip_ = reached->remote.ip;
  if (const auto* joined = std::get_if<coordinator_events::joined>(&event); joined && joined->remote) {
    coordinator_ip_ = joined->remote->ip;
  }
  if (const auto* text = std::get_if<coordinator_events::text>(&event)) {
    registration_.is_v2() ? on_v2_message(now, text->message) : on_list(now, text->message);
  }
  const auto* binary = std::get_if<coordinator_events::binary>(&event);
  if (binary != nullptr && registration_.is_v2()) {
    if (const auto relayed = decode_relay_delivery(binary->message)) {
      if (relays_) on_packet({now, wall, std::nullopt}, relayed->packet);  // else there was none to be
      ping_sessions(now);
    } else {
      ++counters_.malformed;
    }
  }
  settle(now);
}

// ---- section 1's lists

void peer::on_list(time_point now, std::string_view message) {
  const auto list = decode_roster(message);
  if (!list) return reject_list(now, list.error(), message);
  if (list->skipped > 0) notes_.push(now, {.kind = note_kind::entries_skipped, .text = std::to_string(list->skipped)});
  take_seeds(now, *list, std::exchange(list_is_first_, false));
}

/// Takes over who is known by address alone.
void peer::take_seeds(time_point now, const roster& list, bool keep_missing) {
  const auto changes = table_.update(
      now, list, [this](const roster_entry& entry) { return is_no_peer(entry); }, keep_missing);
  for (const auto& who : changes.left) {
    note_peer(now, note_kind::peer_left, who.name, who.address);
    const bool stays = std::ranges::find(table_.peers(), who.name, &known_peer::name) != table_.peers().end();
    if (!stays && !is_listed_as_ours(who.name)) remove_session(now, who.name);
  }
  for (const auto i : changes.appeared) {
    auto& who = table_.peers()[i];
    who.tag = keys_.tag_of(who.name);
    who.budget = pacer(config_.seed_rate);
    note_peer(now, note_kind::peer_appeared, who.name, who.address);
    if (who.heard) note_peer(now, note_kind::peer_heard, who.name, who.address);
    // One of ours that had left, and is listed at an address it had: it stays one of ours.
    auto* before = sessions_.retired_by_tag(who.tag);
    if (before != nullptr && before->paths().find(who.address) != nullptr && sessions_.by_tag(who.tag) == nullptr) {
      sessions_.add(now, who.name, who.tag);
    }
    if (auto* ours = is_listed_as_ours(who.name) ? nullptr : sessions_.by_tag(who.tag)) {
      const path_offer offer{who.address, path_kind::public_address};
      ours->paths().offer(now, {&offer, 1});
      who.is_ours = ours->is_fresh();
      on_session_changed(now, *ours);
    }
    if (who.heard || pings_allowed_.take(now, who.address)) ping(now, who.address);
  }
  on_peers_changed(now);
}

/// Whether v2 lists it as a client that speaks v2.
bool peer::is_listed_as_ours(std::string_view name) const {
  const auto* listed = registration_.is_v2() ? view_.find(name) : nullptr;
  return listed != nullptr && !listed->seed;
}

bool peer::is_no_peer(const roster_entry& entry) const {
  const bool ourselves =
      entry.name == config_.name || entry.address == registration_.address() || entry.address == stun_.mapped_address();
  // A coordinator elsewhere has no say about what runs on this machine.
  return ourselves || (entry.address.ip.is_loopback() && !registration_.over_loopback());
}

// ---- natcoord.v2

void peer::on_v2_message(time_point now, std::string_view message) {
  const auto decoded = decode_server_message(message);
  if (decoded) return std::visit([&](const auto& what) { handle(now, what); }, *decoded);
  if (decoded.error() == errc::unknown_type) return;  // of a later natcoord
  reject_list(now, decoded.error(), message);
}

void peer::reject_list(time_point now, std::error_code why, std::string_view message) {
  constexpr std::size_t shown = 100;  // bytes: enough to tell what it was
  const bool whole = message.size() <= shown;
  notes_.push(now, {.kind = note_kind::list_rejected,
                    .text = why.message() + ": " + std::string(message.substr(0, shown)) + (whole ? "" : " …")});
}

void peer::handle(time_point now, const v2::welcome& message) {
  registration_.on_welcome(message.resume);
  view_.on_welcome(message.id);
  relays_ = message.relay;
  relay_rate_ = message.relay_rate;
  stun_ports_ = message.stun_ports;
  has_told_ = false;
  probed_.token.clear();  // of another connection: the next one is told when it is there
  behavior_by_ = now + introductions;
  if (!config_.advertise) probe_.start(now, coordinator_ip_, stun_ports_);
  tell_addresses(now);
}

void peer::handle(time_point now, const v2::snapshot& message) {
  const auto overflowed = view_.overflowed();
  on_view_changed(now,
                  view_.apply(now, message, [&](auto name, bool doubtful) { return is_heard(now, name, doubtful); }));
  if (view_.overflowed() != overflowed) {
    notes_.push(now, {.kind = note_kind::entries_skipped, .text = std::to_string(view_.overflowed() - overflowed)});
  }
  take_seeds_of_view(now);  // also where nothing has changed: before, the server may have known section 1 alone
  on_peers_changed(now);
}

void peer::handle(time_point now, const v2::delta& message) {
  on_view_changed(now,
                  view_.apply(now, message, [&](auto name, bool doubtful) { return is_heard(now, name, doubtful); }));
}

/// Whether it still works with a peer that the coordinator does not list. If that is `doubtful`, as the peer is said to
/// have left, a direct path has to be above doubt.
bool peer::is_heard(time_point now, std::string_view name, bool doubtful) const {
  if (const auto* who = sessions_.by_name(name)) {
    const auto* by = who->paths().chosen();
    return by != nullptr && !by->is_relay() && (!doubtful || who->paths().works_directly(now));
  }
  if (doubtful) return false;
  const auto seed = std::ranges::find(table_.peers(), name, &known_peer::name);
  return seed != table_.peers().end() && seed->heard && now - seed->last_heard < peer_table::keep_silent;
}

void peer::handle(time_point now, const v2::punch_from& message) {
  const auto* listed = view_.by_id(message.from);
  auto* who = listed == nullptr ? nullptr : sessions_.by_name(listed->name);
  if (who == nullptr) return;
  who->awaits_punch = true;  // it may be said before the reason for waiting is
  who->paths().release(now);
  on_session_changed(now, *who);
}

void peer::on_view_changed(time_point now, const topic_view::changes& changes) {
  if (changes.needs_resync) say(v2::resync{});
  if (changes.empty()) return;
  bool seeds_changed = false;
  for (const auto& who : changes.left) {
    seeds_changed |= who.seed;
    if (who.seed) continue;
    note_peer(now, note_kind::peer_left, who.name, {});
    remove_session(now, who.name);
  }
  for (const auto* some : {&changes.appeared, &changes.changed}) {
    for (const auto& who : *some) {
      const bool was_ours = sessions_.by_name(who.name) != nullptr;
      seeds_changed |= who.seed || !was_ours;
      if (who.seed) {
        const auto* known = sessions_.by_name(who.name);
        if (known != nullptr && known->relay_id != 0) remove_session(now, who.name);  // it has come back without v2
      } else {
        take_session(now, who);
      }
    }
  }
  if (seeds_changed || !table_.empty()) take_seeds_of_view(now);  // one that was a seed peer may be one of ours now
  on_peers_changed(now);
}

void peer::take_session(time_point now, const v2_peer& listed) {
  const bool is_new = sessions_.by_name(listed.name) == nullptr;
  auto& who = sessions_.add(now, listed.name, keys_.tag_of(listed.name));
  if (is_new) note_peer(now, note_kind::peer_appeared, who.name(), {});
  if (who.relay_id != listed.id) {
    who.paths().set_relay(now, false);
    if (listed.id != 0) {
      who.on_listed_anew(now);
    } else {
      who.paths().wake(now);  // it is said to be gone: is it?
    }
  }
  who.relay_id = listed.id;
  who.nat = listed.nat;
  who.paths().set_relay(now, relays_ && listed.id != 0);
  who.paths().offer(now, offers_of(listed));
  introduce(now, who);
  on_session_changed(now, who);
}

/// Peers that know section 1 alone, as v2 lists them.
void peer::take_seeds_of_view(time_point now) {
  roster list;
  std::set<endpoint> taken;  // as in a list: an address counts once, whoever claims it
  view_.for_each([&](const v2_peer& who) {
    if (!who.seed || who.candidates.empty()) return;
    const auto& at = who.candidates.front().address;
    if (taken.insert(at).second) list.peers.push_back({who.name, at, 0});
  });
  take_seeds(now, list, false);
}

std::vector<path_offer> peer::offers_of(const v2_peer& who) const {
  std::vector<path_offer> offers;
  for (const auto& [address, kind, proven] : who.candidates) {
    // A coordinator elsewhere has no say about what runs on this machine.
    if (!address.ip.is_unicast() || address.port == 0) continue;
    if (address.ip.is_loopback() && !registration_.over_loopback()) continue;
    const bool is_host = kind == candidate_kind::host;
    const bool is_global_v6 = address.ip.is_v6() && (address.ip.v6()[0] & 0xfe) != 0xfc;  // RFC 4193: fc00::/7
    const auto as = is_global_v6 ? path_kind::ipv6 : is_host ? path_kind::lan : path_kind::public_address;
    offers.push_back({address, as});
  }
  return offers;
}

/// Whose NAT is moved by a packet that comes unasked is to ping first. So neither pings before both have told.
void peer::introduce(time_point now, session& who) {
  // A path that echoed since it is listed so is its own, and not of a program that had its name before.
  const auto* by = who.paths().chosen();
  if (by != nullptr && !by->is_relay() && by->echoed_at >= who.listed_since()) return who.paths().release(now);
  const bool own_is_known = probed_.behavior || stun_ports_.size() < nat_probe::ports_needed || config_.advertise ||
                            (behavior_by_ && now >= *behavior_by_);
  const auto patient_until = who.listed_since() + introductions;
  if ((!own_is_known || !who.nat) && now < patient_until) return who.paths().hold(patient_until);
  const bool we_shift = probed_.behavior && probed_.behavior->shifts;
  const bool they_shift = who.nat && who.nat->shifts;
  if (they_shift && !we_shift) {
    if (!std::exchange(who.awaits_punch, true)) who.paths().hold(now + introductions);
    return;
  }
  who.paths().release(now);
  if (we_shift && !they_shift && who.relay_id != 0 && !std::exchange(who.was_punched, true)) {
    ping_due(now, who);
    say(v2::punch_to{who.relay_id});  // the program sends it behind the datagrams
  }
}

void peer::tell_addresses(time_point now) {
  if (!registration_.is_v2() || !registration_.is_registered()) return;
  v2::addresses all;
  const auto add = [&](const endpoint& at, candidate_kind kind, const std::string& token) {
    const bool known = std::ranges::find(all.candidates, at, &v2::offered_candidate::address) != all.candidates.end();
    if (!known && all.candidates.size() < max_candidates) all.candidates.push_back({at, kind, token});
  };
  if (config_.advertise) add(*config_.advertise, candidate_kind::reflexive, "");
  if (probed_.mapped) add(*probed_.mapped, candidate_kind::reflexive, probed_.token);
  if (const auto mapped = stun_.mapped_address()) add(*mapped, candidate_kind::reflexive, "");
  for (const auto& ip : interfaces_) add({ip, port_}, candidate_kind::host, "");
  all.nat = probed_.behavior;
  if (!all.nat && (stun_ports_.size() < nat_probe::ports_needed || config_.advertise)) all.nat.emplace();
  const auto same = [](const v2::offered_candidate& a, const v2::offered_candidate& b) {
    return a.address == b.address && a.kind == b.kind && a.token.empty() == b.token.empty();
  };
  const bool is_old = has_told_ && told_.nat == all.nat && std::ranges::equal(told_.candidates, all.candidates, same);
  if (is_old) return;
  const bool nat_is_news = !has_told_ || told_.nat != all.nat;
  told_ = std::move(all);
  has_told_ = true;
  say(told_);
  if (!nat_is_news) return;
  sessions_.for_each([&](session& who) {
    introduce(now, who);
    on_session_changed(now, who);
  });
}

void peer::say(const v2::client_message& message) {
  if (messages_.size() < max_messages) messages_.push_back(encode_client_message(message));
}

/// What hangs on the connection is gone; the peers are not.
void peer::on_disconnected(time_point now) {
  messages_.clear();
  relay_.clear();
  has_told_ = false;
  probe_.stop();
  sessions_.for_each([&](session& who) {
    who.relay_id = 0;  // ids are new with each connection
    who.paths().set_relay(now, false);
    on_session_changed(now, who);
  });
}

// ---- the connection

void peer::settle_registration(time_point now) {
  while (const auto event = registration_.next_event()) {
    std::visit([&](const auto& what) { handle(now, what); }, *event);
  }
  // Who leaves is connected until the close is answered: the relay takes a last word.
  const bool connected = registration_.is_v2() && (registration_.is_registered() || registration_.is_leaving());
  if (std::exchange(was_connected_, connected) && !connected) on_disconnected(now);
}

void peer::handle(time_point now, const registration_events::retry_later& event) {
  const auto kind = [&] {
    switch (event.why) {
      case cause::unreachable: return note_kind::connect_failed;
      case cause::no_address: return note_kind::stun_silent;
      case cause::refused: return note_kind::refused;
      case cause::lost: return note_kind::connection_lost;
    }
    return note_kind::connect_failed;
  }();
  notes_.push(now, {.kind = kind, .text = event.reason, .wait = event.wait});
}

void peer::handle(time_point now, const registration_events::registered&) {
  const auto where = registration_.is_v2() ? endpoint{} : registration_.joined_address().value_or(endpoint{});
  notes_.push(now, {.kind = note_kind::registered, .where = where});
  list_is_first_ = true;
  if (keys_.is_keyed() && !std::exchange(was_lonely_, true)) lonely_at_ = now + lonely_after;
  if (registration_.is_v2()) return;
  for (const auto& gone : view_.clear()) {  // the server knew v2 before, and does not now
    if (gone.seed) continue;
    remove_session(now, gone.name);
    note_peer(now, note_kind::peer_left, gone.name, {});
  }
}

void peer::handle(time_point, const registration_events::rejected& event) { ending_ = ending{1, event.reason}; }

void peer::handle(time_point, const registration_events::left&) { ending_ = last_words_; }

void peer::settle_commands(time_point now) {
  while (const auto command = registration_.next_command()) {
    if (*command == coordinator_command::connect) commands_.clear();  // what was to be done with the one before is void
    if (commands_.size() == max_commands) continue;                   // nobody takes them
    commands_.push_back(*command);
    if (*command != coordinator_command::connect || registration_.is_fallback()) continue;
    // A new connection wants a fresh address: the network may be another one.
    if (config_.advertise) {
      registration_.on_address(now, *config_.advertise);
    } else {
      stun_lookup_ = true;
    }
  }
}

std::optional<coordinator_command> peer::next_command() {
  if (commands_.empty()) return std::nullopt;
  const auto front = commands_.front();
  commands_.pop_front();
  return front;
}

std::optional<std::string> peer::next_message() {
  if (messages_.empty()) return std::nullopt;
  auto front = std::move(messages_.front());
  messages_.pop_front();
  return front;
}

std::optional<relay_queue::frame> peer::next_relayed(time_point now) {
  auto frame = relay_.next();
  if (frame && sender_.waits_for_relay() && !relay_.is_full()) pump(now);
  return frame;
}

join_request peer::registration_request(coordinator_command command) const {
  const bool with_address = command == coordinator_command::join;
  return {keys_.public_topic(), config_.name, with_address ? registration_.address() : std::nullopt};
}

}  // namespace nat
