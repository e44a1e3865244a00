#include "nat/peer.hpp"

#include "nat/roster.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <utility>

namespace nat {

using cause = registration_events::retry_later::cause;

peer::peer(peer_config config, random_source& random)
    : config_(std::move(config)),
      random_(random),
      stun_(random),
      registration_(random),
      sender_(config_.input, config_.rate, config_.wait_for),
      receiver_(config_.output),
      ping_pacer_(max_ping_rate, max_ping_burst) {}

void peer::start(time_point now) {
  registration_.start();
  settle(now);
}

// ---- input

bool peer::wants_input() const { return !ending_ && !input_ended_ && sender_.wants_input(); }

void peer::on_input(time_point now, byte_view chunk) {
  sender_.on_input(chunk);
  settle(now);
}

void peer::on_input_end(time_point now) {
  input_ended_ = true;
  sender_.on_input_end();
  settle(now);
}

void peer::on_sent(time_point now, std::size_t count) {
  outbox_.consume(count);
  settle(now);
}

// ---- the network

void peer::on_datagram(time_point now, unix_millis wall, const endpoint& from, byte_view datagram) {
  if (stun_.on_datagram(now, from, datagram)) return settle(now);
  on_packet(now, wall, from, datagram);
}

void peer::on_packet(time_point now, unix_millis wall, const endpoint& from, byte_view datagram) {
  const auto decoded = decode_packet(datagram);
  if (!decoded) {
    ++counters_.malformed;
    return;
  }
  const bool is_data = decoded->kind == packet_kind::data;
  ++(is_data ? counters_.data_received : counters_.pings_received);

  bool first = false;
  auto* who = table_.on_heard(now, from, first);
  if (who == nullptr) {
    ++(is_data ? counters_.data_unlisted : counters_.pings_unlisted);
    return;
  }
  if (first) {
    note_peer(now, note_kind::peer_heard, *who);
    ping(now, from);  // its NAT may have dropped our PINGs until now
    on_peers_changed(now);
  }
  if (!is_data) return;
  ++who->received;
  const bool fits = receiver_.on_payload({who->name, who->address, wall}, decoded->payload);
  if (!fits) ++counters_.data_overflow;
  if (!fits && !std::exchange(output_is_full_, true)) notes_.push(now, {.kind = note_kind::output_full});
}

void peer::on_stun_servers(time_point now, const std::vector<endpoint>& servers, const std::string& error) {
  if (servers.empty()) {
    notes_.push(now, {.kind = note_kind::stun_silent, .text = error});
    stun_.refresh(now);
  } else {
    stun_.start(now, servers);
  }
  settle(now);
}

// ---- the coordinator

void peer::on_coordinator(time_point now, const coordinator_event& event) {
  registration_.on_event(now, event);
  if (const auto* text = std::get_if<coordinator_events::text>(&event)) on_list(now, text->message);
  settle(now);
}

void peer::on_list(time_point now, std::string_view message) {
  const auto list = decode_roster(message);
  if (!list) return notes_.push(now, {.kind = note_kind::list_rejected, .text = list.error().message()});
  if (list->skipped > 0) notes_.push(now, {.kind = note_kind::entries_skipped, .text = std::to_string(list->skipped)});

  const bool after_reconnect = std::exchange(list_is_first_, false);
  const auto changes = table_.update(
      now, *list, [this](const roster_entry& entry) { return is_no_peer(entry); }, after_reconnect);
  for (const auto& who : changes.left) note_peer(now, note_kind::peer_left, who);
  for (const auto i : changes.appeared) {
    const auto& who = table_.peers()[i];
    note_peer(now, note_kind::peer_appeared, who);
    if (who.heard) note_peer(now, note_kind::peer_heard, who);
    ping(now, who.address);
  }
  on_peers_changed(now);
}

bool peer::is_no_peer(const roster_entry& entry) const {
  const bool ourselves =
      entry.name == config_.name || entry.address == registration_.address() || entry.address == stun_.mapped_address();
  // A coordinator elsewhere has no say about what runs on this machine.
  return ourselves || (entry.address.ip.is_loopback() && !registration_.over_loopback());
}

join_request peer::registration_request() const {
  return {config_.topic, config_.name, registration_.address().value_or(endpoint{})};
}

void peer::leave(time_point now) {
  registration_.leave(now);
  settle(now);
}

// ---- output

void peer::on_output_written(time_point now, std::size_t bytes) {
  receiver_.on_written(bytes);
  if (receiver_.drained()) output_is_full_ = false;
  settle(now);
}

void peer::on_output_closed(time_point now, std::string failure) {
  failure_ = std::move(failure);
  leave(now);
}

// ---- time

void peer::on_time(time_point now) {
  stun_.on_time(now);
  registration_.on_time(now);
  const auto left = table_.expire(now);
  for (const auto& who : left) note_peer(now, note_kind::peer_left, who);
  if (!left.empty() || !sender_.gate_is_open()) on_peers_changed(now);
  ping_in_turn(now);
  if (quit_at_ && now >= *quit_at_) {
    quit_at_.reset();
    registration_.leave(now);
  }
  settle(now);
}

deadline peer::next_deadline() {
  if (ending_) return std::nullopt;
  // Without room, `on_sent` is what the sender waits for.
  const bool room = outbox_.has_room(max_datagram, table_.size());
  return earliest(stun_.next_deadline(), registration_.next_deadline(), table_.next_deadline(),
                  room ? sender_.next_deadline() : std::nullopt, next_ping_, quit_at_);
}

duration peer::ping_slot() const {
  return config_.ping_interval / static_cast<duration::rep>(std::max<std::size_t>(1, table_.size()));
}

void peer::ping_in_turn(time_point now) {
  if (!next_ping_) return;
  const auto& peers = table_.peers();
  // After a long sleep of the machine everyone is pinged once, not once for each interval slept through.
  for (std::size_t sent = 0; now >= *next_ping_ && sent < peers.size(); ++sent) {
    ping(now, peers[ping_turn_++ % peers.size()].address);
    *next_ping_ += ping_slot();
  }
  if (now >= *next_ping_) next_ping_ = now + ping_slot();
}

void peer::ping(time_point now, const endpoint& to) {
  if (!outbox_.has_room(header_size, 1) || !ping_pacer_.ready(now)) return;  // the next one is an interval away
  ping_pacer_.on_sent(now, header_size);
  const auto packet = outbox_.append(header_size);
  encode_header(outbox_.fill(packet), packet_kind::ping, random_);
  outbox_.send(packet, to);
}

// ---- the rooms talk to each other

void peer::on_peers_changed(time_point now) {
  sender_.on_peers_changed(now, table_.peers());
  if (table_.empty()) {
    next_ping_.reset();
  } else if (!next_ping_ || *next_ping_ > now + ping_slot()) {
    next_ping_ = now + ping_slot();
  }
  if (sender_.gate_is_open() && !std::exchange(gate_was_open_, true)) {
    const auto heard = std::ranges::count_if(table_.peers(), &known_peer::heard);
    notes_.push(now, {.kind = note_kind::input_open,
                      .text = std::to_string(heard) + " of " + std::to_string(table_.size()) + " peers heard"});
  }
}

void peer::settle(time_point now) {
  settle_stun(now);
  settle_registration(now);
  settle_commands(now);
  sender_.pump(now, table_.peers(), random_, outbox_);
  const bool all_sent = input_ended_ && sender_.finished() && outbox_.empty();
  if (all_sent && config_.quit_on_eof) {
    quit_at_ = now + *config_.quit_on_eof;
    config_.quit_on_eof.reset();  // once
  }
}

void peer::settle_stun(time_point now) {
  while (const auto event = stun_.next_event()) {
    if (const auto* mapped = std::get_if<stun_mapped_address>(&*event)) {
      const bool moved = registration_.address() && registration_.address() != mapped->address;
      notes_.push(now,
                  {.kind = moved ? note_kind::address_changed : note_kind::public_address, .where = mapped->address});
      registration_.on_address(now, mapped->address);
    } else {
      notes_.push(now, {.kind = note_kind::stun_silent});
    }
  }
  // The same address again is news too: a new connection waits for a fresh one.
  if (stun_.answered_at() && stun_.answered_at() != std::exchange(stun_answered_at_, stun_.answered_at())) {
    registration_.on_address(now, *stun_.mapped_address());
  }
  while (const auto request = stun_.next_request()) {
    const byte_view bytes = request->bytes;
    if (outbox_.has_room(bytes.size(), 1)) outbox_.send(outbox_.append(bytes), request->to);
  }
}

void peer::settle_registration(time_point now) {
  while (const auto event = registration_.next_event()) {
    std::visit([&](const auto& what) { handle(now, what); }, *event);
  }
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
  notes_.push(now, {.kind = note_kind::registered, .where = registration_.joined_address().value_or(endpoint{})});
  list_is_first_ = true;
}

void peer::handle(time_point, const registration_events::rejected& event) { ending_ = ending{1, event.reason}; }

void peer::handle(time_point, const registration_events::left&) {
  ending_ = ending{failure_.empty() ? 0 : 1, failure_};
}

void peer::settle_commands(time_point now) {
  while (const auto command = registration_.next_command()) {
    commands_.push_back(*command);
    if (*command != coordinator_command::connect) continue;
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

std::array<queue_level, 7> peer::queues() const {
  return {{{"peers", table_.size(), max_roster_peers},
           {"input bytes", sender_.held_input(), input_splitter::max_buffered},
           {"outbox bytes", outbox_.held_bytes(), outbox::max_bytes},
           {"outbox datagrams", outbox_.held_datagrams(), outbox::max_datagrams},
           {"output bytes", receiver_.unwritten(), receiver::max_unwritten},
           {"notes", notes_.size(), note_queue::max_held},
           {"commands", commands_.size(), max_commands}}};
}

bool peer::take_stun_lookup() { return std::exchange(stun_lookup_, false); }

void peer::note_peer(time_point now, note_kind kind, const known_peer& who) {
  notes_.push(now, {.kind = kind, .where = who.address, .name = who.name});
}

}  // namespace nat
