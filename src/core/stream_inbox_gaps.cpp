// Where a peer's stream begins for us, and what of it never comes or comes too late.
#include "nat/stream_inbox.hpp"

#include <algorithm>
#include <utility>

namespace nat {

std::uint64_t stream_inbox::begin(time_point now, std::uint64_t number, std::optional<std::uint64_t> offset,
                                  bool is_inside) {
  if (number == 0 || number > largest_place || (offset && *offset > largest_place)) return 0;
  ask_for_ack(now);
  if (!has_begun()) {
    first_ = next_ = above_ = walked_ = number;
    is_inside_ = is_inside;
    if (offset) start_at(*offset);
    return 0;
  }
  if (!offset || number <= next_ || *offset < in_order_) return 0;
  if (is_here(number) && of(number).offset != *offset) return 0;
  std::uint64_t missed = number - next_;
  for (auto each = next_; each < std::min(number, above_); ++each) missed -= of(each).is_here ? 1 : 0;
  skip_to(number, *offset, is_inside);
  return missed;
}

void stream_inbox::start_at(std::uint64_t offset) {
  taken_ = in_order_ = written_ = limit_ = highest_ = walked_offset_ = offset;
  knows_offset_ = true;
}

/// What is in order by now will still be written; what came out of order, and is below `number`, is not.
void stream_inbox::skip_to(std::uint64_t number, std::uint64_t offset, bool is_inside) {
  for (auto each = next_; each < std::min(number, above_); ++each) behind_hole_ -= std::exchange(of(each), {}).size;
  move_up(number - next_);
  if (out_end() == taken_) {
    for (; first_ < number; ++first_) of(first_) = {};
    walked_ = number;
    jump_out(offset, is_inside);
  } else if (!gaps_.empty() && (gaps_.size() == max_gaps || gaps_.back().to == in_order_)) {
    gaps_.back().to = offset;
    gaps_.back().is_inside = is_inside;
  } else {
    gaps_.push_back({in_order_, offset, is_inside});
  }
  next_ = number;
  above_ = std::max(above_, number);
  if (newest_ < number) newest_ = 0;
  in_order_ = offset;
  highest_ = std::max(highest_, offset);
  knows_offset_ = true;
  advance();
}

/// What is in order gets higher numbers: it is acknowledged, and only its order matters. So the numbers of a gap take
/// no slots, however many they are.
void stream_inbox::move_up(std::uint64_t by) {
  std::vector<slot> moved;
  moved.reserve(static_cast<std::size_t>(next_ - first_));
  for (auto each = first_; each < next_; ++each) moved.push_back(std::exchange(of(each), {}));
  first_ += by;
  walked_ += by;
  for (std::size_t i = 0; i < moved.size(); ++i) of(first_ + i) = moved[i];
}

/// All that was in order is taken out; the next offset to be taken out is another.
void stream_inbox::jump_out(std::uint64_t offset, bool is_inside) {
  if (written_ == taken_) {
    written_ = offset;
  } else if (skipped_.to == taken_) {
    skipped_.to = offset;
  } else {
    skipped_ = {taken_, offset};
  }
  taken_ = walked_offset_ = offset;
  is_inside_ = is_inside;
  is_open_ended_ = false;
}

std::uint64_t stream_inbox::drop_late(std::uint64_t offset, bool is_inside) {
  if (!knows_offset_ || is_pinned_ || offset <= taken_ || offset > in_order_) return 0;
  auto end = first_;
  while (end < next_ && of(end).offset < offset) ++end;
  const bool is_border = end < next_ ? of(end).offset == offset : in_order_ == offset;
  if (!is_border) return 0;
  const auto dropped = end - first_;
  for (; first_ < end; ++first_) of(first_) = {};
  std::erase_if(gaps_, [&](const gap& each) { return each.to <= offset; });
  jump_out(offset, is_inside);
  walked_ = first_;
  drop_taken();
  return dropped;
}

/// A record that goes on in what never comes is not written.
void stream_inbox::drop_cut_record() {
  const auto cut = gaps_.front();
  gaps_.erase(gaps_.begin());
  while (first_ < next_ && of(first_).end() <= walked_offset_) of(first_++) = {};
  jump_out(cut.to, cut.is_inside);
  walked_ = first_;
  drop_taken();
}

void stream_inbox::drop_rest() {
  if (!is_inside_) return;
  for (;;) {
    // A gap behind the rest is gone over, whether that ends there or not: nothing rests at its edge.
    if (!gaps_.empty() && taken_ == gaps_.front().from) {
      const auto passed = gaps_.front();
      gaps_.erase(gaps_.begin());
      jump_out(passed.to, passed.is_inside);
    } else if (is_inside_ && first_ < next_) {
      const auto packet = of(first_);
      jump_out(packet.end(), (packet.flags & data_header::continues) != 0);
    } else {
      return;
    }
    drop_taken();
  }
}

}  // namespace nat
