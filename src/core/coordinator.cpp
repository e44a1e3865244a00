#include "nat/coordinator.hpp"

#include <cassert>

namespace nat {
namespace {

constexpr std::uint16_t going_away = 1001;        // RFC 6455, 7.4.1: does not forbid to come back
constexpr std::uint16_t policy_violation = 1008;  // the same place; a client closed so does not come back

}  // namespace

coordinator::coordinator(coordinator_limits limits) : limits_(limits) {}

// ---- who may register

admission coordinator::admit(instant now, const join_request& request, const ip_address& source) {
  now_ = now.steady;
  if (shut_down_) return refuse(503, "the server is shutting down", retry_when_shut_down);

  const auto known = topics_.find(request.topic);
  auto* topic = known == topics_.end() ? nullptr : &known->second;
  if (topic == nullptr || !topic->seats().contains(request.name)) {
    if (auto refusal = refuse_if_full(topic)) return *refusal;
    if (topic == nullptr) topic = &topics_.try_emplace(request.topic, request.topic, ++last_serial_).first->second;
  }

  const auto [seat, is_new] = topic->seats().try_emplace(request.name);
  auto& [holder, successor] = seat->second;
  if (!is_new) {
    const auto& latest = successor != nullptr ? *successor : *holder;
    if (!may_replace(latest, request, source))
      return refuse(409, "the name \"" + request.name + "\" is taken in this topic");
    if (successor != nullptr) replace(*successor);
  }

  auto& client = clients_[++last_id_];
  client.id = last_id_;
  client.home = topic;
  client.seat = seat;
  client.address = request.address;
  client.source = source;
  client.last_activity = now_;
  enter_phase(client, client_phase::reserved);
  (is_new ? holder : successor) = &client;
  if (is_new) ++seats_;
  return {101, {}, client.id, {}};
}

admission coordinator::refuse(unsigned status, std::string reason, std::optional<std::chrono::seconds> retry_after) {
  ++counters_.refused;
  return {status, std::move(reason), 0, retry_after};
}

std::optional<admission> coordinator::refuse_if_full(const topic_roster* topic) {
  if (seats_ >= limits_.max_connections) return refuse(503, "the server is full", retry_when_full);
  const auto peers = topic == nullptr ? 0 : topic->seats().size();
  if (peers >= limits_.max_peers) return refuse(503, "the topic is full", retry_when_full);
  return std::nullopt;
}

bool coordinator::may_replace(const registered_client& holder, const join_request& request,
                              const ip_address& source) const {
  if (holder.address != request.address) return false;
  return holder.source == source || now_ - holder.last_activity >= takeover_silence;
}

// ---- what happens to a client

void coordinator::on_open(instant now, client_id id) {
  now_ = now.steady;
  auto* client = find(id);
  if (client == nullptr) return;
  assert(client->phase == client_phase::reserved);
  if (auto& seat = client->seat->second; seat.successor == client) replace(*seat.holder);
  client->last_activity = now_;
  client->last_seen = now.wall;
  enter_phase(*client, client_phase::open);
  client->home->list(*client);
  ++listed_;
  ++counters_.joined;
  on_change(*client->home);
}

void coordinator::on_activity(instant now, client_id id) {
  now_ = now.steady;
  auto* client = find(id);
  if (client == nullptr) return;
  client->last_activity = now_;
  // A trickle of bytes does not prolong a reservation.
  if (client->phase != client_phase::reserved) enter_phase(*client, client_phase::open);
}

void coordinator::on_ping(instant now, client_id id) {
  on_activity(now, id);
  if (auto* client = find(id)) client->last_seen = now.wall;
}

void coordinator::on_closed(instant now, client_id id) {
  now_ = now.steady;
  if (auto* client = find(id)) forget(*client);
}

void coordinator::on_time(instant now) {
  now_ = now.steady;
  const auto overdue = [this](const phase_queue& queue, duration allowed) {
    return !queue.empty() && queue.front().phase_began + allowed <= now_;
  };
  while (overdue(reserved_, upgrade_deadline)) {
    ++counters_.timed_out;
    close(reserved_.front(), going_away, "the upgrade took too long");
  }
  while (overdue(pinged_, close_after_ping)) {
    ++counters_.timed_out;
    close(pinged_.front(), going_away, "silent for too long");
  }
  while (overdue(open_, ping_after)) {
    ready_.emplace_back(send_ping{open_.front().id});
    enter_phase(open_.front(), client_phase::pinged);
  }
}

void coordinator::shut_down(instant now) {
  now_ = now.steady;
  shut_down_ = true;
  for (auto* queue : {&open_, &pinged_, &reserved_}) {
    while (!queue->empty()) close(queue->front(), going_away, "the server is shutting down");
  }
}

std::array<queue_level, 3> coordinator::queues() const {
  const auto most_clients = 2 * limits_.max_connections;  // a holder and a newcomer for each seat
  return {{{"seats", seats_, limits_.max_connections},
           {"clients", clients_.size(), most_clients},
           {"actions", ready_.size(), 2 * most_clients}}};  // a ping and a close for each, if nobody takes them
}

registered_client* coordinator::find(client_id id) {
  const auto found = clients_.find(id);
  return found == clients_.end() ? nullptr : &found->second;
}

void coordinator::enter_phase(registered_client& client, client_phase phase) {
  client.phase = phase;
  client.phase_began = now_;
  client.phase_hook.unlink();
  auto& queue = phase == client_phase::reserved ? reserved_ : phase == client_phase::open ? open_ : pinged_;
  queue.push_back(client);
}

void coordinator::replace(registered_client& client) {
  ++counters_.replaced;
  close(client, policy_violation, "the same peer registered again");
}

void coordinator::close(registered_client& client, std::uint16_t code, std::string reason) {
  ready_.emplace_back(close_client{client.id, code, std::move(reason)});
  forget(client);
}

void coordinator::forget(registered_client& client) {
  auto& topic = *client.home;
  if (client.phase != client_phase::reserved) {
    topic.unlist(client);
    --listed_;
  }
  auto& [holder, successor] = client.seat->second;
  if (holder == &client) holder = successor;
  successor = nullptr;
  if (holder == nullptr) {
    topic.seats().erase(client.seat);
    --seats_;
  }
  const auto id = client.id;
  clients_.erase(id);
  on_change(topic);
  if (topic.seats().empty()) topics_.erase(topics_.find(topic.topic()));
}

// ---- who is told, and when

/// A topic that never sent a list stands in front of all others.
std::pair<time_point, topic_roster*> coordinator::place_of(topic_roster& topic) {
  return {topic.announced_at.value_or(time_point::min()), &topic};
}

void coordinator::on_change(topic_roster& topic) {
  if (topic.behind()) {
    behind_.insert(place_of(topic));
  } else {
    behind_.erase(place_of(topic));
  }
  if (topic.has_newcomers() && !topic.newcomers_hook.is_linked()) newcomers_.push_back(topic);
}

bool coordinator::may_announce(const topic_roster& topic) const {
  return !topic.announced_at || pacer_.next_list(*topic.announced_at) <= now_;
}

/// Gives the newest list to everybody of the topic who lacks it; that may be nobody, if the newcomer was the
/// only change.
send_list coordinator::announce(topic_roster& topic) {
  behind_.erase(place_of(topic));
  auto to = topic.tell_everyone();
  if (!to.empty()) {
    topic.announced_at = now_;
    ++counters_.lists;
  }
  return {topic.text(), std::move(to)};
}

void coordinator::on_list_cost(instant now, duration cpu) {
  now_ = now.steady;
  pacer_.on_cost(now_, cpu);
}

deadline coordinator::next_deadline() const {
  const auto end_of = [](const phase_queue& queue, duration allowed) {
    return queue.empty() ? deadline{} : queue.front().phase_began + allowed;
  };
  deadline list;
  if (!behind_.empty()) {
    const auto previous = behind_.begin()->second->announced_at;
    list = previous ? pacer_.next_list(*previous) : now_;
  }
  return earliest(list, end_of(reserved_, upgrade_deadline), end_of(open_, ping_after),
                  end_of(pinged_, close_after_ping));
}

std::optional<coordinator_action> coordinator::next_action() {
  if (!ready_.empty()) {
    auto action = std::move(ready_.front());
    ready_.pop_front();
    return action;
  }
  return next_list();
}

/// First lists do not wait, whatever the pacer says; the others of their topic do.
std::optional<coordinator_action> coordinator::next_list() {
  while (!newcomers_.empty()) {
    auto& topic = newcomers_.front();
    newcomers_.pop_front();
    if (!topic.has_newcomers()) continue;  // gone again
    if (may_announce(topic)) return announce(topic);
    ++counters_.lists;
    auto text = topic.text();
    return send_list{std::move(text), topic.tell_newcomers()};
  }
  while (!behind_.empty() && may_announce(*behind_.begin()->second)) {
    if (auto list = announce(*behind_.begin()->second); !list.to.empty()) return list;
  }
  return std::nullopt;
}

}  // namespace nat
