// What a natpeer knows of itself and of the others, for its user.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/path_set.hpp"
#include "nat/peer_table.hpp"
#include "nat/session.hpp"
#include "nat/time.hpp"
#include "nat/v2_messages.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nat {

/// What keeps DATA for a peer of ours off a direct path.
enum class obstacle : std::uint8_t {
  none,              ///< nothing: it goes directly
  trying,            ///< its addresses are being asked
  no_address_there,  ///< it offers no address
  no_udp_here,       ///< no STUN server answers us
  both_nats,         ///< both NATs give each destination another port (RFC 4787, 4.1)
  own_nat,           ///< ours does, and the other side lets in nothing that it did not ask for
  other_nat,         ///< the other way round
  no_answer,         ///< nothing comes back
};

/// What is known of our own side.
struct own_side {
  std::optional<nat_behavior> nat;
  bool has_public_address = false;
};

/// A peer of natcoord.v2 registers first, and tells its addresses as it learns them: STUN's first answers take so long.
constexpr duration announcing = std::chrono::seconds(5);

obstacle obstacle_to(time_point now, const session& who, const own_side& own);

// In words, for a line of the log or a table.
std::string_view to_string(obstacle what);
std::string_view to_string(choice_reason why);

struct peer_report {
  std::string name;
  bool seed = false;  ///< it knows the seed protocol alone, or has not shown more yet
  /// The path in use; none: nothing works. Of a seed peer `public_address`, once it was heard.
  std::optional<path_kind> path;
  std::optional<endpoint> at;    ///< of a direct path, or where a seed peer is listed
  duration rtt{};                ///< smoothed; 0: not measured
  double loss = 0;               ///< share of the path's PINGs that came to nothing, 0 to 1
  std::uint64_t bytes_sent = 0;  ///< over all paths, with our headers, without those of UDP and IP
  std::uint64_t bytes_received = 0;
  std::uint64_t data_received = 0;  ///< DATA packets
  std::uint64_t data_lost = 0;      ///< numbers that never came; a seed peer's packets have none
  time_point since{};               ///< of the present path, or lack of one
  std::string_view why;             ///< this path
  obstacle not_direct = obstacle::none;
};

struct status_report {
  std::optional<endpoint> address;  ///< as others see us
  std::optional<nat_behavior> nat;
  bool registered = false;
  bool v2 = false;                 ///< natcoord.v2
  bool relay = false;              ///< the coordinator relays
  std::uint64_t data_sent = 0;     ///< DATA packets, each counted once
  std::vector<peer_report> peers;  ///< by name
};

peer_report report_of(time_point now, const session& who, const own_side& own);
peer_report report_of(time_point now, const known_peer& who);

}  // namespace nat
