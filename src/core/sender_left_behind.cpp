// Of the sender: who is not waited for, and what becomes of what nobody takes.
#include "nat/sender.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <utility>

namespace nat {

/// It was left behind, and has taken nothing since: it is not waited for.
bool sender::stands_still(const session& who) {
  return who.was_left_behind && who.outgoing()->floor() == who.outgoing()->first();
}

/// Who stands still and can be reached has a moment, now and then, to take something before it is skipped again.
bool sender::has_chance(time_point now, session& who) {
  if (!who.outgoing()->has_path()) return false;
  if (!who.chance_since || now >= *who.chance_since + chance_spacing) who.chance_since = now;
  const auto until = *who.chance_since + chance;
  if (now >= until) return false;
  wake_ = earliest(wake_, until);
  return true;
}

/// `is_full`: the log. `others_wait`: for room in it, and who is in the way shall be dropped then.
bool sender::is_waited_for(time_point now, session& who, bool is_full, bool others_wait) {
  const bool is_in_the_way = is_full && who.outgoing()->floor() <= log_.begin();
  if (stands_still(who)) return !is_in_the_way || has_chance(now, who);
  const auto patient_until = who.outgoing()->progress_at() + slow_peer_;
  if (now >= patient_until || (is_in_the_way && others_wait)) return false;
  wake_ = earliest(wake_, patient_until);
  return true;
}

/// Who gets no further for too long, and so keeps others from going on, does not get what it lacks. Whether there was
/// somebody.
bool sender::leave_behind(time_point now, const surroundings& to) {
  const bool is_full = is_log_full();
  bool others_wait = false;
  if (is_full && drops_slow_peers_) {
    to.ours.for_each([&](const session& who) {
      const auto* outgoing = who.outgoing();
      others_wait |= outgoing != nullptr && outgoing->received() == log_.end() && !stands_still(who);
    });
  }
  bool left_some = false;
  to.ours.for_each([&](session& who) {
    auto* outgoing = who.outgoing();
    if (outgoing == nullptr) return;
    if (outgoing->has_all(log_)) return outgoing->on_progress(now);
    if (is_waited_for(now, who, is_full, others_wait)) return;
    // Records stay whole, but one that fills the log would keep it full.
    const auto start = log_.entry(log_.end());
    skip(now, who, start > std::max(log_.begin(), outgoing->floor()) ? start : log_.end(), to.random);
    left_some = true;
  });
  return left_some;
}

/// Its stream goes on there, with a gap.
void sender::skip(time_point now, session& who, std::uint64_t number, random_source& random) {
  const bool has_moved = who.outgoing()->floor() != who.outgoing()->first();
  who.start_stream(number, log_.offset_of(number), random.next_u64(), log_.is_inside(number));
  who.outgoing()->on_progress(now);
  if (!who.was_left_behind || has_moved) left_behind_.push_back(&who);
  who.was_left_behind = true;
}

const session* sender::take_left_behind() {
  if (left_behind_.empty()) return nullptr;
  const auto* who = left_behind_.back();
  left_behind_.pop_back();
  return who;
}

/// Until when somebody who left without a word may come back for what the log has, or somebody who is listed may be
/// reached yet.
deadline sender::return_by(time_point now, const surroundings& to) const {
  deadline latest;
  to.ours.for_each_retired([&](const session& who) {
    const auto until = *who.retired_at + keeps_for_return;
    const bool may = who.outgoing() != nullptr && !who.said_goodbye && now < until;
    if (may) latest = std::max(latest.value_or(until), until);
  });
  to.ours.for_each([&](const session& who) {
    const auto until = who.since() + keeps_for_return;
    if (!who.said_goodbye && now < until) latest = std::max(latest.value_or(until), until);
  });
  return latest;
}

/// What is said while nobody is there reaches nobody; who comes back is to learn that something is missing.
void sender::discard(const surroundings& to) {
  if (replay_ != 0) {
    for (bool made = true; made && to.out.empty();) {
      made = make_packet(to);
      needed_ = log_.end();
      log_.trim(needed_);
    }
    return;
  }
  if (!to.out.empty()) return;
  log_.trim(log_.end());
  for (auto piece = splitter_.front(max_payload_); !piece.bytes.empty(); piece = splitter_.front(max_payload_)) {
    if (!std::exchange(reaches_nobody_, true)) loss_is_news_ = true;
    log_.skip(piece.bytes.size(), piece.continues);
    splitter_.pop();
  }
  needed_ = log_.end();
}

}  // namespace nat
