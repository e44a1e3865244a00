// One peer of ours: who it is (proven under the seal), the paths to it, what comes from it. A session belongs to a name
// in the topic; the program behind the name may be started anew, and then has another sender id.
//
// Three PINGs make two peers ready for each other's DATA: one challenges, one echoes and challenges, one echoes and
// accepts. The fourth accepts the other way.
#pragma once

#include "nat/challenges.hpp"
#include "nat/endpoint.hpp"
#include "nat/path_set.hpp"
#include "nat/reorder_buffer.hpp"
#include "nat/replay_window.hpp"
#include "nat/seal.hpp"
#include "nat/time.hpp"
#include "nat/token_bucket.hpp"
#include "nat/v2_messages.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nat {

/// What came of a packet.
enum class data_verdict : std::uint8_t {
  next,        ///< its payload is to be handed on now
  held,        ///< `session::next_payload` hands it out, soon
  unexpected,  ///< its sender has not echoed our challenge
  duplicate,   ///< seen before, or too old to know
  late,        ///< what follows it was handed out already
  forged,      ///< the payload is not what the header's sender sealed
};

class session {
 public:
  // PINGs and DATA count apart. A window holds what two paths of different speed put out of order.
  static constexpr std::size_t ping_window = 1024;
  static constexpr std::size_t data_window = 8192;
  // While somebody else claims the name, each second PING that answers nobody names no recipient, so that whoever is
  // there answers; so long after the last claim.
  static constexpr duration claim = std::chrono::seconds(5);
  // A challenge is echoed for so long: the answer to it, and what else leaves meanwhile. Later it would prove a path
  // that may be dead by then.
  static constexpr duration echo_for = std::chrono::milliseconds(500);
  // Answers to it: enough for a dense PING on each of some paths.
  static constexpr allowance answering{40, std::chrono::seconds(1), 80};
  // So many PINGs in a row tell which DATA is the first, as one may be lost.
  static constexpr std::uint64_t introductions = 3;
  // Of a peer that nothing leads to the user is told then: its addresses were tried for four seconds, and it had five
  // to tell them. While something may still lead to it that is put off.
  static constexpr duration silence_told_after = std::chrono::seconds(10);
  static constexpr duration silence_asked_again = std::chrono::seconds(1);

  session(std::string name, const name_tag& tag, time_point now)
      : name_(std::move(name)), tag_(tag), since_(now), listed_since_(now), silence_due_(now) {}

  /// It is listed again.
  void revive(time_point now);

  const std::string& name() const { return name_; }
  const name_tag& tag() const { return tag_; }
  time_point since() const { return since_; }
  /// It is listed under another id: its program may be another one.
  void on_listed_anew(time_point now);
  time_point listed_since() const { return listed_since_; }
  /// It has echoed a challenge of ours, under this sender id; 0: not yet.
  sender_id id() const { return id_; }
  bool is_fresh() const { return id_ != 0; }
  /// It takes our DATA.
  bool accepts() const { return accepts_; }
  /// The number of the first DATA packet that is for it. The next few PINGs tell.
  void set_first_data(std::uint64_t number) {
    first_data_ = number;
    introduce_until_ = pings_ + introductions;
  }
  std::uint64_t first_data() const { return first_data_; }

  path_set& paths() { return paths_; }
  const path_set& paths() const { return paths_; }

  /// Whether this PING was not seen before; it counts as seen from now on.
  bool take_number(const ping_header& ping);

  struct ping_result {
    bool wants_answer = false;  ///< send `make_answer` on the path it came by
    bool became_fresh = false;  ///< under a sender id that is new
    bool began_to_accept = false;
  };
  /// A PING for us, not seen before, came by this path, which is one of `paths()`. `choose` is due.
  ping_result on_ping(time_point now, const challenges& ours, path& by, const ping_header& ping, sender_id self);

  /// A PING to send on this path. `wants_answer` is told to the path set by the caller.
  ping_header make_ping(time_point now, const challenges& ours, const path& on, bool wants_answer,
                        const name_tag& self);
  /// Whether one more PING of its may be answered now; it then counts.
  bool take_answer(time_point now) {
    const bool may = answers_.ready(now, answering);
    if (may) answers_.take(now, answering);
    return may;
  }
  /// Counts it as sent: `number` for a header whose recipient is known.
  std::uint64_t next_ping_number() { return ++pings_; }

  /// The highest number of its DATA packets that was taken, and what was taken before it was forgotten for a while.
  std::uint64_t last_data() const { return data_seen_.highest(); }
  void forget_data_below(std::uint64_t number) { data_seen_.forget_below(number); }

  /// A DATA packet with this header came. With `next`, `payload` is what it says, in the clear.
  data_verdict on_data(time_point now, const topic_keys& keys, const data_header& header, byte_view packet,
                       std::vector<std::uint8_t>& payload);
  /// A payload that waited for those before it, now in order.
  std::optional<std::vector<std::uint8_t>> next_payload(time_point now) { return order_.release(now); }
  /// The same, when it is gone: nothing is waited for.
  std::optional<std::vector<std::uint8_t>> last_payload() { return order_.drain(); }

  void on_address_seen(const endpoint& seen) { seen_as_ = seen; }
  /// Where the peer sees us, by the last direct path.
  const std::optional<endpoint>& seen_as() const { return seen_as_; }

  deadline next_deadline() const {
    return earliest(earliest(paths_.next_deadline(), order_.next_deadline()), silence_due_);
  }
  /// Asked after each choice of a path. True once where nothing has led to it for a while; `is_trying`: something still
  /// may, so that it is not told yet.
  bool take_silence(time_point now, bool is_trying);
  std::size_t held_bytes() const { return order_.held_bytes(); }
  /// DATA packets of its that never came, of this run of it.
  std::uint64_t lost() const { return order_.skipped(); }

  // What the coordinator says of it.
  peer_id relay_id = 0;  ///< 0: it is not known to a coordinator that relays
  std::optional<nat_behavior> nat;
  bool awaits_punch = false;  ///< it was given time to ping first
  bool was_punched = false;   ///< it was told that we ping
  // What the user was last told of the path in use.
  time_point told_path_of{};  ///< the choice's moment
  std::uint8_t told_obstacle = 0;
  std::uint64_t payloads = 0;  ///< received

  // For the table that it is in.
  std::uint64_t serial = 0;  ///< an order that is the same in each run
  deadline scheduled;        ///< where it stands in the order of deadlines
  deadline retired_at;       ///< when it left

 private:
  void adopt(time_point now, sender_id id);
  bool was_replaced(sender_id id) const;
  path* proven_by(time_point now, const challenges& ours, path& by, std::uint64_t echo);

  std::string name_;
  name_tag tag_;
  time_point since_;
  time_point listed_since_;
  path_set paths_;
  sender_id id_ = 0;
  sender_id newcomer_ = 0;  ///< says that it has the name now; has not proved to live
  deadline newcomer_heard_at_;
  std::array<sender_id, 8> replaced_{};  ///< ids it had; they do not come back
  std::size_t replacements_ = 0;
  bool accepts_ = false;
  std::uint64_t pings_ = 0;
  std::uint64_t first_data_ = 0;
  bool addressed_ = false;  ///< of two PINGs in a row while the name is claimed, one names the recipient
  token_bucket answers_;
  std::uint64_t introduce_until_ = 0;  ///< PINGs up to this number are introductions
  replay_window<ping_window> pings_seen_;
  replay_window<ping_window> newcomer_pings_seen_;
  // PINGs without a recipient count over all whom they went to.
  replay_window<ping_window> unaddressed_seen_;
  replay_window<ping_window> newcomer_unaddressed_seen_;
  replay_window<data_window> data_seen_;
  std::optional<payload_opener> opener_;
  reorder_buffer order_;
  std::optional<endpoint> seen_as_;
  bool is_cut_off_ = false;  ///< nothing leads to it
  deadline silence_due_;     ///< when that is to be told, or is to be found out
};

}  // namespace nat
