// One peer of ours: who it is (proven under the seal), the paths to it, what comes from it. A session belongs to a name
// in the topic; the program behind the name may be started anew, and then has another sender id.
//
// Three PINGs make two peers ready for each other's DATA: one challenges, one echoes and challenges, one echoes and
// accepts. The fourth accepts the other way.
#pragma once

#include "nat/challenges.hpp"
#include "nat/delivery.hpp"
#include "nat/endpoint.hpp"
#include "nat/path_set.hpp"
#include "nat/replay_window.hpp"
#include "nat/seal.hpp"
#include "nat/stream_inbox.hpp"
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

/// What came of a DATA packet.
enum class data_verdict : std::uint8_t {
  taken,
  unexpected,  ///< its sender has not echoed our challenge
  not_begun,   ///< where its stream begins is not known here: the sender is to tell
  duplicate,   ///< it came before
  no_room,     ///< more than may be under way: it will come again
  forged,      ///< the payload is not what the header's sender sealed, or its place is none
};

class session {
 public:
  // What two paths of different speed put out of order. (Which DATA has come is the inbox's matter.)
  static constexpr std::size_t ping_window = 1024;
  // While somebody else claims the name, each second PING that answers nobody names no recipient, so that whoever is
  // there answers; so long after the last claim.
  static constexpr duration claim = std::chrono::seconds(5);
  // A challenge is echoed for so long: the answer to it, and what else leaves meanwhile. Later it would prove a path
  // that may be dead by then.
  static constexpr duration echo_for = std::chrono::milliseconds(500);
  // Answers to it: enough for a dense PING on each of some paths.
  static constexpr allowance answering{40, std::chrono::seconds(1), 80};
  // Who sends DATA that begins nowhere is asked where it begins, so often at most.
  static constexpr allowance asking{10, std::chrono::seconds(1), 4};
  // How often its program may be another one: each begins the streams anew.
  static constexpr allowance adopting{1, std::chrono::seconds(1), 10};
  // How often its stream may go on somewhere else.
  static constexpr allowance jumping{500, std::chrono::seconds(1), 500};
  // Of a peer that nothing leads to the user is told then: its addresses were tried for four seconds, and it had five
  // to tell them. While something may still lead to it that is put off.
  static constexpr duration silence_told_after = std::chrono::seconds(10);
  static constexpr duration silence_asked_again = std::chrono::seconds(1);
  // Of gaps in its stream the user is told so often at most: a live stream may have many.
  static constexpr duration gap_spacing = std::chrono::seconds(1);

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

  // ---- our stream, on its way to it
  /// The log's packets from this one on are for it. `is_inside`: that one goes on with a record.
  void start_stream(std::uint64_t number, std::uint64_t offset, std::uint64_t seed, bool is_inside) {
    outgoing_.emplace(number, offset, seed, is_inside);
  }
  /// Null: it does not take our DATA.
  delivery* outgoing() { return outgoing_ ? &*outgoing_ : nullptr; }
  const delivery* outgoing() const { return outgoing_ ? &*outgoing_ : nullptr; }

  // ---- its stream
  stream_inbox& inbox() { return inbox_; }
  const stream_inbox& inbox() const { return inbox_; }
  /// Whether it has said anything, or will.
  bool is_sender() const { return inbox_.packets() > 0 || will_end; }
  /// Whether all of its stream is written, from its first byte on.
  bool is_finished() const { return inbox_.has_ended() && inbox_.is_drained(); }
  /// It says where its stream begins for us, or goes on; `flags`: the PING's.
  void on_stream(time_point now, const ping_stream& what, std::uint8_t flags);
  /// Packets that the user is to be told of now: they were awaited and will not be written. 0: none. `at_once`: it
  /// cannot be told later.
  std::uint64_t take_gap(time_point now, bool at_once = false);

  path_set& paths() { return paths_; }
  const path_set& paths() const { return paths_; }

  /// Whether this PING was not seen before; it counts as seen from now on.
  bool take_number(const ping_header& ping);

  struct ping_result {
    bool wants_answer = false;  ///< send `make_ping` on the path it came by
    bool is_newcomer = false;   ///< who has not proved to have the name, which another has: it is answered apart
    bool became_fresh = false;  ///< under a sender id that is new
    bool began_to_accept = false;
  };
  /// A PING for us, not seen before, came by this path, which is one of `paths()`. `choose` is due.
  ping_result on_ping(time_point now, const challenges& ours, path& by, const ping_header& ping, sender_id self);

  /// A PING to send on this path. `wants_answer` is told to the path set by the caller. `to_newcomer`: it answers the
  /// PING that was heard last, of one who is not proved.
  ping_header make_ping(time_point now, const challenges& ours, const path& on, bool wants_answer, const name_tag& self,
                        bool to_newcomer = false);
  /// Whether one more PING of its, or of who claims its name, may be answered now; it then counts.
  bool take_answer(time_point now, bool to_newcomer = false) {
    auto& answers = to_newcomer ? newcomer_answers_ : answers_;
    const bool may = answers.ready(now, answering);
    if (may) answers.take(now, answering);
    return may;
  }
  /// Counts it as sent: `number` for a header whose recipient is known.
  std::uint64_t next_ping_number() { return ++pings_; }

  /// Below this number nothing of its stream is taken any more; it is kept when the rest of a session is forgotten.
  std::uint64_t data_floor() const { return std::max(data_floor_, inbox_.next()); }
  void forget_data_below(std::uint64_t number) { data_floor_ = std::max(data_floor_, number); }

  /// A DATA packet with this header came. `scratch` is for a payload that does not fit in one piece.
  data_verdict on_data(time_point now, unix_millis wall, const topic_keys& keys, const data_header& header,
                       byte_view packet, std::vector<std::uint8_t>& scratch);
  /// Whether it may be asked now where its stream begins; it then counts.
  bool take_question(time_point now) {
    const bool may = questions_.ready(now, asking);
    if (may) questions_.take(now, asking);
    return may;
  }

  void on_address_seen(const endpoint& seen) { seen_as_ = seen; }
  /// Where the peer sees us, by the last direct path.
  const std::optional<endpoint>& seen_as() const { return seen_as_; }

  deadline next_deadline() const {
    return earliest(earliest(paths_.next_deadline(), inbox_.next_deadline()), earliest(silence_due_, gap_due_));
  }
  /// Asked after each choice of a path. True once where nothing has led to it for a while; `is_trying`: something still
  /// may, so that it is not told yet.
  bool take_silence(time_point now, bool is_trying);
  /// Since when nothing leads to it; none: something does.
  deadline silent_since() const { return paths_.chosen() == nullptr ? deadline{paths_.choice().since} : std::nullopt; }
  std::size_t held_bytes() const { return inbox_.held_bytes(); }
  /// DATA packets of its that were awaited and never came, of this run of it.
  std::uint64_t lost() const { return lost_; }

  // What the coordinator says of it.
  peer_id relay_id = 0;  ///< 0: it is not known to a coordinator that relays
  std::optional<nat_behavior> nat;
  bool awaits_punch = false;  ///< it was given time to ping first
  bool was_punched = false;   ///< it was told that we ping
  // What the user was last told of the path in use.
  std::uint64_t told_choice = 0;  ///< its number
  std::uint8_t told_obstacle = 0;
  std::uint64_t payloads = 0;  ///< received
  std::uint64_t payload_bytes = 0;
  bool said_goodbye = false;        ///< it will not come back
  bool will_end = false;            ///< it sends until it has no more (--quit-on-eof)
  bool is_live = false;             ///< it drops what is late (--live)
  bool missed_beginning = false;    ///< of its stream
  bool was_left_behind = false;     ///< it was too slow for our stream, or away for too long
  bool takes_again = false;         ///< since then it has written something, if only of what it had before
  std::uint64_t written_there = 0;  ///< stream offset, the highest that it has told
  std::uint64_t confirmed = 0;      ///< stream offset up to which it knows that we have written its stream
  bool is_queued = false;           ///< it has something for stdout, and the receiver knows

  // For the table that it is in.
  std::uint64_t serial = 0;  ///< an order that is the same in each run
  deadline scheduled;        ///< where it stands in the order of deadlines
  bool is_touched = false;   ///< it may stand elsewhere soon
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
  path_question newcomer_question_;      ///< apart from the paths', which are `id_`'s: a newcomer may be a recording
  std::array<sender_id, 8> replaced_{};  ///< ids it had; they do not come back
  std::size_t replacements_ = 0;
  bool accepts_ = false;
  std::uint64_t pings_ = 0;
  bool addressed_ = false;  ///< of two PINGs in a row while the name is claimed, one names the recipient
  token_bucket answers_;
  token_bucket newcomer_answers_;
  token_bucket questions_;
  token_bucket adoptions_;
  token_bucket jumps_;
  replay_window<ping_window> pings_seen_;
  replay_window<ping_window> newcomer_pings_seen_;
  // PINGs without a recipient count over all whom they went to.
  replay_window<ping_window> unaddressed_seen_;
  replay_window<ping_window> newcomer_unaddressed_seen_;
  std::optional<delivery> outgoing_;
  std::optional<payload_opener> opener_;
  stream_inbox inbox_{stream_inbox::least_window};
  std::uint64_t data_floor_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t told_lost_ = 0;  ///< of them, what the user was told of
  deadline gap_due_;             ///< when that is to be told
  deadline gap_told_at_;
  std::optional<endpoint> seen_as_;
  bool is_cut_off_ = false;  ///< nothing leads to it
  deadline silence_due_;     ///< when that is to be told, or is to be found out
};

}  // namespace nat
