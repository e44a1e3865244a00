#include "nat/session_table.hpp"

#include <algorithm>

namespace nat {

session& session_table::add(time_point now, const std::string& name, const name_tag& tag) {
  auto& who = by_name_[name];
  if (!who) {
    who = std::make_unique<session>(name, tag, now);
    by_tag_[tag] = who.get();
  }
  return *who;
}

void session_table::remove(std::string_view name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  forget_sender(*found->second);
  by_tag_.erase(found->second->tag());
  by_name_.erase(found);
}

void session_table::clear() {
  by_sender_.clear();
  by_tag_.clear();
  by_name_.clear();
}

session* session_table::by_name(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second.get();
}

session* session_table::by_tag(const name_tag& tag) const {
  const auto found = by_tag_.find(tag);
  return found == by_tag_.end() ? nullptr : found->second;
}

session* session_table::by_sender(sender_id id) const {
  const auto found = by_sender_.find(id);
  return found == by_sender_.end() ? nullptr : found->second;
}

void session_table::forget_sender(const session& who) {
  std::erase_if(by_sender_, [&](const auto& each) { return each.second == &who; });
}

void session_table::on_fresh(session& who) {
  forget_sender(who);
  by_sender_[who.id()] = &who;
}

}  // namespace nat
