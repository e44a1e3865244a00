// Somebody on a public address who takes no part and answers nobody: what reaches it, and whether that is too much.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include "coordinator_host.hpp"
#include "internet.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace nat::sim {

/// So much at once, and one more each `refill`; zero: no more.
struct victim_bound {
  std::uint64_t burst = 0;
  duration refill{};

  /// `more`: another time in which one more comes; zero: none.
  std::uint64_t after(duration time, duration more = {}) const;
};

/// What one natpeer may send to a victim (design, 2.3). The engine's own constants are not asked.
struct victim_allowance {
  victim_bound pings{40, std::chrono::seconds(10)};          ///< to one address
  victim_bound pings_to_host{400, std::chrono::seconds(1)};  ///< to all its ports
  duration answers{};  ///< sealed PINGs come from its address, forged: one answer to it each ...; zero: none do
  std::uint64_t data = 65'536;  ///< bytes, to all its ports
  // Seed PINGs come from its address, forged: it seems to be there.
  duration seed_pings{};        ///< then it gets a PING each ...
  std::uint64_t seed_rate = 0;  ///< bit/s of DATA to one address, beyond `data`; 0: it never seems to be there
};

class victim final : public watcher {
 public:
  struct tally {
    time_point first{};
    time_point last_data{};
    std::uint64_t pings = 0;
    std::uint64_t data = 0;  ///< packets
    std::uint64_t data_bytes = 0;
    std::uint64_t other = 0;
    std::uint64_t bytes = 0;  ///< of UDP payload, all kinds together
  };

  victim(const surroundings& around, host& machine, const victim_allowance& allowed)
      : around_(around), machine_(machine), allowed_(allowed) {
    machine.watch(*this);
  }

  const ip_address& ip() const { return machine_.ip(); }
  host& machine() { return machine_; }
  /// Who sends from this address is named so; others may send what they like.
  void know(const ip_address& source, const std::string& name) { names_[source] = name; }

  void on_arrival(const datagram& what) override;

  /// By a sender's name: to all ports together. Empty: nothing came.
  tally from(const std::string& name) const;
  tally in_all() const;
  /// The ports that one sender has sent to.
  std::size_t ports(const std::string& name) const;

 private:
  struct sender {
    tally all;
    std::map<std::uint16_t, tally> by_port;
  };

  static void count(tally& in, time_point now, byte_view bytes);
  void judge(const std::string& name, const sender& who, const tally& at_port, const endpoint& to);

  surroundings around_;
  host& machine_;
  victim_allowance allowed_;
  std::map<ip_address, std::string> names_;
  std::map<std::string, sender> senders_;
  std::set<std::string> told_;  ///< who has sent too much of what
};

}  // namespace nat::sim
