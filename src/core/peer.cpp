#include "nat/peer.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat {
namespace {

topic_keys keys_of(const peer_config& config) {
  return config.key ? topic_keys::keyed(config.topic, *config.key) : topic_keys::open(config.topic);
}

sender_id new_sender_id(random_source& random) {
  for (;;) {
    if (const auto id = random.next_u64(); id != 0) return id;
  }
}

}  // namespace

peer::peer(peer_config config, random_source& random)
    : config_(std::move(config)),
      random_(random),
      keys_(keys_of(config_)),
      own_tag_(keys_.tag_of(config_.name)),
      self_(new_sender_id(random)),
      sealer_(keys_, self_, config_.cipher),
      challenges_(random),
      stun_(random),
      probe_(random),
      registration_(random),
      view_(config_.name),
      sender_(config_.input, {.rate = config_.rate,
                              .seed_rate = config_.seed_rate,
                              .wait_for = config_.wait_for,
                              .log_bytes = config_.memory,
                              .slow_peer = config_.slow_peer,
                              .drops_slow_peers = config_.drops_slow_peers,
                              .replay_bytes = config_.replay,
                              .live = config_.live}),
      receiver_(config_.output, config_.memory, config_.from),
      ping_pacer_(max_ping_rate, max_ping_burst) {}

void peer::start(time_point now) {
  registration_.start();
  settle(now);
}

// ---- input

bool peer::wants_input() const { return !ending_ && !input_ended_ && reads_input() && sender_.wants_input(); }

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
  if (!sender_.is_caught_up() || input_ended_) settle(now);
}

// ---- the network

void peer::on_datagram(time_point now, unix_millis wall, const endpoint& from, byte_view datagram) {
  const incoming one{from, datagram};
  on_datagrams(now, wall, {&one, 1});
}

void peer::on_datagrams(time_point now, unix_millis wall, std::span<const incoming> datagrams) {
  assert(datagrams.size() <= together);
  std::array<byte_view, together> packets;
  std::ranges::transform(datagrams, packets.begin(), &incoming::datagram);
  opening_.make(keys_, std::span(packets).first(datagrams.size()));
  for (std::size_t i = 0; i < datagrams.size(); ++i) {
    const auto& [from, datagram] = datagrams[i];
    if (probe_.on_datagram(now, from, datagram) || stun_.on_datagram(now, from, datagram)) {
      settle(now);
    } else {
      on_packet({now, wall, from}, datagram, opening_.of(i));
    }
  }
}

void peer::flush(time_point now) {
  ping_sessions(now);
  settle(now);
}

void peer::on_aside(time_point now, const endpoint& from, byte_view datagram) {
  if (probe_.on_datagram(now, from, datagram)) settle(now);
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

void peer::on_interfaces(time_point now, const std::vector<ip_address>& addresses, std::uint16_t port, bool moved) {
  const bool lost_one = std::ranges::any_of(
      interfaces_, [&](const ip_address& ip) { return std::ranges::find(addresses, ip) == addresses.end(); });
  interfaces_ = addresses;
  port_ = port;
  if (moved) {
    registration_.on_network_changed(now);
    if (!config_.advertise) stun_.refresh(now);
  }
  if (moved || lost_one) {
    sessions_.for_each([&](session& who) {
      who.paths().wake(now);
      on_session_changed(now, who);
    });
  }
  tell_addresses(now);
  settle(now);
}

// ---- output

void peer::on_output_written(time_point now, std::size_t bytes) {
  receiver_.on_written(now, bytes, sessions_);
  if (receiver_.drained()) output_is_full_ = false;
  flush(now);
}

void peer::on_output_closed(time_point now, std::string failure) {
  if (!failure.empty()) last_words_ = {1, std::move(failure)};
  leave(now);
}

// ---- time

void peer::on_time(time_point now) {
  stun_.on_time(now);
  probe_.on_time(now);
  registration_.on_time(now);
  auto left = table_.expire(now);
  for (const auto& who : left) {
    note_peer(now, note_kind::peer_left, who.name, who.address);
    if (!is_listed_as_ours(who.name)) remove_session(now, who.name);
  }
  topic_view::changes gone;
  gone.left = view_.expire(now, [&](std::string_view name, bool doubtful) { return is_heard(now, name, doubtful); });
  on_view_changed(now, gone);
  if (!left.empty() || !sender_.gate_is_open()) on_peers_changed(now);
  ping_seeds_in_turn(now);
  ping_sessions(now);
  check_loneliness(now);
  settle(now);
}

deadline peer::next_deadline() {
  if (ending_) return std::nullopt;
  const bool may_end = config_.quit_on_eof && awaits_end_ && !is_ending() && outbox_.empty();
  const auto quit_at = may_end ? deadline{*progress_at_ + *config_.quit_on_eof} : std::nullopt;
  return earliest(stun_.next_deadline(), probe_.next_deadline(), registration_.next_deadline(), table_.next_deadline(),
                  view_.next_deadline(), sender_.next_deadline(), next_ping_, sessions_.next_deadline(), lonely_at_,
                  quit_at, senders_due_, may_end ? heard_out_by_ : std::nullopt);
}

/// A keyed peer that is alone may be so because its key is another than the others'.
void peer::check_loneliness(time_point now) {
  if (!lonely_at_ || now < *lonely_at_) return;
  lonely_at_.reset();
  if (sessions_.empty() && table_.empty()) {
    notes_.push(now, {.kind = note_kind::alone_with_key, .text = config_.key->fingerprint()});
  }
}

// ---- the rooms talk to each other

void peer::on_peers_changed(time_point now) {
  if (!sender_.gate_is_open()) {
    awaited_.clear();
    for (const auto& each : table_.peers()) {
      if (!each.is_ours) awaited_.push_back({each.known_since, each.heard});
    }
    sessions_.for_each([&](const session& who) { awaited_.push_back({who.since(), who.accepts()}); });
    sender_.on_peers_changed(now, awaited_);
  }
  if (table_.empty()) {
    next_ping_.reset();
  } else if (!next_ping_ || *next_ping_ > now + ping_slot()) {
    next_ping_ = now + ping_slot();
  }
  if (sender_.gate_is_open() && !std::exchange(gate_was_open_, true)) {
    const auto heard = std::ranges::count_if(awaited_, &start_gate::awaited::ready);
    notes_.push(now, {.kind = note_kind::input_open,
                      .text = std::to_string(heard) + " of " + std::to_string(awaited_.size()) + " peers heard"});
  }
}

void peer::settle(time_point now) {
  settle_stun(now);
  settle_probe(now);
  settle_registration(now);
  settle_commands(now);
  pump(now);
  check_end(now);
  check_senders(now);
}

void peer::settle_stun(time_point now) {
  while (const auto event = stun_.next_event()) {
    if (const auto* mapped = std::get_if<stun_mapped_address>(&*event)) {
      const bool moved = registration_.address() && registration_.address() != mapped->address;
      notes_.push(now,
                  {.kind = moved ? note_kind::address_changed : note_kind::public_address, .where = mapped->address});
      registration_.on_address(now, mapped->address);
      // What natcoord's port has seen may be another now, too.
      const bool again = moved && registration_.is_v2() && registration_.is_registered();
      if (again) probe_.start(now, coordinator_ip_, stun_ports_);
      tell_addresses(now);
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

void peer::settle_probe(time_point now) {
  while (const auto result = probe_.next_result()) {
    probed_ = *result;
    tell_addresses(now);
  }
  while (const auto request = probe_.next_request()) {
    if (request->aside) {
      aside_ = *request;
      continue;
    }
    const byte_view bytes = request->bytes;
    if (outbox_.has_room(bytes.size(), 1)) outbox_.send(outbox_.append(bytes), request->to);
  }
}

std::optional<nat_probe_request> peer::next_aside() { return std::exchange(aside_, std::nullopt); }

std::array<queue_level, 12> peer::queues() const {
  return {{{"peers", table_.size(), max_roster_peers},
           {"sessions", sessions_.size(), 2 * max_roster_peers},  // of v2, or of a section-1 list
           {"input bytes", sender_.held_input(), input_splitter::max_buffered},
           {"outbox bytes", outbox_.held_bytes(), outbox::max_bytes},
           {"outbox datagrams", outbox_.held_datagrams(), outbox::max_datagrams},
           {"relay bytes", relay_.held_bytes(), relay_queue::max_bytes},
           {"relay pings", relay_.held_pings(), relay_queue::max_pings},
           {"log bytes", sender_.log().held_bytes(), sender_.log().max_bytes()},
           {"unsealed output bytes", receiver_.unsealed_bytes(), receiver::max_unsealed},
           {"notes", notes_.size(), note_queue::max_held},
           {"commands", commands_.size(), max_commands},
           {"messages", messages_.size(), max_messages}}};
}

bool peer::take_stun_lookup() { return std::exchange(stun_lookup_, false); }

void peer::note_peer(time_point now, note_kind kind, const std::string& name, const endpoint& where) {
  notes_.push(now, {.kind = kind, .where = where, .name = name});
}

}  // namespace nat
