// The peers a natpeer knows by their addresses alone, as the seed protocol does: who is listed, who was heard, who is
// to be pinged when.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/pacer.hpp"
#include "nat/roster.hpp"
#include "nat/time.hpp"
#include "nat/topic_keys.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <boost/container/flat_map.hpp>

namespace nat {

// A seed peer's source is easily spoofed and acknowledges nothing, so it never gets more than this (design, 2.3).
constexpr std::uint64_t default_seed_rate = 8'000'000;  // bit/s

struct known_peer {
  // Who was not heard for so long may be there no more (RFC 7675, 5.1), and gets little DATA,
  static constexpr duration consent = std::chrono::seconds(30);
  // and after this few PINGs, too. A way between two NATs that was blocked for less opens again within an interval.
  static constexpr duration patience = std::chrono::minutes(5);

  std::string name;
  endpoint address;
  time_point known_since{};  ///< also when its first PING was due
  bool heard = false;        ///< a valid packet came from exactly this address
  time_point first_heard{};  ///< these two are meaningful once heard
  time_point last_heard{};
  deadline kept_until;              ///< set while the newest list lacks it (see `peer_table::update`)
  std::uint64_t received = 0;       ///< DATA packets
  std::uint64_t payload_bytes = 0;  ///< of those
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  bool unreachable = false;  ///< ICMP has said so since it was heard
  name_tag tag{};            ///< what a PING of its shows, should it be one of ours
  bool is_ours = false;      ///< it has proved to be: a session takes care of it
  pacer budget{default_seed_rate};
  std::uint64_t next_data = 0;  ///< the number of the DATA packet that it gets next; 0: it has got none

  /// It is there, and takes what we send.
  bool has_consent(time_point now) const { return heard && !unreachable && now - last_heard < consent; }
  /// Its NAT is to be kept open, or to be opened again.
  bool may_come_back(time_point now) const { return heard && !unreachable && now - last_heard < patience; }
};

class peer_table {
 public:
  /// Which entries of a list are no peers of ours.
  using exclusion = std::function<bool(const roster_entry&)>;

  // A coordinator that was restarted lists its clients as they come back, the last within the reconnect backoff's cap
  // of 30 s and a try. Until then a peer it does not list yet stays known, as long as it is heard.
  static constexpr duration keep_unlisted = std::chrono::seconds(45);
  static constexpr duration keep_silent = std::chrono::seconds(3);
  // A packet may come from a peer before the list that names it: the first few senders are remembered this long.
  static constexpr duration remember_stranger = std::chrono::seconds(5);
  static constexpr std::size_t max_strangers = 64;

  struct changes {
    std::vector<std::size_t> appeared;  ///< indices into `peers()`, after the update
    std::vector<known_peer> left;
  };

  /// Takes over a list. With `keep_missing` (the first list of a new connection) a peer that is not in it stays for
  /// `keep_unlisted`, or until it is silent for `keep_silent`; otherwise it leaves.
  changes update(time_point now, const roster& list, const exclusion& excluded, bool keep_missing);

  /// A valid packet came. Returns the peer, or null where nobody known has this address (which is remembered for a
  /// while). `first` tells whether it is the first ever.
  known_peer* on_heard(time_point now, const endpoint& from, bool& first);
  /// ICMP says that nobody listens there. Whether anybody known has this address.
  bool on_unreachable(const endpoint& at);

  /// Forgets what was kept only for a while; returns who left.
  std::vector<known_peer> expire(time_point now);
  deadline next_deadline() const;

  const std::vector<known_peer>& peers() const { return peers_; }
  /// For who keeps count of what was sent to each; addresses and names stay as they are.
  std::vector<known_peer>& peers() { return peers_; }
  bool empty() const { return peers_.empty(); }
  std::size_t size() const { return peers_.size(); }

 private:
  struct stranger {
    endpoint from;
    deadline heard_at;
  };

  void keep_or_drop(time_point now, bool keep_missing, const std::vector<bool>& stays, std::vector<known_peer>& updated,
                    std::vector<known_peer>& left);
  static bool expired(const known_peer& peer, time_point now);
  void reindex();
  bool heard_as_stranger(time_point now, const endpoint& from) const;

  std::vector<known_peer> peers_;  // in the order of the list
  // Ordered, not hashed: a coordinator chooses the addresses, and could choose them to collide.
  boost::container::flat_map<endpoint, std::size_t> index_;
  std::size_t kept_ = 0;                             // peers with `kept_until`
  std::array<stranger, max_strangers> strangers_{};  // a ring: the oldest makes room
  std::size_t next_stranger_ = 0;
};

}  // namespace nat
