// One stream on its way to one peer: which of the log's packets it has, which are in flight, which are lost, what may
// be sent now. Loss detection is RFC 8985's (RACK-TLP), congestion control is BBR's, flow control is the peer's limit.
//
//   number:    base_          next_
//   ..has it.. | in flight, lost, or it has it | not sent yet
//
//   delivery.cpp       what leaves, and what the peer says of it
//   delivery_loss.cpp  what is lost, and when a silent peer is asked
#pragma once

#include "nat/bbr.hpp"
#include "nat/endpoint.hpp"
#include "nat/seal.hpp"
#include "nat/send_log.hpp"
#include "nat/stream_limits.hpp"
#include "nat/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace nat {

class delivery {
 public:
  // A probe that nothing answers is repeated, twice as late each time, up to this: the path is proved, and its PINGs
  // are about as frequent.
  static constexpr duration longest_probe_interval = std::chrono::seconds(1);
  // RFC 9002, 6.2.2, has 333 ms for a path without a sample; the paths' own PINGs have measured ours mostly.
  static constexpr duration initial_rtt = std::chrono::milliseconds(100);
  // Timers of the programs are not finer.
  static constexpr duration granularity = std::chrono::milliseconds(1);
  // What was found of a path holds for so long: others use it, too.
  static constexpr duration measures_hold = std::chrono::seconds(10);
  // What was thrown away is sent again; not more often than that: a receiver of ours waits twice as long.
  static constexpr duration revoked_again = std::chrono::seconds(5);
  // When the next one is due after so many without an answer, whatever is in flight is taken for lost.
  static constexpr int probes_before_loss = 2;
  // Losses of large packets, one of them for the second time, before their size is taken for the reason (RFC
  // 8899, 5.1.2).
  static constexpr int large_lost_before_hole = 3;

  /// `first`: the first packet that is for the peer; it has nothing yet. `is_inside`: that goes on with a record.
  delivery(std::uint64_t first, std::uint64_t offset, std::uint64_t seed, bool is_inside = false);

  /// Nothing below this number is sent any more: it is too late for it. The peer is to be told.
  void skip_to(std::uint64_t number, std::uint64_t offset, bool is_inside = false);

  std::uint64_t first() const { return first_; }
  std::uint64_t first_offset() const { return first_offset_; }
  bool first_is_inside() const { return first_is_inside_; }  ///< a record whose beginning is not for the peer

  // ---- what to send

  /// A way to the peer.
  struct way {
    endpoint by;             ///< the relay's is none
    duration round_trip{};   ///< as the path's PINGs have it; 0: not known
    std::uint64_t rate = 0;  ///< bytes/s at most; 0: no bound

    friend bool operator==(const way& a, const way& b) { return a.by == b.by; }
  };
  /// It leaves this way from now on. If that is another: other times and other bounds, those that were found the last
  /// time that it was used; and what is in flight is sent again.
  void on_path(time_point now, const way& chosen);
  /// Nothing leads to the peer now.
  void on_no_path();
  bool has_path() const { return has_path_; }

  /// The packet to send now. None: nothing may be sent, or what may is not in the log yet.
  std::optional<std::uint64_t> next(time_point now, const send_log& log);
  /// Whether a new packet of this payload could be sent now, if the log had one.
  bool wants_new(time_point now, const send_log& log, std::size_t payload);
  void on_sent(time_point now, std::uint64_t number, const send_log& log);
  /// Whether something is to be sent as soon as pace and window allow it. `new_payload`: of the packet that the log
  /// gets next; 0: none.
  bool waits(const send_log& log, std::size_t new_payload) const { return waiting(log, new_payload).has_value(); }
  /// Nothing waits: the path could carry more.
  void on_nothing_to_send() {
    if (has_path_) path_.congestion.on_app_limited(in_flight_);
  }

  // ---- what the peer says

  struct ack_result {
    bool progress = false;  ///< more has come there, or more is written
    std::optional<duration> round_trip;
  };
  /// `number`: the PING's. Nonsense costs nothing but itself.
  ack_result on_ack(time_point now, std::uint64_t number, const ping_acknowledgement& ack, std::uint8_t flags,
                    const send_log& log);

  // ---- time

  /// Looks for losses, and probes a silent peer. To be called at `next_deadline`.
  void on_time(time_point now);
  /// Whether the path may have come to carry less at once, since the last call (RFC 8899, 4.3): large packets were
  /// lost, again and again, and only small ones came; or nothing has come for so long that all in flight is taken for
  /// lost.
  bool take_black_hole() { return std::exchange(is_hole_, false); }
  /// When something may be sent or is to be looked at. `is_held_up`: by something else than its pace.
  deadline next_deadline(const send_log& log, std::size_t new_payload, bool is_held_up) const;
  /// Whether the peer is to be told of the stream (again), and answers: it has not answered yet, or shows that it does
  /// not know, or is long silent about what it has not written. What it said of that may be lost, and nothing is on its
  /// way there that it would answer.
  bool wants_to_tell(time_point now) const { return (!is_known_there_ && !told_at_) || is_past(now, tell_at()); }
  void on_told(time_point now);
  bool is_known_there() const { return is_known_there_; }

  // ---- how far it is

  /// Below this number nothing is needed any more for this peer: it is written there.
  std::uint64_t floor() const { return floor_; }
  std::uint64_t written() const { return written_; }  ///< stream offset
  /// When it last had more of the stream, or lacked nothing.
  time_point progress_at() const { return progress_at_; }
  void on_progress(time_point now) { progress_at_ = now; }
  std::uint64_t received() const { return base_; }  ///< all below this number
  std::uint64_t limit() const { return limit_; }
  bool has_all(const send_log& log) const { return floor_ == log.end(); }
  std::uint64_t in_flight() const { return in_flight_; }
  std::uint64_t resent() const { return resent_; }  ///< packets
  std::uint64_t lost() const { return lost_count_; }
  duration round_trip() const { return path_.smoothed; }
  const bbr& congestion() const { return path_.congestion; }

 private:
  /// What is known of a path.
  struct measures {
    bbr congestion;
    duration smoothed{};  ///< 0: no sample yet
    duration variation{};
    duration shortest{};
  };
  struct parked {
    way by;
    time_point until{};
    measures known;
  };
  enum class state : std::uint8_t { unsent, in_flight, lost, received };
  struct sent {
    time_point at{};
    bbr::packet_state cc{};
    std::uint64_t older = 0;  ///< in the order of sending, or of loss; 0: none
    std::uint64_t newer = 0;
    std::uint32_t size = 0;
    delivery::state is = state::unsent;
    bool again : 1 = false;       ///< sent more than once: no sample of the round trip
    bool is_counted : 1 = false;  ///< `cc` is of the present path's
    bool is_other : 1 = false;    ///< a copy of one that was not counted
    bool is_welcome : 1 = false;  ///< the peer took the stream's packets when it left, as far as is known
  };
  struct list {
    std::uint64_t oldest = 0;
    std::uint64_t newest = 0;
  };

  sent& of(std::uint64_t number) { return ring_[number & (ring_.size() - 1)]; }
  const sent& of(std::uint64_t number) const { return ring_[number & (ring_.size() - 1)]; }
  void append(list& to, std::uint64_t number);
  void remove(list& from, std::uint64_t number);
  void grow();
  bool may_send(time_point now, std::size_t size);
  bool fits_limits(std::size_t payload, std::uint64_t offset) const;
  std::optional<std::size_t> waiting(const send_log& log, std::size_t new_payload) const;
  std::optional<duration> sample_of(time_point now, const ping_acknowledgement& ack) const;
  void on_received_below(time_point now, std::uint64_t next);
  void on_runs(time_point now, const ping_acknowledgement& ack);
  bool on_written(const ping_acknowledgement& ack, const send_log& log);
  void acknowledge(time_point now, std::uint64_t number);
  void go_back(std::uint64_t next, const send_log& log);
  void sample(duration round_trip);
  void detect_losses(time_point now);
  void lose(time_point now, std::uint64_t number, bool is_congestion);
  void lose_all(time_point now, bool is_congestion);
  void lose_all_uncounted(time_point now);
  duration reordering_window() const;
  duration probe_interval(int unanswered) const;
  deadline tell_at() const;
  static bool is_past(time_point now, deadline when) { return when && now >= *when; }
  duration burst_time() const;
  std::uint64_t pace() const;

  std::uint64_t origin_;  ///< `first_` at the beginning
  std::uint64_t first_;
  std::uint64_t first_offset_;
  bool first_is_inside_;
  std::vector<sent> ring_;
  std::uint64_t base_;
  std::uint64_t next_;
  list flying_;  ///< in the order in which they left
  list lost_;
  std::uint64_t in_flight_ = 0;  ///< bytes
  std::uint64_t seed_;

  bool has_path_ = false;
  std::optional<way> way_;
  measures path_;
  std::optional<parked> before_;  ///< the way before: a path in doubt comes back mostly
  time_point release_at_{};       ///< when all that was sent has left at the pace
  time_point burst_until_{};      ///< what leaves at once may be ahead of its time up to here
  bool probing_ = false;          ///< one packet leaves whatever the window says (RFC 8985, 7.3)
  int probes_ = 0;                ///< in a row, without an answer
  time_point last_sent_{};
  bool is_hole_ = false;
  int large_lost_ = 0;       ///< packets above `max_datagram`, since one of them came
  time_point large_came_{};  ///< when the newest of them that came was sent

  std::uint64_t limit_;
  std::uint64_t written_;
  std::uint64_t floor_;
  time_point progress_at_{};
  bool is_known_there_ = false;
  bool has_limit_ = false;    ///< it has said how much it takes
  bool is_new_there_ = true;  ///< it has said nothing yet
  deadline told_at_;
  time_point heard_at_{};           ///< when it last said something, or was asked to
  int questions_ = 0;               ///< in a row, while it has written nothing
  deadline revoked_at_;             ///< when it last threw something away
  std::uint64_t thrown_below_ = 0;  ///< what it has of that, it may have had before
  std::uint64_t ignore_below_ = 0;  ///< PINGs older than one that revoked

  // RFC 8985, 6.1.
  time_point rack_sent_at_{};
  std::uint64_t rack_number_ = 0;
  duration rack_rtt_{};
  int reordering_steps_ = 1;  ///< quarters of the shortest round trip
  std::uint16_t duplicates_ = 0;
  bool knows_duplicates_ = false;
  std::uint64_t recovered_below_ = 0;
  deadline loss_at_;

  // Of the acknowledgement at hand.
  bool acked_any_ = false;
  bool acked_news_ = false;  ///< what it did not have before either
  std::uint64_t resent_ = 0;
  std::uint64_t lost_count_ = 0;
};

}  // namespace nat
