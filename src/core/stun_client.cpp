#include "nat/stun_client.hpp"

#include <algorithm>

namespace nat {
namespace {

bool is_usable(const endpoint& at) { return at.port != 0 && at.ip.is_unicast(); }

bool contains(const std::vector<endpoint>& list, const endpoint& what) {
  return std::ranges::find(list, what) != list.end();
}

}  // namespace

void stun_client::start(time_point now, std::span<const endpoint> servers) {
  started_ = true;
  v4_.servers.clear();
  v6_.servers.clear();
  for (const auto& server : servers.first(std::min(servers.size(), max_stun_servers))) {
    auto& list = server.ip.is_v4() ? v4_.servers : v6_.servers;
    if (is_usable(server) && !contains(list, server)) list.push_back(server);
  }
  for (auto* each : {&v4_, &v6_}) {
    if (each->winner && !contains(each->servers, *each->winner)) each->winner.reset();
  }
  retry_.reset();
  refresh(now);
}

void stun_client::refresh(time_point now) {
  if (!started_) return;
  v4_.open.clear();
  v6_.open.clear();
  begin_round(now);
}

bool stun_client::on_datagram(time_point now, const endpoint& from, byte_view datagram) {
  if (!looks_like_stun(datagram)) return false;
  const auto answer = decode_stun(datagram);
  if (!answer || !on_answer(now, from, *answer)) ++ignored_;
  return true;
}

void stun_client::on_time(time_point now) {
  if (!started_) return;
  if (next_round_ && *next_round_ <= now) begin_round(now);
  retransmit(now, v4_);
  retransmit(now, v6_);
  if (v6_at_ && *v6_at_ <= now) ask_v6(now);
  settle(now);
}

deadline stun_client::next_deadline() const {
  auto next = earliest(v6_at_, next_round_);
  for (const auto* each : {&v4_, &v6_}) {
    for (const auto& open : each->open) next = earliest(next, open.next);
  }
  return next;
}

std::optional<stun_request> stun_client::next_request() {
  for (auto* each : {&v4_, &v6_}) {
    for (auto& open : each->open) {
      if (!open.due) continue;
      open.due = false;
      // No attributes at all: servers of RFC 3489 then answer too (RFC 5389, 12.1).
      return stun_request{open.to, encode_binding_request(open.id)};
    }
  }
  return std::nullopt;
}

std::optional<stun_event> stun_client::next_event() {
  const auto current = mapped_address();
  if (current && current != announced_) {
    announced_ = current;
    return stun_mapped_address{*current};
  }
  if (!round_failed_) return std::nullopt;
  round_failed_ = false;
  return stun_round_failed{};
}

/// IPv4 transactions that still wait go on; a caller that wants them anew has dropped them.
void stun_client::begin_round(time_point now) {
  next_round_.reset();
  v6_at_.reset();
  round_failed_ = false;
  const bool v4_is_silent = !v4_.open.empty();  // for a refresh interval, and so for longer than its head start
  if (!v4_is_silent) ask(now, v4_);
  if (v4_is_silent || v4_.open.empty()) {
    ask_v6(now);
  } else {
    v6_at_ = now + stun_v4_head_start;
  }
  settle(now);
}

void stun_client::ask(time_point now, family& of) {
  const auto servers = of.winner ? std::vector{*of.winner} : of.servers;
  for (const auto& server : servers) {
    auto& asked = of.open.emplace_back();
    asked.server = asked.to = server;
    begin_transaction(now, asked);
  }
}

void stun_client::ask_v6(time_point now) {
  v6_at_.reset();
  ask(now, v6_);
}

void stun_client::begin_transaction(time_point now, transaction& what) {
  random_->fill(what.id);
  what.requests = 1;
  what.due = true;
  what.next = now + stun_rto;
}

/// Requests follow each other by 1, 2, 4 .. 32 RTOs. A late call sends one, not those that were missed.
void stun_client::retransmit(time_point now, family& of) {
  std::vector<endpoint> silent;
  for (auto& open : of.open) {
    if (now < open.next) continue;
    if (open.requests == stun_max_requests) {
      silent.push_back(open.server);
      continue;
    }
    ++open.requests;
    open.due = true;
    const bool last = open.requests == stun_max_requests;
    open.next = now + stun_rto * (last ? stun_last_wait : 1 << (open.requests - 1));
  }
  for (const auto& server : silent) fail(now, of, server);
}

/// False: nobody was asked this from there.
bool stun_client::on_answer(time_point now, const endpoint& from, const stun_message& answer) {
  const bool success = answer.kind == stun_class::success;
  if (answer.method != stun_binding_method || (!success && answer.kind != stun_class::error)) return false;
  auto& of = from.ip.is_v4() ? v4_ : v6_;
  const auto asked =
      std::ranges::find_if(of.open, [&](const transaction& open) { return open.to == from && open.id == answer.id; });
  if (asked == of.open.end()) return false;

  const auto server = asked->server;
  const auto mapped = answer.mapped_address();
  // Only a server on this machine can see us at a loopback address.
  const bool elsewhere = mapped && mapped->ip.is_loopback() && !from.ip.is_loopback();
  if (success && answer.unknown.empty() && mapped && is_usable(*mapped) && !elsewhere) {
    succeed(now, of, server, *mapped);
  } else if (!follow_alternate(now, of, *asked, answer)) {
    fail(now, of, server);
  }
  settle(now);
  return true;
}

bool stun_client::follow_alternate(time_point now, const family& of, transaction& what, const stun_message& answer) {
  const bool told = answer.kind == stun_class::error && answer.unknown.empty() && answer.error &&
                    answer.error->code == stun_try_alternate && answer.alternate_server;
  const bool followed = what.to != what.server;
  if (!told || followed) return false;
  const auto alternate = *answer.alternate_server;
  const bool asked = std::ranges::any_of(of.open, [&](const transaction& open) { return open.to == alternate; });
  if (asked || !is_usable(alternate) || alternate.ip.is_v4() != what.to.ip.is_v4()) return false;
  what.to = alternate;
  begin_transaction(now, what);
  return true;
}

void stun_client::succeed(time_point now, family& of, const endpoint& server, const endpoint& mapped) {
  of.winner = server;
  of.mapped = mapped;
  of.open.clear();
  if (&of == &v4_) {
    v6_at_.reset();
    v6_.open.clear();
    v6_.mapped.reset();  // nobody refreshes it any more
  } else if (v4_.open.empty()) {
    v4_.mapped.reset();  // IPv4 has no servers any more
  }
  if (mapped_address() == mapped) answered_at_ = now;
  retry_.reset();
  round_failed_ = false;
  next_round_ = now + random_->between(stun_refresh_min, stun_refresh_max);
}

void stun_client::fail(time_point now, family& of, const endpoint& server) {
  std::erase_if(of.open, [&](const transaction& open) { return open.server == server; });
  if (of.winner == server) {
    of.winner.reset();
    ask(now, of);
    std::erase_if(of.open, [&](const transaction& open) { return open.server == server; });  // it had its turn
  }
  if (!of.open.empty()) return;
  of.mapped.reset();
  if (&of == &v4_ && v6_at_) ask_v6(now);
}

/// A round without a success ends when nobody is left to answer.
void stun_client::settle(time_point now) {
  if (!next_round_ && !v6_at_ && v4_.open.empty() && v6_.open.empty()) {
    v4_.mapped.reset();
    v6_.mapped.reset();
    round_failed_ = true;
    next_round_ = now + stun_retry_min + retry_.next(*random_);
  }
  if (!mapped_address()) announced_.reset();
}

}  // namespace nat
