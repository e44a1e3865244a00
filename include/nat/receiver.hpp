// From the peers to stdout: takes what is in order out of each peer's inbox, in turn, formats it, and knows of whom
// what is written.
#pragma once

#include "nat/fifo.hpp"
#include "nat/output_format.hpp"
#include "nat/record_formatter.hpp"
#include "nat/session_table.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nat {

class receiver {
 public:
  // One write of stdout. More would only wait in front of what other peers send.
  static constexpr std::size_t batch = 256U << 10;
  // In one piece of one peer, where bytes are written as they come.
  static constexpr std::size_t raw_piece = 64U << 10;
  // What seed peers send waits here, about 6 s at 20 Mbit/s, for a reader that stands still. They cannot be asked to
  // wait: what comes above it is dropped and counted.
  static constexpr std::size_t max_unsealed = 16U << 20;
  // Records that are not whole and fill more than a window hold memory that nothing but their end frees. So many of
  // them have a place, and whoever is silent for so long, or brings less than so much in that time, loses it to the
  // next: so no set of them holds all for ever.
  static constexpr std::size_t max_large = 3;
  static constexpr std::uint64_t least_progress = 64U << 10;
  // Bytes that the window of one is larger by: two datagrams of the largest size.
  static constexpr std::size_t record_margin = 128U << 10;
  static constexpr duration silence = std::chrono::seconds(10);

  /// `memory`: bytes that all inboxes together may hold.
  /// `from`: only what this peer sends is written; empty: everybody's.
  receiver(output_mode mode, std::size_t memory, std::string from = "")
      : mode_(mode), memory_(memory), from_(std::move(from)), formatter_(mode) {}

  /// A seed peer's payload, which is a record of its own. False: there was no room, and it is dropped.
  bool on_unsealed(const output_source& source, byte_view payload);
  /// Something is in order in this peer's inbox, or in a session that left.
  void on_arrival(time_point now, session& who);

  bool has_output() const { return !unsealed_.empty() || !queue_.empty(); }
  /// Fills `out`, which is empty, with what is to be written next. It may stay empty: nothing is whole yet.
  void next_output(std::vector<std::uint8_t>& out, session_table& sessions);
  /// So many bytes more of what was handed out are written.
  void on_written(time_point now, std::size_t bytes, session_table& sessions);

  /// A stream begins: what it may have under way, so that all of them find room.
  void admit(session& who, const session_table& all) const;
  /// Before it is told how much it may send: more, if it is held up by that alone, and there is memory.
  void grant(time_point now, session& who, session_table& all);
  /// A record that fills more than its window, and cannot be written before it is whole, may be so large: a quarter of
  /// the memory.
  std::size_t largest_record() const { return std::min(max_record, std::bit_floor(memory_ / 4)); }

  std::size_t unsealed_bytes() const { return unsealed_.size(); }  ///< against `max_unsealed`
  /// Whether all that is in order is written.
  bool drained() const { return !has_output() && handed_out_ == written_; }

 private:
  /// When stdout has had so many bytes, this is written of the peer's stream.
  struct mark {
    std::uint64_t at = 0;
    sender_id of = 0;
    std::uint64_t offset = 0;
  };

  /// Who has a place for a large record, and how far it was when that was last looked at.
  struct holder {
    sender_id id = 0;
    time_point since{};
    std::uint64_t in_order = 0;
  };

  bool holds_large(const session& who) const {
    return std::ranges::find(holders_, who.id(), &holder::id) != holders_.end();
  }
  std::size_t free_memory(const session_table& all) const;
  bool may_hold_large(time_point now, const session& who, session_table& all);
  bool gives_up_place(time_point now, holder& place, session_table& all);
  void take_back(time_point now, const session_table& all);
  bool write_some_of(session& who, std::vector<std::uint8_t>& out);
  void put_mark(const std::vector<std::uint8_t>& out, session& who, std::uint64_t offset);

  output_mode mode_;
  std::size_t memory_;
  std::string from_;
  record_formatter formatter_;
  std::size_t record_size_ = 0;  ///< of the record that `formatter_` is busy with
  std::vector<std::uint8_t> unsealed_;
  bool is_full_ = false;   ///< until something is written: formatting what is dropped costs, too
  fifo<sender_id> queue_;  ///< whose inbox has something; the one in turn first
  fifo<mark> marks_;
  std::vector<holder> holders_;
  std::uint64_t handed_out_ = 0;  ///< bytes for stdout since the start
  std::uint64_t written_ = 0;
};

}  // namespace nat
