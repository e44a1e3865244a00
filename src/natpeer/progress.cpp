#include "progress.hpp"

#include "nat/text.hpp"

#include "sizes.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace natpeer {
namespace {

using nat::peer_progress;
using nat::reach;

constexpr std::size_t widest_name = 32;    // columns; the numbers are what is looked for
constexpr std::size_t least_name = 8;      // columns
constexpr std::size_t longest_name = 128;  // bytes, as in the log

bool is_continuation(char c) { return (c & 0xc0) == 0x80; }

/// Of the character that begins with this byte. From U+1100 on a character may take two columns. Some that take one
/// are there, too: a line is cut early then, and never breaks.
std::size_t width_of_lead(std::string_view from) {
  const auto lead = static_cast<std::uint8_t>(from[0]);
  const bool is_wide = lead > 0xe1 || (lead == 0xe1 && from.size() > 1 && static_cast<std::uint8_t>(from[1]) >= 0x84);
  return is_wide ? 2 : 1;
}

/// As much of the front as fits into `columns`.
std::string_view front_of(std::string_view text, std::size_t columns) {
  std::size_t taken = 0, end = 0;
  while (end < text.size()) {
    taken += width_of_lead(text.substr(end));
    if (taken > columns) break;
    do ++end;
    while (end < text.size() && is_continuation(text[end]));
  }
  return text.substr(0, end);
}

/// What does not fit is cut, and that is shown.
std::string fitted(std::string_view text, std::size_t columns) {
  constexpr std::string_view cut_off = "...";
  if (width_of(text) <= columns) return std::string(text);
  if (columns <= cut_off.size()) return std::string(front_of(text, columns));
  return std::string(front_of(text, columns - cut_off.size())) + std::string(cut_off);
}

std::string size_text(std::uint64_t bytes) { return bytes_text(static_cast<double>(bytes)); }

std::string_view name_of(reach by) {
  switch (by) {
    case reach::none: return "no path";
    case reach::direct: return "direct";
    case reach::relay: return "relay";
    case reach::seed: return "seed";
    case reach::left: return "left";
  }
  return "";
}

/// Of our stream. 100% is all of it, and nothing less.
std::string share_text(std::uint64_t has, std::uint64_t all) {
  const auto percent = static_cast<unsigned>(100.0 * static_cast<double>(has) / static_cast<double>(all));
  return std::to_string(has >= all ? 100 : std::min(percent, 99U)) + '%';
}

std::string padded_left(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

/// How far it is in our stream.
std::string how_far(const peer_progress& who, std::uint64_t all) {
  constexpr std::size_t share_width = 4;  // "100%"
  if (!who.has || all == 0) return padded_left("-", share_width);
  auto out = padded_left(share_text(*who.has, all), share_width);
  if (*who.has < all) out += ", behind by " + size_text(all - *who.has);
  if (who.has_gap) out += ", with a gap";
  return out;
}

std::string name_text(const peer_progress& who, std::size_t columns) {
  auto name = nat::visible(who.name);
  name.resize(nat::utf8_cut(name, longest_name));
  return fitted(name, columns);
}

/// Those to show, by name; of too many, those that lack most and are here.
std::vector<const peer_progress*> chosen_of(const nat::progress_report& report, std::size_t most) {
  std::vector<const peer_progress*> out;
  for (const auto& each : report.peers) out.push_back(&each);
  if (out.size() <= most) return out;
  const auto what_it_has = [](const peer_progress* who) {
    return std::pair(who->by == reach::left, who->has.value_or(0));
  };
  std::ranges::stable_sort(out, {}, what_it_has);
  out.resize(most);
  std::ranges::stable_sort(out, {}, [](const peer_progress* who) { return std::string_view(who->name); });
  return out;
}

}  // namespace

// ---- rates

void progress_rates::on_totals(nat::time_point now, std::uint64_t sent, std::uint64_t received) {
  newest_ = {now, sent, received};
  if (past_.empty() || now - past_.back().at >= spacing) past_.push_back(newest_);
  while (past_.size() > 1 && now - past_[1].at >= window) past_.pop_front();
}

double progress_rates::since_oldest(std::uint64_t totals::*what) const {
  if (past_.empty() || newest_.at <= past_.front().at) return 0;
  const auto time = std::chrono::duration<double>(newest_.at - past_.front().at).count();
  return static_cast<double>(newest_.*what - past_.front().*what) / time;
}

double progress_rates::sent() const { return since_oldest(&totals::sent); }
double progress_rates::received() const { return since_oldest(&totals::received); }

// ---- lines

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_continuation(text[i])) width += width_of_lead(text.substr(i));
  }
  return width;
}

std::string progress_text(const nat::progress_report& report, const progress_rates& rates, std::size_t columns,
                          std::size_t rows) {
  // The cursor stands below, and some terminals go on to the next line when one is full.
  const auto widest = std::max<std::size_t>(columns, 2) - 1;
  const auto most_lines = std::max<std::size_t>(rows, 2) - 1;
  std::string out;
  const auto add_line = [&](const std::string& line) { out += fitted(line, widest) + '\n'; };
  add_line("sent " + size_text(report.sent) + ", " + bytes_text(rates.sent()) + "/s; received " +
           size_text(report.received) + ", " + bytes_text(rates.received()) + "/s");

  const auto all = report.peers.size();
  auto most = std::min(max_progress_peers, most_lines - 1);
  if (most < all && most == most_lines - 1) most -= std::min<std::size_t>(most, 1);  // for "and N more"
  const auto shown = chosen_of(report, most);

  const auto name_limit = std::clamp(columns / 3, least_name, widest_name);
  std::vector<std::pair<std::string, std::string>> cells;  // name, how far
  std::size_t name_width = 0, far_width = 0;
  for (const auto* who : shown) {
    cells.emplace_back(name_text(*who, name_limit), how_far(*who, report.sent));
    name_width = std::max(name_width, width_of(cells.back().first));
    far_width = std::max(far_width, cells.back().second.size());
  }
  constexpr std::size_t reach_width = 7;  // "no path"
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const auto& [name, far] = cells[i];
    const auto by = name_of(shown[i]->by);
    add_line(name + std::string(name_width - width_of(name) + 2, ' ') + std::string(by) +
             std::string(reach_width - by.size() + 2, ' ') + far + std::string(far_width - far.size() + 2, ' ') +
             "received " + size_text(shown[i]->received));
  }
  if (shown.size() < all && most_lines > 1) add_line("and " + std::to_string(all - shown.size()) + " more");
  return out;
}

}  // namespace natpeer
