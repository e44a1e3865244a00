// The kinds of runs: random topologies and faults, every NAT with every NAT, large ones, and hostile
// ones.
#pragma once

#include "victim.hpp"
#include "world.hpp"

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace nat::sim {

/// A random topology, random faults, and quiet at the end. The same seed gives the same run, to the last packet. The
/// trace goes to `log` where there is one; without it only its checksum is kept, if `traced`.
outcome run_random(std::uint64_t seed, std::ostream* log = nullptr, bool traced = false);

// Without faults, from the start of the later of two peers until each has a line of the other: registering takes a few
// round trips, and loss may take the first requests and lines.
constexpr duration calm_deadline = std::chrono::seconds(10);
// After the last fault: a server that does not know that a peer is gone holds its name for 75 s (ping_after,
// close_after_ping), who is refused comes back within 30 s (registration::backoff_cap), and an address that a dead STUN
// server was asked for is there within 70 s.
constexpr duration settle_deadline = std::chrono::seconds(180);

/// One or two senders, some readers, and all that may go wrong between them.
struct stream_outcome {
  outcome all;
  duration time{};  ///< virtual, until every sender had ended
  // Pairs of a sender and a reader that was there when it ended:
  std::size_t whole = 0;     ///< it got all
  std::size_t parts = 0;     ///< it came later
  std::size_t cut = 0;       ///< it was away for longer than its part is kept
  std::size_t unserved = 0;  ///< it did not connect before the sender had ended
  std::size_t unkept = 0;    ///< senders that ended with a status other than 0, as somebody had left
  std::size_t unheard = 0;   ///< senders of whose stream some was said while nobody was there
};
stream_outcome run_stream(std::uint64_t seed, std::ostream* log = nullptr, bool traced = false);

/// A NAT with the name it has in the grid.
struct nat_kind {
  std::string name;
  bool open = false;  ///< no NAT at all
  nat_config config;
};
/// Every mapping with every filtering and every port allocation.
std::vector<nat_kind> all_nat_kinds();

struct grid_cell {
  verdict theory = verdict::cannot;
  bool heard = false;
};
/// All pairs: [i][j] tells whether kind j hears kind i.
struct grid {
  std::vector<nat_kind> kinds;
  std::vector<std::vector<grid_cell>> cells;
  std::vector<std::string> failures;  ///< where a property broke, or the engine did other than theory says
  std::vector<duration> connect_times;
};
grid run_grid(std::uint64_t seed);

/// How cost grows: `topics` topics of `peers_each` peers on public addresses, from the first join to a steady state.
struct scale_row {
  std::size_t topics = 0;
  std::size_t peers = 0;  ///< in all
  duration joining{};     ///< virtual: from the first start until every peer has heard every other of its topic
  std::uint64_t lists = 0;
  std::uint64_t list_bytes = 0;
  // In the steady state, for each peer and second.
  double packets = 0;
  double bytes = 0;  ///< with IP and UDP headers
  // What the heap holds for each, without the simulator.
  std::size_t peer_memory = 0;
  std::size_t coordinator_memory = 0;
  // One peer of the first topic leaves, when all is steady.
  std::uint64_t change_lists = 0;
  std::uint64_t change_bytes = 0;
  double real_seconds = 0;  ///< for the whole run, on this machine
  std::vector<std::string> failures;
};
scale_row run_scale(std::uint64_t seed, std::size_t topics, std::size_t peers_each);

/// Hostile clients have a handful of peers send to a victim that takes no part.
struct hostile_case {
  std::string name;
  std::size_t clients = 1000;
  bool section_1 = true;  ///< half of them are clients of section 1; else none, and the victim gets no DATA at all
  bool forges_sealed = false;
  bool forges_seed = false;
  bool refuses = false;  ///< the victim's machine says with ICMP that nobody is there
  duration time = std::chrono::minutes(3);
};
struct hostile_row {
  std::uint64_t joined = 0;         ///< registrations of theirs
  std::uint64_t forged = 0;         ///< packets
  std::vector<victim::tally> each;  ///< what the victim got of each peer
  victim::tally in_all;
  std::vector<std::string> failures;
};
std::vector<hostile_case> all_hostile_cases(std::size_t clients);
hostile_row run_hostile(std::uint64_t seed, const hostile_case& chosen);

/// Peers of a keyed topic at a coordinator that lies, and an outsider who works with it. They take no line that none of
/// them has said (talker), and hear each other as soon as the coordinator lets them.
struct liar_row {
  std::uint64_t forged = 0;    ///< packets, made up or played again
  std::uint64_t recorded = 0;  ///< packets
  std::uint64_t refused = 0;   ///< packets, by peers that run at the end
  std::vector<std::string> failures;
};
liar_row run_liar(std::uint64_t seed, std::ostream* log = nullptr);

}  // namespace nat::sim
