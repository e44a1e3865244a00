// What of a stream is lost on its way to a peer, and when a silent one is probed (RFC 8985).
#include "nat/delivery.hpp"
#include "nat/wire.hpp"

#include <algorithm>

namespace nat {

// A packet sent so shortly before another may come after it, however short the round trip.
constexpr duration least_reordering = std::chrono::microseconds(100);

duration delivery::reordering_window() const {
  return std::max(std::min(path_.shortest / 4 * reordering_steps_, path_.smoothed), least_reordering);
}

void delivery::detect_losses(time_point now) {
  loss_at_.reset();
  const auto wait = rack_rtt_ + reordering_window();
  while (flying_.oldest != 0) {
    const auto number = flying_.oldest;
    auto& one = of(number);
    const bool is_behind = one.at < rack_sent_at_ || (one.at == rack_sent_at_ && number < rack_number_);
    if (!is_behind) return;
    if (now < one.at + wait) {
      loss_at_ = one.at + wait;
      return;
    }
    lose(now, number, true);
  }
}

void delivery::lose(time_point now, std::uint64_t number, bool is_congestion) {
  auto& one = of(number);
  remove(flying_, number);
  in_flight_ -= one.size;
  ++lost_count_;
  // What left before a large one that came says nothing of their size.
  const bool may_be_size = is_congestion && one.size > max_datagram && one.at > large_came_;
  if (may_be_size && ++large_lost_ >= large_lost_before_hole && one.again) {
    large_lost_ = 0;
    is_hole_ = true;
  }
  if (number < first_) {
    one.is = state::received;  // too late to be sent again
  } else {
    one.is = state::lost;
    append(lost_, number);
  }
  if (is_congestion && one.is_counted && one.is_welcome) path_.congestion.on_lost(now, one.cc, one.size);
}

void delivery::lose_all(time_point now, bool is_congestion) {
  while (flying_.oldest != 0) lose(now, flying_.oldest, is_congestion);
  loss_at_.reset();
}

/// It is sent again, and nothing is known of the path by what was sent before.
void delivery::lose_all_uncounted(time_point now) {
  lose_all(now, false);
  for (auto number = lost_.oldest; number != 0; number = of(number).newer) of(number).is_counted = false;
}

/// RFC 8985, 7.2: two round trips, and what the peer may wait before it answers; RFC 9002, 6.2.1, where they vary.
duration delivery::probe_interval(int unanswered) const {
  const auto known = path_.smoothed == duration{} ? initial_rtt : path_.smoothed;
  const auto spread = std::max<duration>(4 * path_.variation, known);
  const auto once = known + std::max(spread, granularity) + max_ack_delay;
  return std::min<duration>(once * (1 << std::min(unanswered, 10)), longest_probe_interval + known);
}

deadline delivery::tell_at() const {
  if (!is_known_there_) return told_at_ ? deadline{*told_at_ + probe_interval(probes_)} : std::nullopt;
  const bool awaits_word = flying_.oldest == 0 && lost_.oldest == 0 && floor_ < next_;
  return awaits_word ? deadline{heard_at_ + probe_interval(questions_)} : std::nullopt;
}

void delivery::on_told(time_point now) {
  told_at_ = heard_at_ = now;
  if (is_known_there_) ++questions_;
}

void delivery::on_time(time_point now) {
  if (loss_at_ && now >= *loss_at_) {
    detect_losses(now);
    path_.congestion.on_ack_done(now, std::nullopt, in_flight_);
  }
  if (!has_path_ || flying_.oldest == 0 || now < last_sent_ + probe_interval(probes_)) return;
  ++probes_;
  if (probes_ > probes_before_loss) {
    is_hole_ = true;
    lose_all(now, true);
    path_.congestion.on_timeout(in_flight_);
  }
  last_sent_ = now;  // the next probe is due from now
  probing_ = true;
}

deadline delivery::next_deadline(const send_log& log, std::size_t new_payload, bool is_held_up) const {
  if (!has_path_) return std::nullopt;
  deadline next = loss_at_;
  if (flying_.oldest != 0) next = earliest(next, last_sent_ + probe_interval(probes_));
  const auto size = waiting(log, new_payload);
  const bool waits_for_pace =
      !is_held_up && size && in_flight_ + *size <= path_.congestion.window() && release_at_ >= burst_until_;
  if (waits_for_pace) next = earliest(next, release_at_);
  return earliest(next, tell_at());
}

}  // namespace nat
