#include "nat/topic_roster.hpp"

#include "nat/text.hpp"
#include "nat/v2_messages.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

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

/// A client of section 1 as v2 clients see it.
std::string encode_seed_peer(const registered_client& client) {
  return encode_v2_peer(
      {client.id, client.seat->first, true, {{client.address, candidate_kind::reflexive, false}}, std::nullopt});
}

/// Peers as a v2 message has them: kept by v2 clients, made for the others.
class encoded_clients {
 public:
  void add(const registered_client& client) {
    views_.emplace_back(client.v2 ? client.v2->entry : made_.emplace_back(encode_seed_peer(client)));
  }
  std::span<const std::string_view> views() const { return views_; }

 private:
  std::deque<std::string> made_;  // its elements stay where they are
  std::vector<std::string_view> views_;
};

}  // namespace

// ---- who is here

void topic_roster::enter(registered_client& client) {
  if (client.v2) {
    if (v2_clients_.empty()) forget_news();
    v2_clients_.push_back(client);
  } else {
    list_receivers_.push_back(client);
    list(client);
  }
  note(client, client_news::joined);
  client.shown_since = v2_version_;
}

void topic_roster::leave(registered_client& client) {
  client.receiver_hook.unlink();
  if (client.roster_hook.is_linked()) unlist(client);
  note_left(client);
}

void topic_roster::set_address(registered_client& client, const std::optional<endpoint>& address) {
  const bool is_listed = client.roster_hook.is_linked();
  if (!address) {
    if (is_listed) unlist(client);
  } else if (!is_listed) {
    client.address = *address;
    list(client);
  } else if (client.address != *address) {
    client.address = *address;
    entry_bytes_ -= client.entry.size();
    client.entry = encode_entry(client.seat->first, client.address);
    entry_bytes_ += client.entry.size();
    on_roster_changed();
  }
}

void topic_roster::on_described(registered_client& client) { note(client, client_news::changed); }

void topic_roster::restart(registered_client& client) {
  client.told = 0;
  client.receiver_hook.unlink();
  v2_clients_.push_back(client);
}

// ---- lists of section 1

void topic_roster::list(registered_client& client) {
  client.entry = encode_entry(client.seat->first, client.address);
  roster_.push_back(client);
  ++listed_;
  entry_bytes_ += client.entry.size();
  on_roster_changed();
}

void topic_roster::unlist(registered_client& client) {
  client.roster_hook.unlink();
  --listed_;
  entry_bytes_ -= client.entry.size();
  client.entry = {};
  on_roster_changed();
}

void topic_roster::on_roster_changed() {
  ++version_;
  text_.reset();
}

/// The list as it is now. It is kept for the next call as long as somebody lacks it and nothing has changed.
std::shared_ptr<const std::string> topic_roster::list_text() {
  auto text = text_ ? std::move(text_) : std::make_shared<const std::string>(serialise());
  if (lists_behind()) text_ = text;
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

topic_text topic_roster::lists_for_newcomers() {
  auto to = tell_untold(list_receivers_, version_);
  if (to.empty()) return {};
  return {list_text(), std::move(to)};
}

topic_text topic_roster::list_for_everyone() {
  auto to = tell_all(list_receivers_, version_);
  announced_ = version_;
  if (to.empty()) {
    text_.reset();
    return {};
  }
  return {list_text(), std::move(to)};
}

// ---- snapshots and deltas of natcoord.v2

topic_text topic_roster::snapshots_due() {
  auto to = tell_untold(v2_clients_, v2_version_);
  if (to.empty()) return {};
  return {snapshot_text(), std::move(to)};
}

topic_text topic_roster::delta_for_everyone() {
  auto to = tell_all(v2_clients_, v2_version_);
  auto text = to.empty() ? nullptr : delta_text();
  forget_news();
  return {std::move(text), std::move(to)};
}

/// Clients of section 1 first.
std::shared_ptr<const std::string> topic_roster::snapshot_text() {
  if (auto kept = snapshot_.lock(); kept && v2_snapshot_ == v2_version_) return kept;
  encoded_clients clients;
  for (const auto& client : list_receivers_) clients.add(client);
  for (const auto& client : v2_clients_) clients.add(client);
  auto text = std::make_shared<const std::string>(encode_snapshot(v2_version_, clients.views()));
  snapshot_ = text;
  v2_snapshot_ = v2_version_;
  return text;
}

std::shared_ptr<const std::string> topic_roster::delta_text() const {
  encoded_clients joined;
  encoded_clients changed;
  for (const auto& client : news_) (client.news == client_news::joined ? joined : changed).add(client);
  return std::make_shared<const std::string>(
      encode_delta(v2_announced_, v2_version_, joined.views(), changed.views(), left_));
}

void topic_roster::note(registered_client& client, client_news news) {
  ++v2_version_;
  if (v2_clients_.empty()) return;  // the first to come gets all of it in its snapshot
  if (client.news != client_news::none) return;
  client.news = news;
  news_.push_back(client);
}

void topic_roster::note_left(registered_client& client) {
  ++v2_version_;
  client.news_hook.unlink();
  client.news = client_news::none;
  if (v2_clients_.empty()) return forget_news();
  // Somebody who came after all that was told is known to nobody.
  if (client.shown_since > std::max(v2_announced_, v2_snapshot_)) return;
  if (left_.size() < max_untold_leavers) return left_.push_back(client.id);
  for (auto& receiver : v2_clients_) receiver.told = 0;
  forget_news();
}

void topic_roster::forget_news() {
  while (!news_.empty()) {
    news_.front().news = client_news::none;
    news_.pop_front();
  }
  left_.clear();
  left_.shrink_to_fit();
  v2_announced_ = v2_version_;
}

std::vector<client_id> topic_roster::v2_clients_but(client_id one) const {
  std::vector<client_id> all;
  for (const auto& client : v2_clients_) {
    if (client.id != one) all.push_back(client.id);
  }
  return all;
}

// ---- who is told

std::vector<client_id> topic_roster::tell_untold(receivers& list, std::uint64_t version) {
  std::vector<client_id> to;
  for (auto client = list.rbegin(); client != list.rend() && client->told == 0; ++client) {
    client->told = version;
    to.push_back(client->id);
  }
  std::ranges::reverse(to);
  return to;
}

std::vector<client_id> topic_roster::tell_all(receivers& list, std::uint64_t version) {
  std::vector<client_id> to;
  for (auto& client : list) {
    if (client.told == version) continue;  // a newcomer that came last
    client.told = version;
    to.push_back(client.id);
  }
  return to;
}

}  // namespace nat
