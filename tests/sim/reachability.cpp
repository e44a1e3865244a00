#include "reachability.hpp"

#include "nat/wire.hpp"

#include <algorithm>

namespace nat::sim {
namespace {

// STUN is asked each 20 to 26 s (stun_refresh_max), and asked again where a request is lost.
constexpr duration refreshed_by_stun = std::chrono::seconds(60);
// STUN may be silent for 40 s, and a host's line be down as long.
constexpr duration outlives_silence = std::chrono::seconds(120);
// PINGs go out each 250 ms.
constexpr duration refreshed_by_pings = std::chrono::seconds(1);
constexpr std::size_t inexhaustible = 256;  // ports, for the few hosts of a run

verdict worst(verdict a, verdict b) { return std::min(a, b); }

/// Each destination has a mapping of its own.
bool maps_by_destination(const nat_config& box) {
  switch (box.mapping) {
    case mapping_behavior::none:
    case mapping_behavior::endpoint_independent: return false;
    case mapping_behavior::address_dependent:
    case mapping_behavior::address_and_port_dependent: return true;
    case mapping_behavior::per_session: return box.ports != port_allocation::preserving;
  }
  return true;
}

/// Ports run out where there are few; and those that may serve several destinations at once may be the same by chance.
bool is_left_to_chance(const nat_config& box) {
  const bool few_ports = box.ports == port_allocation::block && box.mapping != mapping_behavior::none &&
                         (box.block_size < inexhaustible || box.mapping == mapping_behavior::per_session);
  const bool may_shift = box.accepts_unsolicited && box.mapping == mapping_behavior::per_session;
  return few_ports || may_shift || box.lifetime < refreshed_by_pings;
}

/// Whether the port that STUN saw is surely no other destination's: until its mapping expires.
bool keeps_ports_apart(const nat_config& box) { return box.lifetime >= outlives_silence; }

/// Whether the address that STUN saw and the one that peers see are one.
verdict looks_the_same_to_all(const way_out& way) {
  auto out = verdict::must;
  bool chance = false;
  for (const auto* box : way.boxes) {
    if (maps_by_destination(*box)) out = worst(out, keeps_ports_apart(*box) ? verdict::cannot : verdict::may);
    chance = chance || is_left_to_chance(*box);
  }
  return chance ? verdict::may : out;
}

/// Whether packets to the address that STUN saw come in, from whom PINGs go out to.
verdict lets_in(const way_out& way) {
  auto out = verdict::must;
  bool chance = false;
  bool by_destination = false;  // behind such a box, the others see an inside port for each destination, too
  bool kept_apart = true;
  for (const auto* box : way.boxes) {
    chance = chance || is_left_to_chance(*box);
    if (maps_by_destination(*box)) {
      by_destination = true;
      kept_apart = kept_apart && keeps_ports_apart(*box);
    }
    if (!by_destination) continue;  // the PINGs open it
    // What STUN has opened stays open, to whom it is open.
    const bool open_to_all =
        box->filtering == filtering_behavior::endpoint_independent && box->mapping != mapping_behavior::per_session;
    if (open_to_all) {
      out = worst(out, box->lifetime >= refreshed_by_stun ? verdict::must : verdict::may);
    } else {
      out = worst(out, kept_apart && keeps_ports_apart(*box) ? verdict::cannot : verdict::may);
    }
  }
  return chance ? verdict::may : out;
}

bool carries_packets(const nat_config& box) { return !box.drops_udp && box.min_payload <= header_size; }

/// Whether packets of ours get through, and where both are behind one box, round.
bool carries(const way_out& from, const way_out& to, bool shared_outermost) {
  if (!std::ranges::all_of(from.boxes, carries_packets, [](const auto* box) { return *box; })) return false;
  if (!std::ranges::all_of(to.boxes, carries_packets, [](const auto* box) { return *box; })) return false;
  return !shared_outermost || to.boxes.back()->hairpin;
}

/// Lets in only who comes from exactly where PINGs went.
bool wants_exact_source(const nat_config& box) {
  return box.mapping == mapping_behavior::per_session ||
         box.filtering == filtering_behavior::address_and_port_dependent;
}

/// Whether a PING to the address that `to` has registered may come in, from whatever source. `to` pings the registered
/// address of `from`, which is not that source where `from` has a mapping for each destination.
bool may_open(const way_out& from, const way_out& to) {
  if (lets_in(to) == verdict::cannot) return false;
  const bool is_strict = std::ranges::any_of(to.boxes, [](const auto* box) { return wants_exact_source(*box); });
  return looks_the_same_to_all(from) != verdict::cannot || !is_strict;
}

}  // namespace

verdict delivers(const way_out& from, const way_out& to, bool shared_outermost) {
  if (!carries(from, to, shared_outermost)) return verdict::cannot;
  return worst(looks_the_same_to_all(from), lets_in(to));
}

verdict connects(const way_out& one, const way_out& other, bool shared_outermost) {
  const auto there = delivers(one, other, shared_outermost);
  const auto back = delivers(other, one, shared_outermost);
  if (there == verdict::must && back == verdict::must) return verdict::must;
  if (!carries(one, other, shared_outermost)) return verdict::cannot;
  const bool never = !may_open(one, other) && !may_open(other, one);
  return never ? verdict::cannot : verdict::may;
}

std::string_view to_string(verdict what) {
  switch (what) {
    case verdict::cannot: return "cannot";
    case verdict::may: return "may";
    case verdict::must: return "must";
  }
  return "?";
}

}  // namespace nat::sim
