// From stdin to the peers: waits until they are there, cuts the input into packets, paces them, addresses each to
// everyone.
#pragma once

#include "nat/input_splitter.hpp"
#include "nat/outbox.hpp"
#include "nat/pacer.hpp"
#include "nat/peer_table.hpp"
#include "nat/random.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace nat {

/// Holds stdin back until the first peers can hear us: so many are listed, and everyone listed at that moment was heard
/// from or pinged for `patience`. Once open it stays open.
class start_gate {
 public:
  static constexpr duration patience = std::chrono::seconds(2);

  explicit start_gate(std::size_t wait_for) : wait_for_(wait_for), open_(wait_for == 0) {}

  bool is_open() const { return open_; }
  /// To be called when peers come, go or are heard, and at `next_deadline`.
  void update(time_point now, const std::vector<known_peer>& peers);
  deadline next_deadline() const { return open_ ? std::nullopt : wake_; }

 private:
  std::size_t wait_for_;
  bool open_;
  std::optional<time_point> counted_at_;  ///< when enough were listed; who came later is not waited for
  deadline wake_;
};

class sender {
 public:
  sender(input_mode mode, std::uint64_t bits_per_second, std::size_t wait_for)
      : gate_(wait_for), splitter_(mode), pacer_(bits_per_second) {}

  bool wants_input() const { return gate_.is_open() && splitter_.wants_input(); }
  void on_input(byte_view chunk) { splitter_.push(chunk); }
  void on_input_end() { splitter_.end(); }
  void on_peers_changed(time_point now, const std::vector<known_peer>& peers) { gate_.update(now, peers); }

  // An address that is listed is not yet a peer's: nobody shall be flooded because somebody registered his address. One
  // that is not heard gets so much DATA and no more, until it is heard (again, after a while: RFC 7675, 5.1).
  static constexpr std::size_t max_unproven = 65'536;
  static constexpr duration consent = std::chrono::seconds(30);

  /// Puts what may be sent now into `out`, for each of `peers` that may have it.
  void pump(time_point now, std::vector<known_peer>& peers, random_source& random, outbox& out);

  /// When `pump` has something to do again, `out` having room.
  deadline next_deadline();

  std::size_t held_input() const { return splitter_.held(); }  ///< bytes, against `input_splitter::max_buffered`
  bool gate_is_open() const { return gate_.is_open(); }
  /// Whether all input was put into an outbox.
  bool finished() { return splitter_.finished(); }
  std::uint64_t packets() const { return packets_; }

 private:
  void choose_recipients(time_point now, std::vector<known_peer>& peers);
  void address_burst(time_point now, outbox& out);
  void discard(time_point now);

  // Packets of one burst stand together for each peer, so that they can leave in one segmentation-offloaded call.
  static constexpr std::size_t max_burst = 64;

  start_gate gate_;
  input_splitter splitter_;
  pacer pacer_;
  std::vector<outbox::packet_ref> burst_;
  std::vector<known_peer*> recipients_;  ///< during `pump` only
  std::uint64_t packets_ = 0;
};

}  // namespace nat
