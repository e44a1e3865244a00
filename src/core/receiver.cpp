#include "nat/receiver.hpp"

#include <cassert>
#include <utility>

namespace nat {

bool receiver::on_unsealed(const output_source& source, byte_view payload) {
  if (!from_.empty() && source.name != from_) return true;
  if (is_full_) return false;
  const auto before = unsealed_.size();
  is_full_ = before + payload.size() > max_unsealed;
  if (is_full_) return false;
  append_output(unsealed_, mode_, source, payload);
  is_full_ = unsealed_.size() > max_unsealed;
  if (is_full_) unsealed_.resize(before);  // formatting made it too large
  return !is_full_;
}

void receiver::on_arrival(time_point now, session& who) {
  if (!from_.empty() && who.name() != from_) {  // taken, and not written
    while (const auto piece = who.inbox().next_bytes(raw_piece)) {
      who.inbox().on_written(now, who.inbox().take_out(piece->size()));
    }
    return;
  }
  if (mode_ != output_mode::raw) who.inbox().drop_rest();
  if (std::exchange(who.is_queued, true)) return;
  queue_.push_back(who.id());
}

void receiver::next_output(std::vector<std::uint8_t>& out, session_table& sessions) {
  assert(out.empty());
  // In the middle of a record nothing else is written.
  if (!formatter_.busy() && !unsealed_.empty()) {
    out.swap(unsealed_);
    is_full_ = false;
  }
  // Each has a turn, and another one for as long as it has something.
  while (!queue_.empty() && out.size() < batch) {
    auto* who = sessions.by_sender_or_retired(queue_.front());
    // Forgotten; or it began anew in the middle of a record, under an id that it had before.
    if (who == nullptr || (formatter_.busy() && !who->inbox().is_pinned())) {
      queue_.pop_front();
      if (formatter_.busy()) out.push_back('\n');  // what is next does not go on with its line
      formatter_ = record_formatter(mode_);
      continue;
    }
    const bool has_more = write_some_of(*who, out);
    if (formatter_.busy()) break;  // the batch is full
    queue_.pop_front();
    if (has_more) {
      queue_.push_back(who->id());
    } else {
      who->is_queued = false;
    }
  }
  handed_out_ += out.size();
}

/// One piece or one record of this peer, as far as the batch goes. Whether it may have more.
bool receiver::write_some_of(session& who, std::vector<std::uint8_t>& out) {
  auto& inbox = who.inbox();
  if (mode_ == output_mode::raw) {
    const auto piece = inbox.next_bytes(raw_piece);
    if (!piece) return false;
    out.insert(out.end(), piece->first.begin(), piece->first.end());
    out.insert(out.end(), piece->second.begin(), piece->second.end());
    put_mark(out, who, inbox.take_out(piece->size()));
    return true;
  }
  if (!formatter_.busy()) {
    const auto record = inbox.next_record();
    if (!record) return false;
    const auto* by = who.paths().chosen();
    const auto where = by == nullptr || by->is_relay() ? endpoint{} : by->at;
    record_size_ = record->size();
    formatter_.begin({who.name(), where, record->arrived}, record->first, record->second);
    inbox.pin(true);
  }
  if (!formatter_.write_some(out, batch - out.size())) return true;
  inbox.pin(false);
  put_mark(out, who, inbox.take_out(record_size_));
  return true;
}

void receiver::put_mark(const std::vector<std::uint8_t>& out, session& who, std::uint64_t offset) {
  marks_.push_back({handed_out_ + out.size(), who.id(), offset});
}

void receiver::on_written(time_point now, std::size_t bytes, session_table& sessions) {
  written_ += bytes;
  assert(written_ <= handed_out_);
  while (!marks_.empty() && marks_.front().at <= written_) {
    const auto passed = marks_.take_front();
    auto* who = sessions.by_sender_or_retired(passed.of);
    if (who == nullptr) continue;
    if (mode_ != output_mode::raw) who->inbox().drop_rest();
    who->inbox().on_written(now, passed.offset);
    if (!who->retired_at) sessions.reschedule(now, *who);
  }
}

// ---- memory

/// What no window takes up. Where records are written whole, the places for large ones are not free.
std::size_t receiver::free_memory(const session_table& all) const {
  const auto places = mode_ == output_mode::raw ? 0 : max_large * (largest_record() + record_margin);
  auto taken = places;
  all.for_each([&](const session& each) {
    if (holds_large(each)) return;
    taken += std::max(each.inbox().has_begun() ? each.inbox().window() : 0, each.inbox().held_bytes());
  });
  all.for_each_retired([&](const session& each) { taken += each.inbox().held_bytes(); });
  return memory_ - std::min(memory_, taken);
}

void receiver::admit(session& who, const session_table& all) const {
  if (who.inbox().has_begun()) return;
  const auto share = std::bit_floor(free_memory(all) / 8);
  who.inbox().set_window(std::clamp(share, stream_inbox::least_window, stream_inbox::first_window));
  who.inbox().set_largest_record(largest_record());
}

/// Who has sent nothing for a while, and has nothing here, or nothing but what is behind a hole, does not need so much
/// room.
void receiver::take_back(time_point now, const session_table& all) {
  const auto look_at = [&](session& each) {
    auto& inbox = each.inbox();
    const bool is_idle = inbox.is_drained() && now - inbox.last_arrival() >= silence && !holds_large(each);
    if (!is_idle || inbox.is_pinned()) return;
    inbox.release();
    inbox.set_window(std::min(inbox.window(), stream_inbox::first_window));
    if (inbox.held_bytes() > inbox.window()) inbox.revoke(now);
  };
  all.for_each(look_at);
  all.for_each_retired(look_at);
}

void receiver::grant(time_point now, session& who, session_table& all) {
  auto& inbox = who.inbox();
  if (mode_ != output_mode::raw && inbox.is_stuck() && may_hold_large(now, who, all)) {
    const auto largest = largest_record() + record_margin;
    inbox.set_window(std::max(inbox.window(), std::min(inbox.window() * 2, largest)));
  } else if (inbox.wants_wider() && !holds_large(who)) {
    const auto wider = std::min(inbox.window() * 2, stream_inbox::largest_window);
    if (wider - inbox.window() > free_memory(all)) take_back(now, all);
    if (wider - inbox.window() <= free_memory(all)) inbox.set_window(wider);
  }
}

/// Whether it has a place for a large record, or gets one: a free one, or that of somebody whose record is whole or who
/// is silent.
bool receiver::may_hold_large(time_point now, const session& who, session_table& all) {
  if (holds_large(who)) return true;
  if (holders_.size() == max_large) {
    std::erase_if(holders_, [&](holder& each) { return gives_up_place(now, each, all); });
  }
  if (holders_.size() == max_large) return false;
  holders_.push_back({who.id(), now, who.inbox().in_order()});
  return true;
}

bool receiver::gives_up_place(time_point now, holder& place, session_table& all) {
  auto* who = all.by_sender_or_retired(place.id);
  if (who == nullptr) return true;
  auto& inbox = who->inbox();
  bool is_silent = now - inbox.last_arrival() >= silence;
  if (now - place.since >= silence) {
    is_silent |= inbox.in_order() < place.in_order + least_progress;
    place = {place.id, now, inbox.in_order()};
  }
  if (inbox.is_pinned() || (inbox.is_stuck() && !is_silent)) return false;
  inbox.set_window(std::min(inbox.window(), stream_inbox::first_window));
  if (inbox.is_stuck()) inbox.revoke(now);
  if (!who->retired_at) all.reschedule(now, *who);
  return true;
}

}  // namespace nat
