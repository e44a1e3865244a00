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
  const peer_config config{.topic = topic,
                           .name = name,
                           .key = options.key,
                           .wait_for = options.wait_for,
                           .input = options.input,
                           .output = options.output,
                           .quit_on_eof = options.quit_on_eof,
                           .quit_on_end = options.quit_on_end,
                           .seed_rate = options.seed_rate,
                           .memory = options.memory};
  const std::size_t usual = coordinator_.knows_v2() ? 0 : contact_book::most_data;
  const contact_book::allowance allowed{.data = options.unanswered_data.value_or(usual)};
  auto& server = options.coordinator != nullptr ? *options.coordinator : coordinator_;
  auto& peer =
      *peers_.emplace_back(std::make_unique<peer_host>(around(), server, machine, config, allowed, random_.next()));
  names_[name] = &peer.words();
  peer.words().know(&names_);
  return peer;
}

seed_peer& world::add_seed(host& machine, const std::string& topic, const std::string& name) {
  auto& seed =
      *seeds_.emplace_back(std::make_unique<seed_peer>(around(), coordinator_, machine, topic, name, random_.next()));
  names_[name] = &seed.words();
  seed.words().know(&names_);
  return seed;
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

void world::start(seed_peer& who) {
  if (who.runs()) return;
  who.start();
  talk(who, 1, who.runs_started());
}

template <typename Who>
void world::talk(Who& who, int lines, std::uint64_t run) {
  if (!who.runs() || who.runs_started() != run) return;
  for (int i = 0; i < lines; ++i) who.say();
  time_.after(talk_interval_, [this, &who, lines, run] { talk(who, lines, run); });
}

std::vector<world::participant> world::running() const {
  std::vector<participant> out;
  for (const auto& each : peers_) {
    if (each->runs()) out.push_back({each->words(), each->started_at(), each.get()});
  }
  for (const auto& each : seeds_) {
    if (each->runs()) out.push_back({each->words(), each->started_at()});
  }
  return out;
}

verdict world::expected(const talker& from, const talker& to, bool soon) const {
  if (!from.seals() || !to.seals()) return by_seed_protocol(from, to, soon);
  if (!coordinator_.knows_v2()) return directly(from, to);
  // The relay reaches everybody. But over lines that lose packets it is TCP that waits for its timeouts, each twice as
  // long as the one before.
  const bool may_take_long = soon && !is_lossless(from, to) && directly(from, to) != verdict::must;
  return may_take_long ? verdict::may : verdict::must;
}

namespace {

/// The NATs between two.
struct ways {
  std::span<const nat_config* const> here;
  std::span<const nat_config* const> there;

  ways(const talker& from, const talker& to)
      : here(from.machine().where().way_out()), there(to.machine().where().way_out()) {
    // A NAT of both is where packets between them turn round. A firewall of both they never meet.
    while (shared() && here.back()->mapping == mapping_behavior::none) {
      here = here.first(here.size() - 1);
      there = there.first(there.size() - 1);
    }
  }
  bool shared() const { return !here.empty() && !there.empty() && here.back() == there.back(); }
};

bool is_blocked(const talker& who) {
  return std::ranges::any_of(who.machine().where().way_out(), [](const nat_config* box) { return box->drops_udp; });
}

/// A seed peer asks STUN once, and sends nothing while it is alone: whether the address that it has registered may be
/// no longer its own.
bool may_be_outdated(const talker& who) {
  if (who.seals()) return false;
  for (const auto* at = &who.machine().where(); at->outer() != nullptr; at = at->outer()) {
    if (at->box()->config().mapping == mapping_behavior::none) continue;
    if (at->box()->has_forgotten() || at->box()->config().lifetime < std::chrono::seconds(120)) return true;
  }
  return false;
}

}  // namespace

/// It is known by its registered address alone, and so are those who speak to it.
verdict world::by_seed_protocol(const talker& from, const talker& to, bool soon) const {
  if (is_blocked(from) || is_blocked(to)) return verdict::cannot;
  // Nothing is sent again, and a line comes each second.
  const bool loses = net_.way_out(from.machine()).loss > 0 || net_.way_out(to.machine()).loss > 0;
  const bool left_to_chance =
      from.machine().has_moved() || to.machine().has_moved() || may_be_outdated(from) || may_be_outdated(to);
  if (left_to_chance) return verdict::may;
  const ways between(from, to);
  const auto there = delivers({between.here}, {between.there}, between.shared());
  // Who was never heard gets little.
  const bool is_heard = !from.seals() || delivers({between.there}, {between.here}, between.shared()) == verdict::must;
  return is_heard && !(soon && loses) ? there : std::min(there, verdict::may);
}

verdict world::directly(const talker& from, const talker& to) const {
  if (is_blocked(from) || is_blocked(to)) return verdict::cannot;
  const ways between(from, to);
  const auto& [here, there] = between;
  const auto theory = connects({here}, {there}, between.shared());
  // Who comes back to a NAT of Linux's kind with the old port may find it taken by the sessions left behind.
  const auto by_session = [](const nat_config* box) { return box->mapping == mapping_behavior::per_session; };
  const bool left_behind = (from.machine().has_moved() && std::ranges::any_of(here, by_session)) ||
                           (to.machine().has_moved() && std::ranges::any_of(there, by_session));
  return left_behind ? std::min(theory, verdict::may) : theory;
}

namespace {

/// What an engine thinks of another, for whoever has to find out why.
/// How far the two streams between them are.
std::string stream_of(const session& who) {
  std::string text;
  if (const auto* to = who.outgoing()) {
    text += "; sends from " + std::to_string(to->first()) + ", there to " + std::to_string(to->received()) +
            ", written to " + std::to_string(to->floor()) + ", limit " + std::to_string(to->limit()) + ", in flight " +
            std::to_string(to->in_flight()) + (to->is_known_there() ? "" : ", not known there") +
            (to->has_path() ? "" : ", no path");
  }
  const auto& in = who.inbox();
  return text + "; has to " + std::to_string(in.next()) + ", offset " + std::to_string(in.in_order()) + ", written " +
         std::to_string(in.written());
}

std::string view_of(const talker& whose, const peer_host* engine, const talker& other) {
  if (engine == nullptr) return whose.name() + " is a seed peer";
  const auto& who = *engine;
  if (!who.is_registered()) return who.name() + " is not registered";
  if (!other.seals()) {
    const auto& seeds = who.engine().seeds().peers();
    const auto listed = std::ranges::find(seeds, other.name(), &known_peer::name);
    if (listed == seeds.end()) return who.name() + " does not know it";
    return who.name() + (listed->heard ? " has heard " : " has not heard ") + listed->address.to_string();
  }
  const auto* known = who.engine().sessions().by_name(other.name());
  if (known == nullptr) return who.name() + " does not know it";
  const auto* by = known->paths().chosen();
  const auto way = by == nullptr ? std::string("no path")
                                 : std::string(to_string(by->kind)) + (by->is_relay() ? "" : ' ' + by->at.to_string());
  return who.name() + " has " + way + (known->is_fresh() ? ", fresh" : ", not fresh") +
         (known->accepts() ? ", ready" : ", not ready") + stream_of(*known);
}

}  // namespace

void world::check_connected(time_point since, bool timed) {
  const auto all = running();
  for (const auto& from : all) {
    for (const auto& to : all) {
      const auto& sender = from.words;
      const auto& reader = to.words;
      if (&sender == &reader || sender.topic() != reader.topic()) continue;
      const auto* lines = reader.received_from(sender.name());
      const bool heard = lines != nullptr && lines->last >= since;
      const auto theory = expected(sender, reader, timed);
      if (theory == verdict::must && !heard) {
        check_.fail(reader.name(), "has not heard " + sender.name() + ", as it must by now: " +
                                       view_of(sender, from.ours, reader) + "; " + view_of(reader, to.ours, sender));
      } else if (theory == verdict::cannot && heard) {
        check_.fail(reader.name(), "has heard " + sender.name() + ", as it cannot");
      }
      ++pairs_[static_cast<std::size_t>(theory)];
      if (theory == verdict::must && heard && timed) {
        connect_times_.push_back(lines->first - std::max(from.started, to.started));
      }
    }
  }
}

/// No line between them loses anything, and whatever two ways a packet may go (the relay's is the longest), the later
/// is waited for. No NAT lets in by one mapping what goes out by another: that one ends without a word.
bool world::is_lossless(const talker& from, const talker& to) const {
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
      if (lossless_alone && !is_lossless(from->words(), to->words())) continue;
      const auto first = from->first_line_for(to->name());
      const auto said = from->words().lines_said_before(time_.now() - in_flight);
      if (!first || *first >= said) continue;
      const auto due = said - 1;
      if (from->words().has_given_up_on(to->name())) continue;
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
  const auto all = running();
  const auto check = [&](const talker& who, const std::string& known) {
    const bool there = std::ranges::any_of(
        all, [&](const participant& each) { return each.words.name() == known && each.words.topic() == who.topic(); });
    if (!there) check_.fail(who.name(), "still knows " + known + ", which is gone");
  };
  for (const auto& [who, started, ours] : all) {
    if (ours == nullptr) continue;
    for (const auto& known : ours->engine().seeds().peers()) check(who, known.name);
    ours->engine().sessions().for_each([&, &who = who](const session& known) { check(who, known.name()); });
  }
  for (const auto& each : seeds_) {
    if (!each->runs()) continue;
    for (const auto& known : each->peers()) check(each->words(), known.name);
  }
}

outcome world::finish(std::uint64_t seed) const {
  return {seed, check_.count(), check_.failures(), log_.lines(), log_.checksum(), connect_times_, pairs_};
}

}  // namespace nat::sim
