// The peers of ours in the topic, by name, by the keyed hash of the name that they show, and by sender id.
#pragma once

#include "nat/session.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nat {

class session_table {
 public:
  // Who is listed anew goes on where it was: what it has sent before cannot be played to us again, and what it has
  // proved is proved. Of more than this the one gone longest is forgotten.
  static constexpr std::size_t max_retired = 256;
  // Of those that were forgotten it is still known which of their DATA was taken: it cannot be played again.
  static constexpr std::size_t max_floors = 65'536;
  // What it sent before it left may still be on its way: relayed packets queue behind the news of its leaving.
  static constexpr duration afterglow = std::chrono::seconds(5);

  /// The session of this name: new, known, or from before it was removed.
  session& add(time_point now, const std::string& name, const name_tag& tag);
  void remove(time_point now, std::string_view name);

  session* by_name(std::string_view name) const;
  session* by_tag(const name_tag& tag) const;
  /// By the id it has proved.
  session* by_sender(sender_id id) const;
  /// Of those that left: by the hash of its name. Null: none, or it never proved itself.
  session* retired_by_tag(const name_tag& tag) const;
  /// By that too, of those that left a moment ago; it holds until the next call that changes something.
  session* retired_by_sender(time_point now, sender_id id) const;
  /// By the id it has proved, also if it left.
  session* by_sender_or_retired(sender_id id) const;
  /// It has proved an id, which is new.
  void on_fresh(session& who);

  // The order of deadlines, so that nobody walks over all of them for one.
  /// Its deadline may be another one.
  void reschedule(time_point now, session& who);
  /// The same, when `reschedule_touched` is called: once for all the packets that came together.
  void touch(session& who);
  void reschedule_touched(time_point now);
  /// One whose deadline has come; it is to be rescheduled. Null: none.
  session* next_due(time_point now) const;
  deadline next_deadline() const { return schedule_.empty() ? deadline{} : schedule_.begin()->first.first; }

  std::size_t size() const { return by_name_.size(); }
  bool empty() const { return by_name_.empty(); }

  /// In the order of their names.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [name, who] : by_name_) visit(*who);
  }

  /// Those that left, the one gone longest first.
  template <typename Visit>
  void for_each_retired(Visit visit) const {
    for (const auto& who : retired_) visit(*who);
  }

 private:
  void forget_sender(const session& who);
  void unschedule(session& who);
  void retire(std::unique_ptr<session> who);
  std::unique_ptr<session> take_retired(std::string_view name);

  // Ordered, not hashed: a coordinator chooses names, and could choose them to collide.
  std::map<std::string, std::unique_ptr<session>, std::less<>> by_name_;
  std::map<name_tag, session*> by_tag_;
  std::map<sender_id, session*> by_sender_;
  using schedule = std::map<std::pair<time_point, std::uint64_t>, session*>;
  schedule schedule_;           ///< those of one moment by their serial
  schedule::node_type vacant_;  ///< a place in it that was left, for who comes next: nothing is allocated for a packet
  std::vector<session*> touched_;
  std::uint64_t last_serial_ = 0;
  std::deque<std::unique_ptr<session>> retired_;  ///< the one gone longest first
  std::map<sender_id, std::uint64_t> floors_;     ///< `session::data_floor` of those that were forgotten
  std::deque<sender_id> floor_order_;
};

}  // namespace nat
