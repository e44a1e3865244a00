// With a server that knows section 1 alone: it refuses the first registration, which has no address.
#include "registration_fixture.hpp"

#include <string>
#include <utility>
#include <vector>

namespace nat {
namespace {

using testing::HasSubstr;

class registration_test : public registration_fixture {
 protected:
  /// What it wants done since the last look.
  std::vector<command> commands() {
    auto out = std::exchange(pending, {});
    for (const auto next : registration_fixture::commands()) out.push_back(next);
    return out;
  }
  /// The coordinator is reached, and says once more that it wants an address if it is asked.
  void reach(const endpoint& remote = coordinator_at) {
    commands();
    tell(events::reached{remote});
    pending = commands();
    if (pending != std::vector{command::join_v2}) return;
    tell(events::refused{400, "missing parameter ip", {}});
    pending.clear();
    EXPECT_THAT(commands(), ElementsAre(command::connect));
    tell(events::reached{remote});
  }
  void register_now() {
    client.start();
    reach();
    client.on_address(now, here);
    tell(events::joined{});
    commands();
    ASSERT_EQ(event(), "registered");
  }

  std::vector<command> pending;  ///< seen by `reach`, not by the test
};

TEST_F(registration_test, reaches_the_coordinator_and_asks_for_the_address_at_the_same_time) {
  client.start();
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  reach();
  EXPECT_THAT(commands(), IsEmpty());
  client.on_address(now, here);
  EXPECT_THAT(commands(), ElementsAre(command::join));
  tell(events::joined{});
  EXPECT_EQ(event(), "registered");
  EXPECT_FALSE(client.over_loopback());
}

TEST_F(registration_test, joins_when_reached_if_the_address_came_first) {
  client.start();
  commands();
  client.on_address(now, here);
  EXPECT_THAT(commands(), IsEmpty());
  reach();
  EXPECT_THAT(commands(), ElementsAre(command::join));
}

TEST_F(registration_test, knows_when_the_coordinator_is_on_this_machine) {
  client.start();
  tell(events::reached{{ip_address::parse("127.0.0.1").value(), 6969}});
  EXPECT_TRUE(client.over_loopback());
}

TEST_F(registration_test, pings_each_five_seconds) {
  register_now();
  pass(5s - 1ns);
  EXPECT_THAT(commands(), IsEmpty());
  pass(1ns);
  EXPECT_THAT(commands(), ElementsAre(command::ping));
  pass(5s);
  EXPECT_THAT(commands(), ElementsAre(command::ping));
}

TEST_F(registration_test, a_server_that_never_answers_pings_is_kept_for_ever) {
  register_now();
  for (int i = 0; i < 1000; ++i) {
    pass(5s);
    EXPECT_THAT(commands(), ElementsAre(command::ping));
  }
  EXPECT_EQ(event(), "none");
}

TEST_F(registration_test, a_server_that_has_answered_a_ping_must_go_on_answering) {
  register_now();
  tell(events::alive{true});
  pass(15s);
  EXPECT_THAT(commands(), testing::Each(command::ping));
  pass(5s);
  EXPECT_THAT(commands(), testing::Contains(command::abandon));
  EXPECT_EQ(event(), "retry: no answer to pings");
}

TEST_F(registration_test, any_frame_is_a_sign_of_life) {
  register_now();
  tell(events::alive{true});
  for (int i = 0; i < 100; ++i) {
    pass(5s);
    tell(events::text{"{}"});
  }
  EXPECT_EQ(event(), "none");
}

TEST_F(registration_test, comes_back_after_a_broken_connection_with_a_fresh_address) {
  register_now();
  pass(20s);
  commands();
  tell(events::closed{1006, "gone"});
  EXPECT_EQ(event(), "retry: gone");
  EXPECT_LE(wait, 250ms);
  pass(wait);
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  reach();
  EXPECT_THAT(commands(), IsEmpty()) << "the old address may be another network's";
  client.on_address(now, elsewhere);
  EXPECT_THAT(commands(), ElementsAre(command::join));
  EXPECT_EQ(client.address(), elsewhere);
}

TEST_F(registration_test, on_a_reconnect_the_last_address_does_if_stun_stays_silent) {
  register_now();
  tell(events::closed{1001, ""});
  EXPECT_EQ(event(), "retry: closed with code 1001");
  pass(wait);
  commands();
  reach();
  pass(2s);
  EXPECT_THAT(commands(), ElementsAre(command::join));
  EXPECT_EQ(client.address(), here);
}

TEST_F(registration_test, without_any_address_it_tells_so_and_tries_again) {
  client.start();
  commands();
  reach();
  pass(6s);
  EXPECT_THAT(commands(), ElementsAre(command::abandon));
  EXPECT_THAT(event(), HasSubstr("STUN"));
  pass(wait);
  EXPECT_THAT(commands(), ElementsAre(command::connect));
}

TEST_F(registration_test, tells_each_failed_try_and_backs_off_to_thirty_seconds) {
  client.start();
  duration longest{};
  for (int i = 0; i < 200; ++i) {
    EXPECT_THAT(commands(), ElementsAre(command::connect));
    tell(events::failed{"refused"});
    EXPECT_EQ(event(), "retry: refused");
    EXPECT_LE(wait, 30s);
    longest = std::max(longest, wait);
    pass(wait);
  }
  EXPECT_GT(longest, 25s);
}

TEST_F(registration_test, a_connection_that_closes_at_once_is_no_success) {
  register_now();
  duration longest{};
  for (int i = 0; i < 100; ++i) {
    tell(events::closed{1006, "gone"});
    event();
    longest = std::max(longest, wait);
    pass(wait);
    reach();
    client.on_address(now, here);
    tell(events::joined{});
    event();
    commands();
  }
  EXPECT_GT(longest, 20s);
}

TEST_F(registration_test, a_refusal_at_the_start_is_final) {
  client.start();
  client.on_address(now, here);
  reach();
  tell(events::refused{409, "the name is taken", {}});
  EXPECT_EQ(event(), "rejected: HTTP 409: the name is taken");
  pass(1h);
  EXPECT_EQ(event(), "none");
}

TEST_F(registration_test, a_refusal_on_a_reconnect_is_not) {
  register_now();
  tell(events::closed{1006, "gone"});
  event();
  pass(wait);
  reach();
  client.on_address(now, here);
  tell(events::refused{409, "taken", {}});
  EXPECT_EQ(event(), "retry: HTTP 409: taken");
}

TEST_F(registration_test, a_full_server_is_asked_again_when_it_said) {
  client.start();
  client.on_address(now, here);
  reach();
  tell(events::refused{503, "full", 30s});
  EXPECT_EQ(event(), "retry: HTTP 503: full");
  EXPECT_EQ(wait, 30s);
}

TEST_F(registration_test, a_server_cannot_send_us_away_for_longer_than_a_minute) {
  client.start();
  client.on_address(now, here);
  reach();
  tell(events::refused{503, "full", 1'000'000s});
  event();
  EXPECT_EQ(wait, 60s);
}

TEST_F(registration_test, who_was_replaced_does_not_come_back) {
  register_now();
  tell(events::closed{1008, "replaced"});
  EXPECT_THAT(event(), HasSubstr("rejected: the coordinator closed the connection: replaced"));
  EXPECT_THAT(commands(), IsEmpty());
  EXPECT_EQ(client.next_deadline(), std::nullopt);
}

TEST_F(registration_test, a_changed_address_is_registered_over_a_closed_connection) {
  register_now();
  client.on_address(now, here);
  EXPECT_THAT(commands(), IsEmpty()) << "the same address again changes nothing";
  client.on_address(now, elsewhere);
  EXPECT_THAT(commands(), ElementsAre(command::close));
  tell(events::closed{1000, ""});
  EXPECT_THAT(commands(), ElementsAre(command::connect)) << "at once, without backoff";
  EXPECT_EQ(event(), "none");
}

TEST_F(registration_test, an_address_that_changes_during_the_upgrade_is_registered) {
  client.start();
  reach();
  client.on_address(now, here);
  client.on_address(now, elsewhere);
  commands();
  tell(events::joined{});
  EXPECT_EQ(event(), "registered");
  EXPECT_EQ(client.joined_address(), here);
  EXPECT_THAT(commands(), ElementsAre(command::close));
  tell(events::closed{1000, ""});
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  EXPECT_EQ(client.address(), elsewhere);
}

TEST_F(registration_test, a_redirect_to_another_machine_is_a_coordinator_elsewhere) {
  client.start();
  reach({ip_address::parse("127.0.0.1").value(), 80});
  client.on_address(now, here);
  tell(events::joined{coordinator_at});
  EXPECT_FALSE(client.over_loopback());
}

TEST_F(registration_test, a_close_that_is_not_answered_does_not_hold_it_up) {
  register_now();
  client.on_address(now, elsewhere);
  commands();
  pass(1s);
  EXPECT_THAT(commands(), ElementsAre(command::connect));
}

TEST_F(registration_test, leaves_with_a_close_and_waits_for_its_answer) {
  register_now();
  client.leave(now);
  EXPECT_THAT(commands(), ElementsAre(command::close));
  EXPECT_EQ(event(), "none");
  tell(events::closed{1000, ""});
  EXPECT_EQ(event(), "left");
}

TEST_F(registration_test, leaves_without_an_answer_after_a_second) {
  register_now();
  client.leave(now);
  commands();
  pass(1s);
  EXPECT_THAT(commands(), ElementsAre(command::abandon));
  EXPECT_EQ(event(), "left");
}

TEST_F(registration_test, leaves_at_once_where_it_is_not_connected) {
  client.start();
  commands();
  client.leave(now);
  EXPECT_THAT(commands(), ElementsAre(command::abandon));
  EXPECT_EQ(event(), "left");
  tell(events::failed{"late"});
  EXPECT_EQ(event(), "none");
}

TEST_F(registration_test, what_an_abandoned_connection_still_says_is_not_heard) {
  client.start();
  commands();
  tell(events::failed{"one"});
  event();
  tell(events::failed{"two"});
  tell(events::joined{});
  EXPECT_EQ(event(), "none");
}

}  // namespace
}  // namespace nat
