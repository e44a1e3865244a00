// A queue whose memory is used again. std::deque asks for a new piece each few elements, for as long as it moves.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace nat {

template <typename Value>
class fifo {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  Value& front() { return slots_[first_]; }
  const Value& front() const { return slots_[first_]; }
  Value& back() { return at(size_ - 1); }

  void push_back(Value value) {
    if (size_ == slots_.size()) grow();
    at(size_++) = std::move(value);
  }
  void pop_front() { take_front(); }
  Value take_front() {
    auto value = std::exchange(slots_[first_], Value{});
    first_ = (first_ + 1) & (slots_.size() - 1);
    if (--size_ == 0 && slots_.size() > most_kept) clear();
    return value;
  }
  void clear() {
    slots_ = std::vector<Value>();
    first_ = size_ = 0;
  }

 private:
  static constexpr std::size_t least_kept = 16;
  static constexpr std::size_t most_kept = 1024;  // elements, once it is empty

  Value& at(std::size_t i) { return slots_[(first_ + i) & (slots_.size() - 1)]; }
  void grow() {
    std::vector<Value> larger(slots_.empty() ? least_kept : 2 * slots_.size());
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move(at(i));
    slots_ = std::move(larger);
    first_ = 0;
  }

  std::vector<Value> slots_;  ///< as many as a power of two, or none
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace nat
