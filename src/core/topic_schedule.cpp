#include "nat/topic_schedule.hpp"

namespace nat {

/// A topic that never sent a list stands in front of all others.
topic_schedule::behind_order::place topic_schedule::place_of(topic_roster& topic) {
  return {topic.announced_at.value_or(time_point::min()), &topic};
}

void topic_schedule::on_change(topic_roster& topic) {
  if (topic.behind()) {
    behind_.insert(place_of(topic));
  } else {
    behind_.erase(place_of(topic));
  }
  if (topic.has_newcomers() && !topic.newcomers_hook.is_linked()) newcomers_.push_back(topic);
}

bool topic_schedule::may_announce(time_point now, const topic_roster& topic) const {
  return !topic.announced_at || pacer_.next_list(*topic.announced_at) <= now;
}

deadline topic_schedule::next_deadline(time_point now) const {
  if (behind_.empty()) return std::nullopt;
  const auto previous = behind_.begin()->second->announced_at;
  return previous ? pacer_.next_list(*previous) : now;
}

std::optional<topic_news> topic_schedule::next(time_point now) {
  if (auto delta = std::exchange(delta_, std::nullopt)) return delta;
  if (auto news = for_newcomers(now)) return news;
  while (!behind_.empty() && may_announce(now, *behind_.begin()->second)) {
    if (auto news = announce(now, *behind_.begin()->second)) return news;
  }
  return std::nullopt;
}

/// The first does not wait, whatever the pacer says; the others of the topic do.
std::optional<topic_news> topic_schedule::for_newcomers(time_point now) {
  while (!newcomers_.empty()) {
    auto& topic = newcomers_.front();
    if (topic.has_snapshots_due()) return topic_news{topic_news::kind::snapshot, topic.snapshots_due()};
    newcomers_.pop_front();
    if (!topic.has_list_newcomers()) continue;  // served, or gone again
    if (may_announce(now, topic)) return announce(now, topic);
    return topic_news{topic_news::kind::list, topic.lists_for_newcomers()};
  }
  return std::nullopt;
}

/// The newest state for everybody of the topic who lacks it; that may be nobody, if the newcomer was the only change.
std::optional<topic_news> topic_schedule::announce(time_point now, topic_roster& topic) {
  behind_.erase(place_of(topic));
  topic_news list{topic_news::kind::list, topic.list_for_everyone()};
  topic_news delta{topic_news::kind::delta, topic.delta_for_everyone()};
  const bool has_list = !list.told.to.empty();
  const bool has_delta = !delta.told.to.empty();
  if (!has_list && !has_delta) return std::nullopt;
  topic.announced_at = now;
  if (!has_list) return delta;
  if (has_delta) delta_ = std::move(delta);
  return list;
}

}  // namespace nat
