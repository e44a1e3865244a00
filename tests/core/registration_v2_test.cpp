// With a server that speaks natcoord.v2, and the ways to find out that it does not.
#include "registration_v2_fixture.hpp"

namespace nat {
namespace {

TEST_F(registration_v2_test, registers_at_once_without_an_address) {
  client.start();
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  tell(events::reached{coordinator_at});
  EXPECT_THAT(commands(), ElementsAre(command::join_v2));
  EXPECT_FALSE(client.is_v2());
  tell(events::joined{.v2 = true});
  EXPECT_EQ(event(), "registered");
  EXPECT_TRUE(client.is_v2());
  EXPECT_TRUE(client.is_registered());
  EXPECT_EQ(client.joined_address(), std::nullopt);
}

TEST_F(registration_v2_test, an_address_that_comes_or_changes_disturbs_nothing) {
  register_now();
  client.on_address(now, here);
  client.on_address(now, elsewhere);
  EXPECT_THAT(commands(), IsEmpty());
  EXPECT_TRUE(client.is_registered());
  EXPECT_EQ(client.address(), elsewhere);
}

TEST_F(registration_v2_test, an_address_that_comes_during_the_upgrade_disturbs_nothing) {
  client.start();
  tell(events::reached{coordinator_at});
  commands();
  client.on_address(now, here);
  tell(events::joined{.v2 = true});
  EXPECT_EQ(event(), "registered");
  EXPECT_THAT(commands(), IsEmpty());
}

TEST_F(registration_v2_test, a_server_that_misses_the_address_is_asked_as_section_1_wants_it) {
  client.start();
  tell(events::reached{coordinator_at});
  commands();
  tell(events::refused{400, "missing parameter ip", {}});
  EXPECT_THAT(commands(), ElementsAre(command::connect)) << "at once";
  EXPECT_EQ(event(), "none") << "nothing has gone wrong";
  EXPECT_TRUE(client.is_fallback());
  tell(events::reached{coordinator_at});
  EXPECT_THAT(commands(), IsEmpty()) << "it waits for the address";
  client.on_address(now, here);
  EXPECT_THAT(commands(), ElementsAre(command::join));
  tell(events::joined{});
  EXPECT_EQ(event(), "registered");
  EXPECT_FALSE(client.is_v2());
  EXPECT_FALSE(client.is_fallback());
  EXPECT_EQ(client.joined_address(), here);
}

TEST_F(registration_v2_test, an_address_that_came_before_the_fallback_is_fresh_enough) {
  client.start();
  client.on_address(now, here);
  tell(events::reached{coordinator_at});
  tell(events::refused{400, "", {}});
  commands();
  tell(events::reached{coordinator_at});
  EXPECT_THAT(commands(), ElementsAre(command::join));
}

TEST_F(registration_v2_test, a_server_that_takes_no_subprotocol_is_left_politely_and_asked_anew) {
  client.start();
  client.on_address(now, here);
  tell(events::reached{coordinator_at});
  commands();
  tell(events::joined{.v2 = false});
  EXPECT_EQ(event(), "none") << "that is no registration";
  EXPECT_THAT(commands(), ElementsAre(command::close));
  tell(events::closed{1000, ""});
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  tell(events::reached{coordinator_at});
  EXPECT_THAT(commands(), ElementsAre(command::join));
}

TEST_F(registration_v2_test, a_server_that_hangs_up_on_a_registration_without_address_is_asked_anew_too) {
  for (const std::uint16_t code : {std::uint16_t{1008}, std::uint16_t{1006}}) {
    registration other(random);
    other.start();
    other.on_event(now, events::reached{coordinator_at});
    other.on_event(now, events::joined{.v2 = false});
    other.next_command();
    other.on_event(now, events::closed{code, "who are you?"});
    EXPECT_EQ(other.next_command(), command::connect) << code;
    EXPECT_FALSE(other.next_event()) << code;
  }
}

TEST_F(registration_v2_test, a_bad_request_under_section_1_is_final) {
  client.start();
  client.on_address(now, here);
  tell(events::reached{coordinator_at});
  tell(events::refused{400, "bad name", {}});
  tell(events::reached{coordinator_at});
  commands();
  tell(events::refused{400, "bad name", {}});
  EXPECT_EQ(event(), "rejected: HTTP 400: bad name");
  EXPECT_THAT(commands(), IsEmpty());
}

TEST_F(registration_v2_test, a_section_1_server_is_asked_for_v2_again_after_a_minute) {
  client.start();
  client.on_address(now, here);
  tell(events::reached{coordinator_at});
  tell(events::refused{400, "", {}});
  const auto found_at = now;
  tell(events::reached{coordinator_at});
  tell(events::joined{});
  event();
  const auto reconnect = [&] {
    tell(events::closed{1006, "gone"});
    event();
    pass(wait);
    commands();
    client.on_address(now, here);
    tell(events::reached{coordinator_at});
    return commands();
  };
  pass(50s);
  EXPECT_THAT(reconnect(), ElementsAre(command::join));
  tell(events::joined{});
  pass(found_at + 60s - now);
  EXPECT_THAT(reconnect(), ElementsAre(command::join_v2));
}

TEST_F(registration_v2_test, a_name_that_is_taken_is_final_at_the_start) {
  client.start();
  tell(events::reached{coordinator_at});
  tell(events::refused{409, "the name is taken", {}});
  EXPECT_EQ(event(), "rejected: HTTP 409: the name is taken");
}

TEST_F(registration_v2_test, comes_back_with_its_token_even_if_the_name_seems_taken) {
  register_now();
  EXPECT_EQ(client.resume(), "secret");
  tell(events::closed{1006, "gone"});
  event();
  pass(wait);
  tell(events::reached{coordinator_at});
  EXPECT_EQ(client.resume(), "secret");
  tell(events::refused{409, "taken", {}});
  EXPECT_EQ(event(), "retry: HTTP 409: taken");
  pass(wait);
  EXPECT_THAT(commands(), ElementsAre(command::connect));
}

TEST_F(registration_v2_test, tries_at_least_each_second_for_two_minutes) {
  register_now();
  pass(20s);
  tell(events::closed{1006, "gone"});
  event();
  EXPECT_LE(wait, 50ms);
  pass(wait);
  EXPECT_EQ(client.connect_patience(), 2s);
  EXPECT_LE(fail_for(119s), 1s);
  fail_for(1s);
  EXPECT_GT(fail_for(30min), 25s);
  EXPECT_EQ(client.connect_patience(), 10s);
}

TEST_F(registration_v2_test, a_stable_connection_makes_the_next_return_quick_again) {
  register_now();
  tell(events::closed{1006, "gone"});
  event();
  pass(wait);
  fail_for(10min);
  join_v2();
  pass(10s);
  tell(events::closed{1006, "gone"});
  event();
  EXPECT_LE(wait, 50ms);
}

TEST_F(registration_v2_test, a_server_that_lets_in_and_hangs_up_is_not_pestered_for_ever) {
  register_now();
  duration longest{};
  for (const auto end = now + 30min; now < end;) {
    tell(events::closed{1006, "gone"});
    event();
    longest = std::max(longest, wait);
    pass(std::max<duration>(wait, 1ms));
    join_v2();
  }
  EXPECT_GT(longest, 20s);
}

TEST_F(registration_v2_test, a_full_server_is_asked_again_when_it_said) {
  register_now();
  tell(events::closed{1012, "restart"});
  event();
  pass(wait);
  tell(events::reached{coordinator_at});
  tell(events::refused{503, "full", 7s});
  EXPECT_EQ(event(), "retry: HTTP 503: full");
  EXPECT_EQ(wait, 7s);
}

TEST_F(registration_v2_test, the_first_connection_is_given_more_time) {
  client.start();
  EXPECT_EQ(client.connect_patience(), 10s);
}

TEST_F(registration_v2_test, a_silent_server_is_left_after_sixteen_seconds) {
  register_now();
  pass(15s);
  EXPECT_EQ(event(), "none");
  pass(5s);
  EXPECT_THAT(commands(), testing::Contains(command::abandon));
  EXPECT_EQ(event(), "retry: no answer to pings");
}

TEST_F(registration_v2_test, who_was_replaced_does_not_come_back) {
  register_now();
  tell(events::closed{1008, "replaced"});
  EXPECT_EQ(event(), "rejected: the coordinator closed the connection: replaced");
  EXPECT_EQ(client.next_deadline(), std::nullopt);
}

TEST_F(registration_v2_test, leaves_with_a_close) {
  register_now();
  client.probe(now);
  commands();
  client.leave(now);
  EXPECT_THAT(commands(), ElementsAre(command::close));
  tell(events::closed{1000, ""});
  EXPECT_EQ(event(), "left");
  EXPECT_EQ(client.next_deadline(), std::nullopt);
  client.on_network_changed(now);
  client.probe(now);
  EXPECT_THAT(commands(), IsEmpty());
}

}  // namespace
}  // namespace nat
