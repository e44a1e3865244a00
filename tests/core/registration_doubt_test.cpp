// A connection that may be dead, and a network that has changed.
#include "registration_v2_fixture.hpp"

namespace nat {
namespace {

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

}  // namespace
}  // namespace nat
