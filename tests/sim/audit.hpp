// The properties that hold in every run, whatever the topology and the faults. Who breaks one is named, with the
// moment.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/queue_level.hpp"
#include "nat/time.hpp"

#include "scheduler.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nat::sim {

class audit {
 public:
  explicit audit(const scheduler& time) : time_(time) {}

  // The first few say what is wrong; the rest is counted.
  static constexpr std::size_t max_failures = 20;

  void fail(std::string_view who, const std::string& what);
  void check_queues(std::string_view who, std::span<const queue_level> queues);

  bool passed() const { return count_ == 0; }
  std::size_t count() const { return count_; }
  const std::vector<std::string>& failures() const { return failures_; }

 private:
  const scheduler& time_;
  std::size_t count_ = 0;
  std::vector<std::string> failures_;
};

/// What one natpeer has sent to each address, and whether it may (design, 2.3: who never answered is not flooded).
class contact_book {
 public:
  // Bytes. Design, 2.3: the engine's own constant is not asked.
  static constexpr std::size_t most_data = 65'536;

  struct allowance {
    std::size_t data = 0;  ///< bytes of DATA packets to an address that never answered: for seed peers
    std::uint64_t pings = 40;
    duration then_one_each = std::chrono::seconds(10);
  };
  struct tally {
    bool answered = false;
    time_point first_sent{};
    // While it has not answered:
    std::uint64_t data = 0;   ///< bytes
    std::uint64_t bytes = 0;  ///< of everything
    std::uint64_t pings = 0;
    std::uint64_t requests = 0;
    std::uint64_t connects_before = 0;
  };

  explicit contact_book(const allowance& allowed) : allowed_(allowed) {}

  void on_answer(const endpoint& from) { contacts_[from].answered = true; }
  void on_connect() { ++connects_; }
  /// Empty, or what is wrong with this datagram.
  std::string on_sent(time_point now, const endpoint& to, byte_view bytes);
  tally of(const endpoint& to) const;

 private:
  std::uint64_t allowed_pings(time_point now, const tally& to) const;
  std::uint64_t allowed_requests(time_point now, const tally& to) const;

  allowance allowed_;
  std::uint64_t connects_ = 0;
  std::unordered_map<endpoint, tally> contacts_;
};

}  // namespace nat::sim
