// What comes of one peer's stream: packets in any order, bytes in order, acknowledgements (design, 2.4).
//
// Payloads are kept in a ring at the place that their stream offset names, so that a packet is opened where it stays,
// and what is in order is written from there:
//
//   offset:    taken_            in_order_                  limit_
//   ..written.. | to be written   | some of it has come      |
//   number:    first_            next_
#pragma once

#include "nat/bytes.hpp"
#include "nat/seal.hpp"
#include "nat/stream_limits.hpp"
#include "nat/time.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace nat {

class stream_inbox {
 public:
  // What one peer may have under way at first; less where there are very many of them.
  static constexpr std::size_t first_window = 256U << 10;
  static constexpr std::size_t least_window = 4U << 10;
  static constexpr std::size_t largest_window = 32U << 20;
  // Of a stream of bytes: what follows the last newline is written when nothing has come for so long.
  static constexpr duration quiet = std::chrono::milliseconds(100);
  // A stream of bytes is written in pieces of about this size, where it has newlines.
  static constexpr std::size_t long_piece = 64U << 10;
  // So many bytes are acknowledged together, a little less than two packets of full size (RFC 5681, 4.2); at high rates
  // what comes in an eighth of a round trip. Short lines have `max_ack_delay` for it.
  static constexpr std::size_t bytes_an_ack = 2000;
  static constexpr int acks_a_round_trip = 8;
  static constexpr duration longest_ack_spacing = std::chrono::milliseconds(5);
  // Where the round trip is so short that each acknowledgement would cost more than it tells.
  static constexpr duration least_ack_spacing = std::chrono::microseconds(100);
  // Each arrival is told twice, as an acknowledgement may be lost; of one moment in so many PINGs at most.
  static constexpr int told_times = 2;
  static constexpr std::size_t max_news = 16;
  static constexpr std::size_t max_acks_at_once = 4;

  /// `window`: bytes that it may hold now.
  explicit stream_inbox(std::size_t window) : window_(window) {}

  bool has_begun() const { return first_ != 0; }
  /// The sender says that its stream begins here for us, or goes on here after a gap: nothing before it will come.
  /// Without an offset the packet itself tells it. `is_inside`: that packet goes on with a record whose beginning will
  /// not come. Returns how many packets are missed that were awaited; 0 at the beginning.
  std::uint64_t begin(time_point now, std::uint64_t number, std::optional<std::uint64_t> offset,
                      bool is_inside = false);

  /// What is in order before this offset, at which a packet begins, and is not on its way to stdout, is too late to be
  /// written. Returns how many packets that are.
  std::uint64_t drop_late(std::uint64_t offset, bool is_inside = false);

  // ---- packets

  enum class verdict : std::uint8_t {
    taken,
    not_begun,    ///< it is not known where the stream begins
    duplicate,    ///< it came before
    no_room,      ///< beyond what it may hold: as if it was lost
    conflicting,  ///< its place is another than its neighbours say
  };
  /// Whether a packet that is not opened yet is wanted: `taken` if so.
  verdict judge(const data_header& header, std::size_t payload) const;
  /// Where its payload may be opened, so that `take` need not copy it; empty: its place is in two parts. Requires
  /// `judge` == taken.
  byte_span place(const data_header& header, std::size_t payload);
  /// Requires `judge` == taken.
  void take(time_point now, unix_millis wall, const data_header& header, byte_view payload);
  void on_duplicate(time_point now) {
    ++duplicates_;
    hurry(now);
  }

  // ---- output

  /// A record that is whole, in two parts, the second mostly empty; holds until `take_out`, and longer while it is
  /// pinned.
  struct record {
    byte_view first;
    byte_view second;
    unix_millis arrived = 0;
    std::size_t size() const { return first.size() + second.size(); }
  };
  /// The next record. None: nothing is whole yet.
  std::optional<record> next_record();
  /// For an output of records: the rest of a record whose beginning never comes counts as written. `next_record` does
  /// it, too; at once when it has come, so that what is acknowledged is right.
  void drop_rest();
  /// What is in order, in whole packets of `most` bytes together, or one.
  std::optional<record> next_bytes(std::size_t most);
  /// So many bytes, from the front, are on their way to stdout. Returns the offset behind them.
  std::uint64_t take_out(std::size_t bytes);
  /// A record that was handed out is being read: its place stays as it is until it is not.
  void pin(bool is_read) {
    is_pinned_ = is_read;
    if (!is_read) pinned_.clear();
  }
  /// All up to this offset is written.
  void on_written(time_point now, std::uint64_t offset);
  bool is_pinned() const { return is_pinned_; }
  /// Whether a record that is not whole fills more than half the first window, and so holds what others may need.
  bool is_stuck() const;
  /// At `next_deadline`: whether nothing has followed an unfinished line for a while.
  bool is_quiet() const { return is_quiet_; }
  void on_time(time_point now) { is_quiet_ = is_quiet_ || (is_tail() && now >= last_arrival_ + quiet); }

  bool has_ended() const { return ended_; }  ///< all of it has come
  bool is_drained() const { return written_ == in_order_; }

  // ---- memory

  std::size_t window() const { return window_; }
  std::size_t held_bytes() const { return capacity_; }
  /// It may hold more from now on, or, where nothing is held that is more, less.
  void set_window(std::size_t window) { window_ = window; }
  /// A record that is larger is written in parts.
  void set_largest_record(std::size_t bytes) { largest_record_ = bytes; }
  /// Nothing more is expected soon: gives its memory back, if it holds nothing.
  void release();
  /// Throws away what is not on its way to stdout: others need the memory. It is to be sent again. Not while it is
  /// pinned.
  void revoke(time_point now);
  time_point last_arrival() const { return last_arrival_; }
  /// The sender comes near to what it may send, or uses half of it in each round trip, and stdout is not what it waits
  /// for.
  bool wants_wider() const;

  // ---- acknowledgements

  bool ack_is_due(time_point now) const { return ack_at_ && now >= *ack_at_; }
  /// The next PING. Call until there is none. `round_trip`: of the path; 0: not known.
  std::optional<ping_acknowledgement> next_ack(time_point now, duration round_trip);
  /// Of the PING that `next_ack` fills.
  std::uint8_t ack_flags() const { return is_revoked_ ? ping_acknowledgement::revoked : std::uint8_t{0}; }
  /// One is due then: it was asked for.
  void ask_for_ack(time_point when) { ack_at_ = ack_at_ ? std::min(*ack_at_, when) : when; }

  deadline next_deadline() const;

  std::uint64_t next() const { return next_; }
  std::uint64_t in_order() const { return in_order_; }
  std::uint64_t written() const { return written_; }
  std::uint64_t packets() const { return packets_; }

 private:
  struct slot {
    std::uint64_t offset = 0;
    std::uint32_t arrived = 0;  ///< milliseconds since `epoch_`
    std::uint16_t size = 0;
    std::uint8_t flags = 0;
    bool is_here = false;
    std::uint64_t end() const { return offset + size; }
  };
  /// Numbers that are worth telling of, because something among them came lately.
  struct news {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    int told = 0;
    bool is_due = false;  ///< in the acknowledgement at hand
  };
  /// What never comes, between what is not taken out yet: offsets.
  struct gap {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    bool is_inside = false;  ///< what is behind it goes on with a record
  };
  static constexpr std::size_t max_gaps = 16;
  // Numbers and offsets at which a stream may begin: sums of them do not overflow. 11 years at 100 Gbit/s.
  static constexpr std::uint64_t largest_place = std::uint64_t{1} << 62;

  slot& of(std::uint64_t number) { return slots_[number & (slots_.size() - 1)]; }
  const slot& of(std::uint64_t number) const { return slots_[number & (slots_.size() - 1)]; }
  bool is_here(std::uint64_t number) const { return number < next_ || (number < above_ && of(number).is_here); }
  std::size_t at(std::uint64_t offset) const { return static_cast<std::size_t>(offset % capacity_); }
  void reserve_bytes(std::uint64_t end);
  void reserve_slots(std::uint64_t number);
  void copy_in(std::uint64_t offset, byte_view bytes);
  record view(std::uint64_t from, std::uint64_t to) const;
  void advance();
  void drop_taken();
  void skip_to(std::uint64_t number, std::uint64_t offset, bool is_inside);
  void move_up(std::uint64_t by);
  void jump_out(std::uint64_t offset, bool is_inside);
  void drop_cut_record();
  void start_at(std::uint64_t offset);
  std::uint64_t out_end() const { return gaps_.empty() ? in_order_ : gaps_.front().from; }
  std::optional<std::uint64_t> newline_before(std::uint64_t from, std::uint64_t to) const;
  void walk();
  /// Whether what is in order ends with an unfinished line of a stream of bytes.
  bool is_tail() const { return ends_open_ && in_order_ > taken_; }
  void hurry(time_point now);
  void note(std::uint64_t number);
  void write_runs(ping_acknowledgement& out);
  void measure_use(time_point now, duration round_trip);

  std::size_t window_;
  std::size_t largest_record_ = max_record;
  std::unique_ptr<std::uint8_t[]> ring_;
  std::size_t capacity_ = 0;
  bool is_pinned_ = false;
  std::vector<std::unique_ptr<std::uint8_t[]>> pinned_;  ///< smaller rings that were outgrown while they were read
  std::vector<slot> slots_;                              ///< by number; as many as a power of two, or none

  std::uint64_t first_ = 0;  ///< the first number that is not taken out whole; 0: not begun
  std::uint64_t next_ = 0;   ///< the first that has not come
  std::uint64_t above_ = 0;  ///< above the highest that has come
  std::uint64_t taken_ = 0;
  std::uint64_t in_order_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t limit_ = 0;        ///< as it was last told
  std::uint64_t highest_ = 0;      ///< the end of the highest payload that came
  std::uint64_t behind_hole_ = 0;  ///< bytes that came out of order
  std::vector<gap> gaps_;
  gap skipped_;             ///< behind what is on its way to stdout: when that is written, all of the gap is
  bool is_inside_ = false;  ///< what is at `taken_` goes on with a record whose beginning never comes
  bool knows_offset_ = false;
  bool is_revoked_ = false;  ///< until the first packet that was thrown away has come again
  bool ended_ = false;
  time_point last_arrival_{};
  unix_millis epoch_ = 0;
  std::uint64_t packets_ = 0;
  std::uint16_t duplicates_ = 0;

  // How far the search for the end of a record has come.
  std::uint64_t walked_ = 0;         ///< number
  std::uint64_t walked_offset_ = 0;  ///< above `taken_`: so much belongs to an unfinished record
  std::uint64_t record_end_ = 0;     ///< offset; above `taken_`: a record ends there
  std::uint64_t newline_ = 0;        ///< offset behind one; above `taken_`: the last one
  bool is_open_ended_ = false;       ///< what was walked over may be written in parts
  bool ends_open_ = false;           ///< what is in order ends with an unfinished line
  bool is_quiet_ = false;            ///< nothing has come for a while: its last line is written as it is

  // What comes in a round trip: who is held up by the window alone never comes near a limit that moves on meanwhile.
  time_point measured_at_{};
  std::uint64_t measured_from_ = 0;  ///< offset
  bool is_used_ = false;

  // Acknowledging.
  deadline ack_at_;
  time_point acked_at_{};
  duration spacing_{};
  std::size_t unacked_ = 0;  ///< bytes
  std::size_t acks_at_once_ = 0;
  bool is_behind_ = false;  ///< the last acknowledgements did not hold all that was due
  std::vector<news> news_;
  std::uint64_t newest_ = 0;  ///< 0: it is told
  time_point newest_at_{};
};

}  // namespace nat
