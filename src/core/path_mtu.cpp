#include "nat/path_mtu.hpp"

#include <algorithm>

namespace nat {

void path_mtu::start(time_point now, bool is_ipv4) {
  if (has_begun_) return;
  has_begun_ = true;
  headers_ = is_ipv4 ? ipv4_headers : ipv6_headers;
  due_ = now;
}

/// Mostly the largest passes, and no other is asked for.
std::span<const std::size_t> path_mtu::next_probes(time_point now, duration round_trip) {
  if (!due_ || now < *due_) return {};
  if (rounds_ == max_rounds) {
    rounds_ = 0;
    due_ = now + raise_after;
    return {};
  }
  std::size_t count = 0;
  for (const auto mtu : mtus) {
    const bool is_wanted = rounds_ > 0 || mtu == mtus[0];
    if (is_wanted && mtu - headers_ > size_) probes_[count++] = mtu - headers_;
  }
  ++rounds_;
  due_ = now + patience + 3 * round_trip;
  return std::span(probes_).first(count);
}

void path_mtu::on_answer(time_point now, std::size_t size) {
  const bool is_ours = std::ranges::find(mtus, size + headers_) != mtus.end();
  if (!has_begun_ || !is_ours || size <= size_) return;
  size_ = size;
  if (size_ + headers_ == mtus[0]) {
    rounds_ = 0;
    due_.reset();
  } else if (!due_) {
    due_ = now + raise_after;
  }
}

void path_mtu::on_black_hole(time_point now) {
  if (size_ == max_datagram) return;
  size_ = max_datagram;
  rounds_ = 0;
  due_ = now + patience;
}

void path_mtu::on_too_large(time_point now, std::size_t mtu) {
  if (mtu < size_ + headers_) on_black_hole(now);
}

}  // namespace nat
