// One topic of natcoord: who holds which name, who is listed in which order, and what its clients are sent: lists those
// of section 1, snapshots and deltas those of natcoord.v2.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"
#include "nat/v2_client.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/intrusive/list.hpp>

namespace nat {

/// Names one connection of one run; never given twice.
using client_id = std::uint64_t;

class topic_roster;
struct registered_client;

/// Who has a name: its holder, and a newcomer that may replace the holder once its upgrade is done.
struct name_seat {
  registered_client* holder = nullptr;  ///< never null while the seat exists
  registered_client* successor = nullptr;
};
using name_seats = std::map<std::string, name_seat, std::less<>>;

/// A queue that a client leaves by itself when it dies.
using queue_hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// What a silent client waits for. Each phase lasts a constant time, so a queue by arrival is one by
/// deadline.
enum class client_phase : std::uint8_t {
  reserved,  ///< admitted, the upgrade is not done
  open,      ///< listed
  pinged,    ///< listed, and asked for a sign of life
};

/// What v2 clients have not been told of a client yet.
enum class client_news : std::uint8_t { none, joined, changed };

/// What the coordinator keeps for one connection: about 450 bytes with its name, its entry and its seat, and a
/// v2_client where it is one.
struct registered_client {
  client_id id = 0;
  topic_roster* home = nullptr;
  name_seats::iterator seat;
  endpoint address;   ///< where section 1's list has it; of a v2 client only while it is there
  ip_address source;  ///< where its connection comes from
  client_phase phase = client_phase::reserved;
  client_news news = client_news::none;
  time_point phase_began;
  time_point last_activity;
  unix_millis last_seen = 0;
  std::uint64_t told = 0;         ///< the version of the newest list (v2: of the topic) handed to it; 0: none yet
  std::uint64_t shown_since = 0;  ///< the topic's version that it came with
  std::string entry;              ///< its JSON object, up to the digits of `last_seen`
  std::unique_ptr<v2_client> v2;  ///< null: a client of section 1
  queue_hook phase_hook;
  queue_hook roster_hook;
  queue_hook receiver_hook;
  queue_hook news_hook;
};

/// Leavers that wait to be told to v2 clients. If there were more before the pacer lets a delta go, each client gets a
/// snapshot instead.
constexpr std::size_t max_untold_leavers = 4096;

/// A text for several clients.
struct topic_text {
  std::shared_ptr<const std::string> text;
  std::vector<client_id> to;
};

/// Holds no client, only says where it sits. Not copied, not moved: its clients point back at it.
///
/// A client is in the roster, which is section 1's list, once it has an address for that; v2 clients are told of every
/// client. Section 1's clients receive the roster as a whole, v2 clients what has changed.
class topic_roster {
 public:
  /// `serial` is never given twice.
  topic_roster(std::string topic, std::uint64_t serial) : topic_(std::move(topic)), serial_(serial) {}
  topic_roster(const topic_roster&) = delete;
  topic_roster& operator=(const topic_roster&) = delete;

  const std::string& topic() const { return topic_; }
  std::uint64_t serial() const { return serial_; }

  name_seats& seats() { return seats_; }
  const name_seats& seats() const { return seats_; }

  /// A client is open, a client goes. Changes.
  void enter(registered_client& client);
  void leave(registered_client& client);
  /// The address that section 1's list has for a v2 client is this now; none: it is not there.
  void set_address(registered_client& client, const std::optional<endpoint>& address);
  /// A v2 client's description is another now.
  void on_described(registered_client& client);
  /// Lets a v2 client have a snapshot, as if it had come just now.
  void restart(registered_client& client);

  /// Whether somebody has not been given the newest state.
  bool behind() const { return lists_behind() || v2_behind(); }
  /// Whether somebody has never been given a list, or waits for a snapshot.
  bool has_newcomers() const { return has_list_newcomers() || has_snapshots_due(); }
  bool has_list_newcomers() const { return has_untold(list_receivers_); }
  bool has_snapshots_due() const { return has_untold(v2_clients_); }

  // Each of them is for those who lack what it tells; from now on they count as told. An empty `to` has no text.
  topic_text lists_for_newcomers();
  topic_text snapshots_due();
  topic_text list_for_everyone();
  topic_text delta_for_everyone();

  /// Open v2 clients but one.
  std::vector<client_id> v2_clients_but(client_id one) const;

  /// When everyone was last told something; none: never.
  deadline announced_at;
  /// A place in the coordinator's queue of topics with newcomers.
  queue_hook newcomers_hook;

 private:
  template <queue_hook registered_client::*Hook>
  using client_list =
      boost::intrusive::list<registered_client, boost::intrusive::member_hook<registered_client, queue_hook, Hook>,
                             boost::intrusive::constant_time_size<false>>;
  using receivers = client_list<&registered_client::receiver_hook>;

  static bool has_untold(const receivers& list) { return !list.empty() && list.back().told == 0; }
  bool lists_behind() const { return !list_receivers_.empty() && announced_ != version_; }
  bool v2_behind() const { return !v2_clients_.empty() && v2_announced_ != v2_version_; }

  void list(registered_client& client);
  void unlist(registered_client& client);
  void on_roster_changed();
  void note(registered_client& client, client_news news);
  void note_left(registered_client& client);
  void forget_news();
  std::shared_ptr<const std::string> list_text();
  std::shared_ptr<const std::string> snapshot_text();
  std::shared_ptr<const std::string> delta_text() const;
  std::string serialise() const;
  static std::vector<client_id> tell_untold(receivers& list, std::uint64_t version);
  static std::vector<client_id> tell_all(receivers& list, std::uint64_t version);

  std::string topic_;
  std::uint64_t serial_;
  name_seats seats_;

  client_list<&registered_client::roster_hook> roster_;  ///< in order of being listed
  std::size_t listed_ = 0;
  std::size_t entry_bytes_ = 0;              ///< of all listed clients
  std::uint64_t version_ = 0;                ///< of the roster
  std::uint64_t announced_ = 0;              ///< the version that everybody was told
  std::shared_ptr<const std::string> text_;  ///< of `version_`; null: not written yet, or needed by nobody
  receivers list_receivers_;  ///< clients of section 1 in order of joining, so newcomers stand at its end

  receivers v2_clients_;                             ///< those who wait for a snapshot stand at its end
  std::uint64_t v2_version_ = 0;                     ///< of what v2 clients are told
  std::uint64_t v2_announced_ = 0;                   ///< the version that everybody was told
  std::uint64_t v2_snapshot_ = 0;                    ///< the version of the newest snapshot
  std::weak_ptr<const std::string> snapshot_;        ///< of `v2_snapshot_`, while somebody still sends it
  client_list<&registered_client::news_hook> news_;  ///< what `v2_announced_` lacks, in order of the first change
  std::vector<client_id> left_;                      ///< the same
};

}  // namespace nat
