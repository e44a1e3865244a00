#include "nat/delivery.hpp"

#include "nat/ack_runs.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat {
namespace {

// A timer that comes late is made up for, so far: the pace holds on average.
constexpr duration lateness = std::chrono::milliseconds(2);
constexpr std::size_t first_ring = 64;  // packets in flight; doubled when it is full
static_assert(first_ring <= stream_window_packets && (stream_window_packets & (stream_window_packets - 1)) == 0);
// RFC 8985, 6.2, step 4: so often the window may grow by a quarter of a round trip.
constexpr int most_reordering_steps = 8;

duration time_of(std::uint64_t bytes, std::uint64_t rate) {
  return duration(static_cast<duration::rep>(static_cast<double>(bytes) * 1e9 / static_cast<double>(rate)));
}

}  // namespace

delivery::delivery(std::uint64_t first, std::uint64_t offset, std::uint64_t seed, bool is_inside)
    : origin_(first),
      first_(first),
      first_offset_(offset),
      first_is_inside_(is_inside),
      ring_(first_ring),
      base_(first),
      next_(first),
      seed_(seed),
      path_{bbr(max_datagram, seed)},
      limit_(offset + stream_initial_window),
      written_(offset),
      floor_(first) {}

void delivery::skip_to(std::uint64_t number, std::uint64_t offset, bool is_inside) {
  assert(number >= first_);
  const auto sent_end = std::min(number, next_);
  for (auto each = base_; each < sent_end; ++each) {
    if (of(each).is != state::lost) continue;
    remove(lost_, each);
    of(each).is = state::received;
  }
  // What is on its way counts until something is known of it, unless that lasts too long.
  for (; base_ < sent_end && number - base_ > stream_window_packets; ++base_) {
    if (of(base_).is != state::in_flight) continue;
    remove(flying_, base_);
    in_flight_ -= of(base_).size;
  }
  if (base_ == next_) base_ = next_ = std::max(next_, number);
  for (; next_ < number; ++next_) {
    if (next_ - base_ == ring_.size()) grow();
    of(next_) = sent{.is = state::received};
  }
  first_ = number;
  first_offset_ = offset;
  first_is_inside_ = is_inside;
  floor_ = std::max(floor_, number);
  is_known_there_ = false;
  told_at_.reset();
}

// ---- lists within the ring

void delivery::append(list& to, std::uint64_t number) {
  auto& one = of(number);
  one.older = to.newest;
  one.newer = 0;
  (to.newest != 0 ? of(to.newest).newer : to.oldest) = number;
  to.newest = number;
}

void delivery::remove(list& from, std::uint64_t number) {
  auto& one = of(number);
  (one.older != 0 ? of(one.older).newer : from.oldest) = one.newer;
  (one.newer != 0 ? of(one.newer).older : from.newest) = one.older;
  one.older = one.newer = 0;
}

void delivery::grow() {
  std::vector<sent> larger(ring_.size() * 2);
  for (auto number = base_; number < next_; ++number) larger[number & (larger.size() - 1)] = of(number);
  ring_ = std::move(larger);
}

// ---- what to send

void delivery::on_path(time_point now, const way& chosen) {
  const bool is_another = !way_ || *way_ != chosen;
  if (!has_path_) told_at_.reset();
  has_path_ = true;
  if (!is_another) {
    way_->rate = chosen.rate;
    return;
  }
  lose_all_uncounted(now);
  auto left = way_ ? std::optional(parked{*way_, now + measures_hold, path_}) : std::nullopt;
  if (before_ && before_->by == chosen && now < before_->until) {
    path_ = before_->known;
  } else {
    path_ = {bbr(max_datagram, ++seed_), chosen.round_trip, chosen.round_trip / 2, chosen.round_trip};
  }
  before_ = std::move(left);
  way_ = chosen;
  release_at_ = burst_until_ = now;
  rack_sent_at_ = time_point{};
  rack_rtt_ = duration{};
  probes_ = 0;
  probing_ = false;
  questions_ = 0;
  told_at_.reset();
}

void delivery::on_no_path() {
  has_path_ = false;
  probing_ = false;
}

std::uint64_t delivery::pace() const {
  const auto rate = std::max<std::uint64_t>(path_.congestion.pacing_rate(), 1);
  return !way_ || way_->rate == 0 ? rate : std::min(rate, way_->rate);
}

/// How far ahead of the pace one burst may be: what leaves in one system call, and where the pace is lower than what
/// the path carries, no more than two packets or a moment's.
duration delivery::burst_time() const {
  const auto moment = std::max(bbr::quantum_time, time_of(2 * max_datagram, pace()));
  return std::min(moment, time_of(path_.congestion.send_quantum(), pace()));
}

bool delivery::may_send(time_point now, std::size_t size) {
  const bool knows = is_known_there_ || told_at_;
  if (!has_path_ || !knows) return false;
  if (probing_) return true;
  if (in_flight_ + size > path_.congestion.window()) return false;
  if (now >= release_at_) burst_until_ = now + burst_time();
  return release_at_ < burst_until_;
}

bool delivery::fits_limits(std::size_t payload, std::uint64_t offset) const {
  return next_ < floor_ + stream_window_packets && offset + payload <= limit_;
}

std::optional<std::uint64_t> delivery::next(time_point now, const send_log& log) {
  if (lost_.oldest != 0) {
    if (may_send(now, of(lost_.oldest).size)) return lost_.oldest;
  } else if (next_ < log.end()) {
    const auto& record = log.at(next_);
    if (fits_limits(record.payload, record.offset) && may_send(now, record.size)) return next_;
  }
  // A probe: the newest that is out (RFC 8985, 7.3).
  if (probing_ && has_path_ && flying_.newest >= first_) return flying_.newest;
  return std::nullopt;
}

bool delivery::wants_new(time_point now, const send_log& log, std::size_t payload) {
  return next_ == log.end() && lost_.oldest == 0 && fits_limits(payload, log.end_offset()) &&
         may_send(now, header_size + payload);
}

/// The size of what would be sent next, if only the pace and the window allowed it.
std::optional<std::size_t> delivery::waiting(const send_log& log, std::size_t new_payload) const {
  if (lost_.oldest != 0) return of(lost_.oldest).size;
  if (next_ < log.end()) {
    const auto& record = log.at(next_);
    return fits_limits(record.payload, record.offset) ? std::optional<std::size_t>(record.size) : std::nullopt;
  }
  const bool fits = new_payload != 0 && fits_limits(new_payload, log.end_offset());
  return fits ? std::optional(header_size + new_payload) : std::nullopt;
}

void delivery::on_sent(time_point now, std::uint64_t number, const send_log& log) {
  const auto size = log.at(number).size;
  if (number == next_) {
    if (next_ - base_ == ring_.size()) grow();
    of(number) = sent{};
    ++next_;
  } else {
    auto& before = of(number);
    if (before.is == state::in_flight) {
      remove(flying_, number);
      in_flight_ -= before.size;
    } else {
      remove(lost_, number);
    }
    before.again = true;
    before.is_other = before.is_other || !before.is_counted;
    ++resent_;
  }
  auto& one = of(number);
  one.at = now;
  one.size = size;
  one.is = state::in_flight;
  one.cc = path_.congestion.on_sent(now, size, in_flight_);
  one.is_counted = true;
  one.is_welcome = has_limit_;
  in_flight_ += size;
  append(flying_, number);
  release_at_ = std::max(release_at_, now - lateness) + time_of(size, pace());
  last_sent_ = now;
  probing_ = false;
}

// ---- what the peer says

void delivery::acknowledge(time_point now, std::uint64_t number) {
  auto& one = of(number);
  if (one.is != state::in_flight && one.is != state::lost) return;
  const bool was_in_flight = one.is == state::in_flight;
  remove(was_in_flight ? flying_ : lost_, number);
  if (was_in_flight) in_flight_ -= one.size;
  one.is = state::received;
  acked_any_ = true;
  acked_news_ |= number >= thrown_below_;
  const auto taken = now - one.at;
  // The other copy has come: that says nothing of when this one left.
  const bool is_too_soon = path_.shortest == duration{} || taken < path_.shortest;
  if (one.is_other && is_too_soon) one.is_counted = false;
  if (one.is_counted && one.is_welcome && !was_in_flight) path_.congestion.on_spurious_loss(now);
  if (one.is_counted) path_.congestion.on_acked(now, one.cc, one.size);
  if (one.size > max_datagram && one.at >= large_came_) {
    large_came_ = one.at;
    large_lost_ = 0;
  }
  // RFC 8985, 6.2, step 2: the newest that has come. What was sent again may have come the first time.
  if (one.again && taken < path_.shortest) return;
  if (one.at > rack_sent_at_ || (one.at == rack_sent_at_ && number > rack_number_)) {
    rack_sent_at_ = one.at;
    rack_number_ = number;
    rack_rtt_ = taken;
  }
}

void delivery::on_received_below(time_point now, std::uint64_t next) {
  const auto end = std::min(next, next_);
  for (; base_ < end; ++base_) acknowledge(now, base_);
  if (next > next_) base_ = next_ = next;  // without our doing, or before it was thrown away
}

void delivery::on_runs(time_point now, const ping_acknowledgement& ack) {
  run_reader runs(ack.runs);
  auto number = ack.next + ack.from;
  for (bool has_come = false; const auto length = runs.next(); has_come = !has_come) {
    const auto end = std::min(number + *length, next_);
    if (has_come) {
      for (auto each = std::max(number, base_); each < end; ++each) acknowledge(now, each);
    }
    number += *length;
    if (number >= next_) return;
  }
}

/// RFC 6298, 2, with the shorter memory of RFC 9002, 5.3.
void delivery::sample(duration round_trip) {
  const auto taken = std::max<duration>(round_trip, std::chrono::microseconds(1));
  if (path_.shortest == duration{} || taken < path_.shortest) path_.shortest = taken;
  if (path_.smoothed == duration{}) {
    path_.smoothed = taken;
    path_.variation = taken / 2;
    return;
  }
  const auto off = path_.smoothed > taken ? path_.smoothed - taken : taken - path_.smoothed;
  path_.variation = (3 * path_.variation + off) / 4;
  path_.smoothed = (7 * path_.smoothed + taken) / 8;
}

/// What the peer had, and threw away again.
void delivery::go_back(std::uint64_t next, const send_log& log) {
  thrown_below_ = std::max(thrown_below_, next_);
  base_ = next_ = std::max(next, log.begin());
  flying_ = lost_ = {};
  in_flight_ = 0;
  loss_at_.reset();
  probing_ = false;
}

/// How long the newest packet took, if it was sent once and is newly told of.
std::optional<duration> delivery::sample_of(time_point now, const ping_acknowledgement& ack) const {
  if (ack.newest == ping_acknowledgement::no_newest) return std::nullopt;
  const auto newest = ack.next + static_cast<std::uint64_t>(static_cast<std::int64_t>(ack.newest));
  if (newest < base_ || newest >= next_) return std::nullopt;
  const auto& one = of(newest);
  const auto taken = now - one.at - std::chrono::microseconds(ack.delay);
  return one.is == state::in_flight && !one.again && taken >= duration{} ? std::optional(taken) : std::nullopt;
}

/// Whether more is written there than before.
bool delivery::on_written(const ping_acknowledgement& ack, const send_log& log) {
  const auto before = std::pair(written_, floor_);
  written_ = std::max(written_, std::min(ack.limit - ack.unwritten, log.end_offset()));
  // Who has left may have written less than the log still has.
  if (log.begin_offset() <= written_) floor_ = std::max(floor_, std::min(log.begin(), base_));
  while (floor_ < base_ && log.holds(floor_) && log.at(floor_).end_offset() <= written_) ++floor_;
  return before != std::pair(written_, floor_);
}

delivery::ack_result delivery::on_ack(time_point now, std::uint64_t number, const ping_acknowledgement& ack,
                                      std::uint8_t flags, const send_log& log) {
  ack_result result;
  if ((flags & ping_acknowledgement::unknown) != 0) {
    // It has dropped all that was sent, which says nothing of the path. Believed once, and not of who has known the
    // stream: whatever else it asks for, nothing is sent for it before its time.
    if (std::exchange(is_new_there_, false)) lose_all_uncounted(now);
    is_known_there_ = has_limit_ = false;
    told_at_.reset();
    return result;
  }
  // It may have more than was sent to it: packets are the same for all, and a relay may be generous.
  const bool is_possible = ack.next >= origin_ && ack.next <= log.end() && ack.unwritten <= ack.limit;
  if (!is_possible || number < ignore_below_) return result;
  // What it gives room to counts from the first time it says so; it may not know yet where the stream begins.
  if (ack.next >= first_) {
    is_known_there_ = true;
    if (!std::exchange(has_limit_, true) && ack.limit > first_offset_) limit_ = ack.limit;
  }
  is_new_there_ = false;
  heard_at_ = now;
  const bool may_revoke = !revoked_at_ || now - *revoked_at_ >= revoked_again;
  const bool is_revoked = (flags & ping_acknowledgement::revoked) != 0 && ack.next < base_ && ack.next >= floor_;
  if (is_revoked && !may_revoke) return result;  // it says so until it has come again
  if (is_revoked) {
    revoked_at_ = now;
    ignore_below_ = number;
    limit_ = ack.limit;
    go_back(ack.next, log);
  }
  acked_any_ = acked_news_ = false;
  const auto round_trip = sample_of(now, ack);
  on_received_below(now, ack.next);
  on_runs(now, ack);
  limit_ = std::max(limit_, ack.limit);
  // A duplicate says that what was sent again was not lost (RFC 8985, 6.2, step 4).
  if (knows_duplicates_ && ack.duplicates != duplicates_ && resent_ > 0 && base_ > recovered_below_) {
    reordering_steps_ = std::min(reordering_steps_ + 1, most_reordering_steps);
    recovered_below_ = next_;
  }
  duplicates_ = ack.duplicates;
  knows_duplicates_ = true;
  if (acked_any_) {
    if (round_trip) sample(*round_trip);
    result.round_trip = round_trip;
    probes_ = 0;
    probing_ = false;
    detect_losses(now);
    path_.congestion.on_ack_done(now, round_trip, in_flight_);
  }
  result.progress = on_written(ack, log) || acked_news_;
  if (result.progress) {
    progress_at_ = now;
    questions_ = 0;
  }
  return result;
}

}  // namespace nat
