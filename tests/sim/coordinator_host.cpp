#include "coordinator_host.hpp"

#include "nat/stun_server.hpp"

#include <chrono>
#include <utility>
#include <variant>

namespace nat::sim {
namespace {

constexpr unix_millis wall_at_start = 1'656'829'882'876;  // the seed's own example

constexpr std::string_view who = "natcoord";

}  // namespace

instant surroundings::now() const {
  return {time.now(), wall_at_start + std::chrono::duration_cast<std::chrono::milliseconds>(time.elapsed()).count()};
}

coordinator_host::coordinator_host(const surroundings& around, const coordinator_limits& limits)
    : around_(around), limits_(limits), machine_(around.net.add_host(around.net.open())) {
  around_.net.bind(machine_, *this, stun_port);
  start();
}

void coordinator_host::start() {
  if (engine_) return;
  engine_.emplace(limits_);
  ++run_;
  around_.log.write(around_.time.elapsed(), who, "starts");
}

void coordinator_host::crash() {
  if (!engine_) return;
  around_.log.write(around_.time.elapsed(), who, "is killed");
  engine_.reset();
  waking_at_.reset();
  ids_.clear();
  for (auto& [id, session] : std::exchange(sessions_, {})) session.over->close(side::server);
}

void coordinator_host::stop() {
  if (!engine_) return;
  engine_->shut_down(around_.now());
  act();
  crash();
}

// ---- what arrives

void coordinator_host::on_request(const wire& over, const join_request& request, const ip_address& source,
                                  websocket_client& client) {
  if (!engine_) return over->close(side::server);
  const auto admitted = engine_->admit(around_.now(), request, source);
  around_.log.write(around_.time.elapsed(), who, "answers", request.name, admitted.status);
  if (!admitted.admitted()) {
    over->send(side::server, [&client, admitted] { client.on_refused(admitted); });
    return act();
  }
  const auto id = admitted.id;
  sessions_[id] = {over, &client, false, nullptr};
  ids_[over.get()] = id;
  over->on_end(side::server, [this, id, run = run_] {
    if (run == run_) drop(id);
  });
  over->send(side::server, [&client] { client.on_upgraded(); });
  engine_->on_open(around_.now(), id);
  act();
}

client_id coordinator_host::id_of(const wire& over) const {
  const auto found = ids_.find(over.get());
  return found == ids_.end() ? 0 : found->second;
}

void coordinator_host::on_ping(const wire& over) {
  const auto id = id_of(over);
  if (id == 0) return;
  auto* client = sessions_.at(id).client;
  over->send(side::server, [client] { client->on_pong(); });
  engine_->on_ping(around_.now(), id);
  act();
}

void coordinator_host::on_pong(const wire& over) {
  const auto id = id_of(over);
  if (id == 0) return;
  engine_->on_activity(around_.now(), id);
  act();
}

void coordinator_host::on_close_frame(const wire& over) {
  const auto id = id_of(over);
  if (id == 0) return;
  auto* client = sessions_.at(id).client;
  over->send(side::server, [client] { client->on_close_frame(1000, ""); });
  over->close(side::server);
  drop(id);
}

void coordinator_host::drop(client_id id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  ids_.erase(found->second.over.get());
  sessions_.erase(found);
  engine_->on_closed(around_.now(), id);
  act();
}

void coordinator_host::on_datagram(const endpoint& from, byte_view bytes) {
  if (!engine_) return;
  const auto answer = answer_stun(bytes, from);
  if (!answer) return;
  ++counters_.stun;
  around_.net.send(machine_, stun_port, from, *answer);
}

// ---- what the engine wants done

void coordinator_host::act() {
  around_.check.check_queues(who, engine_->queues());
  while (const auto action = engine_->next_action()) {
    std::visit([this](const auto& what) { act(what); }, *action);
    if (const auto* list = std::get_if<send_list>(&*action)) engine_->on_list_cost(around_.now(), list_cost(*list));
  }
  wake_at_deadline();
}

/// Measured with coordinator_bench: 40 ms for a list of 1000 peers (about 80 KB) to each of them.
duration coordinator_host::list_cost(const send_list& list) const {
  const auto one = std::chrono::microseconds(4) + std::chrono::nanoseconds(list.text->size()) * 9 / 20;
  return one * static_cast<duration::rep>(list.to.size());
}

void coordinator_host::act(const send_list& list) {
  around_.log.write(around_.time.elapsed(), who, "sends a list of", list.text->size(), "bytes to", list.to.size());
  for (const auto id : list.to) send_text(id, list.text);
}

void coordinator_host::send_text(client_id id, std::shared_ptr<const std::string> text) {
  auto& session = sessions_.at(id);
  if (session.sending) {
    if (session.waiting) ++counters_.skipped;
    session.waiting = std::move(text);
    return;
  }
  session.sending = true;
  ++counters_.lists;
  counters_.list_bytes += text->size();
  session.over->send(side::server, [this, id, run = run_, client = session.client, text = std::move(text)] {
    if (run == run_) on_text_arrived(id);
    client->on_text(*text);
  });
}

void coordinator_host::on_text_arrived(client_id id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  found->second.sending = false;
  if (auto next = std::exchange(found->second.waiting, nullptr)) send_text(id, std::move(next));
}

void coordinator_host::act(const send_ping& ping) {
  auto& session = sessions_.at(ping.to);
  session.over->send(side::server, [client = session.client] { client->on_ping(); });
}

void coordinator_host::act(const close_client& close) {
  const auto found = sessions_.find(close.who);
  if (found == sessions_.end()) return;
  const auto session = found->second;
  ids_.erase(session.over.get());
  sessions_.erase(found);
  session.over->send(side::server,
                     [client = session.client, close] { client->on_close_frame(close.code, close.reason); });
  session.over->close(side::server);
}

void coordinator_host::wake_at_deadline() {
  const auto next = engine_->next_deadline();
  if (!next || (waking_at_ && *waking_at_ <= *next)) return;
  waking_at_ = next;
  around_.time.at(*next, [this, run = run_, at = *next] {
    if (run != run_ || !engine_ || waking_at_ != at) return;
    waking_at_.reset();
    engine_->on_time(around_.now());
    act();
  });
}

}  // namespace nat::sim
