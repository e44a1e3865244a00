#include "talker.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

namespace nat::sim {
namespace {

constexpr duration long_silence = std::chrono::seconds(120);

std::uint64_t checksum(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325U;  // FNV-1a
  for (const unsigned char c : text) sum = (sum ^ c) * 0x100000001b3U;
  return sum;
}

/// Whether it may soon give a port of one host to another: few ports, short-lived mappings, or all of them lost.
bool reuses_ports(const nat_box& box) {
  const auto& config = box.config();
  if (config.mapping == mapping_behavior::none) return false;
  const bool few = config.ports == port_allocation::block && config.block_size < 512;
  return few || config.mapping == mapping_behavior::per_session || config.lifetime < long_silence ||
         box.has_forgotten();
}

}  // namespace

std::string nth_line(std::string_view name, std::uint64_t n) {
  auto line = std::string(name) + ' ' + std::to_string(n);
  const auto check = checksum(line);
  if (n % 16 == 15) line += ' ' + std::string(max_payload - 200, static_cast<char>('a' + check % 26));
  return line + ' ' + std::to_string(check);
}

std::string talker::say() {
  said_at_.push_back(around_.time.now());
  return nth_line(name_, said_++) + '\n';
}

std::uint64_t talker::lines_said_before(time_point when) const {
  return static_cast<std::uint64_t>(std::ranges::lower_bound(said_at_, when) - said_at_.begin());
}

void talker::forget() {
  since_ = around_.time.now();
  first_of_run_ = said_;
  given_up_.clear();
  unread_.clear();
  received_.clear();
  unsealed_.clear();
}

const talker::received* talker::received_from(const std::string& name) const {
  const auto found = received_.find(name);
  return found == received_.end() ? nullptr : &found->second;
}

void talker::hear(std::string_view output) {
  unread_ += output;
  std::size_t begin = 0;
  for (auto end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n', begin)) {
    judge(std::string_view(unread_).substr(begin, end - begin));
    begin = end + 1;
  }
  unread_.erase(0, begin);
}

/// A line of the output is `LABEL: NAME N CHECK`: NAME has to have said it. LABEL is who the engine thinks it is from.
void talker::judge(std::string_view line) {
  const auto colon = line.find(": ");
  const auto said = colon == std::string_view::npos ? line : line.substr(colon + 2);
  const auto name = std::string(said.substr(0, said.find(' ')));
  const auto number = said.substr(std::min(said.size(), name.size() + 1));
  std::uint64_t n = 0;
  std::from_chars(number.data(), number.data() + number.size(), n);
  const auto sender = names_->find(name);
  const bool was_said = sender != names_->end() && n < sender->second->lines_said() && said == nth_line(name, n);
  if (!was_said) return around_.check.fail(name_, "got what nobody has sent: " + std::string(line));
  const bool as_labelled = name == line.substr(0, colon) && sender->second->topic() == topic_;
  if (!as_labelled) return judge_label(*sender->second, line);
  count(*sender->second, n);
}

/// A sender's numbers go on when it is started anew.
void talker::count(const talker& sender, std::uint64_t n) {
  if (!seals_ || !sender.seals_) check_once(sender, n);
  auto& from = received_[sender.name()];
  const auto now = around_.time.now();
  const bool is_old = n < sender.taken_at_.size() && sender.taken_at_[n] < since_;
  if (seals_ && sender.seals_ && is_old) {
    around_.check.fail(name_, "heard line " + std::to_string(n) + " of " + sender.name() + ", said before it started");
  }
  if (from.lines++ == 0) {
    from.first = now;
    from.first_number = n;
  } else if (n > from.last_number) {
    check_gap(sender, from, n);
  } else if (seals_ && sender.seals_) {
    around_.check.fail(name_, "heard line " + std::to_string(n) + " of " + sender.name() + " after line " +
                                  std::to_string(from.last_number));
  }
  from.last_number = std::max(from.last_number, n);
  from.last = now;
}

/// While two of ours live nothing is missing between two lines.
void talker::check_gap(const talker& sender, received& from, std::uint64_t n) {
  const auto missing = n - from.last_number - 1;
  if (missing == 0 || from.last_number < sender.first_of_run_ || sender.has_given_up_on(name_)) return;
  from.missing += missing;
  if (!seals_ || !sender.seals_) return;
  around_.check.fail(
      name_, "misses " + std::to_string(missing) + " lines of " + sender.name() + " before line " + std::to_string(n));
}

/// Packets of the seed protocol have no number: what the network itself doubles arrives twice.
void talker::check_once(const talker& sender, std::uint64_t n) {
  if (unsealed_[sender.name()].insert(n).second) return;
  const auto may_double = [this](const host& at) { return at.has_moved() || around_.net.way_out(at).duplicates; };
  if (may_double(machine_) || may_double(sender.machine_)) return;
  around_.check.fail(name_, "heard line " + std::to_string(n) + " of " + sender.name() + " twice");
}

/// Two of ours know each other under the seal. Otherwise an address is all that tells who sends (design, section 1): a
/// NAT that gives a port of one host to another, after its mapping expired or towards another destination, makes one
/// look like the other, even into another topic.
void talker::judge_label(const talker& sender, std::string_view line) const {
  const bool is_sealed = seals_ && sender.seals_;
  if (!is_sealed) {
    if (sender.machine_.has_moved()) return;  // it may have been sent from behind another NAT
    for (const auto* at = &sender.machine_.where(); at->outer() != nullptr; at = at->outer()) {
      if (reuses_ports(*at->box())) return;
    }
  }
  around_.check.fail(name_, "took one peer for another: " + std::string(line));
}

}  // namespace nat::sim
