// What the other side of a session says, for tests of one side.
#pragma once

#include "nat/session.hpp"

#include "plain_random.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nat {

constexpr sender_id own_id = 0x0a0a;
constexpr sender_id peer_sender = 0x0b0b;

inline endpoint challenged_at(const session& who, const path& on) {
  return on.is_relay() ? challenges::behind_relay(who.tag()) : on.at;
}

/// A PING that proves its sender to live on this path, and that takes our DATA.
inline ping_header proof(time_point now, const challenges& ours, const session& who, const path& on,
                         std::uint64_t number, sender_id from = peer_sender) {
  ping_header ping;
  ping.sender = from;
  ping.number = number;
  ping.recipient = own_id;
  ping.challenge = 77;
  ping.echo = ours.of(now, challenged_at(who, on));
  ping.flags = ping_header::accepts;
  ping.body = ping_header::introduction{who.tag()};
  return ping;
}

/// Makes the session ready for DATA both ways on this path.
inline void make_ready(time_point now, const challenges& ours, session& who, path& on, std::uint64_t number = 1) {
  const auto ping = proof(now, ours, who, on, number);
  if (!who.take_number(ping)) return;
  who.on_ping(now, ours, on, ping, own_id);
  who.paths().choose(now);
}

}  // namespace nat
