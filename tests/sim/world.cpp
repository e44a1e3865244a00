#include "world.hpp"

#include <algorithm>
#include <utility>

namespace nat::sim {

world::world(std::uint64_t seed, duration talk_interval, const coordinator_limits& limits)
    : talk_interval_(talk_interval),
      random_(seed),
      net_(time_, log_, random_.next()),
      check_(time_),
      coordinator_(surroundings{time_, net_, log_, check_}, limits) {}

peer_host& world::add_peer(host& machine, const std::string& topic, const std::string& name) {
  const peer_config config{.topic = topic, .name = name, .wait_for = 0};
  auto& peer = *peers_.emplace_back(std::make_unique<peer_host>(surroundings{time_, net_, log_, check_}, coordinator_,
                                                                machine, config, random_.next()));
  names_[name] = &peer;
  peer.know(&names_);
  return peer;
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

verdict world::expected(const peer_host& from, const peer_host& to) {
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
  const auto theory = delivers({here}, {there}, shared());
  // Who comes back to a NAT of Linux's kind with the old port may find it taken by the sessions left behind.
  const auto by_session = [](const nat_config* box) { return box->mapping == mapping_behavior::per_session; };
  const bool left_behind = (from.machine().has_moved() && std::ranges::any_of(here, by_session)) ||
                           (to.machine().has_moved() && std::ranges::any_of(there, by_session));
  return left_behind ? std::min(theory, verdict::may) : theory;
}

namespace {

// DATA with a line takes about 160 bytes, with each 16th more than 1000, and who is not heard gets 64 KiB
// (design, 2.3).
constexpr std::uint64_t lines_in_allowance = 65'536 / 250;

/// Who hears `from` but cannot be heard by it is sent no more at some time.
verdict after_allowance(const peer_host& from, verdict theory, verdict back) {
  const bool goes_on = back == verdict::must || from.lines_said() < lines_in_allowance;
  return goes_on ? theory : std::min(theory, verdict::may);
}

}  // namespace

void world::check_connected(time_point since, bool timed) {
  for (const auto& from : peers_) {
    for (const auto& to : peers_) {
      if (from == to || !from->runs() || !to->runs() || from->topic() != to->topic()) continue;
      const auto* lines = to->received_from(from->name());
      const bool heard = lines != nullptr && lines->last >= since;
      const auto theory = after_allowance(*from, expected(*from, *to), expected(*to, *from));
      if (theory == verdict::must && !heard) {
        check_.fail(to->name(), "has not heard " + from->name() + ", as it must by now");
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

void world::check_forgotten() {
  for (const auto& who : peers_) {
    if (!who->runs()) continue;
    for (const auto& known : who->engine().peers().peers()) {
      const auto found = names_.find(known.name);
      const bool there = found != names_.end() && found->second->runs() && found->second->topic() == who->topic();
      if (!there) check_.fail(who->name(), "still knows " + known.name + ", which is gone");
    }
  }
}

outcome world::finish(std::uint64_t seed) const {
  return {seed, check_.count(), check_.failures(), log_.lines(), log_.checksum(), connect_times_, pairs_};
}

}  // namespace nat::sim
