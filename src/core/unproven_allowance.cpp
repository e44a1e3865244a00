#include "nat/unproven_allowance.hpp"

#include <algorithm>

namespace nat {
namespace {

/// What of an account is still used now.
template <typename Account>
std::uint64_t used_at(time_point now, const Account& of, duration refill) {
  if (refill == duration{}) return of.used;
  return of.used - std::min(of.used, static_cast<std::uint64_t>(std::max(duration{}, now - of.settled) / refill));
}

template <typename Account>
void settle(time_point now, Account& of, duration refill) {
  if (refill == duration{}) return;
  const auto used = used_at(now, of, refill);
  of.settled = used == 0 ? now : now - (now - of.settled) % refill;
  of.used = used;
}

}  // namespace

/// An IPv6 host has a /64 to itself (RFC 6177).
ip_address unproven_allowance::host_of(const endpoint& at) {
  if (at.ip.is_v4()) return at.ip;
  auto bytes = at.ip.v6();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return ip_address(bytes);
}

bool unproven_allowance::has(time_point now, const endpoint& to, std::uint64_t amount) const {
  const auto fits = [&](const auto& accounts, const auto& key, std::uint64_t burst, duration refill) {
    const auto known = accounts.find(key);
    return (known == accounts.end() ? 0 : used_at(now, known->second, refill)) + amount <= burst;
  };
  const bool total =
      limits_.total_burst == 0 || used_at(now, total_, limits_.total_refill) + amount <= limits_.total_burst;
  return total && fits(addresses_, to, limits_.burst, limits_.refill) &&
         fits(hosts_, host_of(to), limits_.host_burst, limits_.host_refill);
}

bool unproven_allowance::take(time_point now, const endpoint& to, std::uint64_t amount) {
  if (!has(now, to, amount)) return false;
  auto at = addresses_.find(to);
  if (at == addresses_.end()) {
    if (!make_room(now)) return false;
    at = addresses_.try_emplace(to, account{0, now, ++serial_}).first;
    order_.emplace_back(to, serial_);
    ++hosts_.try_emplace(host_of(to), host_account{0, now, 0, {}}).first->second.addresses;
  }
  const auto spend = [&](auto& from, duration refill) {
    settle(now, from, refill);
    from.used += amount;
  };
  spend(at->second, limits_.refill);
  spend(hosts_.at(host_of(to)), limits_.host_refill);
  if (limits_.total_burst != 0) spend(total_, limits_.total_refill);
  return true;
}

bool unproven_allowance::take_answer(time_point now, const endpoint& to) {
  if (take(now, to)) return true;
  const auto host = hosts_.find(host_of(to));
  const bool known = host != hosts_.end();
  auto& answered_at = known ? host->second.answered_at : other_answered_at_;
  if (answered_at && now - *answered_at < (known ? answer_interval : other_answer_interval)) return false;
  answered_at = now;
  return true;
}

void unproven_allowance::forget(time_point now, const endpoint& at) {
  const auto known = addresses_.find(at);
  if (known == addresses_.end()) return;
  // What has come back by itself is not given back once more.
  const auto left = used_at(now, known->second, limits_.refill);
  const auto give_back = [&](auto& to, duration refill) {
    settle(now, to, refill);
    to.used -= std::min(to.used, left);
  };
  const auto host = hosts_.find(host_of(at));
  give_back(host->second, limits_.host_refill);
  if (limits_.total_burst != 0) give_back(total_, limits_.total_refill);
  if (--host->second.addresses == 0) hosts_.erase(host);
  addresses_.erase(known);
}

bool unproven_allowance::is_kept(const place& of) const {
  const auto known = addresses_.find(of.first);
  return known != addresses_.end() && known->second.serial == of.second;
}

bool unproven_allowance::make_room(time_point now) {
  constexpr int looks = 16;  // at those that were not looked at for longest
  if (order_.size() >= 2 * max_addresses) std::erase_if(order_, [this](const place& of) { return !is_kept(of); });
  for (int look = 0; addresses_.size() >= max_addresses && look < looks;) {
    const auto first = order_.front();
    order_.pop_front();
    if (!is_kept(first)) continue;
    ++look;
    const bool has_all = limits_.refill == duration{} || used_at(now, addresses_.at(first.first), limits_.refill) == 0;
    has_all ? forget(now, first.first) : void(order_.push_back(first));
  }
  return addresses_.size() < max_addresses;
}

}  // namespace nat
