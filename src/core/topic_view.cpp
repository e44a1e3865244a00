#include "nat/topic_view.hpp"

#include <algorithm>
#include <utility>

namespace nat {

void topic_view::on_welcome(peer_id own) {
  own_id_ = own;
  version_.reset();
  resync_asked_at_.reset();
  snapshot_is_first_ = true;
  names_.clear();  // ids of another connection, and maybe of another run of natcoord
  for (auto& [name, known] : peers_) known.peer.id = 0;
}

topic_view::changes topic_view::apply(time_point now, const v2::snapshot& list, const heard& is_heard) {
  history before;
  ++snapshots_;
  version_ = list.version;
  resync_asked_at_.reset();
  const bool keeps_missing = std::exchange(snapshot_is_first_, false);
  for (const auto& peer : list.peers) put(peer, before);
  for (auto at = peers_.begin(); at != peers_.end();) {
    const auto current = at++;
    auto& known = current->second;
    if (known.seen_in == snapshots_) continue;
    const bool in_time = known.kept_until ? now < *known.kept_until : keeps_missing;
    if (in_time && is_heard(current->first, known.said_left)) {
      unlist(now, current, before);
    } else {
      remove(current, before);
    }
  }
  return differences(before);
}

topic_view::changes topic_view::apply(time_point now, const v2::delta& delta, const heard& is_heard) {
  if (version_ && *version_ > delta.to) return {};
  if (!version_ || *version_ < delta.from) {
    const bool asked = resync_asked_at_ && now - *resync_asked_at_ < resync_spacing;
    if (!asked) resync_asked_at_ = now;
    return {.needs_resync = !asked};
  }
  history before;
  version_ = delta.to;
  for (const auto id : delta.left) {
    const auto name = names_.find(id);
    if (name == names_.end()) continue;
    const auto known = peers_.find(name->second);
    if (!known->second.peer.seed && is_heard(known->first, true)) {
      known->second.said_left = true;
      unlist(now, known, before);
    } else {
      remove(known, before);
    }
  }
  for (const auto& peer : delta.joined) put(peer, before);
  for (const auto& peer : delta.changed) put(peer, before);
  return differences(before);
}

/// Takes over what the server says of one peer.
void topic_view::put(const v2_peer& peer, history& before) {
  if (peer.id == own_id_ || peer.name == own_name_) return;
  // A server that gives one id to two names, or another name to an id, means the one it names last.
  if (const auto holder = names_.find(peer.id); holder != names_.end() && holder->second != peer.name) {
    remove(peers_.find(holder->second), before);
  }
  auto known = peers_.find(peer.name);
  if (known == peers_.end()) {
    if (peers_.size() >= max_roster_peers && !make_room(before)) {
      ++overflowed_;
      return;
    }
    before.try_emplace(peer.name, std::nullopt);
    known = peers_.try_emplace(peer.name).first;
  } else {
    if (known->second.peer != peer) before.try_emplace(peer.name, known->second.peer);
    forget_id(known->second);
  }
  if (known->second.kept_until) --kept_;
  known->second = {.peer = peer, .seen_in = snapshots_};
  if (peer.id != 0) names_[peer.id] = peer.name;
}

/// One of those that the server does not list any more makes room for one that it lists.
bool topic_view::make_room(history& before) {
  if (kept_ == 0) return false;
  remove(std::ranges::find_if(peers_, [](const auto& each) { return each.second.kept_until.has_value(); }), before);
  return true;
}

void topic_view::remove(table::iterator at, history& before) {
  forget_id(at->second);
  if (at->second.kept_until) --kept_;
  before.try_emplace(at->first, std::move(at->second.peer));
  peers_.erase(at);
}

void topic_view::forget_id(const entry& of) {
  if (const auto held = names_.find(of.peer.id); held != names_.end() && held->second == of.peer.name)
    names_.erase(held);
}

void topic_view::unlist(time_point now, table::iterator at, history& before) {
  auto& missing = at->second;
  if (!missing.kept_until) {
    missing.kept_until = now + keep_unlisted;
    ++kept_;
  }
  if (missing.peer.id != 0) {
    before.try_emplace(at->first, missing.peer);
    forget_id(missing);
    missing.peer.id = 0;
  }
  next_check_ = earliest(next_check_, now + keep_check);
}

topic_view::changes topic_view::differences(history& before) const {
  changes out;
  for (auto& [name, was] : before) {
    const auto* is = find(name);
    if (!is && was) out.left.push_back(std::move(*was));
    if (is && !was) out.appeared.push_back(*is);
    if (is && was && *is != *was) out.changed.push_back(*is);
  }
  return out;
}

std::vector<v2_peer> topic_view::expire(time_point now, const heard& is_heard) {
  if (!next_check_ || now < *next_check_) return {};
  history before;
  next_check_.reset();
  for (auto at = peers_.begin(); at != peers_.end() && kept_ > 0;) {
    const auto current = at++;
    const auto& until = current->second.kept_until;
    if (!until) continue;
    if (now < *until && is_heard(current->first, current->second.said_left)) {
      next_check_ = std::min(now + keep_check, earliest(next_check_, until).value());
    } else {
      remove(current, before);
    }
  }
  return std::move(differences(before).left);
}

std::vector<v2_peer> topic_view::clear() {
  std::vector<v2_peer> left;
  for (auto& [name, known] : std::exchange(peers_, {})) left.push_back(std::move(known.peer));
  names_.clear();
  version_.reset();
  kept_ = 0;
  next_check_.reset();
  return left;
}

const v2_peer* topic_view::find(std::string_view name) const {
  const auto known = peers_.find(name);
  return known == peers_.end() ? nullptr : &known->second.peer;
}

const v2_peer* topic_view::by_id(peer_id id) const {
  const auto name = names_.find(id);
  return name == names_.end() ? nullptr : find(name->second);
}

}  // namespace nat
