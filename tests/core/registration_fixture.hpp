// A registration on hand-set time: what it wants done, and what it tells.
#pragma once

#include "nat/registration.hpp"

#include "plain_random.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {

using namespace std::chrono_literals;
namespace events = coordinator_events;
using command = coordinator_command;
using testing::ElementsAre;
using testing::IsEmpty;

inline const endpoint here{ip_address::parse("203.0.113.7").value(), 4000};
inline const endpoint elsewhere{ip_address::parse("203.0.113.8").value(), 4000};
inline const endpoint coordinator_at{ip_address::parse("198.51.100.1").value(), 6969};

class registration_fixture : public testing::Test {
 protected:
  std::vector<command> commands() {
    std::vector<command> out;
    while (const auto next = client.next_command()) out.push_back(*next);
    return out;
  }
  std::string event() {
    const auto next = client.next_event();
    if (!next) return "none";
    if (std::holds_alternative<registration_events::registered>(*next)) return "registered";
    if (std::holds_alternative<registration_events::left>(*next)) return "left";
    if (const auto* why = std::get_if<registration_events::rejected>(&*next)) return "rejected: " + why->reason;
    const auto& retry = std::get<registration_events::retry_later>(*next);
    wait = retry.wait;
    return "retry: " + retry.reason;
  }
  void tell(const coordinator_event& what) { client.on_event(now, what); }
  void pass(duration time) {
    const auto end = now + time;
    while (client.next_deadline() && *client.next_deadline() <= end) {
      now = std::max(now, *client.next_deadline());
      client.on_time(now);
      if (!client.next_deadline() || *client.next_deadline() > now) continue;
      FAIL() << "a deadline in the past would spin";
    }
    now = end;
  }

  plain_random random;
  registration client{random};
  time_point now{1h};
  duration wait{};
};

}  // namespace nat
