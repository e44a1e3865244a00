// How many PINGs an address gets that has never answered (design, 2.3): somebody may have registered a stranger's. The
// count belongs to the address, under whatever name and in however many lists it comes back.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

namespace nat {

class ping_allowance {
 public:
  // Enough to open two NATs with some loss: 5 KiB. Then one now and again, for ever: routes and filters change.
  static constexpr int burst = 40;
  static constexpr duration refill = std::chrono::seconds(10);
  // Of more addresses than this the one asked first is forgotten; all PINGs together are paced anyway.
  static constexpr std::size_t max_addresses = 16'384;

  /// Whether one more may go there now; it then counts as sent.
  bool take(time_point now, const endpoint& to);
  /// It answered: it may have what it needs.
  void forget(const endpoint& at) { spent_.erase(at); }

  std::size_t size() const { return spent_.size(); }

 private:
  struct bucket {
    int left = burst;
    time_point refilled{};
    std::uint64_t serial = 0;
  };

  bool is_kept(const std::pair<endpoint, std::uint64_t>& place) const;
  void drop_forgotten();

  std::map<endpoint, bucket> spent_;  // ordered: whoever chooses addresses could choose them to collide
  std::deque<std::pair<endpoint, std::uint64_t>> order_;  ///< by first PING; some are forgotten already
  std::uint64_t serial_ = 0;
};

}  // namespace nat
