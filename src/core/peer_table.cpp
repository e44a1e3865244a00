#include "nat/peer_table.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace nat {

peer_table::changes peer_table::update(time_point now, const roster& list, const exclusion& excluded,
                                       bool keep_missing) {
  changes result;
  std::vector<known_peer> updated;
  updated.reserve(list.peers.size());
  std::vector<bool> stays(peers_.size(), false);
  for (const auto& entry : list.peers) {
    if (excluded(entry)) continue;
    if (const auto known = index_.find(entry.address);
        known != index_.end() && peers_[known->second].name == entry.name) {
      stays[known->second] = true;
      auto& peer = updated.emplace_back(std::move(peers_[known->second]));
      peer.name = entry.name;
      peer.kept_until.reset();
      continue;
    }
    result.appeared.push_back(updated.size());
    auto& peer = updated.emplace_back();
    peer.name = entry.name;
    peer.address = entry.address;
    peer.known_since = now;
    peer.heard = heard_as_stranger(now, entry.address);
    peer.first_heard = peer.last_heard = now;
  }
  keep_or_drop(now, keep_missing, stays, updated, result.left);
  peers_ = std::move(updated);
  reindex();
  return result;
}

/// Of the peers that the list lacks, moves those that stay for a while to the end of `updated`, the others to `left`.
void peer_table::keep_or_drop(time_point now, bool keep_missing, const std::vector<bool>& stays,
                              std::vector<known_peer>& updated, std::vector<known_peer>& left) {
  kept_ = 0;
  if (std::ranges::find(stays, false) == stays.end()) return;  // most lists only add somebody
  std::set<endpoint> addresses;
  std::set<std::string> names;
  for (const auto& peer : updated) {
    addresses.insert(peer.address);
    names.insert(peer.name);
  }
  for (std::size_t i = 0; i < peers_.size(); ++i) {
    if (stays[i]) continue;
    auto& missing = peers_[i];
    if (keep_missing && !missing.kept_until) missing.kept_until = now + keep_unlisted;
    const bool replaced = addresses.contains(missing.address) || names.contains(missing.name);
    const bool keep = missing.kept_until && !replaced && !expired(missing, now) && updated.size() < max_roster_peers;
    kept_ += keep ? 1 : 0;
    (keep ? updated : left).push_back(std::move(missing));
  }
}

known_peer* peer_table::on_heard(time_point now, const endpoint& from, bool& first) {
  const auto at = index_.find(from);
  if (at == index_.end()) {
    const auto seen = std::ranges::find(strangers_, from, &stranger::from);
    auto& slot = seen != strangers_.end() ? *seen : strangers_[next_stranger_++ % max_strangers];
    slot = {from, now};
    return nullptr;
  }
  auto& peer = peers_[at->second];
  first = !std::exchange(peer.heard, true);
  if (first) peer.first_heard = now;
  peer.last_heard = now;
  peer.unreachable = false;
  return &peer;
}

bool peer_table::on_unreachable(const endpoint& at) {
  const auto known = index_.find(at);
  if (known == index_.end()) return false;
  peers_[known->second].unreachable = true;
  return true;
}

std::vector<known_peer> peer_table::expire(time_point now) {
  std::vector<known_peer> left;
  if (kept_ == 0) return left;
  std::erase_if(peers_, [&](known_peer& peer) {
    if (!expired(peer, now)) return false;
    left.push_back(std::move(peer));
    return true;
  });
  kept_ -= left.size();
  if (!left.empty()) reindex();
  return left;
}

deadline peer_table::next_deadline() const {
  deadline next;
  if (kept_ == 0) return next;
  for (const auto& peer : peers_) {
    if (peer.kept_until) next = earliest(next, std::min(*peer.kept_until, peer.last_heard + keep_silent));
  }
  return next;
}

bool peer_table::expired(const known_peer& peer, time_point now) {
  if (!peer.kept_until) return false;
  return now >= *peer.kept_until || !peer.heard || now >= peer.last_heard + keep_silent;
}

void peer_table::reindex() {
  decltype(index_)::sequence_type all;
  all.reserve(peers_.size());
  for (std::size_t i = 0; i < peers_.size(); ++i) all.emplace_back(peers_[i].address, i);
  index_.clear();
  index_.insert(all.begin(), all.end());  // one sort; an address is there once
}

bool peer_table::heard_as_stranger(time_point now, const endpoint& from) const {
  return std::ranges::any_of(strangers_, [&](const stranger& known) {
    return known.heard_at && known.from == from && now - *known.heard_at < remember_stranger;
  });
}

}  // namespace nat
