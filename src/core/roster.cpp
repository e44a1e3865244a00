#include "nat/roster.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

namespace nat {
namespace {

/// Takes the parser's events and keeps only what a roster wants: no tree is built, whatever the message
/// holds. Each event answers whether to go on.
class roster_reader {
 public:
  // The parser's interface: its names and types.
  bool null() {
    if (at_peers()) return set_peers(peers_value::none);
    return other_value();
  }
  bool boolean(bool) { return other_value(); }
  bool number_integer(std::int64_t value) { return number(value); }  // the parser calls it for negative numbers only
  bool number_unsigned(std::uint64_t value) {
    constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return value <= largest ? number(static_cast<std::int64_t>(value)) : other_value();
  }
  bool number_float(double, const std::string&) { return other_value(); }
  bool string(std::string& value);
  bool binary(std::vector<std::uint8_t>&) { return other_value(); }  // JSON has none
  bool start_object(std::size_t);
  bool key(std::string& name);
  bool end_object();
  bool start_array(std::size_t);
  bool end_array() { return leave(); }
  template <typename Exception>
  bool parse_error(std::size_t, const std::string&, const Exception&) {
    return false;
  }

  result<roster> finish() && {
    if (peers_ != peers_value::list && peers_ != peers_value::none) return errc::bad_json;
    return std::move(roster_);
  }

 private:
  // Depths: 1 is inside the message's object, 2 inside the array `peers`, 3 inside an entry.
  enum class peers_value { missing, wrong, none, list };
  enum class field { unknown, ip, port, name, last_seen };

  static field field_named(std::string_view name);

  bool at_peers() const { return depth_ == 1 && peers_is_next_; }
  bool at_entry() const { return depth_ == 2 && in_peers_; }
  bool in_entry() const { return depth_ == 3 && in_entry_; }

  bool enter() { return ++depth_ <= max_roster_depth; }
  bool leave() {
    --depth_;
    return true;
  }

  /// A second `peers` replaces the first.
  bool set_peers(peers_value value) {
    roster_ = {};
    seen_.clear();
    peers_ = value;
    return true;
  }

  bool number(std::int64_t value);
  bool other_value();
  void keep_entry();

  struct raw_entry {
    std::optional<ip_address> ip;
    std::optional<std::uint16_t> port;
    std::optional<std::string> name;
    unix_millis last_seen = 0;
  };

  roster roster_;
  std::set<endpoint> seen_;  // ordered: strangers choose the keys
  peers_value peers_ = peers_value::missing;
  int depth_ = 0;
  bool peers_is_next_ = false;
  bool in_peers_ = false;
  bool in_entry_ = false;
  field field_ = field::unknown;
  raw_entry entry_;
};

bool roster_reader::string(std::string& value) {
  if (in_entry() && field_ == field::ip) {
    const auto ip = ip_address::parse(value);
    entry_.ip = ip && ip->is_unicast() ? std::optional(*ip) : std::nullopt;
    return true;
  }
  if (in_entry() && field_ == field::name) {
    const bool fits = !value.empty() && value.size() <= max_roster_name;  // the parser has checked that it is UTF-8
    entry_.name = fits ? std::optional(std::move(value)) : std::nullopt;
    return true;
  }
  return other_value();
}

bool roster_reader::number(std::int64_t value) {
  if (in_entry() && field_ == field::port) {
    const bool fits = value >= 1 && value <= 65535;
    entry_.port = fits ? std::optional(static_cast<std::uint16_t>(value)) : std::nullopt;
    return true;
  }
  if (in_entry() && field_ == field::last_seen) {
    entry_.last_seen = value;
    return true;
  }
  return other_value();
}

/// A value of a type that is not wanted where it stands.
bool roster_reader::other_value() {
  if (depth_ == 0) return false;  // the message is no object
  if (at_peers()) return set_peers(peers_value::wrong);
  if (at_entry()) ++roster_.skipped;  // an entry that is no object
  if (!in_entry()) return true;
  switch (field_) {
    case field::ip: entry_.ip.reset(); break;
    case field::port: entry_.port.reset(); break;
    case field::name: entry_.name.reset(); break;
    case field::last_seen: entry_.last_seen = 0; break;
    case field::unknown: break;
  }
  return true;
}

bool roster_reader::start_object(std::size_t) {
  if (at_entry()) {
    in_entry_ = true;
    field_ = field::unknown;
    entry_ = {};
  } else if (depth_ > 0) {
    other_value();
  }
  return enter();
}

bool roster_reader::end_object() {
  if (in_entry()) {
    keep_entry();
    in_entry_ = false;
  }
  return leave();
}

bool roster_reader::start_array(std::size_t) {
  if (at_peers()) {
    set_peers(peers_value::list);
    in_peers_ = true;
  } else if (!other_value()) {
    return false;
  }
  return enter();
}

roster_reader::field roster_reader::field_named(std::string_view name) {
  if (name == "ip") return field::ip;
  if (name == "port") return field::port;
  if (name == "name") return field::name;
  if (name == "last_seen") return field::last_seen;
  return field::unknown;
}

bool roster_reader::key(std::string& name) {
  if (depth_ == 1) {
    peers_is_next_ = name == "peers";
    in_peers_ = false;
  } else if (in_entry()) {
    field_ = field_named(name);
  }
  return true;
}

void roster_reader::keep_entry() {
  const bool complete = entry_.ip && entry_.port && entry_.name;
  if (!complete || roster_.peers.size() == max_roster_peers || !seen_.insert({*entry_.ip, *entry_.port}).second) {
    ++roster_.skipped;
    return;
  }
  roster_.peers.push_back({std::move(*entry_.name), {*entry_.ip, *entry_.port}, entry_.last_seen});
}

}  // namespace

result<roster> decode_roster(std::string_view json) {
  if (json.size() > max_roster_bytes) return errc::too_large;
  roster_reader reader;
  if (!nlohmann::json::sax_parse(json, &reader)) return errc::bad_json;
  return std::move(reader).finish();
}

}  // namespace nat
