#include "nat/session_table.hpp"

#include <algorithm>
#include <utility>

namespace nat {

session& session_table::add(time_point now, const std::string& name, const name_tag& tag) {
  auto& who = by_name_[name];
  if (who) return *who;
  who = take_retired(name);
  if (who) {
    who->revive(now);
    if (who->is_fresh()) by_sender_[who->id()] = who.get();
  } else {
    who = std::make_unique<session>(name, tag, now);
  }
  who->serial = ++last_serial_;
  by_tag_[tag] = who.get();
  return *who;
}

std::unique_ptr<session> session_table::take_retired(std::string_view name) {
  const auto found =
      std::ranges::find(retired_, name, [](const auto& each) -> std::string_view { return each->name(); });
  if (found == retired_.end()) return nullptr;
  auto who = std::move(*found);
  retired_.erase(found);
  return who;
}

void session_table::remove(time_point now, std::string_view name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return;
  auto& who = *found->second;
  forget_sender(who);
  unschedule(who);
  if (std::exchange(who.is_touched, false)) std::erase(touched_, &who);
  by_tag_.erase(who.tag());
  who.retired_at = now;
  who.inbox().release();
  if (who.is_fresh()) retire(std::move(found->second));
  by_name_.erase(found);
}

void session_table::retire(std::unique_ptr<session> who) {
  retired_.push_back(std::move(who));
  if (retired_.size() <= max_retired) return;
  const auto& oldest = *retired_.front();
  if (oldest.data_floor() > 0 && floors_.try_emplace(oldest.id(), oldest.data_floor()).second) {
    floor_order_.push_back(oldest.id());
  }
  retired_.pop_front();
  if (floor_order_.size() <= max_floors) return;
  floors_.erase(floor_order_.front());
  floor_order_.pop_front();
}

session* session_table::retired_by_tag(const name_tag& tag) const {
  const auto found = std::ranges::find(retired_, tag, [](const auto& each) { return each->tag(); });
  return found == retired_.end() ? nullptr : found->get();
}

session* session_table::retired_by_sender(time_point now, sender_id id) const {
  // The one gone last first: the others are gone for too long, most likely.
  for (auto who = retired_.rbegin(); who != retired_.rend(); ++who) {
    if (now - *(*who)->retired_at > afterglow) return nullptr;
    if ((*who)->id() == id) return who->get();
  }
  return nullptr;
}

session* session_table::by_sender_or_retired(sender_id id) const {
  if (auto* who = by_sender(id)) return who;
  const auto found = std::ranges::find(retired_, id, [](const auto& each) { return each->id(); });
  return found == retired_.end() ? nullptr : found->get();
}

void session_table::reschedule(time_point now, session& who) {
  auto due = who.next_deadline();
  if (due) due = std::max(now, *due);  // what is late is due now
  if (due == who.scheduled) return;
  unschedule(who);
  who.scheduled = due;
  if (!due) return;
  const std::pair place(*due, who.serial);
  if (vacant_.empty()) {
    schedule_.emplace(place, &who);
  } else {
    vacant_.key() = place;
    vacant_.mapped() = &who;
    schedule_.insert(std::move(vacant_));
  }
}

void session_table::touch(session& who) {
  if (!std::exchange(who.is_touched, true)) touched_.push_back(&who);
}

void session_table::reschedule_touched(time_point now) {
  for (auto* who : touched_) {
    who->is_touched = false;
    reschedule(now, *who);
  }
  touched_.clear();
}

void session_table::unschedule(session& who) {
  if (who.scheduled) vacant_ = schedule_.extract({*who.scheduled, who.serial});
  who.scheduled.reset();
}

session* session_table::next_due(time_point now) const {
  const auto first = schedule_.begin();
  return first == schedule_.end() || first->first.first > now ? nullptr : first->second;
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
  const auto floor = floors_.find(who.id());
  if (floor != floors_.end()) who.forget_data_below(floor->second);
}

}  // namespace nat
