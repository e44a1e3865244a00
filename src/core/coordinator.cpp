#include "nat/coordinator.hpp"

#include <algorithm>
#include <cassert>

namespace nat {
namespace {

constexpr std::uint16_t going_away = 1001;        // RFC 6455, 7.4.1: does not forbid to come back
constexpr std::uint16_t policy_violation = 1008;  // the same place; a client closed so does not come back

}  // namespace

coordinator::coordinator(random_source& random, const address_tokens& tokens, coordinator_limits limits)
    : random_(random), tokens_(tokens), limits_(limits), meter_(limits.relay) {}

// ---- who may register

admission coordinator::admit(instant now, const join_request& request, const ip_address& source,
                             const v2_offer* offer) {
  now_ = now.steady;
  if (shut_down_) return refuse(503, "the server is shutting down", retry_when_shut_down);
  if (offer == nullptr) {
    if (auto refusal = refuse_by_policy(request, source)) return *refusal;
  }

  const auto known = topics_.find(request.topic);
  auto* topic = known == topics_.end() ? nullptr : &known->second;
  if (topic == nullptr || !topic->seats().contains(request.name)) {
    if (auto refusal = refuse_if_full(topic)) return *refusal;
    if (topic == nullptr) topic = &topics_.try_emplace(request.topic, request.topic, ++last_serial_).first->second;
  }

  const auto [seat, is_new] = topic->seats().try_emplace(request.name);
  auto& [holder, successor] = seat->second;
  const bool resumes = !is_new && offer != nullptr && holder->v2 && is_token(holder->v2->resume, offer->resume);
  if (!is_new) {
    if (!resumes && !may_take_over(seat->second, request, source, offer))
      return refuse(409, "the name \"" + request.name + "\" is taken in this topic");
    if (successor != nullptr) replace(*successor);
  }

  auto& client = clients_[++last_id_];
  client.id = last_id_;
  client.home = topic;
  client.seat = seat;
  client.address = request.address.value_or(endpoint{});
  client.source = source;
  client.last_activity = now_;
  if (offer != nullptr) make_v2(client, request, resumes ? holder : nullptr);
  enter_phase(client, client_phase::reserved);
  (is_new ? holder : successor) = &client;
  if (is_new) ++seats_;
  return {101, {}, client.id, {}, offer != nullptr};
}

admission coordinator::refuse(unsigned status, std::string reason, std::optional<std::chrono::seconds> retry_after) {
  ++counters_.refused;
  return {status, std::move(reason), 0, retry_after, false};
}

std::optional<admission> coordinator::refuse_if_full(const topic_roster* topic) {
  if (seats_ >= limits_.max_connections) return refuse(503, "the server is full", retry_when_full);
  const auto peers = topic == nullptr ? 0 : topic->seats().size();
  if (peers >= limits_.max_peers) return refuse(503, "the topic is full", retry_when_full);
  return std::nullopt;
}

std::optional<admission> coordinator::refuse_by_policy(const join_request& request, const ip_address& source) {
  if (!request.address) return refuse(400, "an address is missing: a client without natcoord.v2 needs one");
  if (limits_.unproven == unproven_policy::deny)
    return refuse(403, "the address is not proven: this server wants clients that speak natcoord.v2");
  if (limits_.unproven == unproven_policy::same_ip && request.address->ip != source)
    return refuse(403, "the address is not yours: you come from " + source.to_string());
  return std::nullopt;
}

/// Whether a newcomer without the holder's token may have the name.
bool coordinator::may_take_over(const name_seat& seat, const join_request& request, const ip_address& source,
                                const v2_offer* offer) const {
  const auto& latest = seat.successor != nullptr ? *seat.successor : *seat.holder;
  const bool same_source = latest.source == source;
  const bool silent = now_ - latest.last_activity >= takeover_silence;
  if (offer != nullptr || latest.v2 || seat.holder->v2) return same_source && silent;
  return latest.address == request.address && (same_source || silent);
}

/// A client that resumes keeps its token, since the answer that tells a new one may be lost, and what it has used up.
void coordinator::make_v2(registered_client& client, const join_request& request, const registered_client* resumed) {
  client.v2 = std::make_unique<v2_client>();
  if (resumed != nullptr) {
    client.v2->resume = resumed->v2->resume;
    client.v2->relay = resumed->v2->relay;
    ++counters_.resumed;
  } else {
    random_.fill(client.v2->resume);
  }
  if (!request.address) return;
  const auto heard =
      judge(now_, {{*request.address, candidate_kind::reflexive, {}}}, {}, client.source, limits_.unproven, tokens_);
  client.v2->candidates = heard.candidates;
  counters_.unproven_dropped += heard.dropped;
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
  ++listed_;
  ++counters_.joined;
  if (client->v2) welcome(*client);
  client->home->enter(*client);
  if (client->v2) client->home->set_address(*client, address_for_lists(client->v2->candidates));
  schedule_.on_change(*client->home);
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
  while (!delayed_.empty() && delayed_.begin()->first <= now_) on_delay_over(*find(delayed_.begin()->second));
}

void coordinator::shut_down(instant now) {
  now_ = now.steady;
  shut_down_ = true;
  for (auto* queue : {&open_, &pinged_, &reserved_}) {
    while (!queue->empty()) close(queue->front(), going_away, "the server is shutting down");
  }
}

std::array<queue_level, 4> coordinator::queues() const {
  return {{{"seats", seats_, limits_.max_connections},
           {"clients", clients_.size(), most_clients()},
           {"delayed", delayed_.size(), most_clients()},
           {"actions", ready_.size(), most_actions()}}};
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
    topic.leave(client);
    --listed_;
    if (client.v2) --listed_v2_;
  }
  if (client.v2 && client.v2->delayed_until) delayed_.erase({*client.v2->delayed_until, client.id});
  auto& [holder, successor] = client.seat->second;
  if (holder == &client) holder = successor;
  successor = nullptr;
  if (holder == nullptr) {
    topic.seats().erase(client.seat);
    --seats_;
  }
  const auto id = client.id;
  clients_.erase(id);
  schedule_.on_change(topic);
  if (topic.seats().empty()) topics_.erase(topics_.find(topic.topic()));
}

// ---- what is to be done, and when

void coordinator::on_list_cost(instant now, duration cpu) {
  now_ = now.steady;
  schedule_.on_cost(now_, cpu);
}

deadline coordinator::next_deadline() const {
  const auto end_of = [](const phase_queue& queue, duration allowed) {
    return queue.empty() ? deadline{} : queue.front().phase_began + allowed;
  };
  return earliest(schedule_.next_deadline(now_), delayed_.empty() ? deadline{} : delayed_.begin()->first,
                  end_of(reserved_, upgrade_deadline), end_of(open_, ping_after), end_of(pinged_, close_after_ping));
}

std::optional<coordinator_action> coordinator::next_action() {
  if (!ready_.empty()) {
    auto action = std::move(ready_.front());
    ready_.pop_front();
    return action;
  }
  if (auto news = schedule_.next(now_)) return to_action(std::move(*news));
  return std::nullopt;
}

coordinator_action coordinator::to_action(topic_news news) {
  auto& [text, to] = news.told;
  if (news.what == topic_news::kind::list) {
    ++counters_.lists;
    return send_list{std::move(text), std::move(to)};
  }
  if (news.what == topic_news::kind::delta) ++counters_.deltas;
  if (news.what == topic_news::kind::snapshot) counters_.snapshots += to.size();
  return send_message{std::move(text), std::move(to)};
}

}  // namespace nat
