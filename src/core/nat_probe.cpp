#include "nat/nat_probe.hpp"

#include <algorithm>
#include <utility>

namespace nat {
namespace {

// What is asked.
enum question : std::size_t { proof, mapping, before_copy, after_copy };

constexpr std::array<std::size_t, 4> port_of = {0, 1, 0, 2};

constexpr bool is_aside(std::size_t which) { return which == before_copy || which == after_copy; }

}  // namespace

void nat_probe::start(time_point now, const ip_address& server, std::span<const std::uint16_t> ports) {
  stop();
  const bool all = ports.size() >= ports_needed;
  port_count_ = all ? ports_needed : std::min<std::size_t>(ports.size(), 1);
  for (std::size_t i = 0; i < port_count_; ++i) server_ports_[i] = {server, ports[i]};
  retry_.reset();
  if (port_count_ > 0) begin(now);
}

void nat_probe::stop() {
  asked_ = {};
  port_count_ = 0;
  again_at_.reset();
  found_ = {};
  is_news_ = told_silence_ = false;
}

void nat_probe::begin(time_point now) {
  again_at_.reset();
  asked_ = {};
  ask(now, proof);
  if (port_count_ == ports_needed) ask(now, before_copy);
}

void nat_probe::ask(time_point now, std::size_t which) {
  auto& question = asked_[which];
  question = {.port = port_of[which]};
  random_.fill(question.id);
  question.began = now;
  question.requests = 1;
  question.open = question.due = true;
}

std::optional<nat_probe_request> nat_probe::next_request() {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (!std::exchange(asked_[i].due, false)) continue;
    const stun_request_options options{.token = i == proof, .probe = i == before_copy};
    return nat_probe_request{server_ports_[asked_[i].port], encode_binding_request(asked_[i].id, options), is_aside(i)};
  }
  return std::nullopt;
}

std::optional<nat_probe_result> nat_probe::next_result() {
  if (!std::exchange(is_news_, false)) return std::nullopt;
  return found_;
}

bool nat_probe::on_datagram(time_point now, const endpoint& from, byte_view datagram) {
  if (port_count_ == 0 || !looks_like_stun(datagram)) return false;
  const auto answer = decode_stun(datagram);
  if (!answer) return false;
  const auto ours = std::ranges::find_if(
      asked_, [&](const transaction& question) { return question.requests > 0 && question.id == answer->id; });
  if (ours == asked_.end()) return false;
  // The copy from the third port is there for the NAT to see, and says nothing: it may come by or not.
  const bool expected = ours->open && from == server_ports_[ours->port];
  if (!expected || answer->kind == stun_class::request || answer->kind == stun_class::indication) return true;
  const auto mapped = answer->mapped_address();
  const bool useful = answer->kind == stun_class::success && answer->method == stun_binding_method &&
                      answer->unknown.empty() && mapped && mapped->port != 0 && mapped->ip.is_unicast();
  const auto which = static_cast<std::size_t>(ours - asked_.begin());
  ours->open = ours->due = false;
  if (useful) {
    ours->mapped = mapped;
    on_answer(now, which, *answer);
  } else {
    on_silence(now, which);
  }
  return true;
}

void nat_probe::on_answer(time_point now, std::size_t which, const stun_message& answer) {
  switch (which) {
    case proof:
      retry_.reset();
      found_ = {.mapped = asked_[proof].mapped};
      if (answer.token) found_.token.assign(answer.token->begin(), answer.token->end());
      is_news_ = true;
      if (port_count_ == ports_needed) ask(now, mapping);
      return;
    case before_copy: return ask(now, after_copy);
    default: return conclude();
  }
}

void nat_probe::on_silence(time_point now, std::size_t which) {
  if (which != proof) return conclude();
  asked_ = {};
  again_at_ = now + retry_min + retry_.next(random_);
  if (std::exchange(told_silence_, true)) return;
  found_ = {.behavior = nat_behavior{}};
  is_news_ = true;
}

/// A port has answered, or never will. The behaviour is told once nothing that is to come can change it.
void nat_probe::conclude() {
  const auto& beside = asked_[mapping];
  const bool asked = beside.requests > 0 && !beside.open;
  if (found_.behavior || !asked) return;
  if (!beside.mapped) return settle({});
  if (beside.mapped != asked_[proof].mapped) return settle({.mapping = nat_mapping::dependent});
  if (asked_[before_copy].open || asked_[after_copy].open) return;
  const auto& before = asked_[before_copy].mapped;
  const auto& after = asked_[after_copy].mapped;
  settle({.mapping = nat_mapping::independent, .shifts = before && after && before != after});
}

void nat_probe::settle(nat_behavior behavior) {
  found_.behavior = behavior;
  is_news_ = true;
  for (auto& question : asked_) question.open = question.due = false;
}

void nat_probe::on_time(time_point now) {
  if (again_at_ && now >= *again_at_) return begin(now);
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    auto& question = asked_[i];
    if (!question.open) continue;
    if (now >= question.began + give_up) {
      question.open = question.due = false;
      on_silence(now, i);
    } else if (question.requests <= repeats.size() && now >= question.began + repeats[question.requests - 1]) {
      ++question.requests;
      question.due = true;
    }
  }
}

deadline nat_probe::next_deadline() const {
  auto next = again_at_;
  for (const auto& question : asked_) {
    if (!question.open) continue;
    const auto wait = question.requests <= repeats.size() ? repeats[question.requests - 1] : give_up;
    next = earliest(next, question.began + wait);
  }
  return next;
}

}  // namespace nat
