// Which packet numbers of one sender have come already: the sliding window of RFC 4303, 3.4.3, kept as a ring of words
// as in RFC 6479, so that no jump shifts more than the ring.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace nat {

/// Takes each number once. What is `Bits` or more below the highest that was taken counts as a replay.
template <std::size_t Bits>
class replay_window {
  static constexpr std::size_t word_bits = 64;
  static_assert(Bits > 0 && Bits % word_bits == 0, "a window of whole words");

 public:
  static constexpr std::uint64_t size = Bits;

  /// True: the number is new; it is marked. Number 0 is never accepted.
  bool accept(std::uint64_t number) {
    if (!would_accept(number)) return false;
    if (number > highest_) advance(number);
    word_of(number) |= bit_of(number);
    return true;
  }

  bool would_accept(std::uint64_t number) const {
    if (number == 0) return false;
    if (number > highest_) return true;
    if (highest_ - number >= Bits) return false;
    return (words_[slot_of(number / word_bits)] & bit_of(number)) == 0;
  }

  /// Everything up to this number counts as seen. Has no effect on a window that knows a higher one.
  void forget_below(std::uint64_t number) {
    if (number <= highest_) return;
    advance(number);
    words_.fill(~std::uint64_t{0});
    // Of the word that the number stands in, what is above it is not seen.
    const auto bit = number % word_bits;
    if (bit + 1 < word_bits) words_[slot_of(number / word_bits)] = (std::uint64_t{2} << bit) - 1;
  }

  /// The highest number accepted; 0: none yet.
  std::uint64_t highest() const { return highest_; }

 private:
  // One word more than the window has, since its ends stand within words; a power of two, so that the ring's turn is a
  // mask.
  static constexpr std::size_t word_count = std::bit_ceil(Bits / word_bits + 1);

  static constexpr std::size_t slot_of(std::uint64_t word) { return static_cast<std::size_t>(word % word_count); }
  static constexpr std::uint64_t bit_of(std::uint64_t number) { return std::uint64_t{1} << (number % word_bits); }
  std::uint64_t& word_of(std::uint64_t number) { return words_[slot_of(number / word_bits)]; }

  void advance(std::uint64_t number) {
    const auto from = highest_ / word_bits;
    const auto stale = std::min<std::uint64_t>(number / word_bits - from, word_count);
    for (std::uint64_t i = 1; i <= stale; ++i) words_[slot_of(from + i)] = 0;
    highest_ = number;
  }

  std::uint64_t highest_ = 0;
  std::array<std::uint64_t, word_count> words_{};
};

}  // namespace nat
