// How much an address gets that has never answered (design, 2.3): somebody may have registered a stranger's. What was
// spent belongs to the address, under whatever name and in however many lists it comes back, to the host it is of,
// whatever its port, and to all of them together.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>

namespace nat {

class unproven_allowance {
 public:
  struct limits {
    std::uint64_t burst = 0;  ///< of one address, in whatever is counted
    duration refill{};        ///< after so long one more; zero: never
    std::uint64_t host_burst = 0;
    duration host_refill{};
    std::uint64_t total_burst = 0;  ///< 0: no limit
    duration total_refill{};
  };

  // Of more addresses than this one is forgotten that could have all of it again; where none can be found, no new one
  // gets anything. Where nothing comes back, the one that was first is forgotten.
  static constexpr std::size_t max_addresses = 65'536;
  // Who asks under the seal is answered so often at least: it may be there, and have been silent for long.
  static constexpr duration answer_interval = std::chrono::milliseconds(500);
  // Those of whom nothing is remembered, since there is no room, share this.
  static constexpr duration other_answer_interval = std::chrono::milliseconds(16);

  explicit unproven_allowance(const limits& allowed) : limits_(allowed) {}

  bool has(time_point now, const endpoint& to, std::uint64_t amount = 1) const;
  /// Whether so much more may go there now; it then counts as spent.
  bool take(time_point now, const endpoint& to, std::uint64_t amount = 1);
  /// The same for one answer to what came from there.
  bool take_answer(time_point now, const endpoint& to);
  /// It answered: it may have what it needs, and its host is given back what it had.
  void forget(time_point now, const endpoint& at);

  std::size_t addresses() const { return addresses_.size(); }
  std::size_t hosts() const { return hosts_.size(); }

 private:
  struct account {
    std::uint64_t used = 0;
    time_point settled{};  ///< when `used` was right
    std::uint64_t serial = 0;
  };
  struct host_account {
    std::uint64_t used = 0;
    time_point settled{};
    std::size_t addresses = 0;  ///< that have an account
    deadline answered_at;
  };
  using place = std::pair<endpoint, std::uint64_t>;

  static ip_address host_of(const endpoint& at);
  bool is_kept(const place& of) const;
  bool make_room(time_point now);

  limits limits_;
  // Ordered, not hashed: whoever chooses addresses could choose them to collide.
  std::map<endpoint, account> addresses_;
  std::map<ip_address, host_account> hosts_;
  std::deque<place> order_;  ///< of their making, or of the last look at them; some are forgotten already
  account total_;
  deadline other_answered_at_;
  std::uint64_t serial_ = 0;
};

/// Enough to open two NATs with some loss: 5 KB. Then one now and again, for ever: routes and filters change. A host
/// may be a NAT with many peers behind it. All together: what 800 peers with one dead address each take at first; and
/// never so much in the 400 s after which an address could have all of it again that there were no room to remember it.
constexpr unproven_allowance::limits unproven_pings{40,     std::chrono::seconds(10),     400, std::chrono::seconds(1),
                                                    16'384, std::chrono::milliseconds(16)};
static_assert(unproven_pings.total_burst + unproven_pings.burst * unproven_pings.refill / unproven_pings.total_refill <
              unproven_allowance::max_addresses);
/// Bytes of DATA: seed peers alone get any before they are heard.
constexpr unproven_allowance::limits unproven_data{65'536, {}, 65'536, {}, 0, {}};

}  // namespace nat
