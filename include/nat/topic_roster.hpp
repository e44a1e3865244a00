// One topic of natcoord: who holds which name, who is listed in which order, and the list they are sent.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
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

/// What the coordinator keeps for one connection: about 400 bytes with its name, its entry and its seat.
struct registered_client {
  client_id id = 0;
  topic_roster* home = nullptr;
  name_seats::iterator seat;
  endpoint address;   ///< where the peer says it can be reached
  ip_address source;  ///< where its connection comes from
  client_phase phase = client_phase::reserved;
  time_point phase_began;
  time_point last_activity;
  unix_millis last_seen = 0;
  std::uint64_t told = 0;  ///< the version of the newest list handed to it; 0: none yet
  std::string entry;       ///< its JSON object, up to the digits of `last_seen`
  queue_hook phase_hook;
  queue_hook roster_hook;
};

/// Holds no client, only says where it sits. Not copied, not moved: its clients point back at it.
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

  /// Lists a client behind all others; a change.
  void list(registered_client& client);
  /// Takes a listed client out; a change.
  void unlist(registered_client& client);
  std::size_t listed() const { return listed_; }

  /// Whether somebody listed has not been given the newest list.
  bool behind() const { return !roster_.empty() && announced_ != version_; }
  /// Whether somebody listed has never been given a list.
  bool has_newcomers() const { return !roster_.empty() && roster_.back().told == 0; }

  /// The list as it is now. It is kept for the next call as long as somebody lacks it and nothing has
  /// changed.
  std::shared_ptr<const std::string> text();
  /// Those who have never been given a list, or all who lack the newest one; from now on they count as told.
  std::vector<client_id> tell_newcomers();
  std::vector<client_id> tell_everyone();

  /// When `tell_everyone` was last answered to; none: never.
  deadline announced_at;
  /// A place in the coordinator's queue of topics with newcomers.
  queue_hook newcomers_hook;

 private:
  using roster_list = boost::intrusive::list<
      registered_client, boost::intrusive::member_hook<registered_client, queue_hook, &registered_client::roster_hook>,
      boost::intrusive::constant_time_size<false>>;

  std::string serialise() const;

  std::string topic_;
  std::uint64_t serial_;
  name_seats seats_;
  roster_list roster_;  ///< in order of joining, so newcomers stand at its end
  std::size_t listed_ = 0;
  std::size_t entry_bytes_ = 0;  ///< of all listed clients
  std::uint64_t version_ = 0;
  std::uint64_t announced_ = 0;              ///< the version that everybody listed then was told
  std::shared_ptr<const std::string> text_;  ///< of `version_`; null: not written yet, or needed by nobody
};

}  // namespace nat
