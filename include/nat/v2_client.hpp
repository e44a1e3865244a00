// One v2 client of natcoord: what it has told of itself, what of that the others may hear, and what it has used up.
#pragma once

#include "nat/address_tokens.hpp"
#include "nat/endpoint.hpp"
#include "nat/relay_meter.hpp"
#include "nat/time.hpp"
#include "nat/v2_messages.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nat {

/// What becomes of an address that its client has not proven to be its own (address_tokens). A private or link-local
/// address of a v2 client's own machine is passed on whatever the policy: it means nothing outside of its network. A
/// loopback address is passed on only for a client that is on this machine, too.
enum class unproven_policy : std::uint8_t {
  allow,    ///< it is passed on
  same_ip,  ///< only if the client's connection comes from the same IP address
  deny,     ///< it is not; a client of section 1, which cannot prove anything, is refused
};

/// Secret: whoever shows it is the client that had the name.
using resume_token = std::array<std::uint8_t, 16>;
std::string to_hex(const resume_token& token);
/// In constant time.
bool is_token(const resume_token& token, std::string_view shown);

/// Addresses as the others may hear of them.
struct heard_addresses {
  std::vector<candidate> candidates;  ///< in the order announced, each address once
  std::size_t newly_proven = 0;
  std::size_t dropped = 0;
};
/// `known`: what the client had before. Proof holds for as long as the address is announced.
heard_addresses judge(time_point now, const std::vector<v2::offered_candidate>& offered,
                      const std::vector<candidate>& known, const ip_address& source, unproven_policy policy,
                      const address_tokens& tokens);

/// Where clients of section 1 may send: a public address, a proven one before another, IPv4 before IPv6, since some of
/// them read nothing else.
std::optional<endpoint> address_for_lists(const std::vector<candidate>& candidates);

/// About 300 bytes, and 100 for each candidate.
struct v2_client {
  resume_token resume{};
  std::uint8_t bad_messages = 0;
  bool wants_snapshot = false;
  std::vector<candidate> candidates;
  std::optional<nat_behavior> nat;
  std::string entry;  ///< its JSON object in snapshots and deltas
  token_bucket messages;
  token_bucket announcements;
  token_bucket punches;
  token_bucket punched;  ///< by others
  relay_account relay;
  std::unique_ptr<v2::addresses> announced;  ///< the newest announcement that came before its time
  time_point last_snapshot;
  deadline delayed_until;  ///< its place in the coordinator's queue; none: not there
};

}  // namespace nat
