#include "nat/send_log.hpp"

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <utility>

namespace nat {

byte_span send_log::append(std::size_t header, std::size_t payload, bool continues) {
  const auto size = header + payload;
  assert(has_room(size) && size <= chunk_size && payload <= UINT16_MAX);
  if (chunk_size - used_ < size) {
    if (spare_.empty()) spare_.push_back(std::make_unique_for_overwrite<std::uint8_t[]>(chunk_size));
    chunks_.push_back({std::move(spare_.back()), 0});
    spare_.pop_back();
    used_ = 0;
  }
  auto& into = chunks_.back();
  into.last = end();
  auto* at = into.bytes.get() + used_;
  used_ += size;
  records_.push_back({at, end_offset_, static_cast<std::uint32_t>(size), static_cast<std::uint16_t>(payload),
                      std::exchange(next_begins_, !continues)});
  end_offset_ += payload;
  ++packets_;
  held_ += cost(records_.back());
  held_from_last_ += cost(records_.back());
  for (; last_ < end() && held_from_last_ >= keep_ + cost(this->at(last_)); ++last_) {
    held_from_last_ -= cost(this->at(last_));
  }
  return {at, size};
}

void send_log::skip(std::size_t payload, bool continues) {
  assert(empty());
  last_ = ++begin_;
  end_offset_ += payload;
  next_begins_ = !continues;
}

std::uint64_t send_log::entry(std::uint64_t number) const {
  for (auto each = std::max(number, begin_); each < end(); ++each) {
    if (at(each).begins) return each;
  }
  for (auto each = end(); !next_begins_ && each-- > begin_;) {
    if (at(each).begins) return each;
  }
  return end();
}

void send_log::trim(std::uint64_t first) {
  assert(first <= end());
  for (const auto until = std::min(first, last_); begin_ < until; ++begin_, ++dropped_) {
    held_ -= cost(records_[dropped_]);
  }
  // Moved down once half of it is gone: each record is moved once at most, on average.
  if (dropped_ * 2 >= records_.size()) {
    records_.erase(records_.begin(), records_.begin() + static_cast<std::ptrdiff_t>(dropped_));
    dropped_ = 0;
  }
  while (!chunks_.empty() && chunks_.front().last < begin_) {
    if (chunks_.size() == 1) {  // goes on being filled, from its beginning
      used_ = 0;
      return;
    }
    if (spare_.size() < spare_chunks) spare_.push_back(std::move(chunks_.front().bytes));
    chunks_.pop_front();
  }
}

}  // namespace nat
