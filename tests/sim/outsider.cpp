#include "outsider.hpp"

#include <chrono>

namespace nat::sim {
namespace {

constexpr duration tick_interval = std::chrono::milliseconds(50);

}  // namespace

outsider::outsider(const surroundings& around, lying_coordinator& accomplice, forger& forges, std::uint64_t seed)
    : around_(around),
      accomplice_(accomplice),
      forges_(forges),
      machine_(around.net.add_host(around.net.open(), {.delay = std::chrono::milliseconds(10)})),
      chance_(seed),
      at_(around.net.bind(machine_, *this)) {
  accomplice_.know_outsider(at_);
  tick();
}

void outsider::speak(bool on) { speaks_ = on; }

void outsider::tick() {
  around_.time.after(tick_interval, [this] { tick(); });
  const auto all = accomplice_.addresses();
  if (!speaks_ || names_.empty()) return;
  for (const auto& to : all) {
    const auto bytes = forges_.next(names_[chance_.below(names_.size())]);
    const auto source = chance_.happens(0.5) ? at_ : all[chance_.below(all.size())];
    around_.net.send_forged(machine_, source, to, bytes);
  }
}

/// What comes here goes back, and to somebody else.
void outsider::on_datagram(const endpoint& from, byte_view bytes) {
  ++heard_;
  forges_.record(bytes);
  if (!speaks_) return;
  around_.net.send(machine_, at_.port, from, bytes);
  const auto all = accomplice_.addresses();
  if (!all.empty()) around_.net.send_forged(machine_, from, all[chance_.below(all.size())], bytes);
}

}  // namespace nat::sim
