#include "hostile_client.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

// Of the victim's addresses: one that all of them name, and any of the others.
constexpr std::uint16_t usual_port = 4000;
constexpr std::uint64_t most_candidates = 4;
constexpr std::size_t most_heard = 64;

// Each second or two it does one of these.
constexpr double leaves = 0.03;
constexpr double resyncs = 0.01;
constexpr double announces = 0.3;
constexpr duration loyal_for = 5s;

std::weak_ptr<connection> weak(const std::shared_ptr<connection>& over) { return over; }

}  // namespace

hostile_client::hostile_client(const surroundings& around, websocket_server& coordinator, host& machine,
                               conspiracy& with, role as, std::uint64_t seed)
    : around_(around),
      coordinator_(coordinator),
      machine_(machine),
      with_(with),
      role_(as),
      chance_(seed),
      sealer_(with.keys, chance_.next() | 1, payload_cipher::chacha20_poly1305) {}

void hostile_client::start() {
  port_ = around_.net.bind(machine_, *this).port;
  forges_ = (with_.forges_sealed || with_.forges_seed) && with_.forgers++ < conspiracy::max_forgers;
  join();
  act();
}

/// Under another name each time.
void hostile_client::join() {
  name_ = std::string(conspiracy::prefix) + std::to_string(++with_.joined);
  joined_at_ = around_.time.now();
  over_ = std::make_shared<connection>(around_.net, machine_, chance_.next());
  join_request request{with_.topic, name_, std::nullopt};
  std::optional<v2_offer> offer;
  if (speaks_v2()) {
    offer.emplace();
  } else {
    request.address = victims_address();
  }
  over_->send(side::client, [this, over = weak(over_), request, offer] {
    coordinator_.on_request(over.lock(), request, machine_.ip(), offer, *this);
  });
}

void hostile_client::leave() {
  registered_ = false;
  if (over_) over_->close(side::client);
  over_.reset();
}

endpoint hostile_client::victims_address() {
  if (chance_.happens(0.3)) return {with_.victim, usual_port};
  return {with_.victim, static_cast<std::uint16_t>(1024 + chance_.below(64'512))};
}

void hostile_client::act() {
  if (rests_) return;
  around_.time.after(chance_.between(1s, 2s), [this] { act(); });
  if (!registered_ || role_ == role::scout) {
    if (!over_) join();
    return;
  }
  if (forges_) forge();
  if (role_ == role::turncoat && proves_itself()) introduce();
  over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_ping(over.lock()); });
  if (chance_.happens(leaves)) return leave();
  if (!speaks_v2()) return;
  if (chance_.happens(resyncs)) say(v2::resync{});
  if (chance_.happens(announces)) announce();
  for (const auto& [id, who] : with_.others) say(v2::punch_to{id});
}

// ---- to natcoord

void hostile_client::say(const v2::client_message& message) {
  over_->send(side::client, [this, over = weak(over_), text = encode_client_message(message)] {
    coordinator_.on_text(over.lock(), text);
  });
}

/// Others take what they did not know for something to try, and wake what they knew.
void hostile_client::announce() {
  v2::addresses all;
  if (role_ == role::member) all.candidates.push_back({{machine_.ip(), port_}, candidate_kind::reflexive, ""});
  for (auto count = 1 + chance_.below(most_candidates); count > 0; --count) {
    const auto kind = chance_.happens(0.5) ? candidate_kind::reflexive : candidate_kind::host;
    all.candidates.push_back({victims_address(), kind, ""});
  }
  all.nat = nat_behavior{nat_mapping::independent, chance_.happens(0.5)};
  say(all);
}

void hostile_client::on_upgraded(bool) {
  registered_ = true;
  if (speaks_v2() && role_ != role::scout) announce();
}

void hostile_client::on_refused(const admission&) { leave(); }
void hostile_client::on_close_frame(std::uint16_t, const std::string&) { leave(); }

void hostile_client::on_ping() {
  over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_pong(over.lock()); });
}

void hostile_client::on_text(const std::string& message) {
  if (role_ != role::scout) return;
  const auto decoded = decode_server_message(message);
  if (!decoded) return around_.check.fail(name_, "cannot read what natcoord says");
  if (const auto* list = std::get_if<v2::snapshot>(&*decoded)) {
    with_.others.clear();
    for (const auto& who : list->peers) learn(who);
  } else if (const auto* delta = std::get_if<v2::delta>(&*decoded)) {
    for (const auto id : delta->left) with_.others.erase(id);
    for (const auto* some : {&delta->joined, &delta->changed}) {
      for (const auto& who : *some) learn(who);
    }
  }
}

void hostile_client::learn(const v2_peer& who) {
  if (!who.name.starts_with(conspiracy::prefix)) with_.others[who.id] = who;
}

// ---- to the others

/// Asks to be answered, and claims the name that natcoord lists.
ping_header hostile_client::ping_for(sender_id recipient) {
  ping_header ping;
  ping.number = ++pings_;
  ping.recipient = recipient;
  ping.challenge = chance_.next() | 1;
  ping.flags = ping_header::wants_answer | ping_header::accepts;
  ping.body = ping_introduction{with_.keys.tag_of(name_)};
  return ping;
}

std::vector<std::uint8_t> hostile_client::sealed(const ping_header& ping) {
  std::vector<std::uint8_t> bytes(header_size);
  sealer_.seal_ping(bytes, ping, chance_);
  return bytes;
}

bool hostile_client::proves_itself() const {
  if (role_ == role::turncoat) return around_.time.now() - joined_at_ < loyal_for;
  return role_ == role::member;
}

void hostile_client::introduce() {
  for (const auto& [id, who] : with_.others) {
    for (const auto& each : who.candidates) around_.net.send(machine_, port_, each.address, sealed(ping_for(0)));
  }
}

void hostile_client::forge() {
  for (const auto& [id, who] : with_.others) {
    if (with_.forges_sealed) forge_sealed(who);
    if (with_.forges_seed) forge_seed(who);
  }
}

void hostile_client::forge_sealed(const v2_peer& at) {
  for (const auto& [address, kind, proven] : at.candidates) {
    if (kind != candidate_kind::reflexive) continue;
    const auto known = heard_.find(address);
    const auto bytes = sealed(ping_for(known == heard_.end() ? 0 : known->second));
    around_.net.send_forged(machine_, victims_address(), address, bytes);
    ++with_.forged;
  }
}

void hostile_client::forge_seed(const v2_peer& at) {
  std::array<std::uint8_t, header_size> bytes;
  encode_header(bytes, packet_kind::ping, chance_);
  for (const auto& [address, kind, proven] : at.candidates) {
    if (kind != candidate_kind::reflexive) continue;
    around_.net.send_forged(machine_, {with_.victim, usual_port}, address, bytes);
    ++with_.forged;
  }
}

/// A member proves at its own address what it does not at the victim's.
void hostile_client::on_datagram(const endpoint& from, byte_view bytes) {
  if (!proves_itself()) return;
  const auto header = open_header(with_.keys, bytes);
  const auto* ping = header ? std::get_if<ping_header>(&*header) : nullptr;
  if (ping == nullptr) return;
  if (heard_.size() < most_heard) heard_[from] = ping->sender;
  if ((ping->flags & ping_header::wants_answer) == 0) return;
  auto answer = ping_for(ping->sender);
  answer.echo = ping->challenge;
  answer.flags = ping_header::accepts;
  around_.net.send(machine_, port_, from, sealed(answer));
}

}  // namespace nat::sim
