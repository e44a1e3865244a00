// A machine without the topic's key that sends to members all the same, under its own address and under theirs.
#pragma once

#include "chance.hpp"
#include "forger.hpp"
#include "internet.hpp"
#include "lying_coordinator.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace nat::sim {

class outsider final : public receiver_of_datagrams {
 public:
  outsider(const surroundings& around, lying_coordinator& accomplice, forger& forges, std::uint64_t seed);

  /// As whom it speaks.
  void know(const std::string& name) { names_.push_back(name); }
  /// From now on, or no more.
  void speak(bool on);
  std::uint64_t heard() const { return heard_; }  ///< packets

  void on_datagram(const endpoint& from, byte_view bytes) override;

 private:
  void tick();

  surroundings around_;
  lying_coordinator& accomplice_;
  forger& forges_;
  host& machine_;
  chance chance_;
  endpoint at_;
  std::vector<std::string> names_;
  bool speaks_ = false;
  std::uint64_t heard_ = 0;
};

}  // namespace nat::sim
