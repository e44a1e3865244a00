#include "nat/sender.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <utility>

namespace nat {

sender::sender(input_mode mode, const limits& bounds)
    : gate_(bounds.wait_for),
      splitter_(mode, std::min(max_record, bounds.log_bytes / 8 * record_eighths)),
      log_(bounds.log_bytes + bounds.replay_bytes, bounds.replay_bytes),
      rate_(bounds.rate),
      slow_peer_(bounds.slow_peer),
      drops_slow_peers_(bounds.drops_slow_peers),
      replay_(bounds.replay_bytes),
      live_(bounds.live),
      seed_pacer_(bounds.rate == 0 ? bounds.seed_rate : std::min(bounds.rate, bounds.seed_rate)) {}

void sender::start_stream(time_point now, session& who, random_source& random) {
  const auto number = log_.entry(log_.last());
  who.start_stream(number, log_.offset_of(number), random.next_u64(), log_.is_inside(number));
  who.outgoing()->on_progress(now);
  needed_ = std::min(needed_, number);
}

/// Asked after every event: where nothing is to be sent it costs nothing, however many peers there are.
bool sender::is_idle() {
  if (!gate_.is_open()) return true;
  return !is_awaited() && new_payload() == 0 && (end_is_sealed_ || !splitter_.finished());
}

bool sender::is_log_full() { return !splitter_.front(max_payload_).bytes.empty() && new_payload() == 0; }

/// Of the packet that comes next; 0: there is none, or no room for it.
std::size_t sender::new_payload() {
  const auto size = splitter_.front(max_payload_).bytes.size();
  return log_.has_room(header_size + size) ? size : 0;
}

void sender::pump(time_point now, const surroundings& to) {
  wake_.reset();
  waits_for_relay_ = false;
  is_caught_up_ = is_idle();
  if (is_caught_up_) return;
  const auto first_new = log_.end();
  if (live_ != duration{}) drop_late(now, to);
  trim(now, to);
  if (live_ == duration{} && leave_behind(now, to)) trim(now, to);
  choose_recipients(now, to);
  if (!has_ours_ && !has_seeds_) {
    const auto until = live_ == duration{} ? return_by(now, to) : std::nullopt;
    wake_ = earliest(wake_, until);
    return until ? void() : discard(to);
  }
  reaches_nobody_ = false;
  if (live_ != duration{}) seal_at_once(now, to);
  do {
    send(now, first_new, to);
  } while (splitter_.finished() && !end_is_sealed_ && make_packet(to));
  look_ahead(to);
}

void sender::send(time_point now, std::uint64_t first_new, const surroundings& to) {
  for (bool moved = true; moved;) {
    moved = false;
    for (const auto& each : directs_) moved |= send_burst(now, each, to);
  }
  send_relayed(now, to);
  if (!has_takers_ || seeds_lead_) make_without_takers(now, to);
  send_to_seeds(now, first_new, to);
}

// ---- who

void sender::choose_recipients(time_point now, const surroundings& to) {
  directs_.clear();
  relayed_.clear();
  has_ours_ = has_takers_ = false;
  is_untold_ = false;
  has_seeds_ = to.seeds_too && std::ranges::any_of(to.seeds, [&](const known_peer& seed) {
                 if (seed.is_ours || seed.unreachable) return false;
                 return seed.has_consent(now) || to.unproven.has(now, seed.address, max_datagram);
               });
  splitter_.end_at_newlines(has_seeds_);
  auto carried = has_seeds_ ? max_datagram : largest_datagram;
  to.ours.for_each([&](session& who) {
    auto* outgoing = who.outgoing();
    if (outgoing == nullptr) return;
    has_ours_ = true;
    if (outgoing->floor() < log_.begin()) {  // it was away for longer than we keep what it lacks
      skip(now, who, log_.entry(log_.begin()), to.random);
      outgoing = who.outgoing();
    }
    has_takers_ = has_takers_ || !stands_still(who);
    // While the direct path is in doubt the relay carries: what it lost is sent again there.
    const auto way = who.paths().route(now);
    const bool by_relay = way.relay;
    if (way.direct == nullptr && !by_relay) {
      carried = max_datagram;  // whatever leads there next carries that
      return outgoing->on_no_path();
    }
    auto* via = by_relay ? &who.paths().relay() : who.paths().find(way.direct->at);
    const auto bound = by_relay && to.relay_rate != 0 && (rate_ == 0 || to.relay_rate < rate_) ? to.relay_rate : rate_;
    outgoing->on_path(now, {by_relay ? endpoint{} : via->at, via->rtt, bound / 8});
    outgoing->on_time(now);
    if (outgoing->take_black_hole() && !by_relay) via->mtu.on_black_hole(now);
    carried = std::min(carried, way.direct == nullptr ? max_datagram : way.direct->mtu.size());
    const bool is_told = !outgoing->wants_to_tell(now) || to.tell(who) || outgoing->is_known_there();
    is_untold_ = is_untold_ || !is_told;
    if (is_told) (by_relay ? relayed_ : directs_).push_back({&who, outgoing, via->at, via});
  });
  seeds_lead_ = has_seeds_ && (!has_takers_ || drops_slow_peers_);
  max_payload_ = (has_ours_ ? carried : max_datagram) - header_size;
}

// ---- what

bool sender::make_packet(const surroundings& to) {
  const auto piece = splitter_.front(max_payload_);
  const bool ends = piece.bytes.empty() && splitter_.finished() && !end_is_sealed_;
  if ((piece.bytes.empty() && !ends) || !log_.has_room(header_size + piece.bytes.size())) return false;
  std::uint8_t flags = 0;
  if (piece.continues) flags |= data_header::continues;
  if (piece.open_ended) flags |= data_header::open_ended;
  if (ends) flags |= data_header::ends;
  const auto number = log_.end();
  const auto offset = log_.end_offset();
  const auto bytes = log_.append(header_size, piece.bytes.size(), piece.continues);
  std::ranges::copy(piece.bytes, bytes.subspan(header_size).begin());
  to.sealer.seal_data(bytes, number, offset, flags, to.random);
  if (ends) {
    end_is_sealed_ = true;
  } else {
    splitter_.pop();
  }
  return true;
}

bool sender::send_burst(time_point now, const recipient& one, const surroundings& to) {
  std::size_t sent = 0;
  for (; sent < max_burst && takes_more(to.out); ++sent) {
    auto number = one.to->next(now, log_);
    if (!number) {
      const auto payload = new_payload();
      if (payload == 0 || !one.to->wants_new(now, log_, payload) || !make_packet(to)) break;
      number = log_.end() - 1;
    }
    const auto packet = log_.packet(*number);
    const bool is_too_large = packet.size() > one.via->mtu.size();
    // Pieces of IP are dropped in many places, and a relay that is not in use may be dead: each in turn.
    if (is_too_large && one.who->paths().has_relay() && one.to->resent() % 2 == 0) {
      if (to.relay.is_full()) {
        waits_for_relay_ = true;
        break;
      }
      relay_ids_.assign(1, one.who->relay_id);
      to.relay.push(relay_ids_, packet);
      one.who->paths().relay().bytes_sent += packet.size();
    } else {
      to.out.send(packet, one.at, is_too_large ? fragmenting::allowed : fragmenting::as_usual);
      one.via->bytes_sent += packet.size();
    }
    one.to->on_sent(now, *number, log_);
  }
  if (sent == 0) return false;
  one.who->paths().on_data(now);
  to.ours.reschedule(now, *one.who);
  return true;
}

/// A packet that several of them want leaves once for all.
void sender::send_relayed(time_point now, const surroundings& to) {
  while (!relayed_.empty()) {
    std::uint64_t lowest = 0;
    for (const auto& each : relayed_) {
      auto number = each.to->next(now, log_);
      const auto payload = number ? 0 : new_payload();
      if (payload != 0 && each.to->wants_new(now, log_, payload) && make_packet(to)) number = log_.end() - 1;
      if (number && (lowest == 0 || *number < lowest)) lowest = *number;
    }
    if (lowest == 0) return;
    if (to.relay.is_full()) {
      waits_for_relay_ = true;
      return;
    }
    const auto packet = log_.packet(lowest);
    relay_ids_.clear();
    for (const auto& each : relayed_) {
      if (each.to->next(now, log_) != lowest) continue;
      relay_ids_.push_back(each.who->relay_id);
      each.to->on_sent(now, lowest, log_);
      each.via->bytes_sent += packet.size();
      each.who->paths().on_data(now);
      to.ours.reschedule(now, *each.who);
    }
    to.relay.push(relay_ids_, packet);
  }
}

// ---- seed peers

void sender::make_for_seeds(time_point now, const surroundings& to) {
  while (seed_pacer_.ready(now) && takes_more(to.out)) {
    const auto payload = new_payload();
    if (payload == 0 || !make_packet(to)) return;
    seed_pacer_.on_sent(now, header_size + payload);
  }
}

/// Nobody of ours is waited for: stdin goes on, at the pace of seed peers if there are some. Who takes something again
/// gets what the log still has.
void sender::make_without_takers(time_point now, const surroundings& to) {
  const auto until = has_seeds_ || live_ != duration{} ? std::nullopt : return_by(now, to);
  wake_ = earliest(wake_, until);
  if (until) return;
  for (bool again = true; again;) {
    if (seeds_lead_) {
      make_for_seeds(now, to);
    } else {
      while (new_payload() != 0 && make_packet(to)) {
      }
    }
    again = live_ == duration{} && is_log_full() && leave_behind(now, to);
    if (again) trim(now, to);
    again = again && !is_log_full();
  }
}

/// Each gets every packet once, at its own pace. `first`: the first that is new.
void sender::send_to_seeds(time_point now, std::uint64_t first, const surroundings& to) {
  is_behind_for_seeds_ = seeds_lead_ && new_payload() != 0;  // not even made yet
  for (auto& seed : to.seeds) {
    if (seed.next_data == 0) seed.next_data = first;
    seed.next_data = std::max(seed.next_data, log_.begin());
    while (is_too_far_behind(seed)) ++seed.next_data;  // it cannot say that it is too much
    send_to_seed(now, seed, to);
    if (seed.next_data == log_.end()) continue;
    is_behind_for_seeds_ = true;
    if (takes_more(to.out)) wake_ = earliest(wake_, seed.budget.next_time());
  }
}

bool sender::is_too_far_behind(const known_peer& seed) const {
  if (seed.next_data == log_.end()) return false;
  const auto packets = log_.end() - seed.next_data;
  const auto payloads = log_.end_offset() - log_.at(seed.next_data).offset;
  return payloads + packets * (header_size + sizeof(send_log::record)) >
         std::min(max_seed_backlog, log_.max_bytes() / 4);
}

void sender::send_to_seed(time_point now, known_peer& seed, const surroundings& to) {
  const bool may_have_it = !seed.is_ours && !seed.unreachable && to.seeds_too;
  const bool proven = seed.has_consent(now);
  for (; seed.next_data < log_.end(); ++seed.next_data) {
    const auto packet = log_.packet(seed.next_data);
    // The stream's end is for ours alone, and so is what was made before this one was there.
    if (!may_have_it || packet.size() == header_size || packet.size() > max_datagram) continue;
    if (!seed.budget.ready(now) || !takes_more(to.out)) return;
    if (!proven && !to.unproven.take(now, seed.address, packet.size())) continue;
    seed.budget.on_sent(now, packet.size());
    seed.bytes_sent += packet.size();
    to.out.send(packet, seed.address);
  }
}

// ---- afterwards

void sender::look_ahead(const surroundings& to) {
  const auto payload = new_payload();
  const bool is_blocked = !takes_more(to.out);
  is_caught_up_ =
      !is_blocked && is_trimmed_ && !is_untold_ && !is_behind_for_seeds_ && splitter_.front(max_payload_).bytes.empty();
  const auto look_at = [&](const recipient& each, bool is_held_up) {
    const bool waits = each.to->waits(log_, payload);
    is_caught_up_ = is_caught_up_ && !waits;
    if (!waits) each.to->on_nothing_to_send();
    wake_ = earliest(wake_, each.to->next_deadline(log_, payload, is_held_up));
  };
  for (const auto& each : directs_) look_at(each, is_blocked);
  for (const auto& each : relayed_) look_at(each, waits_for_relay_);
  if (seeds_lead_ && payload != 0 && !is_blocked) wake_ = earliest(wake_, seed_pacer_.next_time());
}

/// What everybody has is forgotten, once nothing on its way to the kernel refers to it.
void sender::trim(time_point now, const surroundings& to) {
  is_trimmed_ = to.out.empty();
  if (!is_trimmed_) return;
  auto needed = log_.end();
  const auto look_at = [&](const session& who) {
    const auto* outgoing = who.outgoing();
    if (outgoing != nullptr) needed = std::min(needed, outgoing->floor());
  };
  to.ours.for_each(look_at);
  for (const auto& seed : to.seeds) {
    if (seed.next_data != 0) needed = std::min(needed, seed.next_data);
  }
  to.ours.for_each_retired([&](const session& who) {
    if (!who.said_goodbye && now - *who.retired_at < keeps_for_return) look_at(who);
  });
  needed_ = std::max(needed, log_.begin());
  log_.trim(needed_);
}

// ---- --live

/// What is older than it may be is not sent any more, whoever lacks it.
void sender::drop_late(time_point now, const surroundings& to) {
  const auto before = late_below_;
  for (; !ages_.empty() && now >= ages_.front().at + live_; ages_.pop_front()) {
    late_below_ = ages_.size() > 1 ? ages_[1].from : log_.end();
  }
  // More comes than is kept for so long.
  const bool is_overrun = !splitter_.front(max_payload_).bytes.empty() && new_payload() == 0;
  if (is_overrun) late_below_ = std::max(late_below_, log_.begin() + (log_.end() - log_.begin() + 1) / 2);
  if (!ages_.empty()) wake_ = earliest(wake_, ages_.front().at + live_);
  if (late_below_ == before && !is_overrun) return;
  // The end is no data, and never late.
  const auto end = end_is_sealed_ ? log_.end() - 1 : log_.end();
  auto number = log_.entry(std::min(late_below_, end));
  // Records stay whole, but one that fills the log would keep it full.
  if (is_overrun && number <= log_.begin()) number = end;
  const auto skip_late = [&](session& who) {
    auto* outgoing = who.outgoing();
    if (outgoing == nullptr || outgoing->floor() >= number) return;
    outgoing->skip_to(number, log_.offset_of(number), log_.is_inside(number));
  };
  to.ours.for_each(skip_late);
  to.ours.for_each_retired(skip_late);
  for (auto& seed : to.seeds) {
    if (seed.next_data != 0) seed.next_data = std::max(seed.next_data, number);
  }
}

/// Nothing waits before it is sealed: it gets older there.
void sender::seal_at_once(time_point now, const surroundings& to) {
  const auto from = log_.end();
  while (new_payload() != 0 && make_packet(to)) {
  }
  if (log_.end() == from) return;
  const bool is_another = ages_.empty() || now - ages_.back().at >= live_ / live_steps;
  if (is_another) ages_.push_back({now, from});
  wake_ = earliest(wake_, ages_.front().at + live_);
}

}  // namespace nat
