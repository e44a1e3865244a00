// The peers of ours in the topic, by name, by the keyed hash of the name that they show, and by sender id.
#pragma once

#include "nat/session.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace nat {

class session_table {
 public:
  /// The session of this name, new or not.
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

  // Ordered, not hashed: a coordinator chooses names, and could choose them to collide.
  std::map<std::string, std::unique_ptr<session>, std::less<>> by_name_;
  std::map<name_tag, session*> by_tag_;
  std::map<sender_id, session*> by_sender_;
};

}  // namespace nat
