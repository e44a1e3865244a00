// What a client that speaks natcoord.v2 says, and what becomes of it.
#include "nat/coordinator.hpp"

#include <algorithm>
#include <utility>

namespace nat {
namespace {

constexpr std::uint16_t try_again_later = 1013;  // registered with IANA for RFC 6455: it may come back

}  // namespace

// ---- what v2 clients say

registered_client* coordinator::find_v2(client_id id) {
  auto* client = find(id);
  return client != nullptr && client->v2 && client->phase != client_phase::reserved ? client : nullptr;
}

void coordinator::welcome(registered_client& client) {
  ++listed_v2_;
  ++counters_.joined_v2;
  auto& v2 = *client.v2;
  v2.entry = encode_v2_peer({client.id, client.seat->first, false, v2.candidates, v2.nat});
  v2.last_snapshot = now_;
  const auto text = encode_server_message(
      v2::welcome{client.id, to_hex(v2.resume), client.source, limits_.relay.on, limits_.relay.rate, stun_ports_});
  ready_.emplace_back(send_message{std::make_shared<const std::string>(text), {client.id}});
}

void coordinator::on_message(instant now, client_id id, std::string_view text) {
  on_activity(now, id);
  auto* client = find_v2(id);
  if (client == nullptr) return;
  if (!client->v2->messages.ready(now_, message_allowance))
    return close(*client, try_again_later, "it sends too many messages");
  client->v2->messages.take(now_, message_allowance);

  auto message = decode_client_message(text);
  if (!message) {
    if (message.error() != errc::unknown_type) on_bad_message(*client);
  } else if (auto* addresses = std::get_if<v2::addresses>(&*message)) {
    on_announcement(*client, std::move(*addresses));
  } else if (const auto* punch = std::get_if<v2::punch_to>(&*message)) {
    on_punch(*client, punch->to);
  } else {
    on_resync(*client);
  }
}

void coordinator::on_bad_message(registered_client& client) {
  ++counters_.bad_messages;
  if (++client.v2->bad_messages >= max_bad_messages) close(client, try_again_later, "it does not speak natcoord.v2");
}

void coordinator::on_announcement(registered_client& client, v2::addresses addresses) {
  auto& v2 = *client.v2;
  if (!v2.announced && v2.announcements.ready(now_, announcement_allowance)) return apply(client, addresses);
  v2.announced = std::make_unique<v2::addresses>(std::move(addresses));
  delay(client);
}

void coordinator::apply(registered_client& client, const v2::addresses& addresses) {
  auto& v2 = *client.v2;
  v2.announcements.take(now_, announcement_allowance);
  auto heard = judge(now_, addresses.candidates, v2.candidates, client.source, limits_.unproven, tokens_);
  counters_.proven += heard.newly_proven;
  counters_.unproven_dropped += heard.dropped;
  if (heard.candidates == v2.candidates && addresses.nat == v2.nat) return;
  v2.candidates = std::move(heard.candidates);
  v2.nat = addresses.nat;
  v2.entry = encode_v2_peer({client.id, client.seat->first, false, v2.candidates, v2.nat});
  client.home->on_described(client);
  client.home->set_address(client, address_for_lists(v2.candidates));
  schedule_.on_change(*client.home);
}

void coordinator::on_punch(registered_client& client, peer_id to) {
  auto& punches = client.v2->punches;
  auto* target = find_v2(to);
  const bool known = target != nullptr && target != &client && target->home == client.home;
  if (!known || !punches.ready(now_, punch_allowance) || !target->v2->punched.ready(now_, punched_allowance) ||
      !has_room()) {
    ++counters_.punches_dropped;
    return;
  }
  punches.take(now_, punch_allowance);
  target->v2->punched.take(now_, punched_allowance);
  ++counters_.punches;
  const auto text = std::make_shared<const std::string>(encode_server_message(v2::punch_from{client.id}));
  ready_.emplace_back(send_message{text, {to}});
}

void coordinator::on_messages_dropped(instant now, client_id id) {
  now_ = now.steady;
  auto* client = find_v2(id);
  if (client == nullptr) return;
  client->v2->wants_snapshot = true;
  delay(*client);
}

void coordinator::on_resync(registered_client& client) {
  ++counters_.resyncs;
  client.v2->wants_snapshot = true;
  delay(client);
}

/// Puts off what the client's limits do not allow yet.
void coordinator::delay(registered_client& client) {
  auto& v2 = *client.v2;
  deadline until;
  if (v2.announced) until = v2.announcements.ready_at(announcement_allowance);
  if (v2.wants_snapshot) until = earliest(until, v2.last_snapshot + snapshot_spacing);
  if (v2.delayed_until) delayed_.erase({*v2.delayed_until, client.id});
  v2.delayed_until = until;
  if (!until) return;
  delayed_.insert({*until, client.id});
  if (*until <= now_) on_delay_over(client);
}

void coordinator::on_delay_over(registered_client& client) {
  auto& v2 = *client.v2;
  if (v2.announced && v2.announcements.ready(now_, announcement_allowance)) {
    const auto announced = std::move(v2.announced);
    apply(client, *announced);
  }
  if (v2.wants_snapshot && v2.last_snapshot + snapshot_spacing <= now_) {
    v2.wants_snapshot = false;
    v2.last_snapshot = now_;
    client.home->restart(client);
    schedule_.on_change(*client.home);
  }
  delay(client);
}

void coordinator::on_relay(instant now, client_id id, byte_view frame) {
  on_activity(now, id);
  auto* client = find_v2(id);
  if (client == nullptr) return;
  const auto upload = decode_relay_upload(frame);
  if (!upload) return on_bad_message(*client);
  if (!limits_.relay.on) return void(++counters_.relay_off);

  if (!meter_.may_upload(now_, client->v2->relay)) return void(++counters_.relay_over_rate);
  auto to = recipients_of(*client, upload->to);
  if (to.empty()) return void(++counters_.relay_for_nobody);
  const auto bytes = upload->packet.size();
  switch (has_room() ? meter_.charge(now_, client->v2->relay, bytes, to.size()) : relay_verdict::over_total_rate) {
    case relay_verdict::passed: break;
    case relay_verdict::over_rate: return void(++counters_.relay_over_rate);
    case relay_verdict::over_quota: return void(++counters_.relay_over_quota);
    case relay_verdict::over_total_rate: return void(++counters_.relay_over_total_rate);
  }
  counters_.relayed_packets += to.size();
  counters_.relayed_bytes += to.size() * bytes;
  auto delivery = std::make_shared<std::vector<std::uint8_t>>();
  append_relay_delivery(*delivery, id, upload->packet);
  ready_.emplace_back(send_relayed{std::move(delivery), std::move(to)});
}

/// Those of the named clients (of all, if none is named) that are there and take relayed packets; each once.
std::vector<client_id> coordinator::recipients_of(const registered_client& sender, const relay_recipients& named) {
  if (named.size() == 0) return sender.home->v2_clients_but(sender.id);
  std::vector<client_id> to;
  to.reserve(named.size());
  for (std::size_t i = 0; i < named.size(); ++i) {
    const auto* client = find_v2(named[i]);
    if (client != nullptr && client != &sender && client->home == sender.home) to.push_back(client->id);
  }
  std::ranges::sort(to);
  to.erase(std::unique(to.begin(), to.end()), to.end());  // clang 14 cannot read libstdc++'s std::ranges::unique
  return to;
}

}  // namespace nat
