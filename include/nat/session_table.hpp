// The peers of ours in the topic, by name, by the keyed hash of the name that they show, and by sender id.
#pragma once

#include "nat/session.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace nat {

class session_table {
 public:
  // Who is listed anew goes on where it was: what it has sent before cannot be played to us again, and what it has
  // proved is proved. Of more than this the one gone longest is forgotten.
  static constexpr std::size_t max_retired = 256;

  /// The session of this name: new, known, or from before it was removed.
  session& add(time_point now, const std::string& name, const name_tag& tag);
  void remove(std::string_view name);
  void clear();

  session* by_name(std::string_view name) const;
  session* by_tag(const name_tag& tag) const;
  /// By the id it has proved.
  session* by_sender(sender_id id) const;
  /// It has proved an id, which is new.
  void on_fresh(session& who);

  std::size_t size() const { return by_name_.size(); }
  bool empty() const { return by_name_.empty(); }

  /// In the order of their names.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& [name, who] : by_name_) visit(*who);
  }

 private:
  void forget_sender(const session& who);
  std::unique_ptr<session> take_retired(std::string_view name);

  // Ordered, not hashed: a coordinator chooses names, and could choose them to collide.
  std::map<std::string, std::unique_ptr<session>, std::less<>> by_name_;
  std::map<name_tag, session*> by_tag_;
  std::map<sender_id, session*> by_sender_;
  std::deque<std::unique_ptr<session>> retired_;  ///< the one gone longest first
};

}  // namespace nat
