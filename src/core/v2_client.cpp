#include "nat/v2_client.hpp"

#include <algorithm>

#include <sodium.h>

namespace nat {
namespace {

/// Addresses that mean nothing outside of a network: RFC 1918, RFC 6598 (carriers' NATs), RFC 3927 (link-local).
bool is_private_v4(const ip_address::v4_bytes& b) {
  return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
         (b[0] == 100 && (b[1] & 0xc0) == 64) || (b[0] == 169 && b[1] == 254);
}

/// fc00::/7 (RFC 4193) and fe80::/10 (RFC 4291, 2.5.6).
bool is_private_v6(const ip_address::v6_bytes& b) {
  return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

bool is_private(const ip_address& ip) { return ip.is_v4() ? is_private_v4(ip.v4()) : is_private_v6(ip.v6()); }

bool may_pass_unproven(const v2::offered_candidate& offered, const ip_address& source, unproven_policy policy) {
  const auto& ip = offered.address.ip;
  if (ip.is_loopback() && !source.is_loopback()) return false;
  if (offered.kind == candidate_kind::host && (is_private(ip) || ip.is_loopback())) return true;
  switch (policy) {
    case unproven_policy::allow: return true;
    case unproven_policy::same_ip: return ip == source;
    case unproven_policy::deny: return false;
  }
  return false;
}

bool was_proven(const std::vector<candidate>& known, const endpoint& address) {
  return std::ranges::any_of(known, [&](const candidate& one) { return one.proven && one.address == address; });
}

}  // namespace

std::string to_hex(const resume_token& token) {
  std::string text(2 * token.size() + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), token.data(), token.size());
  text.pop_back();  // the terminating zero
  return text;
}

bool is_token(const resume_token& token, std::string_view shown) {
  const auto real = to_hex(token);
  return shown.size() == real.size() && sodium_memcmp(shown.data(), real.data(), real.size()) == 0;
}

heard_addresses judge(time_point now, const std::vector<v2::offered_candidate>& offered,
                      const std::vector<candidate>& known, const ip_address& source, unproven_policy policy,
                      const address_tokens& tokens) {
  heard_addresses heard;
  for (const auto& one : offered) {
    const bool was = was_proven(known, one.address);
    const bool proven = was || tokens.verify(now, one.address, as_bytes(one.token));
    const auto twin = std::ranges::find(heard.candidates, one.address, &candidate::address);
    const bool is_new = twin == heard.candidates.end();
    if (!proven && !may_pass_unproven(one, source, policy)) {
      if (is_new) ++heard.dropped;
      continue;
    }
    if (proven && !was && (is_new || !twin->proven)) ++heard.newly_proven;
    if (is_new) {
      heard.candidates.push_back({one.address, one.kind, proven});
    } else if (proven && !twin->proven) {
      *twin = {one.address, one.kind, true};
    }
  }
  return heard;
}

std::optional<endpoint> address_for_lists(const std::vector<candidate>& candidates) {
  const candidate* best = nullptr;
  const auto worth = [](const candidate& one) { return 2 * int{one.proven} + int{one.address.ip.is_v4()}; };
  for (const auto& one : candidates) {
    if (one.kind != candidate_kind::reflexive) continue;
    if (best == nullptr || worth(one) > worth(*best)) best = &one;
  }
  if (best == nullptr) return std::nullopt;
  return best->address;
}

}  // namespace nat
