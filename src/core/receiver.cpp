#include "nat/receiver.hpp"

#include <cassert>

namespace nat {

bool receiver::on_payload(const output_source& source, byte_view payload) {
  if (full_) return false;
  const auto before = ready_.size();
  full_ = before + being_written_ + payload.size() > max_unwritten;
  if (full_) return false;
  append_output(ready_, mode_, source, payload);
  full_ = ready_.size() + being_written_ > max_unwritten;
  if (full_) ready_.resize(before);  // formatting made it too large
  return !full_;
}

void receiver::swap_output(std::vector<std::uint8_t>& empty) {
  assert(empty.empty() && being_written_ == 0);
  // After a flood the large buffers go back; in steady state the two take turns and nothing is allocated.
  constexpr std::size_t worth_keeping = 1U << 20;
  if (empty.capacity() > worth_keeping) empty = {};
  ready_.swap(empty);
  being_written_ = empty.size();
}

void receiver::on_written(std::size_t bytes) {
  assert(bytes <= being_written_);
  being_written_ -= bytes;
  full_ = false;
}

}  // namespace nat
