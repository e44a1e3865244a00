// From stdin to the peers: waits until they are there, cuts the input into packets, seals each once into the log, and
// lets each peer's delivery say what leaves when. Seed peers get each packet once, each at its own pace.
//
//   sender.cpp              packets, and to whom they go
//   sender_left_behind.cpp  who is not waited for, and what becomes of what nobody takes
#pragma once

#include "nat/input_splitter.hpp"
#include "nat/outbox.hpp"
#include "nat/pacer.hpp"
#include "nat/peer_table.hpp"
#include "nat/random.hpp"
#include "nat/relay_queue.hpp"
#include "nat/seal.hpp"
#include "nat/send_log.hpp"
#include "nat/session_table.hpp"
#include "nat/start_gate.hpp"
#include "nat/unproven_allowance.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace nat {

class sender {
 public:
  // Who left without a word may come back, and goes on where it was.
  static constexpr duration keeps_for_return = std::chrono::seconds(30);

  struct limits {
    std::uint64_t rate = 0;                       ///< bit/s to each peer; 0: what its path carries
    std::uint64_t seed_rate = default_seed_rate;  ///< bit/s, where everyone is a seed peer
    std::size_t wait_for = 1;
    std::size_t log_bytes = 64U << 20;
    duration slow_peer = std::chrono::minutes(5);  ///< without progress: it is left behind
    bool drops_slow_peers = false;                 ///< it is, once others wait for it
    std::size_t replay_bytes = 0;                  ///< of the log, beside `log_bytes`, for who comes later
    duration live{};                               ///< what is older is not sent any more; 0: everything is
  };

  sender(input_mode mode, const limits& bounds);

  /// Everyone whom a packet goes to, and where it is put.
  struct surroundings {
    packet_sealer& sealer;
    random_source& random;
    std::vector<known_peer>& seeds;
    bool seeds_too = true;  ///< the topic is open
    session_table& ours;
    outbox& out;
    relay_queue& relay;
    unproven_allowance& unproven;  ///< of DATA
    std::uint64_t relay_rate = 0;  ///< bit/s that the relay takes of us; 0: no bound
    /// Tells this peer where the stream begins for it; false: that cannot leave now.
    std::function<bool(session&)> tell;
  };

  bool wants_input() const { return gate_.is_open() && splitter_.wants_input(); }
  void on_input(byte_view chunk) { splitter_.push(chunk); }
  void on_input_end() { splitter_.end(); }
  void on_peers_changed(time_point now, std::span<const start_gate::awaited> peers) { gate_.update(now, peers); }
  /// This peer takes our DATA from now on, and some of what was before, if that is kept for it.
  void start_stream(time_point now, session& who, random_source& random);

  /// Puts what may be sent now into `out` and the relay's queue, for each who may have it.
  void pump(time_point now, const surroundings& to);

  /// When `pump` has something to do again, `out` being sent.
  deadline next_deadline() const { return gate_.is_open() ? wake_ : gate_.next_deadline(); }

  std::size_t held_input() const { return splitter_.held(); }  ///< bytes, against `input_splitter::max_buffered`
  const send_log& log() const { return log_; }
  bool gate_is_open() const { return gate_.is_open(); }
  /// Whether all input was sealed.
  bool finished() { return splitter_.finished(); }
  bool has_sealed_end() const { return end_is_sealed_; }
  /// Whether somebody lacks something.
  bool is_awaited() const { return needed_ != log_.end(); }
  /// Whether a seed peer is still to be sent something.
  bool is_behind_for_seeds() const { return is_behind_for_seeds_; }
  /// Whether nothing waits for `out` to be sent.
  bool is_caught_up() const { return is_caught_up_; }
  /// Whether the relay's queue is what something waits for.
  bool waits_for_relay() const { return waits_for_relay_; }
  std::uint64_t packets() const { return log_.packets(); }
  /// A peer that was left behind since the last call: it was too slow, or away for too long. Null: none.
  const session* take_left_behind();
  /// True once each time that input begins to reach nobody.
  bool take_loss() { return std::exchange(loss_is_news_, false); }

 private:
  struct recipient {
    session* who = nullptr;
    delivery* to = nullptr;
    endpoint at;
    path* via = nullptr;
  };

  // What leaves for one peer at once, so that it can leave in one segmentation-offloaded call, and what waits for the
  // kernel: PINGs are not to wait long behind it.
  static constexpr std::size_t max_burst = 64;
  static constexpr std::size_t max_waiting = 1024;
  // Bytes of the log that wait for a seed peer while ours get more than it may have; what is older is dropped.
  static constexpr std::size_t max_seed_backlog = 4U << 20;
  /// What was sent takes up room, too, until all of it is.
  static bool takes_more(const outbox& out) { return out.size() < max_waiting && out.has_room(0, 1); }
  // Of the log: what one record may take up, in eighths. One that it does not hold whole, with what each packet costs
  // beside its payload, would wait for room that only its end makes.
  static constexpr std::size_t record_eighths = 7;
  static_assert((header_size + sizeof(send_log::record)) * record_eighths <= (8 - record_eighths) * max_payload);
  // Of `--live`: packets of so long are dropped together.
  static constexpr int live_steps = 16;
  bool is_idle();
  bool is_log_full();
  static bool stands_still(const session& who);
  void drop_late(time_point now, const surroundings& to);
  void seal_at_once(time_point now, const surroundings& to);
  void choose_recipients(time_point now, const surroundings& to);
  void send(time_point now, std::uint64_t first_new, const surroundings& to);
  bool make_packet(const surroundings& to);
  bool send_burst(time_point now, const recipient& one, const surroundings& to);
  void send_relayed(time_point now, const surroundings& to);
  void send_to_seeds(time_point now, std::uint64_t first, const surroundings& to);
  void send_to_seed(time_point now, known_peer& seed, const surroundings& to);
  bool is_too_far_behind(const known_peer& seed) const;
  void make_for_seeds(time_point now, const surroundings& to);
  void make_without_takers(time_point now, const surroundings& to);
  void look_ahead(const surroundings& to);
  void trim(time_point now, const surroundings& to);
  bool leave_behind(time_point now, const surroundings& to);
  bool others_wait(time_point now, const surroundings& to) const;
  bool is_waited_for(time_point now, const session& who, bool is_full, bool is_dropped);
  void skip(time_point now, session& who, std::uint64_t number, random_source& random);
  deadline return_by(time_point now, const surroundings& to) const;
  void discard(const surroundings& to);
  std::size_t new_payload();

  start_gate gate_;
  input_splitter splitter_;
  send_log log_;
  std::uint64_t rate_;
  duration slow_peer_;
  bool drops_slow_peers_;
  std::size_t replay_;
  duration live_;
  std::uint64_t needed_ = 1;  ///< what is below this number nobody lacks
  /// With `--live`: packets from this number on, up to the next one's, were made then or a little later.
  struct age {
    time_point at{};
    std::uint64_t from = 0;
  };
  std::deque<age> ages_;
  std::uint64_t late_below_ = 1;
  // Seed peers never get more than this. While there are no others, stdin waits, and nothing has to be dropped.
  pacer seed_pacer_;
  bool end_is_sealed_ = false;
  bool reaches_nobody_ = false;
  bool loss_is_news_ = false;
  bool waits_for_relay_ = false;
  bool is_caught_up_ = true;
  bool is_trimmed_ = true;  ///< the log, at the last `pump`
  bool is_untold_ = false;  ///< somebody, where its stream begins: there was no room
  deadline wake_;
  // During `pump` only.
  std::vector<recipient> directs_;
  std::vector<recipient> relayed_;
  std::vector<peer_id> relay_ids_;
  std::vector<const session*> left_behind_;  ///< until it is told, which is soon
  bool has_seeds_ = false;
  std::size_t max_payload_ = max_payload;  ///< of what is made next: every path carries it
  bool is_behind_for_seeds_ = false;
  bool has_ours_ = false;
  bool has_takers_ = false;  ///< of ours, who are waited for
  bool seeds_lead_ = false;  ///< what seed peers may have is made, whether ours take it or not
};

}  // namespace nat
