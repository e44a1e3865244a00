// Of the sender: who is not waited for, and what becomes of what nobody takes.
#include "nat/sender.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <utility>

namespace nat {

/// It was left behind, and takes nothing: it is not waited for.
bool sender::stands_still(const session& who) {
  return who.was_left_behind && !who.takes_again && who.outgoing()->floor() == who.outgoing()->first();
}

/// Whether somebody has all that there is, and gets no more because another has not. Nobody waits for itself.
bool sender::others_wait(time_point now, const surroundings& to) const {
  bool waits = to.seeds_too && std::ranges::any_of(to.seeds, [&](const known_peer& seed) {
                 return !seed.is_ours && !seed.unreachable && seed.has_consent(now) && seed.next_data == log_.end();
               });
  to.ours.for_each([&](const session& who) {
    const auto* outgoing = who.outgoing();
    waits |= outgoing != nullptr && outgoing->received() == log_.end() && outgoing->floor() > log_.begin() &&
             !stands_still(who);
  });
  return waits;
}

/// `is_full`: the log. `is_dropped`: who is in the way then.
bool sender::is_waited_for(time_point now, const session& who, bool is_full, bool is_dropped) {
  const bool is_in_the_way = is_full && who.outgoing()->floor() <= log_.begin();
  if (stands_still(who)) return !is_in_the_way;
  const auto patient_until = who.outgoing()->progress_at() + slow_peer_;
  if (now >= patient_until || (is_in_the_way && is_dropped)) return false;
  wake_ = earliest(wake_, patient_until);
  return true;
}

/// Who gets no further for too long, and so keeps others from going on, does not get what it lacks. Whether there was
/// somebody.
bool sender::leave_behind(time_point now, const surroundings& to) {
  const bool is_full = is_log_full();
  const bool is_dropped = is_full && drops_slow_peers_ && others_wait(now, to);
  bool left_some = false;
  to.ours.for_each([&](session& who) {
    auto* outgoing = who.outgoing();
    if (outgoing == nullptr) return;
    if (outgoing->has_all(log_)) return outgoing->on_progress(now);
    if (is_waited_for(now, who, is_full, is_dropped)) return;
    // Records stay whole, but one that fills the log would keep it full.
    const auto start = log_.entry(log_.end());
    skip(now, who, start > std::max(log_.begin(), outgoing->floor()) ? start : log_.end(), to.random);
    left_some = true;
  });
  return left_some;
}

/// Its stream goes on there, with a gap.
void sender::skip(time_point now, session& who, std::uint64_t number, random_source& random) {
  if (stands_still(who)) {  // what it takes, and what its path carries, is as unknown as it was
    who.outgoing()->skip_to(number, log_.offset_of(number), log_.is_inside(number));
  } else {
    who.start_stream(number, log_.offset_of(number), random.next_u64(), log_.is_inside(number));
    left_behind_.push_back(&who);
  }
  who.outgoing()->on_progress(now);
  who.was_left_behind = true;
  who.takes_again = false;
}

const session* sender::take_left_behind() {
  if (left_behind_.empty()) return nullptr;
  const auto* who = left_behind_.back();
  left_behind_.pop_back();
  return who;
}

/// Until when somebody who left without a word may come back for what the log has, or somebody who is listed may be
/// reached yet. Not who stands still.
deadline sender::return_by(time_point now, const surroundings& to) const {
  deadline latest;
  to.ours.for_each_retired([&](const session& who) {
    const auto until = *who.retired_at + keeps_for_return;
    const bool may = who.outgoing() != nullptr && !stands_still(who) && !who.said_goodbye && now < until;
    if (may) latest = std::max(latest.value_or(until), until);
  });
  to.ours.for_each([&](const session& who) {
    const auto until = who.since() + keeps_for_return;
    if (who.outgoing() != nullptr && stands_still(who)) return;
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
