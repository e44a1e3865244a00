#include "nat/start_gate.hpp"

namespace nat {

void start_gate::update(time_point now, std::span<const awaited> peers) {
  if (open_) return;
  wake_.reset();
  if (peers.size() < wait_for_) {
    counted_at_.reset();
    return;
  }
  if (!counted_at_) counted_at_ = now;
  for (const auto& peer : peers) {
    const auto patient_until = peer.known_since + patience;
    const bool waited_for = peer.known_since <= *counted_at_ && !peer.ready && now < patient_until;
    if (waited_for) wake_ = earliest(wake_, patient_until);
  }
  open_ = !wake_;
}

}  // namespace nat
