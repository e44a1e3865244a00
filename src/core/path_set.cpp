#include "nat/path_set.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat {
namespace {

constexpr std::size_t relay_index = 0;

duration handicap(path_kind kind) {
  switch (kind) {
    case path_kind::lan: return duration{};
    case path_kind::ipv6:
    case path_kind::public_address: return path_set::public_handicap;
    case path_kind::reflexive:
    case path_kind::relay: return path_set::reflexive_handicap;
  }
  return duration{};
}

duration score(const path& of) { return of.rtt + handicap(of.kind); }

/// RFC 6298, 2.3.
duration smoothed(duration before, duration sample) {
  return before == duration{} ? sample : (before * 7 + sample) / 8;
}

}  // namespace

std::string_view to_string(path_kind kind) {
  switch (kind) {
    case path_kind::lan: return "lan";
    case path_kind::ipv6: return "ipv6";
    case path_kind::public_address: return "public";
    case path_kind::reflexive: return "reflexive";
    case path_kind::relay: return "relay";
  }
  return "";
}

path_set::path_set() { paths_.emplace_back().keepalive = first_keepalive; }

// ---- what paths there are

void path_set::begin(time_point now, path& of) {
  of.probes = 0;
  of.next_probe = now;
  of.keepalive = first_keepalive;
  if (of.keepalive_ceiling == duration{}) of.keepalive_ceiling = longest_keepalive;
}

void path_set::offer(time_point now, std::span<const path_offer> offers) {
  for (auto& each : paths_) each.offered = false;
  for (const auto& [at, kind] : offers.first(std::min(offers.size(), max_offered))) {
    auto* known = find(at);
    if (known == nullptr) {
      known = &paths_.emplace_back();
      known->at = at;
      begin(now, *known);
    }
    known->kind = kind;
    known->offered = true;
  }
  drop_unoffered(now);
}

/// Of paths that are no longer offered those stay that work, but for too many: then the one that echoed longest ago
/// goes.
void path_set::drop_unoffered(time_point now) {
  std::optional<std::size_t> oldest;
  std::size_t kept = 0;
  for (auto i = paths_.size(); i-- > 1;) {
    if (paths_[i].offered || paths_[i].kind == path_kind::reflexive) continue;
    if (!is_valid(now, paths_[i])) {
      remove(i);
      if (oldest) --*oldest;
      continue;
    }
    ++kept;
    if (chosen_ != i && (!oldest || paths_[i].echoed_at < paths_[*oldest].echoed_at)) oldest = i;
  }
  if (kept <= max_offered || !oldest) return;
  remove(*oldest);
  drop_unoffered(now);
}

void path_set::set_relay(time_point now, bool works) {
  if (relay_works_ == works) return;
  relay_works_ = works;
  auto& of = relay();
  of.echoed_at.reset();
  of.asked_at.reset();
  of.next_probe.reset();
  if (works) begin(now, of);
}

path* path_set::find(const endpoint& at) {
  const auto found = std::ranges::find_if(paths_, [&](const path& each) { return !each.is_relay() && each.at == at; });
  return found == paths_.end() ? nullptr : &*found;
}

path* path_set::learn(time_point now, const endpoint& from) {
  if (auto* known = find(from)) return known;
  if (!learned_.ready(now, learning)) return nullptr;
  const auto is_learned = [](const path& each) { return each.kind == path_kind::reflexive && !each.offered; };
  if (std::ranges::count_if(paths_, is_learned) == static_cast<std::ptrdiff_t>(max_learned)) {
    std::optional<std::size_t> oldest;
    for (std::size_t i = 1; i < paths_.size(); ++i) {
      if (!is_learned(paths_[i]) || is_valid(now, paths_[i])) continue;
      if (!oldest || paths_[i].heard_at < paths_[*oldest].heard_at) oldest = i;
    }
    if (!oldest) return nullptr;
    remove(*oldest);
  }
  learned_.take(now, learning);
  auto& added = paths_.emplace_back();
  added.kind = path_kind::reflexive;
  added.at = from;
  begin(now, added);
  return &added;
}

void path_set::remove(std::size_t index) {
  assert(index != relay_index);
  if (chosen_ && *chosen_ == index) chosen_.reset();
  if (chosen_ && *chosen_ > index) --*chosen_;
  forgotten_sent_ += paths_[index].bytes_sent;
  forgotten_received_ += paths_[index].bytes_received;
  paths_.erase(paths_.begin() + static_cast<std::ptrdiff_t>(index));
}

// ---- what is heard

void path_set::on_heard(time_point now, path& by) {
  by.heard_at = now;
  // Our PINGs were stopped on their way until now, or theirs; whichever it was, the next few will pass.
  if (!is_valid(now, by) && by.probes > dense_probes) begin(now, by);
}

void path_set::on_echo(time_point now, path& by, duration round_trip) {
  if (!is_valid(now, by)) {
    by.valid_since = now;
    by.probes = 0;
    // It may take the place of the one in use, which perhaps is not there any more.
    if (chosen_ && &paths_[*chosen_] != &by && !by.is_relay()) paths_[*chosen_].next_probe = now;
  }
  const bool was_idle = by.echoed_at && by.asked_at && *by.asked_at - *by.echoed_at >= by.keepalive;
  if (was_idle) by.keepalive = std::min(by.keepalive * 3 / 2, by.keepalive_ceiling);
  if (by.asked_at) by.loss -= by.loss * loss_weight;
  by.refused = false;
  by.echoed_at = now;
  by.asked_at.reset();
  if (round_trip > duration{}) by.rtt = smoothed(by.rtt, round_trip);
  schedule(now, by);
}

void path_set::on_unreachable(time_point now, path& at) {
  if (!is_valid(now, at)) return;
  at.refused = true;
  if (!at.asked_at) at.next_probe = now;
}

/// How much passes is a matter of the address, whatever the port.
bool path_set::on_too_large(time_point now, const ip_address& to, std::size_t mtu) {
  bool leads_there = false;
  for (auto& each : paths_) {
    if (each.is_relay() || each.at.ip != to) continue;
    each.mtu.on_too_large(now, mtu);
    leads_there = true;
  }
  return leads_there;
}

void path_set::forget_proofs(time_point now) {
  chosen_.reset();
  for (auto& each : paths_) {
    each.echoed_at.reset();
    each.asked_at.reset();
    each.rtt = duration{};
    each.loss = 0;
    each.refused = false;
    each.mtu = {};
    if (!each.is_relay() || relay_works_) begin(now, each);
  }
}

void path_set::on_data(time_point now) {
  active_until_ = now + active_for;
  auto* by = chosen_ ? &paths_[*chosen_] : relay_works_ ? &relay() : nullptr;
  if (by == nullptr || by->asked_at || !by->echoed_at) return;
  by->next_probe = std::max(now, *by->echoed_at + interval(now, *by));
}

// ---- when to ask

void path_set::hold(time_point until) { held_until_ = until; }

void path_set::release(time_point now) {
  if (!held_until_) return;
  held_until_.reset();
  wake(now);
}

void path_set::wake(time_point now) {
  for (auto& each : paths_) {
    if (each.is_relay() && !relay_works_) continue;
    if (is_valid(now, each)) {
      each.next_probe = now;
    } else {
      begin(now, each);
    }
  }
}

bool path_set::is_held(time_point now, const path& of) const {
  const bool opens_a_nat = of.kind == path_kind::public_address || of.kind == path_kind::ipv6;
  return held_until_ && now < *held_until_ && opens_a_nat && !of.heard_at;
}

duration path_set::interval(time_point now, const path& of) const {
  if (is_valid(now, of)) {
    const bool in_use = chosen_ ? &of == &paths_[*chosen_] : of.is_relay();
    if (of.asked_at || (is_active(now) && in_use)) return of.is_relay() ? active_relay_interval : active_interval;
    return of.keepalive;
  }
  // `probes` counts the one that has just left.
  const auto doubled = [&](duration first, int since) {
    return std::min<duration>(first * (1 << std::clamp(of.probes - since - 1, 0, 7)), longest_interval);
  };
  if (of.is_relay()) return doubled(relay_interval, 0);
  if (of.probes <= dense_probes) return dense_interval;
  if (of.probes <= eager_probes) return eager_interval;
  return doubled(std::chrono::seconds(1), eager_probes);
}

path* path_set::next_due(time_point now) {
  for (auto& each : paths_) {
    if (!each.next_probe || now < *each.next_probe) continue;
    if (is_held(now, each)) {
      each.next_probe = held_until_;
      continue;
    }
    on_pinged(now, each);
    return &each;
  }
  return nullptr;
}

void path_set::on_pinged(time_point now, path& by) {
  ++by.probes;
  if (is_valid(now, by) && in_doubt(now, by)) by.loss += (1 - by.loss) * loss_weight;
  if (!by.asked_at) by.asked_at = now;
  schedule(now, by);
}

void path_set::on_not_pinged(time_point now, path& by) {
  if (by.asked_at == now) by.asked_at.reset();
}

/// A relay that works and is not in use costs nothing.
void path_set::schedule(time_point now, path& of) {
  of.next_probe = now + interval(now, of);
  if (of.is_relay() && of.echoed_at && !of.asked_at && chosen_) of.next_probe.reset();
}

// ---- which one carries

/// The relay leads nowhere but to the peer, and needs no consent.
bool path_set::is_valid(time_point now, const path& of) const {
  return of.echoed_at && (of.is_relay() || now - *of.echoed_at < consent);
}

bool path_set::in_doubt(time_point now, const path& of) const {
  return of.refused || (of.asked_at && now - *of.asked_at > doubt_after + 3 * of.rtt);
}

duration path_set::patience(const path& of) { return of.is_relay() ? relay_lost_after + 3 * of.rtt : lost_after; }

void path_set::lose(time_point now, path& of) {
  // It fell silent while it was kept by rare PINGs: they were too rare.
  const bool was_idle = !is_active(now) && of.keepalive > first_keepalive;
  if (was_idle) of.keepalive_ceiling = std::max(first_keepalive, of.keepalive / 2);
  of.echoed_at.reset();
  of.asked_at.reset();
  of.rtt = duration{};
  of.loss = 0;
  of.refused = false;
  of.mtu = {};
  begin(now, of);
}

/// The best of those that are not in doubt. While one is in use that is not either, only what is better by enough.
std::optional<std::size_t> path_set::best(time_point now) const {
  const auto* in_use = chosen_ && !in_doubt(now, paths_[*chosen_]) ? &paths_[*chosen_] : nullptr;
  const auto may_replace = [&](const path& other) {
    if (in_use == nullptr) return true;
    const bool is_preferred = handicap(other.kind) < handicap(in_use->kind);
    const auto margin = is_preferred ? hysteresis : hysteresis + in_use->rtt / 8;
    return score(other) + margin < score(*in_use);
  };
  std::optional<std::size_t> found;
  for (std::size_t i = 1; i < paths_.size(); ++i) {
    if (!is_valid(now, paths_[i]) || in_doubt(now, paths_[i]) || !may_replace(paths_[i])) continue;
    if (!found || score(paths_[i]) < score(paths_[*found])) found = i;
  }
  return found;
}

void path_set::choose(time_point now) {
  choose_direct(now);
  note_choice(now);
}

void path_set::note_choice(time_point now) {
  const auto* by = chosen();
  const bool relay = by != nullptr && by->is_relay();
  const auto direct = by != nullptr && !relay ? std::optional(by->at) : std::nullopt;
  if (relay == used_relay_ && direct == used_) {
    // It was learned before it was offered: now it is known what it is.
    if (!direct || std::exchange(used_kind_, by->kind) == by->kind) return;
    choice_.since = now;
    ++choice_.number;
    return;
  }
  const auto* before = used_ ? find(*used_) : nullptr;
  const bool before_works = before != nullptr && is_valid(now, *before) && !in_doubt(now, *before);
  choice_.since = now;
  ++choice_.number;
  if (direct) {
    choice_.why = !used_         ? choice_reason::direct_answered
                  : before_works ? choice_reason::better
                                 : choice_reason::other_silent;
  } else if (relay) {
    choice_.why = used_ ? choice_reason::direct_silent : choice_reason::relay_answered;
  } else {
    choice_.why = choice_reason::nothing_left;
  }
  used_relay_ = relay;
  used_ = direct;
  used_kind_ = by == nullptr ? path_kind::relay : by->kind;
}

void path_set::choose_direct(time_point now) {
  for (auto i = paths_.size(); i-- > 0;) {
    auto& each = paths_[i];
    const bool silent = each.echoed_at && each.asked_at && now - *each.asked_at >= patience(each);
    if (silent || (each.echoed_at && !is_valid(now, each))) lose(now, each);
    const bool hopeless = !each.echoed_at && !each.offered && !each.is_relay() && each.probes > eager_probes;
    if (hopeless) remove(i);
  }
  const bool had_one = chosen_.has_value();
  if (chosen_ && !is_valid(now, paths_[*chosen_])) chosen_.reset();
  if (const auto better = best(now)) {
    chosen_ = better;
  } else if (had_one && !chosen_ && relay_works_) {  // one in doubt is better than none
    relay().next_probe = now;
  }
}

deadline path_set::next_deadline() const {
  deadline next;
  for (const auto& each : paths_) {
    next = earliest(next, each.next_probe);
    if (each.echoed_at && each.asked_at) next = earliest(next, *each.asked_at + patience(each));
    if (each.echoed_at && !each.is_relay()) next = earliest(next, *each.echoed_at + consent);
  }
  if (chosen_) next = earliest(next, paths_[*chosen_].mtu.next_deadline());
  return next;
}

route path_set::route(time_point now) const {
  const bool relay = relay_works_ && is_valid(now, paths_[relay_index]);
  if (!chosen_) return {nullptr, relay};
  const auto& direct = paths_[*chosen_];
  const bool fresh = direct.echoed_at && now - *direct.echoed_at <= fresh_for + 2 * direct.rtt;
  return {&direct, relay && (!fresh || in_doubt(now, direct))};
}

const path* path_set::chosen() const {
  if (chosen_) return &paths_[*chosen_];
  return relay_works_ && paths_[relay_index].echoed_at ? &paths_[relay_index] : nullptr;
}

path* path_set::to_be_sized(time_point now) {
  if (!chosen_) return nullptr;
  auto& direct = paths_[*chosen_];
  direct.mtu.start(now, direct.at.ip.is_v4());
  return &direct;
}

bool path_set::works_directly(time_point now) const {
  return chosen_ && is_valid(now, paths_[*chosen_]) && !in_doubt(now, paths_[*chosen_]);
}

bool path_set::relay_is_silent(time_point now) const {
  return paths_[relay_index].echoed_at && in_doubt(now, paths_[relay_index]);
}

bool path_set::is_trying(time_point now) const {
  return std::ranges::any_of(paths_, [&](const path& each) {
    return !each.is_relay() && (is_held(now, each) || each.probes <= eager_probes);
  });
}

std::uint64_t path_set::bytes_sent() const {
  auto sum = forgotten_sent_;
  for (const auto& each : paths_) sum += each.bytes_sent;
  return sum;
}

std::uint64_t path_set::bytes_received() const {
  auto sum = forgotten_received_;
  for (const auto& each : paths_) sum += each.bytes_received;
  return sum;
}

}  // namespace nat
