#include "nat/registration.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat {

using cause = registration_events::retry_later::cause;

void registration::reach() {
  state_ = state::reaching;
  wake_.reset();  // the program answers in bounded time
  if (!is_fallback_) address_is_fresh_ = false;
  command_ = coordinator_command::connect;
}

void registration::join() {
  assert(address_);
  state_ = state::joining;
  joined_address_ = address_;
  wake_.reset();
  command_ = coordinator_command::join;
}

void registration::join_v2() {
  state_ = state::joining_v2;
  wake_.reset();
  command_ = coordinator_command::join_v2;
}

/// It answers, so it is asked again at once, and as it wants to be asked.
void registration::remember_section_1(time_point now) {
  section_1_until_ = now + section_1_memory;
  is_v2_ = false;
  is_fallback_ = true;
  comes_back_quickly_ = false;
}

duration registration::next_wait(time_point now) {
  if (!offline_since_) offline_since_ = now;
  comes_back_quickly_ = is_v2_ && now - *offline_since_ < quick_period;
  return (comes_back_quickly_ ? quick_backoff_ : backoff_).next(random_);
}

void registration::retry(time_point now, cause why, std::string reason, duration at_least) {
  if (state_ == state::leaving) return end(registration_events::left{});
  const auto wait = std::max(next_wait(now), std::min(at_least, longest_retry_after));
  is_fallback_ = false;
  state_ = state::waiting;
  wake_ = now + wait;
  event_ = registration_events::retry_later{why, std::move(reason), wait};
}

void registration::end(registration_event why) {
  state_ = state::ended;
  wake_.reset();
  event_ = std::move(why);
}

void registration::on_address(time_point now, const endpoint& address) {
  address_ = address;
  address_is_fresh_ = true;
  if (state_ == state::ready) return join();
  if (state_ == state::registered && !is_v2_ && address_ != joined_address_) rejoin(now);
}

/// The name is ours until the coordinator has seen the close: so close, then come back at once.
void registration::rejoin(time_point now) {
  state_ = state::rejoining;
  wake_ = now + leave_timeout;
  command_ = coordinator_command::close;
}

void registration::on_network_changed(time_point now) {
  const bool connected = state_ == state::registered && is_v2_;
  const bool connecting = state_ == state::waiting || state_ == state::reaching || state_ == state::joining_v2;
  if (!connected && !connecting) return;
  if (network_changed_at_ && now < *network_changed_at_) return;  // waits for its turn already
  const auto turn = network_changed_at_ ? std::max(now, *network_changed_at_ + network_change_spacing) : now;
  network_changed_at_ = turn;
  offline_since_ = now;
  quick_backoff_.reset();
  comes_back_quickly_ = is_v2_;
  is_fallback_ = false;
  if (turn == now) return reach();
  command_ = coordinator_command::abandon;
  state_ = state::waiting;
  wake_ = turn;
}

void registration::probe(time_point now, duration extra) {
  if (state_ != state::registered || !is_v2_ || probing_) return;
  if (probed_at_ && now - *probed_at_ < probe_spacing) return;
  probing_ = true;
  probed_at_ = now;
  probe_ends_ = now + probe_patience_ + extra;
  command_ = coordinator_command::ping;
}

void registration::heard(time_point now) {
  last_heard_ = now;
  probing_ = false;
}

void registration::on_event(time_point now, const coordinator_event& event) {
  const bool expected = state_ != state::idle && state_ != state::waiting && state_ != state::ended;
  if (!expected) return;  // crossed with our own `abandon`
  std::visit([&](const auto& what) { handle(now, what); }, event);
}

void registration::handle(time_point now, const coordinator_events::reached& event) {
  if (state_ != state::reaching) return;
  over_loopback_ = event.remote.ip.is_loopback();
  const bool knows_section_1_alone = is_fallback_ || (section_1_until_ && now < *section_1_until_);
  if (!knows_section_1_alone) return join_v2();
  state_ = state::ready;
  wake_ = now + (address_ ? fresh_address_timeout : first_address_timeout);
  if (address_ && address_is_fresh_) join();
}

void registration::handle(time_point now, const coordinator_events::failed& event) {
  retry(now, cause::unreachable, event.reason);
}

void registration::handle(time_point now, const coordinator_events::refused& event) {
  constexpr unsigned bad_request = 400;  // a parameter is missing: it wants the address
  if (state_ == state::joining_v2 && event.status == bad_request) {
    remember_section_1(now);
    return reach();
  }
  auto reason = "HTTP " + std::to_string(event.status) + (event.reason.empty() ? "" : ": " + event.reason);
  const bool for_good = event.status >= 400 && event.status < 500 && !ever_registered_;
  if (for_good && state_ != state::leaving) return end(registration_events::rejected{std::move(reason)});
  retry(now, cause::refused, std::move(reason), event.retry_after.value_or(std::chrono::seconds(0)));
}

void registration::handle(time_point now, const coordinator_events::joined& event) {
  if (state_ == state::joining_v2 && !event.v2) {
    remember_section_1(now);
    return rejoin(now);
  }
  if (state_ != state::joining && state_ != state::joining_v2) return;
  is_v2_ = state_ == state::joining_v2;
  if (is_v2_) joined_address_.reset();
  state_ = state::registered;
  ever_registered_ = true;
  is_fallback_ = false;
  probing_ = false;
  answers_pings_ = is_v2_;  // all that speak it do
  registered_at_ = last_heard_ = now;
  wake_ = now + ping_interval;
  if (event.remote) over_loopback_ = event.remote->ip.is_loopback();
  event_ = registration_events::registered{};
  if (!is_v2_ && address_ != joined_address_) rejoin(now);  // it changed during the upgrade
}

void registration::handle(time_point now, const coordinator_events::text&) { heard(now); }

void registration::handle(time_point now, const coordinator_events::binary&) { heard(now); }

void registration::handle(time_point now, const coordinator_events::alive& event) {
  heard(now);
  answers_pings_ |= event.pong;
}

void registration::handle(time_point now, const coordinator_events::closed& event) {
  // RFC 6455's "policy violation" is what a coordinator says to a client that another has replaced.
  constexpr std::uint16_t replaced = 1008;
  if (state_ == state::leaving) return end(registration_events::left{});
  if (state_ == state::rejoining && is_fallback_) return reach();  // however it takes a registration without address
  if (event.code == replaced) {
    const auto why = event.reason.empty() ? std::string("replaced by another client") : event.reason;
    return end(registration_events::rejected{"the coordinator closed the connection: " + why});
  }
  if (state_ == state::rejoining) return reach();
  if (state_ == state::registered && now - registered_at_ >= stable_after) {
    backoff_.reset();
    quick_backoff_.reset();
    offline_since_.reset();
    probe_patience_ = probe_timeout;
  }
  retry(now, cause::lost, event.reason.empty() ? "closed with code " + std::to_string(event.code) : event.reason);
}

void registration::give_up(time_point now, std::string reason) {
  command_ = coordinator_command::abandon;
  handle(now, coordinator_events::closed{1006, std::move(reason)});
}

void registration::on_time(time_point now) {
  const bool in_doubt = state_ == state::registered && probing_;
  if (in_doubt && now >= *probe_ends_) {
    probe_patience_ = std::min(2 * probe_patience_, probe_timeout_cap);
    return give_up(now, "no sign of life");
  }
  if (!wake_ || now < *wake_) return;
  wake_.reset();
  switch (state_) {
    case state::waiting: return reach();
    case state::ready:
      if (address_) return join();
      command_ = coordinator_command::abandon;
      return retry(now, cause::no_address, "no STUN server has answered yet");
    case state::registered:
      if (answers_pings_ && now - last_heard_ >= pong_timeout) return give_up(now, "no answer to pings");
      wake_ = now + ping_interval;
      command_ = coordinator_command::ping;
      return;
    case state::rejoining: return reach();  // the close was not answered: `connect` drops the old connection
    case state::leaving: command_ = coordinator_command::abandon; return end(registration_events::left{});
    case state::idle:
    case state::reaching:
    case state::joining_v2:
    case state::joining:
    case state::ended: return;
  }
}

deadline registration::next_deadline() const {
  if (state_ != state::registered || !probing_) return wake_;
  return earliest(wake_, probe_ends_);
}

void registration::leave(time_point now) {
  if (state_ == state::leaving || state_ == state::ended) return;
  const bool connected = state_ == state::registered || state_ == state::rejoining;
  if (!connected) {
    command_ = coordinator_command::abandon;
    return end(registration_events::left{});
  }
  if (state_ == state::registered) command_ = coordinator_command::close;
  state_ = state::leaving;
  wake_ = now + leave_timeout;
}

std::optional<coordinator_command> registration::next_command() { return std::exchange(command_, std::nullopt); }

std::optional<registration_event> registration::next_event() { return std::exchange(event_, std::nullopt); }

}  // namespace nat
