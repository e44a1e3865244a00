#include "nat/topic_roster.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <limits>
#include <string_view>

namespace nat {
namespace {

constexpr std::string_view list_head = R"({"peers":[)";
constexpr std::string_view list_tail = "]}";
constexpr std::string_view entry_tail = "}";
/// Digits and sign of the longest `last_seen`.
constexpr std::size_t longest_number = std::numeric_limits<unix_millis>::digits10 + 2;

void append_number(std::string& out, std::int64_t number) {
  char digits[longest_number];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

/// `{"ip":"1.1.1.1","port":6969,"name":"cloudflare","last_seen":`
std::string encode_entry(std::string_view name, const endpoint& address) {
  std::string out = R"({"ip":")";
  out += address.ip.to_string();
  out += R"(","port":)";
  append_number(out, address.port);
  out += R"(,"name":)";
  append_json_string(out, name);
  out += R"(,"last_seen":)";
  out.shrink_to_fit();  // it lives as long as its client does
  return out;
}

}  // namespace

void topic_roster::list(registered_client& client) {
  assert(!client.roster_hook.is_linked());
  client.entry = encode_entry(client.seat->first, client.address);
  roster_.push_back(client);
  ++listed_;
  entry_bytes_ += client.entry.size();
  ++version_;
  text_.reset();
}

void topic_roster::unlist(registered_client& client) {
  assert(client.roster_hook.is_linked());
  client.roster_hook.unlink();
  --listed_;
  entry_bytes_ -= client.entry.size();
  ++version_;
  text_.reset();
}

std::shared_ptr<const std::string> topic_roster::text() {
  auto text = text_ ? std::move(text_) : std::make_shared<const std::string>(serialise());
  if (behind()) text_ = text;
  return text;
}

std::string topic_roster::serialise() const {
  std::string out;
  out.reserve(list_head.size() + entry_bytes_ + listed_ * (longest_number + entry_tail.size() + 1) + list_tail.size());
  out += list_head;
  for (const auto& client : roster_) {
    if (out.back() != '[') out += ',';
    out += client.entry;
    append_number(out, client.last_seen);
    out += entry_tail;
  }
  out += list_tail;
  return out;
}

std::vector<client_id> topic_roster::tell_newcomers() {
  std::vector<client_id> to;
  for (auto client = roster_.rbegin(); client != roster_.rend() && client->told == 0; ++client) {
    client->told = version_;
    to.push_back(client->id);
  }
  std::ranges::reverse(to);
  return to;
}

std::vector<client_id> topic_roster::tell_everyone() {
  std::vector<client_id> to;
  to.reserve(listed_);
  for (auto& client : roster_) {
    if (client.told == version_) continue;  // a newcomer that came last
    client.told = version_;
    to.push_back(client.id);
  }
  announced_ = version_;
  return to;
}

}  // namespace nat
