#include "nat/status_report.hpp"

#include <algorithm>

namespace nat {
namespace {

bool is_dependent(const std::optional<nat_behavior>& nat) { return nat && nat->mapping == nat_mapping::dependent; }

}  // namespace

obstacle obstacle_to(time_point now, const session& who, const own_side& own) {
  const auto& paths = who.paths();
  const auto* by = paths.chosen();
  if (by != nullptr && !by->is_relay()) return obstacle::none;
  const bool offers = std::ranges::any_of(paths.all(), [](const path& each) { return !each.is_relay(); });
  if (!offers) return now - who.since() < announcing ? obstacle::trying : obstacle::no_address_there;
  if (paths.is_trying(now)) return obstacle::trying;
  if (!own.has_public_address) return obstacle::no_udp_here;
  const bool here = is_dependent(own.nat), there = is_dependent(who.nat);
  if (here && there) return obstacle::both_nats;
  return here ? obstacle::own_nat : there ? obstacle::other_nat : obstacle::no_answer;
}

std::string_view to_string(obstacle what) {
  switch (what) {
    case obstacle::none: return "";
    case obstacle::trying: return "its addresses are being tried";
    case obstacle::no_address_there: return "it offers no address: UDP may be blocked there";
    case obstacle::no_udp_here: return "no STUN server answers: UDP may be blocked here";
    case obstacle::both_nats: return "both NATs give another port to each destination";
    case obstacle::own_nat:
      return "our NAT gives another port to each destination, and its side lets in only known ports";
    case obstacle::other_nat:
      return "its NAT gives another port to each destination, and ours lets in only known ports";
    case obstacle::no_answer: return "none of its addresses answers";
  }
  return "";
}

std::string_view to_string(choice_reason why) {
  switch (why) {
    case choice_reason::nothing_yet: return "nothing has answered yet";
    case choice_reason::nothing_left: return "the last path fell silent";
    case choice_reason::relay_answered: return "no direct path has answered yet";
    case choice_reason::direct_silent: return "the direct path fell silent";
    case choice_reason::direct_answered: return "the first address that answered";
    case choice_reason::better: return "a better way than the one before";
    case choice_reason::other_silent: return "the path before fell silent";
  }
  return "";
}

peer_report report_of(time_point now, const session& who, const own_side& own) {
  const auto& paths = who.paths();
  peer_report out{.name = who.name(),
                  .bytes_sent = paths.bytes_sent(),
                  .bytes_received = paths.bytes_received(),
                  .data_received = who.payloads,
                  .data_lost = who.lost(),
                  .since = std::max(who.since(), paths.choice().since),
                  .why = to_string(paths.choice().why),
                  .not_direct = obstacle_to(now, who, own)};
  if (const auto* by = paths.chosen()) {
    out.path = by->kind;
    if (!by->is_relay()) out.at = by->at;
    out.rtt = by->rtt;
    out.loss = by->loss;
  }
  return out;
}

peer_report report_of(time_point now, const known_peer& who) {
  peer_report out{.name = who.name,
                  .seed = true,
                  .at = who.address,
                  .bytes_sent = who.bytes_sent,
                  .bytes_received = who.bytes_received,
                  .data_received = who.received,
                  .since = who.heard ? who.first_heard : who.known_since,
                  .why = who.unreachable        ? "ICMP says that nobody listens there"
                         : who.has_consent(now) ? "it is heard"
                         : who.heard            ? "it fell silent"
                                                : "it was not heard yet"};
  if (who.has_consent(now)) out.path = path_kind::public_address;
  return out;
}

}  // namespace nat
