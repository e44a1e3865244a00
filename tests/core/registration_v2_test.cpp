// With a server that speaks natcoord.v2, and the ways to find out that it does not.
#include "nat/registration.hpp"

#include "plain_random.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
namespace events = coordinator_events;
using command = coordinator_command;
using testing::ElementsAre;
using testing::IsEmpty;

const endpoint here{ip_address::parse("203.0.113.7").value(), 4000};
const endpoint elsewhere{ip_address::parse("203.0.113.8").value(), 4000};
const endpoint coordinator_at{ip_address::parse("198.51.100.1").value(), 6969};

class registration_v2_test : public testing::Test {
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

  plain_random random;
  registration client{random};
  time_point now{1h};
  duration wait{};
};

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

TEST_F(registration_v2_test, a_connection_in_doubt_has_a_second_to_show_life) {
  register_now();
  pass(1s);
  client.probe(now);
  EXPECT_THAT(commands(), ElementsAre(command::ping)) << "at once";
  EXPECT_EQ(client.next_deadline(), now + 1s);
  pass(1s - 1ns);
  EXPECT_EQ(event(), "none");
  pass(1ns);
  EXPECT_THAT(commands(), ElementsAre(command::abandon));
  EXPECT_EQ(event(), "retry: no sign of life");
  EXPECT_LE(wait, 50ms);
}

TEST_F(registration_v2_test, a_slow_connection_in_doubt_has_longer) {
  register_now();
  client.probe(now, 600ms);
  pass(1600ms - 1ns);
  EXPECT_EQ(event(), "none");
  pass(1ns);
  EXPECT_EQ(event(), "retry: no sign of life");
}

TEST_F(registration_v2_test, each_doubt_that_was_wrong_lets_the_next_take_longer_until_a_connection_has_lasted) {
  register_now();
  for (const auto patience : {1s, 2s, 4s, 8s, 8s}) {
    client.probe(now);
    pass(patience - 1ns);
    EXPECT_EQ(event(), "none");
    pass(1ns);
    EXPECT_EQ(event(), "retry: no sign of life");
    pass(1s);
    register_now();
  }
  for (int i = 0; i < 12; ++i) {
    pass(1s);
    tell(events::alive{true});
  }
  tell(events::closed{1006, "gone"});
  event();
  pass(1s);
  register_now();
  client.probe(now);
  EXPECT_EQ(client.next_deadline(), now + 1s);
}

TEST_F(registration_v2_test, any_frame_ends_the_doubt) {
  const std::vector<coordinator_event> frames = {events::alive{true}, events::alive{false}, events::text{"{}"},
                                                 events::binary{}};
  register_now();
  for (const auto& frame : frames) {
    client.probe(now);
    pass(900ms);
    tell(frame);
    pass(3s);
    EXPECT_EQ(event(), "none");
  }
}

TEST_F(registration_v2_test, a_doubt_that_goes_on_does_not_prolong_the_wait) {
  register_now();
  client.probe(now);
  for (int i = 0; i < 9; ++i) {
    pass(100ms);
    client.probe(now);
  }
  EXPECT_THAT(commands(), ElementsAre(command::ping)) << "one";
  pass(100ms);
  EXPECT_EQ(event(), "retry: no sign of life");
}

TEST_F(registration_v2_test, doubts_make_two_pings_a_second_at_most) {
  register_now();
  std::size_t pings = 0;
  for (int i = 0; i < 100; ++i) {
    client.probe(now);
    pings += commands().size();
    tell(events::alive{true});
    pass(10ms);
  }
  EXPECT_EQ(pings, 2U);
}

TEST_F(registration_v2_test, the_network_changes_and_it_connects_anew_at_once) {
  register_now();
  client.on_network_changed(now);
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  EXPECT_FALSE(client.is_registered());
  EXPECT_TRUE(client.is_v2());
  EXPECT_EQ(event(), "none");
  EXPECT_EQ(client.connect_patience(), 2s);
  join_v2();
}

TEST_F(registration_v2_test, the_network_changes_and_a_wait_or_a_connect_ends) {
  register_now();
  tell(events::closed{1006, "gone"});
  event();
  pass(wait);
  fail_for(10min);
  commands();
  tell(events::failed{"no route"});
  event();
  client.on_network_changed(now);
  EXPECT_THAT(commands(), ElementsAre(command::connect));
  pass(1s);
  client.on_network_changed(now);
  EXPECT_THAT(commands(), ElementsAre(command::connect)) << "the SYN went out over the old network";
  tell(events::failed{"no route"});
  event();
  EXPECT_LE(wait, 50ms) << "quick again";
}

TEST_F(registration_v2_test, a_network_that_changes_all_the_time_makes_four_connections_a_second) {
  register_now();
  std::size_t connects = 0;
  for (int i = 0; i < 999; ++i) {
    client.on_network_changed(now);
    pass(1ms);
    for (const auto what : commands()) connects += what == command::connect ? 1 : 0;
  }
  EXPECT_EQ(connects, 4U);
  pass(1ms);
  join_v2();  // the change that waited for its turn
  pass(4s);
  EXPECT_TRUE(client.is_registered());
}

TEST_F(registration_v2_test, a_registration_under_section_1_is_left_to_tcp) {
  client.start();
  client.on_address(now, here);
  tell(events::reached{coordinator_at});
  tell(events::refused{400, "", {}});
  tell(events::reached{coordinator_at});
  tell(events::joined{});
  commands();
  event();
  client.on_network_changed(now);
  client.probe(now);
  EXPECT_THAT(commands(), IsEmpty());
  pass(4s);
  EXPECT_EQ(event(), "none");
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
