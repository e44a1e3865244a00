// What the user is told of the paths: a line for each change, and the table of all; and how far the streams are.
#include "nat/peer.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace nat {
namespace {

std::string millis(duration time) {
  const auto tenths = time / std::chrono::microseconds(100);
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " ms";
}

}  // namespace

own_side peer::own() const { return {probed_.behavior, config_.advertise || probed_.mapped || stun_.mapped_address()}; }

/// One line for each change of the path; one when it is known why there is no better one; and one where there is none
/// after a while.
void peer::note_path(time_point now, session& who) {
  const auto& choice = who.paths().choice();
  const auto* by = who.paths().chosen();
  const auto what = obstacle_to(now, who, own());
  if (who.take_silence(now, what == obstacle::trying)) {
    const auto told = "no path: " + std::string(to_string(what)) + (relays() ? "" : ", and no relay");
    notes_.push(now, {.kind = note_kind::no_path, .name = who.name(), .text = told});
  }
  if (by == nullptr && choice.why == choice_reason::nothing_yet) return;
  const bool is_news = who.told_choice != choice.number;
  const bool is_known_now = by != nullptr && by->is_relay() && what != obstacle::trying &&
                            who.told_obstacle != static_cast<std::uint8_t>(what);
  if (!is_news && !is_known_now) return;
  who.told_choice = choice.number;
  who.told_obstacle = static_cast<std::uint8_t>(what);
  std::string told;
  if (by == nullptr) {
    told = "no path";
  } else if (by->is_relay()) {
    told = "by relay";
  } else {
    told = "direct, " + std::string(to_string(by->kind)) + ' ' + by->at.to_string();
  }
  if (by != nullptr && by->rtt != duration{}) told += ", " + millis(by->rtt);
  told += ": " + std::string(is_known_now ? to_string(what) : to_string(choice.why));
  notes_.push(now, {.kind = note_kind::path_changed, .name = who.name(), .text = std::move(told)});
}

status_report peer::status(time_point now) const {
  status_report out{.nat = probed_.behavior,
                    .registered = registration_.is_registered(),
                    .v2 = registration_.is_v2(),
                    .relay = relays(),
                    .data_sent = sender_.packets()};
  if (config_.advertise) {
    out.address = config_.advertise;
  } else {
    out.address = probed_.mapped ? probed_.mapped : stun_.mapped_address();
  }
  sessions_.for_each([&](const session& who) { out.peers.push_back(report_of(now, who, own())); });
  for (const auto& each : table_.peers()) {
    if (!each.is_ours && sessions_.by_name(each.name) == nullptr) out.peers.push_back(report_of(now, each));
  }
  std::ranges::sort(out.peers, {}, &peer_report::name);
  return out;
}

/// With those who left a moment ago: what they have is news for a while, and they may come back.
progress_report peer::progress(time_point now) const {
  progress_report out{.at = now, .sent = sender_.log().end_offset(), .received = counters_.payload_bytes};
  sessions_.for_each([&](const session& who) { out.peers.push_back(progress_of(who)); });
  sessions_.for_each_retired([&](const session& who) {
    const bool is_news = who.is_fresh() && now - *who.retired_at < sender::keeps_for_return;
    if (is_news) out.peers.push_back(progress_of(who));
  });
  for (const auto& each : table_.peers()) {
    const bool is_seed = !each.is_ours && sessions_.by_name(each.name) == nullptr;
    if (is_seed) out.peers.push_back(progress_of(now, each, sender_.log()));
  }
  std::ranges::sort(out.peers, {}, &peer_progress::name);
  return out;
}

}  // namespace nat
