// A registration with a server that speaks natcoord.v2, on hand-set time.
#pragma once

#include "registration_fixture.hpp"

#include <algorithm>

namespace nat {

class registration_v2_test : public registration_fixture {
 protected:
  /// From `connect` to `registered`.
  void join_v2() {
    tell(events::reached{coordinator_at});
    EXPECT_THAT(commands(), testing::Contains(command::join_v2));
    tell(events::joined{.v2 = true});
    EXPECT_EQ(event(), "registered");
  }
  void register_now() {
    client.start();
    join_v2();
    client.on_welcome("secret");
  }
  /// Fails to connect for so long; the longest wait between two tries.
  duration fail_for(duration time) {
    duration longest{};
    for (const auto end = now + time; now < end;) {
      EXPECT_THAT(commands(), testing::Contains(command::connect));
      tell(events::failed{"no route"});
      event();
      longest = std::max(longest, wait);
      pass(wait);
    }
    return longest;
  }
};

}  // namespace nat
