// Which topic's clients are told next, and when: newcomers at once, the others as the pacer allows.
#pragma once

#include "nat/list_pacer.hpp"
#include "nat/time.hpp"
#include "nat/topic_roster.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include <boost/intrusive/list.hpp>

namespace nat {

/// One text, and what it is.
struct topic_news {
  enum class kind : std::uint8_t { list, snapshot, delta };

  kind what = kind::list;
  topic_text told;
};

/// Holds no topic. One that has nobody to tell any more may be destroyed after `on_change`.
class topic_schedule {
 public:
  /// To be called after each change of the topic.
  void on_change(topic_roster& topic);
  /// Handing out the last news took so much CPU time.
  void on_cost(time_point now, duration cpu) { pacer_.on_cost(now, cpu); }
  /// What goes out next, if it is due; to somebody in any case.
  std::optional<topic_news> next(time_point now);
  deadline next_deadline(time_point now) const;

 private:
  using newcomers_queue =
      boost::intrusive::list<topic_roster,
                             boost::intrusive::member_hook<topic_roster, queue_hook, &topic_roster::newcomers_hook>,
                             boost::intrusive::constant_time_size<false>>;
  /// Of equal places the older topic's is first, wherever it lies in memory: a run can be repeated.
  struct behind_order {
    using place = std::pair<time_point, topic_roster*>;
    bool operator()(const place& a, const place& b) const {
      return a.first != b.first ? a.first < b.first : a.second->serial() < b.second->serial();
    }
  };

  static behind_order::place place_of(topic_roster& topic);
  bool may_announce(time_point now, const topic_roster& topic) const;
  std::optional<topic_news> announce(time_point now, topic_roster& topic);
  std::optional<topic_news> for_newcomers(time_point now);

  list_pacer pacer_;
  newcomers_queue newcomers_;
  /// Topics whose clients wait for a list, the one that sent its previous list first in front.
  std::set<behind_order::place, behind_order> behind_;
  std::optional<topic_news> delta_;  ///< goes with the list that was handed out last
};

}  // namespace nat
