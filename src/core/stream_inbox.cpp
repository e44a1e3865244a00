#include "nat/stream_inbox.hpp"

#include "nat/ack_runs.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <chrono>
#include <cstring>
#include <utility>

namespace nat {
namespace {

constexpr std::size_t first_capacity = 4096;  // bytes: a few packets; more when they come
constexpr std::size_t first_slots = 64;       // packets

}  // namespace

// ---- packets

stream_inbox::verdict stream_inbox::judge(const data_header& header, std::size_t payload) const {
  const auto number = header.number;
  if (!has_begun()) return verdict::not_begun;
  if (is_here(number)) return verdict::duplicate;
  if (!knows_offset_) {
    const bool fits = number == next_ && payload <= std::min<std::size_t>(UINT16_MAX, window_);
    return fits && header.offset <= largest_place ? verdict::taken : verdict::no_room;
  }
  const auto room_end = taken_ + window_;
  const bool fits = number - first_ < stream_window_packets && payload <= UINT16_MAX && header.offset <= room_end &&
                    payload <= room_end - header.offset;
  if (!fits) return verdict::no_room;
  const auto end = header.offset + payload;
  const bool is_after_neighbour =
      number == next_ ? header.offset == in_order_
                      : header.offset >= in_order_ && (!is_here(number - 1) || of(number - 1).end() == header.offset);
  const bool is_before_neighbour = !is_here(number + 1) || of(number + 1).offset == end;
  return is_after_neighbour && is_before_neighbour ? verdict::taken : verdict::conflicting;
}

void stream_inbox::reserve_bytes(std::uint64_t end) {
  if (end - taken_ <= capacity_) return;
  const auto needed = static_cast<std::size_t>(end - taken_);
  const auto larger = std::max({needed, first_capacity, std::min(std::bit_ceil(needed), window_)});
  auto ring = std::make_unique_for_overwrite<std::uint8_t[]>(larger);
  const auto held_end = std::min(highest_, taken_ + capacity_);  // a gap may end behind what there is room for
  const auto held = held_end > taken_ ? view(taken_, held_end) : record{};
  auto to = taken_;
  for (auto part : {held.first, held.second}) {
    while (!part.empty()) {
      const auto place = static_cast<std::size_t>(to % larger);
      const auto some = part.first(std::min(part.size(), larger - place));
      std::ranges::copy(some, ring.get() + place);
      part = part.subspan(some.size());
      to += some.size();
    }
  }
  if (is_pinned_) pinned_.push_back(std::move(ring_));
  ring_ = std::move(ring);
  capacity_ = larger;
}

void stream_inbox::reserve_slots(std::uint64_t number) {
  if (number - first_ < slots_.size()) return;
  std::vector<slot> larger(std::max(first_slots, std::bit_ceil(static_cast<std::size_t>(number - first_ + 1))));
  for (auto each = first_; each < above_; ++each) larger[each & (larger.size() - 1)] = of(each);
  slots_ = std::move(larger);
}

byte_span stream_inbox::place(const data_header& header, std::size_t payload) {
  // How long a payload is, only its tag tells: one that is too long would be opened over what has come behind it.
  if (!knows_offset_ || header.number + 1 < above_) return {};
  reserve_bytes(header.offset + payload);
  if (payload == 0 || at(header.offset) + payload > capacity_) return {};
  return {ring_.get() + at(header.offset), payload};
}

void stream_inbox::copy_in(std::uint64_t offset, byte_view bytes) {
  if (bytes.empty() || bytes.data() == ring_.get() + at(offset)) return;
  const auto part = std::min(bytes.size(), capacity_ - at(offset));
  std::memcpy(ring_.get() + at(offset), bytes.data(), part);
  std::memcpy(ring_.get(), bytes.data() + part, bytes.size() - part);
}

void stream_inbox::take(time_point now, unix_millis wall, const data_header& header, byte_view payload) {
  const auto number = header.number;
  if (!knows_offset_) start_at(header.offset);
  reserve_bytes(header.offset + payload.size());
  reserve_slots(number);
  copy_in(header.offset, payload);
  if (epoch_ == 0) epoch_ = wall;
  const auto since = static_cast<std::uint32_t>(std::clamp<unix_millis>(wall - epoch_, 0, UINT32_MAX));
  of(number) = {header.offset, since, static_cast<std::uint16_t>(payload.size()), header.flags, true};
  ++packets_;
  unacked_ += payload.size();
  behind_hole_ += payload.size();
  newest_ = number;
  newest_at_ = last_arrival_ = now;
  is_quiet_ = false;
  highest_ = std::max(highest_, header.offset + payload.size());
  const bool is_expected = number == next_ && number == above_;
  above_ = std::max(above_, number + 1);
  advance();
  if (number < next_) is_revoked_ = false;
  if (number >= next_) note(number);
  if (is_expected && unacked_ < bytes_an_ack && !ended_) {
    if (!ack_at_) ack_at_ = now + max_ack_delay;
  } else {
    hurry(now);
  }
}

void stream_inbox::advance() {
  for (; next_ < above_ && of(next_).is_here; ++next_) {
    in_order_ = of(next_).end();
    behind_hole_ -= of(next_).size;
    ended_ |= (of(next_).flags & data_header::ends) != 0;
    ends_open_ = (of(next_).flags & data_header::open_ended) != 0;
  }
  drop_taken();
}

/// Slots of what is taken out, and of empty packets that nothing is before.
void stream_inbox::drop_taken() {
  for (; first_ < next_ && of(first_).end() <= taken_; ++first_) of(first_) = {};
  walked_ = std::max(walked_, first_);
}

// ---- output

stream_inbox::record stream_inbox::view(std::uint64_t from, std::uint64_t to) const {
  if (from == to) return {};
  const auto size = static_cast<std::size_t>(to - from);
  const auto part = std::min(size, capacity_ - at(from));
  const auto arrived = slots_.empty() ? 0 : of(first_).arrived;
  return {{ring_.get() + at(from), part}, {ring_.get(), size - part}, epoch_ + arrived};
}

/// The offset behind the last newline between two.
std::optional<std::uint64_t> stream_inbox::newline_before(std::uint64_t from, std::uint64_t to) const {
  if (from == to) return std::nullopt;
  const auto all = view(from, to);
  if (const auto found = as_text(all.second).rfind('\n'); found != std::string_view::npos) {
    return from + all.first.size() + found + 1;
  }
  const auto found = as_text(all.first).rfind('\n');
  return found == std::string_view::npos ? std::nullopt : std::optional(from + found + 1);
}

/// Goes over the packets that are in order, up to a record's end.
void stream_inbox::walk() {
  while (record_end_ <= taken_ && walked_ < next_ && of(walked_).offset < out_end()) {
    const auto& packet = of(walked_++);
    walked_offset_ = packet.end();
    is_open_ended_ = (packet.flags & data_header::open_ended) != 0;
    const bool ends = !is_open_ended_ && (packet.flags & data_header::continues) == 0;
    if (ends) record_end_ = packet.end();
    if (is_open_ended_) newline_ = newline_before(packet.offset, packet.end()).value_or(newline_);
    if (newline_ > taken_ && walked_offset_ - taken_ >= long_piece) return;
  }
}

std::optional<stream_inbox::record> stream_inbox::next_record() {
  drop_rest();
  if (is_inside_) return std::nullopt;
  walk();
  if (record_end_ > taken_) return view(taken_, record_end_);
  if (walked_offset_ <= taken_) return std::nullopt;
  if (is_open_ended_ && newline_ > taken_) return view(taken_, newline_);
  const bool is_cut = !gaps_.empty() && walked_offset_ == gaps_.front().from;
  if (is_cut && !is_open_ended_) {
    drop_cut_record();
    return next_record();
  }
  const bool is_over = ended_ && walked_offset_ == in_order_;
  const bool is_full = walked_offset_ - taken_ >= largest_record_;
  return is_cut || is_over || is_quiet_ || is_full ? std::optional(view(taken_, walked_offset_)) : std::nullopt;
}

std::optional<stream_inbox::record> stream_inbox::next_bytes(std::size_t most) {
  auto end = taken_;
  for (auto number = first_; number < next_ && of(number).end() <= out_end(); ++number) {
    if (end != taken_ && of(number).end() - taken_ > most) break;
    end = of(number).end();
  }
  return end == taken_ ? std::nullopt : std::optional(view(taken_, end));
}

std::uint64_t stream_inbox::take_out(std::size_t bytes) {
  taken_ += bytes;
  while (!gaps_.empty() && taken_ == gaps_.front().from) {
    taken_ = gaps_.front().to;
    is_inside_ = gaps_.front().is_inside;
    gaps_.erase(gaps_.begin());
    for (; walked_ < next_ && of(walked_).end() <= taken_; ++walked_) {
    }
    walked_offset_ = taken_;
    is_open_ended_ = false;
  }
  drop_taken();
  return taken_;
}

void stream_inbox::on_written(time_point now, std::uint64_t offset) {
  if (offset > taken_) return;  // of another stream of this sender, which was given up
  if (offset >= skipped_.from) offset = std::max(offset, skipped_.to);
  if (offset <= written_) return;
  written_ = offset;
  const bool is_news = written_ + window_ - limit_ >= window_ / 4 || (ended_ && written_ == in_order_);
  if (is_news) return hurry(now);
  if (!ack_at_) ack_at_ = now + max_ack_delay;
}

// ---- memory

void stream_inbox::release() {
  if (highest_ > taken_ || is_pinned_) return;
  ring_.reset();
  capacity_ = 0;
}

void stream_inbox::revoke(time_point now) {
  assert(!is_pinned_);
  // A packet that is taken out in part stays.
  const bool is_in_part = is_here(first_) && of(first_).is_here && of(first_).offset < taken_;
  const auto from = is_in_part ? first_ + 1 : first_;
  for (auto each = from; each < above_; ++each) of(each) = {};
  next_ = above_ = from;
  walked_ = first_;
  in_order_ = highest_ = is_in_part ? of(first_).end() : taken_;
  walked_offset_ = taken_;
  record_end_ = newline_ = 0;
  is_open_ended_ = ends_open_ = is_quiet_ = false;
  ended_ = false;
  behind_hole_ = 0;
  gaps_.clear();
  news_.clear();
  newest_ = 0;
  limit_ = written_ + window_;
  if (!is_in_part) {
    ring_.reset();
    capacity_ = 0;
  }
  is_revoked_ = true;
  ask_for_ack(now);
}

bool stream_inbox::is_stuck() const {
  return in_order_ - taken_ > std::min(window_, first_window) / 2 && record_end_ <= taken_;
}

bool stream_inbox::wants_wider() const {
  // Behind a loss the order stands still, and the sender need not wait for that; but a hole brings nothing.
  const bool is_near_limit = in_order_ + behind_hole_ + window_ / 4 > limit_;
  return (is_near_limit || is_used_) && in_order_ - written_ < window_ / 4;
}

void stream_inbox::measure_use(time_point now, duration round_trip) {
  if (round_trip == duration{} || now - measured_at_ < round_trip) return;
  // Asked less often than once a round trip, it may count what more than one has brought.
  const bool is_one = now - measured_at_ < 2 * round_trip;
  const auto came = in_order_ - std::min(in_order_, measured_from_);
  is_used_ = is_one && came >= window_ / 2;
  measured_at_ = now;
  measured_from_ = in_order_;
}

// ---- acknowledgements

/// Not closer together than what the sender can use.
void stream_inbox::hurry(time_point now) {
  const auto due = std::max(now, acked_at_ + spacing_);
  ack_at_ = ack_at_ ? std::min(*ack_at_, due) : due;
}

void stream_inbox::note(std::uint64_t number) {
  if (!news_.empty() && news_.back().told == 0 && number == news_.back().last + 1) {
    news_.back().last = number;
    news_.back().is_due = true;
    return;
  }
  if (news_.size() < max_news) {
    news_.push_back({number, number, 0, true});
    return;
  }
  // What is between is told as it is.
  news_.back().first = std::min(news_.back().first, number);
  news_.back().last = std::max(news_.back().last, number);
  news_.back().told = 0;
  news_.back().is_due = true;
}

/// The lowest first: on the way up from there the others are told of, too.
void stream_inbox::write_runs(ping_acknowledgement& out) {
  std::optional<std::uint64_t> lowest;
  for (const auto& each : news_) {
    if (each.is_due) lowest = std::min(lowest.value_or(each.first), each.first);
  }
  if (!lowest) return;
  const auto from = std::max(*lowest, next_);
  out.from = static_cast<std::uint32_t>(from - next_);
  run_writer runs(out.runs);
  auto number = from;
  for (bool has_come = false; number < above_; has_come = !has_come) {
    auto end = number;
    while (end < above_ && is_here(end) == has_come) ++end;
    if (!runs.push(end - number)) break;
    number = end;
  }
  for (auto& each : news_) {
    if (!each.is_due || each.last < from || each.first >= number) continue;
    if (each.last < number) {
      each.is_due = false;
      ++each.told;
    } else {
      each.first = std::max(each.first, number);
    }
  }
}

std::optional<ping_acknowledgement> stream_inbox::next_ack(time_point now, duration round_trip) {
  if (!ack_is_due(now) || !has_begun()) return std::nullopt;
  measure_use(now, round_trip);
  std::erase_if(news_, [&](const news& each) { return each.last < next_ || each.told >= told_times; });
  if (acks_at_once_ == 0 && !is_behind_) {
    for (auto& each : news_) each.is_due = true;
  }
  if (knows_offset_) limit_ = std::max(limit_, written_ + window_);
  ping_acknowledgement out{.next = next_,
                           .limit = limit_,
                           .unwritten = static_cast<std::uint32_t>(limit_ - written_),
                           .newest = ping_acknowledgement::no_newest,
                           .duplicates = duplicates_};
  if (newest_ != 0) {
    const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(now - newest_at_).count();
    out.delay = static_cast<std::uint32_t>(std::min<std::int64_t>(waited, UINT32_MAX));
    out.newest = static_cast<std::int32_t>(static_cast<std::int64_t>(newest_ - next_));
    newest_ = 0;
  }
  write_runs(out);
  is_behind_ = std::ranges::any_of(news_, &news::is_due);
  const bool has_more = is_behind_ && ++acks_at_once_ < max_acks_at_once;
  if (!has_more) {
    acks_at_once_ = 0;
    acked_at_ = now;
    unacked_ = 0;
    const auto least = round_trip == duration{} ? duration{} : least_ack_spacing;
    spacing_ = std::clamp<duration>(round_trip / acks_a_round_trip, least, longest_ack_spacing);
    ack_at_.reset();
  }
  return out;
}

deadline stream_inbox::next_deadline() const {
  return earliest(ack_at_, is_tail() && !is_quiet_ ? deadline{last_arrival_ + quiet} : std::nullopt);
}

}  // namespace nat
