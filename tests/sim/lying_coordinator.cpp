#include "lying_coordinator.hpp"

#include "nat/relay_frame.hpp"
#include "nat/stun_server.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view who = "liar";
constexpr duration tick_interval = 100ms;
constexpr std::size_t replayed_each_tick = 200;

}  // namespace

lying_coordinator::lying_coordinator(const surroundings& around, forger& forges, std::uint64_t seed)
    : around_(around), forges_(forges), machine_(around.net.add_host(around.net.open())), chance_(seed) {
  around_.net.bind(machine_, *this, stun_port);
  tick();
}

void lying_coordinator::become(manner now, const std::string& deceived) {
  manner_ = now;
  deceived_ = deceived;
  around_.log.write(around_.time.elapsed(), who, "is in manner", static_cast<int>(now));
  for (const auto& [id, each] : members_) welcome(id, each);  // it may have been told another id
  tell_all();
}

void lying_coordinator::speak(protocol what) {
  speaks_ = what;
  for (auto& [id, gone] : std::exchange(members_, {})) {
    gone.over->send(side::server, [client = gone.client] { client->on_close_frame(1001, ""); });
    gone.over->close(side::server);
  }
}

std::vector<endpoint> lying_coordinator::addresses() const {
  std::vector<endpoint> all;
  for (const auto& [id, known] : members_) {
    for (const auto& each : known.candidates) {
      if (each.address != outsider_) all.push_back(each.address);  // as a lie of ours had it
    }
  }
  return all;
}

// ---- what arrives

void lying_coordinator::on_request(const wire& over, const join_request& request, const ip_address&,
                                   const std::optional<v2_offer>& offer, websocket_client& client) {
  const bool v2 = offer && speaks_ == protocol::v2;
  over->send(side::server, [&client, v2] { client.on_upgraded(v2); });
  if (!v2 && !request.address) return;  // it comes back with its address
  std::erase_if(members_, [&](const auto& each) { return each.second.name == request.name; });
  const auto id = ++last_id_;
  auto& added = members_[id];
  added.over = over;
  added.client = &client;
  added.name = request.name;
  added.v2 = v2;
  if (request.address) added.candidates.push_back({*request.address, candidate_kind::reflexive, false});
  over->on_end(side::server, [this, id] { forget(id); });
  welcome(id, added);
  tell_all();
}

peer_id lying_coordinator::id_of(const wire& over) const {
  const auto found = std::ranges::find_if(members_, [&](const auto& each) { return each.second.over == over; });
  return found == members_.end() ? 0 : found->first;
}

void lying_coordinator::forget(peer_id id) {
  if (members_.erase(id) > 0) tell_all();
}

void lying_coordinator::on_text(const wire& over, const std::string& message) {
  const auto id = id_of(over);
  const auto decoded = decode_client_message(message);
  if (id == 0 || !decoded) return;
  auto& from = members_.at(id);
  if (const auto* told = std::get_if<v2::addresses>(&*decoded)) {
    from.candidates.clear();
    for (const auto& each : told->candidates) from.candidates.push_back({each.address, each.kind, false});
    from.nat = told->nat;
    tell_all();
  } else if (const auto* punch = std::get_if<v2::punch_to>(&*decoded)) {
    const auto to = members_.find(manner_ == manner::lying ? any_id() : punch->to);
    const bool hides = is_deceived(from) || (to != members_.end() && is_deceived(to->second));
    if (to != members_.end() && !hides) say(to->second, encode_server_message(v2::punch_from{id}));
  } else {
    tell(from);
  }
}

void lying_coordinator::on_binary(const wire& over, byte_view message) {
  const auto id = id_of(over);
  const auto upload = decode_relay_upload(message);
  if (id == 0 || !upload) return;
  if (!is_deceived(members_.at(id))) forges_.record(upload->packet);
  std::vector<peer_id> to;
  for (std::size_t i = 0; i < upload->to.size(); ++i) to.push_back(upload->to[i]);
  relay(id, to, upload->packet);
}

void lying_coordinator::on_ping(const wire& over) {
  const auto id = id_of(over);
  if (id != 0) over->send(side::server, [client = members_.at(id).client] { client->on_pong(); });
}

void lying_coordinator::on_close_frame(const wire& over) {
  const auto id = id_of(over);
  if (id == 0) return;
  over->send(side::server, [client = members_.at(id).client] { client->on_close_frame(1000, ""); });
  over->close(side::server);
  forget(id);
}

/// As a STUN server it says now and then that members are where the outsider is.
void lying_coordinator::on_datagram(const endpoint& from, byte_view bytes) {
  const bool lies = manner_ == manner::lying && chance_.happens(0.5);
  if (const auto answer = answer_stun(bytes, lies ? outsider_ : from)) {
    around_.net.send(machine_, stun_port, from, *answer);
  }
}

// ---- the relay

void lying_coordinator::deliver(const member& to, peer_id from, byte_view packet) {
  packet_bytes frame;
  append_relay_delivery(frame, from, packet);
  to.over->send(side::server, [client = to.client, frame = std::move(frame)] { client->on_binary(frame); });
}

void lying_coordinator::relay(peer_id from, const std::vector<peer_id>& to, byte_view packet) {
  for (const auto& [id, each] : members_) {
    const bool is_named = id != from && (to.empty() || std::ranges::find(to, id) != to.end());
    if (!is_named || !each.v2) continue;
    if (manner_ == manner::lying) {
      relay_falsely(from, each, packet);
    } else if (!is_deceived(each) && !is_deceived(members_.at(from))) {
      deliver(each, from, packet);
    }
  }
}

peer_id lying_coordinator::any_id() {
  if (members_.empty()) return 1;
  return std::next(members_.begin(), static_cast<std::ptrdiff_t>(chance_.below(members_.size())))->first;
}

void lying_coordinator::relay_falsely(peer_id from, const member& to, byte_view packet) {
  const auto& other = members_.at(any_id());
  switch (chance_.below(9)) {
    case 0: return;
    case 1: return deliver(to, any_id(), packet);
    case 2: return other.v2 ? deliver(other, from, packet) : void();
    case 3: return deliver(members_.at(from), any_id(), packet);
    case 4: deliver(to, from, packet); return deliver(to, from, packet);
    case 5: return deliver(to, from, forges_.with_a_flipped_bit(packet));
    case 6: return deliver(to, from, forges_.next(members_.at(from).name));
    default: return deliver(to, from, packet);
  }
}

/// All that was said before the deceived came, again and again; as from whoever is there.
void lying_coordinator::replay(member& to) {
  const auto& all = forges_.recorded();
  for (std::size_t i = 0; i < replayed_each_tick && !all.empty(); ++i) {
    deliver(to, any_id(), all[to.replayed++ % all.size()]);
  }
}

void lying_coordinator::tick() {
  around_.time.after(tick_interval, [this] { tick(); });
  for (auto& [id, each] : members_) {
    if (is_deceived(each) && each.v2) replay(each);
    if (manner_ == manner::lying && chance_.happens(0.3)) lie(id, each);
  }
}

// ---- what it says of others

void lying_coordinator::say(const member& to, const std::string& text) {
  to.over->send(side::server, [client = to.client, text] { client->on_text(text); });
}

void lying_coordinator::welcome(peer_id id, const member& to) {
  if (to.v2) say(to, encode_server_message(v2::welcome{id, "token", machine_.ip(), true, 0, {stun_port}}));
}

void lying_coordinator::tell_all() {
  ++version_;
  for (const auto& [id, each] : members_) tell(each);
}

void lying_coordinator::tell(const member& to) {
  if (manner_ == manner::lying) return;  // at its own pace: what it says makes members say more
  say(to, to.v2 ? encode_server_message(v2::snapshot{version_, truth(to)}) : list_of(truth(to)));
}

std::vector<v2_peer> lying_coordinator::truth(const member& to) const {
  std::vector<v2_peer> all;
  for (const auto& [id, each] : members_) {
    if (is_deceived(each) && !is_deceived(to)) continue;
    all.push_back({id, each.name, false, each.candidates, each.nat});
    if (is_deceived(to)) all.back().candidates.clear();  // the relay is all there is, and it is ours
  }
  return all;
}

std::string lying_coordinator::list_of(const std::vector<v2_peer>& peers) const {
  std::string list;
  for (const auto& each : peers) {
    if (each.candidates.empty()) continue;
    const auto& at = each.candidates.front().address;
    list += (list.empty() ? "" : ",") + std::string(R"({"ip":")") + at.ip.to_string() + R"(","port":)" +
            std::to_string(at.port) + R"(,"name":")" + each.name + R"(","last_seen":1})";
  }
  return R"({"peers":[)" + list + "]}";
}

std::vector<v2_peer> lying_coordinator::falsehood(peer_id id, const member& to) {
  auto all = truth(to);
  for (auto& each : all) {
    auto& other = all[chance_.below(all.size())];
    switch (chance_.below(8)) {
      case 0: std::swap(each.name, other.name); break;
      case 1: std::swap(each.id, other.id); break;
      case 2: std::swap(each.candidates, other.candidates); break;
      case 3: each.candidates = {{outsider_, candidate_kind::reflexive, true}}; break;
      case 4:
        each.candidates = {{outsider_, candidate_kind::reflexive, true}};
        each.seed = true;
        break;
      case 5: each.id = id; break;
      case 6: each.name = "nobody" + std::to_string(chance_.below(10)); break;
      default: break;
    }
  }
  if (chance_.happens(0.1)) all.clear();
  return all;
}

void lying_coordinator::lie(peer_id id, const member& to) {
  const auto said = falsehood(id, to);
  if (!to.v2) return say(to, chance_.happens(0.05) ? "no list" : list_of(said));
  switch (chance_.below(6)) {
    case 0: return say(to, encode_server_message(v2::punch_from{any_id()}));
    case 1: return say(to, encode_server_message(v2::welcome{any_id(), "other", outsider_.ip, true, 0, {stun_port}}));
    case 2: return say(to, encode_server_message(v2::delta{version_, ++version_, {}, said, {any_id()}}));
    case 3: return deliver(to, any_id(), forges_.next(members_.at(any_id()).name));
    default: return say(to, encode_server_message(v2::snapshot{++version_, said}));
  }
}

}  // namespace nat::sim
