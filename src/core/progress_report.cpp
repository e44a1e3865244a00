#include "nat/progress_report.hpp"

namespace nat {

peer_progress progress_of(const session& who) {
  peer_progress out{.name = who.name(), .has_gap = who.was_left_behind, .received = who.payload_bytes};
  if (who.retired_at) {
    out.by = reach::left;
  } else if (const auto* by = who.paths().chosen()) {
    out.by = by->is_relay() ? reach::relay : reach::direct;
  }
  if (const auto* outgoing = who.outgoing()) out.has = outgoing->written();
  return out;
}

peer_progress progress_of(time_point now, const known_peer& who, const send_log& log) {
  peer_progress out{.name = who.name, .received = who.payload_bytes};
  if (who.has_consent(now)) out.by = reach::seed;
  const bool is_known = log.holds(who.next_data) || who.next_data == log.end();
  if (is_known) out.has = log.offset_of(who.next_data);
  return out;
}

}  // namespace nat
