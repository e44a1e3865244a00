#include "coordinator_host.hpp"

#include "nat/stun_server.hpp"

#include <chrono>
#include <utility>
#include <variant>

namespace nat::sim {
namespace {

constexpr unix_millis wall_at_start = 1'656'829'882'876;  // the seed's own example

constexpr std::string_view who = "natcoord";

// As nat/net/ws_server.hpp has them.
constexpr std::size_t max_relay_queue = 256'000;
constexpr std::size_t relayed_in_kernel = 65'536;
// What a kernel takes of messages before the receiver has some; Linux starts at 16 KiB and grows to 4 MiB.
constexpr std::size_t kernel_buffer = 1U << 20;

}  // namespace

instant surroundings::now() const {
  return {time.now(), wall_at_start + std::chrono::duration_cast<std::chrono::milliseconds>(time.elapsed()).count()};
}

coordinator_host::coordinator_host(const surroundings& around, protocol speaks, const coordinator_limits& limits,
                                   std::uint64_t seed)
    : around_(around),
      speaks_(speaks),
      limits_(limits),
      machine_(around.net.add_host(around.net.open())),
      chance_(seed) {
  for (const auto port : stun_ports) {
    around_.net.bind(machine_, *sockets_.emplace_back(std::make_unique<stun_socket>(*this, port)), port);
    if (!knows_v2()) break;
  }
  start();
}

void coordinator_host::start() {
  if (engine_) return;
  tokens_.emplace(chance_);
  engine_.emplace(chance_, *tokens_, limits_);
  engine_->set_stun_ports({stun_ports.begin(), stun_ports.end()});
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
                                  const std::optional<v2_offer>& offer, websocket_client& client) {
  if (!engine_) return over->close(side::server);
  const auto* v2 = knows_v2() && offer ? &*offer : nullptr;
  auto admitted = request.address || v2 != nullptr
                      ? engine_->admit(around_.now(), request, source, v2)
                      : admission{400, "the parameter \"ip\" is missing", 0, std::nullopt, false};
  around_.log.write(around_.time.elapsed(), who, "answers", request.name, admitted.status);
  if (!admitted.admitted()) {
    over->send(side::server, [&client, admitted] { client.on_refused(admitted); });
    return act();
  }
  const auto id = admitted.id;
  auto& session = sessions_[id];
  session.over = over;
  session.client = &client;
  ids_[over.get()] = id;
  over->on_end(side::server, [this, id, run = run_] {
    if (run == run_) drop(id);
  });
  over->send(side::server, [&client, speaks_v2 = admitted.v2] { client.on_upgraded(speaks_v2); });
  engine_->on_open(around_.now(), id);
  act();
}

coordinator_host::client_session* coordinator_host::find(client_id id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

client_id coordinator_host::id_of(const wire& over) const {
  const auto found = ids_.find(over.get());
  return found == ids_.end() ? 0 : found->second;
}

void coordinator_host::on_text(const wire& over, const std::string& message) {
  const auto id = id_of(over);
  if (id == 0) return;
  engine_->on_message(around_.now(), id, message);
  act();
}

void coordinator_host::on_binary(const wire& over, byte_view message) {
  const auto id = id_of(over);
  if (id == 0) return;
  engine_->on_relay(around_.now(), id, message);
  act();
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

void coordinator_host::on_stun(std::uint16_t port, const endpoint& from, byte_view bytes) {
  if (!engine_) return;
  const auto reply = answer_stun(around_.time.now(), bytes, from, knows_v2() ? &*tokens_ : nullptr);
  if (!reply) return;
  ++counters_.stun;
  if (reply->copy && knows_v2()) around_.net.send(machine_, stun_ports.back(), from, *reply->copy);
  around_.net.send(machine_, port, from, reply->answer);
}

// ---- what the engine wants done

void coordinator_host::act() {
  around_.check.check_queues(who, engine_->queues());
  while (const auto action = engine_->next_action()) {
    std::visit([this](const auto& what) { act(what); }, *action);
    const auto* list = std::get_if<send_list>(&*action);
    const auto* message = std::get_if<send_message>(&*action);
    if (list != nullptr) engine_->on_list_cost(around_.now(), cost(*list->text, list->to.size()));
    if (message != nullptr) engine_->on_list_cost(around_.now(), cost(*message->text, message->to.size()));
  }
  wake_at_deadline();
}

/// Measured with coordinator_bench: 40 ms for a list of 1000 peers (about 80 KB) to each of them.
duration coordinator_host::cost(const std::string& text, std::size_t receivers) {
  const auto one = std::chrono::microseconds(4) + std::chrono::nanoseconds(text.size()) * 9 / 20;
  return one * static_cast<duration::rep>(receivers);
}

void coordinator_host::act(const send_list& list) {
  around_.log.write(around_.time.elapsed(), who, "sends a list of", list.text->size(), "bytes to", list.to.size());
  for (const auto id : list.to) send_text(id, list.text);
}

void coordinator_host::act(const send_message& message) {
  around_.log.write(around_.time.elapsed(), who, "sends a message of", message.text->size(), "bytes to",
                    message.to.size());
  for (const auto id : message.to) {
    ++counters_.lists;
    counters_.list_bytes += message.text->size();
    const auto dropped = sessions_.at(id).outbox.push(message.text);
    counters_.skipped += dropped;
    pump(id);
    if (dropped > 0) around_.time.at(around_.time.now(), [this, id, run = run_] { run == run_ ? resync(id) : void(); });
  }
}

/// As src/natcoord/run.cpp does where a queue was full.
void coordinator_host::resync(client_id id) {
  if (!engine_ || find(id) == nullptr) return;
  engine_->on_message(around_.now(), id, encode_client_message(v2::resync{}));
  act();
}

void coordinator_host::act(const send_relayed& relayed) {
  for (const auto id : relayed.to) {
    counters_.relay_dropped += sessions_.at(id).outbox.push(relayed.frame, max_relay_queue);
    pump(id);
  }
}

/// Messages first; of relayed frames the kernel holds little.
void coordinator_host::pump(client_id id) {
  auto& session = sessions_.at(id);
  const auto passes_on = [&](std::size_t bytes, auto deliver) {
    session.in_flight += bytes;
    session.over->send(side::server, [this, id, bytes, run = run_, deliver = std::move(deliver)] {
      if (run == run_) on_arrived(id, bytes);
      deliver();
    });
  };
  while (session.in_flight < kernel_buffer) {
    auto text = session.outbox.next_message();
    if (!text) break;
    const auto size = text->size();
    passes_on(size, [client = session.client, text = std::move(text)] { client->on_text(*text); });
  }
  while (session.in_flight < relayed_in_kernel && session.outbox.has_frames()) {
    ++counters_.relayed;
    auto frame = session.outbox.next_frame();
    const auto size = frame->size();
    passes_on(size, [client = session.client, frame = std::move(frame)] { client->on_binary(*frame); });
  }
}

void coordinator_host::on_arrived(client_id id, std::size_t bytes) {
  auto* session = find(id);
  if (session == nullptr) return;
  session->in_flight -= bytes;
  pump(id);
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
  const auto over = found->second.over;
  over->send(side::server,
             [client = found->second.client, close] { client->on_close_frame(close.code, close.reason); });
  ids_.erase(over.get());
  sessions_.erase(found);
  over->close(side::server);
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
