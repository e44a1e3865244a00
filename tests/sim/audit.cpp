#include "audit.hpp"

#include "nat/nat_probe.hpp"
#include "nat/stun_client.hpp"
#include "nat/wire.hpp"

#include <chrono>
#include <string>

namespace nat::sim {

void audit::fail(std::string_view who, const std::string& what) {
  if (count_++ >= max_failures) return;
  const std::chrono::duration<double> at = time_.elapsed();
  failures_.push_back("at " + std::to_string(at.count()) + " s, " + std::string(who) + ": " + what);
}

void audit::check_queues(std::string_view who, std::span<const queue_level> queues) {
  for (const auto& queue : queues) {
    if (queue.held <= queue.bound) continue;
    fail(who, "the queue '" + std::string(queue.name) + "' holds " + std::to_string(queue.held) + ", its bound is " +
                  std::to_string(queue.bound));
  }
}

/// As the design says; one may be on its way while the first leaves.
std::uint64_t contact_book::allowed_pings(time_point now, const tally& to) const {
  return allowed_.pings + 1 + static_cast<std::uint64_t>((now - to.first_sent) / allowed_.then_one_each);
}

/// A round of requests to a silent server takes stun_max_requests of them, and each connect begins one; the probe's
/// rounds come more often, and are shorter.
std::uint64_t contact_book::allowed_requests(time_point now, const tally& to) const {
  const auto time = now - to.first_sent;
  const auto rounds = static_cast<std::uint64_t>(time / stun_refresh_min) + 1;
  const auto probes = static_cast<std::uint64_t>(time / nat_probe::retry_min) + 1;
  const auto connects = connects_ - to.connects_before;
  return static_cast<std::uint64_t>(stun_max_requests) * (rounds + connects) +
         (nat_probe::repeats.size() + 1) * (probes + connects);
}

contact_book::tally contact_book::of(const endpoint& to) const {
  const auto found = contacts_.find(to);
  return found == contacts_.end() ? tally{} : found->second;
}

std::string contact_book::on_sent(time_point now, const endpoint& to, byte_view bytes) {
  auto& contact = contacts_[to];
  if (contact.answered) return {};
  if (contact.first_sent == time_point{}) {
    contact.first_sent = now;
    contact.connects_before = connects_ == 0 ? 0 : connects_ - 1;
  }
  contact.bytes += bytes.size();
  const auto packet = decode_packet(bytes);
  const auto unanswered = [&](const char* what, std::uint64_t sent, std::uint64_t allowed) {
    if (sent <= allowed) return std::string();
    return std::to_string(sent) + what + to.to_string() + ", which never answered: allowed are " +
           std::to_string(allowed);
  };
  if (!packet) return unanswered(" STUN requests to ", ++contact.requests, allowed_requests(now, contact));
  if (packet->kind == packet_kind::ping) return unanswered(" PINGs to ", ++contact.pings, allowed_pings(now, contact));
  contact.data += bytes.size();
  return unanswered(" bytes of DATA to ", contact.data, allowed_.data);
}

}  // namespace nat::sim
