// From stdin to the peers: waits until they are there, cuts the input into packets, seals each once, paces them,
// addresses each to everyone.
#pragma once

#include "nat/input_splitter.hpp"
#include "nat/outbox.hpp"
#include "nat/pacer.hpp"
#include "nat/peer_table.hpp"
#include "nat/random.hpp"
#include "nat/relay_queue.hpp"
#include "nat/seal.hpp"
#include "nat/session_table.hpp"
#include "nat/unproven_allowance.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace nat {

/// Holds stdin back until the first peers can hear us: so many are listed, and everyone listed at that moment is ready
/// or was waited for `patience`. Once open it stays open.
class start_gate {
 public:
  static constexpr duration patience = std::chrono::seconds(2);

  struct awaited {
    time_point known_since;
    bool ready = false;  ///< it was heard, or, if it is ours, takes our DATA
  };

  explicit start_gate(std::size_t wait_for) : wait_for_(wait_for), open_(wait_for == 0) {}

  bool is_open() const { return open_; }
  /// To be called when peers come, go or get ready, and at `next_deadline`.
  void update(time_point now, std::span<const awaited> peers);
  deadline next_deadline() const { return open_ ? std::nullopt : wake_; }

 private:
  std::size_t wait_for_;
  bool open_;
  std::optional<time_point> counted_at_;  ///< when enough were listed; who came later is not waited for
  deadline wake_;
};

class sender {
 public:
  struct limits {
    std::uint64_t rate = 0;                       ///< bit/s to each peer
    std::uint64_t seed_rate = default_seed_rate;  ///< bit/s, where everyone is a seed peer
    std::size_t wait_for = 1;
  };

  sender(input_mode mode, const limits& bounds)
      : gate_(bounds.wait_for),
        splitter_(mode),
        pacer_(bounds.rate),
        seed_pacer_(std::min(bounds.rate, bounds.seed_rate)) {}

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
  };

  bool wants_input() const { return gate_.is_open() && splitter_.wants_input(); }
  void on_input(byte_view chunk) { splitter_.push(chunk); }
  void on_input_end() { splitter_.end(); }
  void on_peers_changed(time_point now, std::span<const start_gate::awaited> peers) { gate_.update(now, peers); }

  /// Puts what may be sent now into `out` and the relay's queue, for each who may have it.
  void pump(time_point now, const surroundings& to);

  /// When `pump` has something to do again, the outbox having room.
  deadline next_deadline();

  std::size_t held_input() const { return splitter_.held(); }  ///< bytes, against `input_splitter::max_buffered`
  bool gate_is_open() const { return gate_.is_open(); }
  /// Whether all input was put into an outbox.
  bool finished() { return splitter_.finished(); }
  std::uint64_t packets() const { return packets_; }
  /// True once each time that input begins to reach nobody.
  bool take_loss() { return std::exchange(loss_is_news_, false); }
  /// The number of the next DATA packet.
  std::uint64_t next_number() const { return packets_ + 1; }

 private:
  struct direct {
    endpoint to;
    known_peer* seed = nullptr;  ///< null: one of ours
    path* via = nullptr;
  };

  void choose_recipients(time_point now, const surroundings& to);
  void address_burst(time_point now, const surroundings& to);
  void discard(time_point now);
  bool may_send(time_point now) const { return pacer_.ready(now) && (!only_seeds_ || seed_pacer_.ready(now)); }
  void on_sent(time_point now, std::size_t bytes);

  // Packets of one burst stand together for each peer, so that they can leave in one segmentation-offloaded call.
  static constexpr std::size_t max_burst = 64;

  start_gate gate_;
  input_splitter splitter_;
  pacer pacer_;
  // Seed peers never get more than this. While there are no others, stdin waits, and nothing has to be dropped.
  pacer seed_pacer_;
  bool only_seeds_ = false;
  bool reaches_nobody_ = false;
  bool loss_is_news_ = false;
  std::vector<outbox::packet_ref> burst_;
  std::vector<direct> directs_;   ///< during `pump` only
  std::vector<peer_id> relayed_;  ///< during `pump` only
  std::uint64_t packets_ = 0;
  std::uint64_t offset_ = 0;  ///< bytes of payload before the next packet's
  deadline held_up_until_;    ///< the relay's queue is full
};

}  // namespace nat
