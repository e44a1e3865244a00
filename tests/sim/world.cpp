#include "world.hpp"

#include <algorithm>
#include <utility>

namespace nat::sim {

// As docs/PROTOCOL.md, 10, has it.
constexpr duration reorder_wait = std::chrono::milliseconds(100);

world::world(std::uint64_t seed, duration talk_interval, protocol speaks, const coordinator_limits& limits)
    : talk_interval_(talk_interval),
      random_(seed),
      net_(time_, log_, random_.next()),
      check_(time_),
      coordinator_(surroundings{time_, net_, log_, check_}, speaks, limits, random_.next()) {}

peer_host& world::add_peer(host& machine, const std::string& topic, const std::string& name,
                           const peer_options& options) {
  const peer_config config{
      .topic = topic, .name = name, .key = options.key, .wait_for = 0, .seed_rate = options.seed_rate};
  const std::size_t usual = coordinator_.knows_v2() ? 0 : contact_book::most_data;
  const contact_book::allowance allowed{.data = options.unanswered_data.value_or(usual)};
  auto& server = options.coordinator != nullptr ? *options.coordinator : coordinator_;
  auto& peer =
      *peers_.emplace_back(std::make_unique<peer_host>(around(), server, machine, config, allowed, random_.next()));
  names_[name] = &peer.words();
  by_name_[name] = &peer;
  peer.words().know(&names_);
  return peer;
}

void world::move(host& machine, network& to) {
  net_.move(machine, to);
  for (const auto& peer : peers_) {
    if (&peer->machine() == &machine) peer->on_moved();
  }
}

void world::start(peer_host& who, int lines) {
  if (who.runs()) return;
  who.start();
  talk(who, lines, who.runs_started());
}

void world::talk(peer_host& who, int lines, std::uint64_t run) {
  if (!who.runs() || who.runs_started() != run) return;
  for (int i = 0; i < lines; ++i) who.say();
  time_.after(talk_interval_, [this, &who, lines, run] { talk(who, lines, run); });
}

verdict world::expected(const peer_host& from, const peer_host& to, bool soon) const {
  if (!coordinator_.knows_v2()) return directly(from, to);
  // The relay reaches everybody. But over lines that lose packets it is TCP that waits for its timeouts, each twice as
  // long as the one before.
  const bool may_take_long = soon && !is_lossless(from, to) && directly(from, to) != verdict::must;
  return may_take_long ? verdict::may : verdict::must;
}

verdict world::directly(const peer_host& from, const peer_host& to) const {
  std::span here = from.machine().where().way_out();
  std::span there = to.machine().where().way_out();
  const auto blocks = [](const nat_config* box) { return box->drops_udp; };
  if (std::ranges::any_of(here, blocks) || std::ranges::any_of(there, blocks)) return verdict::cannot;
  // A NAT of both is where packets between them turn round. A firewall of both they never meet.
  const auto shared = [&] { return !here.empty() && !there.empty() && here.back() == there.back(); };
  while (shared() && here.back()->mapping == mapping_behavior::none) {
    here = here.first(here.size() - 1);
    there = there.first(there.size() - 1);
  }
  const auto theory = connects({here}, {there}, shared());
  // Who comes back to a NAT of Linux's kind with the old port may find it taken by the sessions left behind.
  const auto by_session = [](const nat_config* box) { return box->mapping == mapping_behavior::per_session; };
  const bool left_behind = (from.machine().has_moved() && std::ranges::any_of(here, by_session)) ||
                           (to.machine().has_moved() && std::ranges::any_of(there, by_session));
  return left_behind ? std::min(theory, verdict::may) : theory;
}

namespace {

/// What an engine thinks of another, for whoever has to find out why.
std::string view_of(const peer_host& who, const std::string& other) {
  const auto* known = who.engine().sessions().by_name(other);
  if (!who.is_registered()) return who.name() + " is not registered";
  if (known == nullptr) return who.name() + " does not know it";
  const auto* by = known->paths().chosen();
  const auto way = by == nullptr ? std::string("no path")
                                 : std::string(to_string(by->kind)) + (by->is_relay() ? "" : ' ' + by->at.to_string());
  return who.name() + " has " + way + (known->is_fresh() ? ", fresh" : ", not fresh") +
         (known->accepts() ? ", ready" : ", not ready");
}

}  // namespace

void world::check_connected(time_point since, bool timed) {
  for (const auto& from : peers_) {
    for (const auto& to : peers_) {
      if (from == to || !from->runs() || !to->runs() || from->topic() != to->topic()) continue;
      const auto* lines = to->received_from(from->name());
      const bool heard = lines != nullptr && lines->last >= since;
      const auto theory = expected(*from, *to, timed);
      if (theory == verdict::must && !heard) {
        check_.fail(to->name(), "has not heard " + from->name() + ", as it must by now: " + view_of(*from, to->name()) +
                                    "; " + view_of(*to, from->name()));
      } else if (theory == verdict::cannot && heard) {
        check_.fail(to->name(), "has heard " + from->name() + ", as it cannot");
      }
      ++pairs_[static_cast<std::size_t>(theory)];
      if (theory == verdict::must && heard && timed) {
        connect_times_.push_back(lines->first - std::max(from->started_at(), to->started_at()));
      }
    }
  }
}

/// No line between them loses anything, and whatever two ways a packet may go (the relay's is the longest), the later
/// is waited for. No NAT lets in by one mapping what goes out by another: that one ends without a word.
bool world::is_lossless(const peer_host& from, const peer_host& to) const {
  const auto maps_as_one = [](const nat_config* box) {
    return box->mapping == mapping_behavior::endpoint_independent || box->mapping == mapping_behavior::none;
  };
  for (const auto* each : {&from, &to}) {
    if (!std::ranges::all_of(each->machine().where().way_out(), maps_as_one)) return false;
  }
  const auto here = net_.way_out(from.machine());
  const auto there = net_.way_out(to.machine());
  const auto longest = here.delay + here.jitter + there.delay + there.jitter;
  return here.loss == 0 && there.loss == 0 && longest <= reorder_wait;
}

void world::check_gapless(duration in_flight, bool lossless_alone) {
  for (const auto& from : peers_) {
    for (const auto& to : peers_) {
      if (from == to || !from->runs() || !to->runs() || from->topic() != to->topic()) continue;
      if (lossless_alone && !is_lossless(*from, *to)) continue;
      const auto first = from->first_line_for(to->name());
      const auto said = from->words().lines_said_before(time_.now() - in_flight);
      if (!first || *first >= said) continue;
      const auto due = said - 1;
      const auto* lines = to->received_from(from->name());
      if (lines == nullptr || lines->first_number > *first || lines->last_number < due) {
        check_.fail(to->name(), "has of " + from->name() + "'s lines " + std::to_string(*first) + " to " +
                                    std::to_string(due) +
                                    (lines == nullptr ? std::string(" none")
                                                      : " those from " + std::to_string(lines->first_number) + " to " +
                                                            std::to_string(lines->last_number)));
      } else if (lines->missing > 0) {
        check_.fail(to->name(), "misses " + std::to_string(lines->missing) + " lines of " + from->name());
      }
    }
  }
}

void world::check_forgotten() {
  const auto check = [this](const peer_host& who, const std::string& known) {
    const auto found = by_name_.find(known);
    const bool there = found != by_name_.end() && found->second->runs() && found->second->topic() == who.topic();
    if (!there) check_.fail(who.name(), "still knows " + known + ", which is gone");
  };
  for (const auto& who : peers_) {
    if (!who->runs()) continue;
    for (const auto& known : who->engine().seeds().peers()) check(*who, known.name);
    who->engine().sessions().for_each([&](const session& known) { check(*who, known.name()); });
  }
}

outcome world::finish(std::uint64_t seed) const {
  return {seed, check_.count(), check_.failures(), log_.lines(), log_.checksum(), connect_times_, pairs_};
}

}  // namespace nat::sim
