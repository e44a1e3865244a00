#include "link.hpp"

#include <algorithm>

namespace nat::sim {

bool link::is_perfect() const {
  const auto& c = config_;
  return up_ && c.delay == duration{} && c.jitter == duration{} && c.loss == 0 && c.duplicate == 0 && c.reorder == 0 &&
         c.rate == 0;
}

arrivals link::carry(time_point now, std::size_t bytes) {
  // Drawn for each packet whatever becomes of it, so that one more loss does not change all that comes later.
  const bool lost = chance_.happens(config_.loss);
  const bool doubled = chance_.happens(config_.duplicate);
  const bool late = chance_.happens(config_.reorder);
  const auto jitter = config_.jitter > duration{} ? chance_.between(duration{}, config_.jitter) : duration{};

  if (!up_) return {};
  const auto sent = serialise(now, bytes);
  if (!sent || lost) return {};
  auto at = *sent + config_.delay + jitter;
  if (late) {
    at += link_config::late_by;
  } else {
    at = last_arrival_ = std::max(at, last_arrival_);
  }
  return {{at, at}, doubled ? 2U : 1U};
}

/// When its last bit is on the line; none where the queue is full.
deadline link::serialise(time_point now, std::size_t bytes) {
  if (config_.rate == 0) return now;
  constexpr std::uint64_t second = 1'000'000'000;  // ns
  busy_until_ = std::max(busy_until_, now);
  const auto waiting = static_cast<std::uint64_t>((busy_until_ - now).count()) * config_.rate / (8 * second);
  if (waiting + bytes > config_.queue) return std::nullopt;
  busy_until_ += duration(static_cast<duration::rep>(bytes * 8 * second / config_.rate));
  return busy_until_;
}

}  // namespace nat::sim
