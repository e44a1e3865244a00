// natcoord.v2: what a client and natcoord say to each other on the websocket once the subprotocol is selected
// (docs/PROTOCOL.md, section 9). Text messages are JSON objects with a `type`; relayed packets are binary
// (relay_frame).
#pragma once

#include "nat/endpoint.hpp"
#include "nat/error.hpp"
#include "nat/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nat {

constexpr std::string_view v2_subprotocol = "natcoord.v2";

/// Names a registered client for as long as its connection lives; never given twice by one run of natcoord, below 2^53.
using peer_id = std::uint64_t;

enum class candidate_kind : std::uint8_t {
  host,       ///< an address of the machine itself
  reflexive,  ///< as a STUN server saw it: "public"
};

/// Where a peer may be reached.
struct candidate {
  endpoint address;
  candidate_kind kind = candidate_kind::host;
  bool proven = false;  ///< natcoord has seen that it answers there

  friend bool operator==(const candidate&, const candidate&) = default;
};

/// How a client's NAT maps (RFC 4787, 4.1), as the client found out itself.
enum class nat_mapping : std::uint8_t { unknown, independent, dependent };
std::string_view to_string(nat_mapping mapping);

struct nat_behavior {
  nat_mapping mapping = nat_mapping::unknown;
  bool shifts = false;  ///< a packet that came unasked moves the mapping towards who sent it: ping first

  friend bool operator==(const nat_behavior&, const nat_behavior&) = default;
};

/// A peer as the server tells the others. `nat` is absent until the peer has announced it, and for ever on a seed
/// client.
struct v2_peer {
  peer_id id = 0;
  std::string name;
  bool seed = false;  ///< a client of section 1: one candidate, no relay
  std::vector<candidate> candidates;
  std::optional<nat_behavior> nat;

  friend bool operator==(const v2_peer&, const v2_peer&) = default;
};

// Limits of a message; what is over a limit makes it `malformed`, or `too_large`.
constexpr std::size_t max_candidates = 16;                // of one peer
constexpr std::size_t max_v2_client_message = 4096;       // bytes, from a client
constexpr std::size_t max_token_bytes = 32;               // of a STUN answer's token, before base64
constexpr std::size_t max_v2_server_message = 16U << 20;  // bytes, from the server: 10,000 peers with 16 addresses each
constexpr std::size_t max_v2_values = 1U << 19;           // JSON values in one message: 4096 such peers have 400,000
constexpr int max_v2_depth = 16;                          // of nested arrays and objects, known or unknown
constexpr std::size_t max_v2_name = 1024;                 // bytes; natcoord takes 128
constexpr std::size_t max_resume_bytes = 128;             // of a resume token, which goes into an HTTP header
constexpr std::size_t max_stun_ports = 8;
constexpr peer_id max_peer_id = (1ULL << 53) - 1;  // what a JSON number holds exactly (RFC 8259, 6)

// ---- from the server

namespace v2 {

/// First, once.
struct welcome {
  peer_id id = 0;
  std::string resume;  ///< secret; takes the name back at once, from any address ("Authorization: Bearer ...")
  ip_address seen;     ///< where the server sees the connection come from
  bool relay = false;  ///< whether it relays
  std::uint64_t relay_rate = 0;           ///< bit/s that this client may send through it
  std::vector<std::uint16_t> stun_ports;  ///< of the server's own address; the first is the ordinary one
};
/// The whole list; it may name the receiver itself, which skips it. Version numbers count the topic's changes.
struct snapshot {
  std::uint64_t version = 0;
  std::vector<v2_peer> peers;
};
/// What makes the list `from` the list `to`, and any list between them as well: a receiver at version v with
/// from <= v <= to applies all of it, `left` first, whatever it knows already; one with v < from asks for a snapshot.
struct delta {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::vector<v2_peer> joined;   ///< may name the receiver itself, which skips it
  std::vector<v2_peer> changed;  ///< as a whole, in place of what was known under the id
  std::vector<peer_id> left;
};
/// `from` is pinging the receiver now.
struct punch_from {
  peer_id from = 0;
};
using server_message = std::variant<welcome, snapshot, delta, punch_from>;

// ---- from the client

struct offered_candidate {
  endpoint address;
  candidate_kind kind = candidate_kind::host;
  std::string token;  ///< raw bytes from natcoord's STUN answer, which prove the address; empty: none
};
/// Everything about how the client can be reached, in place of what it said before.
struct addresses {
  std::vector<offered_candidate> candidates;
  std::optional<nat_behavior> nat;
};
struct punch_to {
  peer_id to = 0;
};
struct resync {};  ///< send a snapshot
using client_message = std::variant<addresses, punch_to, resync>;

}  // namespace v2

/// Decode one text message. Unknown fields are ignored, candidates of an unknown kind are left out, and an unknown
/// mapping is read as `unknown`: a later version may have them.
/// Errors: `bad_json`, `too_large`, `malformed` (a field is missing, of another type or over its limit), `unknown_type`
/// (to be ignored).
result<v2::server_message> decode_server_message(std::string_view json);
result<v2::client_message> decode_client_message(std::string_view json);

std::string encode_client_message(const v2::client_message& message);
std::string encode_server_message(const v2::server_message& message);
/// One peer as it stands in snapshots and deltas; the server keeps it, and joins what it has kept.
std::string encode_v2_peer(const v2_peer& peer);
std::string encode_snapshot(std::uint64_t version, std::span<const std::string_view> peers);
std::string encode_delta(std::uint64_t from, std::uint64_t to, std::span<const std::string_view> joined,
                         std::span<const std::string_view> changed, std::span<const peer_id> left);

}  // namespace nat
