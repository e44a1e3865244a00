// How far the streams are, for who watches them: counted all the time, put together when it is asked for.
#pragma once

#include "nat/peer_table.hpp"
#include "nat/send_log.hpp"
#include "nat/session.hpp"
#include "nat/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nat {

/// What leads to a peer.
enum class reach : std::uint8_t {
  none,  ///< nothing works
  direct,
  relay,
  seed,  ///< it knows the seed protocol alone, and is heard
  left,  ///< it left a moment ago
};

struct peer_progress {
  std::string name;
  reach by = reach::none;
  /// How much of our stream is written there, or, of a seed peer, was sent to it: an offset. None: it takes nothing of
  /// ours yet.
  std::optional<std::uint64_t> has;
  bool has_gap = false;        ///< it was left behind: some of what is before that offset it did not get
  std::uint64_t received = 0;  ///< bytes of its stream, each packet counted once
};

struct progress_report {
  time_point at{};
  std::uint64_t sent = 0;            ///< bytes of our stream, each counted once: the offset of its end
  std::uint64_t received = 0;        ///< bytes of all others' streams
  std::vector<peer_progress> peers;  ///< by name
};

peer_progress progress_of(const session& who);
peer_progress progress_of(time_point now, const known_peer& who, const send_log& log);

}  // namespace nat
