// What one participant says, and what it hears from the others: judged line by line.
#pragma once

#include "nat/time.hpp"

#include "audit.hpp"
#include "coordinator_host.hpp"
#include "internet.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nat::sim {

/// The n-th line that a participant says: `NAME n CHECK`, where CHECK shows that nothing on the way has changed it.
std::string nth_line(std::string_view name, std::uint64_t n);

class talker {
 public:
  /// What it has got from another. Times are of arrival; `first_number` is not before what was asked of `expect_from`.
  struct received {
    std::uint64_t lines = 0;
    std::uint64_t first_number = 0;
    std::uint64_t last_number = 0;
    std::uint64_t missing = 0;  ///< numbers between the first and the last that nothing excuses
    time_point first{};
    time_point last{};
  };
  /// By name, unique over all topics, so that a line from another topic is found out.
  using everybody = std::unordered_map<std::string, talker*>;

  /// `seals`: it is one of ours; otherwise it knows section 1 alone.
  talker(const surroundings& around, const host& machine, std::string topic, std::string name, bool seals)
      : around_(around), machine_(machine), topic_(std::move(topic)), name_(std::move(name)), seals_(seals) {}

  const std::string& name() const { return name_; }
  const std::string& topic() const { return topic_; }
  const host& machine() const { return machine_; }
  bool seals() const { return seals_; }
  std::uint64_t lines_said() const { return said_; }
  std::uint64_t lines_said_before(time_point when) const;
  /// Null: nothing.
  const received* received_from(const std::string& name) const;

  /// Set once, by the run.
  void know(const everybody* names) { names_ = names; }
  /// The next line, with its end.
  std::string say();
  /// All that it has said is on its way by now. What waits in its stdin may still reach who comes later.
  void on_taken() { taken_at_.resize(said_, around_.time.now()); }
  /// It could not keep for that one any longer what it had said, who was away: a gap is no fault.
  void give_up_on(const std::string& name) { given_up_.insert(name); }
  bool has_given_up_on(const std::string& name) const { return given_up_.contains(name); }
  /// A piece of output: lines `LABEL: NAME N CHECK`.
  void hear(std::string_view output);
  /// It is started anew: what was heard before does not count.
  void forget();

 private:
  void judge(std::string_view line);
  void judge_label(const talker& sender, std::string_view line) const;
  void count(const talker& sender, std::uint64_t n);
  void check_once(const talker& sender, std::uint64_t n);
  void check_gap(const talker& sender, received& from, std::uint64_t n);

  surroundings around_;
  const host& machine_;
  std::string topic_;
  std::string name_;
  bool seals_;
  std::uint64_t said_ = 0;
  std::vector<time_point> said_at_;   ///< by number
  std::vector<time_point> taken_at_;  ///< by number, as far as `on_taken` knows
  std::uint64_t first_of_run_ = 0;    ///< the number of the first line since it was last started
  std::set<std::string> given_up_;
  time_point since_{};  ///< it was started
  std::string unread_;  ///< of the output: a line's beginning
  std::unordered_map<std::string, received> received_;
  std::unordered_map<std::string, std::set<std::uint64_t>> unsealed_;  ///< which lines came, of seed peers or to one
  const everybody* names_ = nullptr;
};

}  // namespace nat::sim
