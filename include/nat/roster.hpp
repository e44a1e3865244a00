// The list of a topic's peers, as the server sends it (design, section 1, step 3):
//
//   {"peers":[{"ip":"1.1.1.1","port":6969,"name":"cloudflare","last_seen":1656829882876}]}
#pragma once

#include "nat/endpoint.hpp"
#include "nat/error.hpp"
#include "nat/time.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nat {

struct roster_entry {
  std::string name;
  endpoint address;
  unix_millis last_seen = 0;
};

/// Limits of what `decode_roster` keeps. An entry over a limit is skipped and counted; the rest of the list
/// still counts.
constexpr std::size_t max_roster_peers = 4096;       // four times natcoord's own default for a topic
constexpr std::size_t max_roster_name = 1024;        // bytes; the seed server has no limit, ours has 128
constexpr std::size_t max_roster_bytes = 16U << 20;  // 100,000 entries of 160 bytes still parse
constexpr int max_roster_depth = 16;                 // of nested arrays and objects, known or unknown

struct roster {
  std::vector<roster_entry> peers;  ///< in the order received; each endpoint once (the first wins)
  std::size_t skipped = 0;          ///< entries with a missing, wrong or impossible value, repeated, or over a limit
};

/// Decodes one text message. Unknown fields are ignored, at any level; the last of two equal keys counts.
/// `{"peers":null}` is an empty list, as Go writes it. An entry needs an address that a peer can have, a port
/// in 1..65535 and a name of 1 to `max_roster_name` bytes; a missing or wrong `last_seen` becomes 0. Names
/// may have control characters.
///
/// Errors: `too_large`, `bad_json` (no JSON, not UTF-8, too deep, no object with
/// an array `peers`, a number no double holds, anything behind the object).
result<roster> decode_roster(std::string_view json);

}  // namespace nat
