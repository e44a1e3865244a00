// Who else is in the topic, as natcoord.v2 tells it: a snapshot, then deltas. Everything goes by name: ids are new with
// each connection of a peer and with each run of natcoord, a name stays.
#pragma once

#include "nat/roster.hpp"
#include "nat/time.hpp"
#include "nat/v2_messages.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nat {

class topic_view {
 public:
  /// Whether a peer is heard now without the coordinator; `doubtful`: it is said to have left.
  using heard = std::function<bool(std::string_view name, bool doubtful)>;

  // A coordinator that was restarted lists its clients as they come back, the last within the reconnect backoff's cap
  // of 30 s and a try. Until then a peer it does not list yet stays known, as long as it is heard.
  static constexpr duration keep_unlisted = std::chrono::seconds(45);
  // How often those are looked at.
  static constexpr duration keep_check = std::chrono::seconds(1);
  // A snapshot that was asked for and has not come is asked for again; it may be as late as this over a bad network.
  static constexpr duration resync_spacing = std::chrono::seconds(2);

  /// What a message has changed. Each name is in one of them, once.
  struct changes {
    std::vector<v2_peer> appeared;
    std::vector<v2_peer> changed;  ///< as they are now; id, candidates, nat or seed are others
    std::vector<v2_peer> left;
    bool needs_resync = false;  ///< a delta is missing: send `v2::resync`

    bool empty() const { return appeared.empty() && changed.empty() && left.empty(); }
  };

  explicit topic_view(std::string own_name) : own_name_(std::move(own_name)) {}

  /// A connection was welcomed as `own`. Its first snapshot may lack peers that are still there; until that says
  /// otherwise, those that are known have no id (0).
  void on_welcome(peer_id own);

  changes apply(time_point now, const v2::snapshot& list, const heard& is_heard);
  /// Of a delta `from`..`to`, that with from <= our version <= to applies, whatever of it is known already; an older
  /// one is ignored.
  /// Who has left and is heard all the same is kept for a while as one that is not listed (id 0): a connection to the
  /// coordinator may end without its peer.
  changes apply(time_point now, const v2::delta& delta, const heard& is_heard);

  /// Forgets those that were kept only for a while and are not heard any more.
  std::vector<v2_peer> expire(time_point now, const heard& is_heard);
  deadline next_deadline() const { return next_check_; }
  /// Forgets everybody, where the server turned out to know section 1 alone; returns who they were.
  std::vector<v2_peer> clear();

  /// Pointers hold until the next call that changes something.
  const v2_peer* find(std::string_view name) const;
  const v2_peer* by_id(peer_id id) const;
  std::size_t size() const { return peers_.size(); }
  bool empty() const { return peers_.empty(); }
  const std::optional<std::uint64_t>& version() const { return version_; }
  /// Peers of messages that were not taken, as there are `max_roster_peers`.
  std::uint64_t overflowed() const { return overflowed_; }

  /// All of them, in the order of their names.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [name, known] : peers_) visit(known.peer);
  }

 private:
  struct entry {
    v2_peer peer;               ///< its id is 0 while the server does not list it
    deadline kept_until;        ///< set while the server's list lacks it
    bool said_left = false;     ///< as the server has said
    std::uint64_t seen_in = 0;  ///< the last snapshot that had it, by our own count
  };
  // Ordered, not hashed: a coordinator chooses names and ids, and could choose them to collide.
  using table = std::map<std::string, entry, std::less<>>;

  /// What was known of each name that a message has touched, before it; nothing: it was not there.
  using history = std::map<std::string, std::optional<v2_peer>>;

  void put(const v2_peer& peer, history& before);
  void remove(table::iterator at, history& before);
  void forget_id(const entry& of);
  bool make_room(history& before);
  void unlist(time_point now, table::iterator missing, history& before);
  changes differences(history& before) const;

  std::string own_name_;
  peer_id own_id_ = 0;
  table peers_;
  std::map<peer_id, std::string> names_;  ///< of those that are listed
  std::optional<std::uint64_t> version_;
  std::uint64_t snapshots_ = 0;
  bool snapshot_is_first_ = false;  ///< of this connection
  std::size_t kept_ = 0;            ///< entries with `kept_until`
  deadline next_check_;
  deadline resync_asked_at_;
  std::uint64_t overflowed_ = 0;
};

}  // namespace nat
