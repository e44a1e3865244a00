#include "peer_fixture.hpp"

#include <array>

namespace nat {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(peer_test, tries_natcoord_v2_first_with_topic_and_name_alone) {
  engine = std::make_unique<peer>(config, random);
  engine->start(now);
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::connect));
  engine->on_coordinator(now, 0, events::reached{coordinator_at});
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::join_v2)) << "nothing waits for STUN";
  const auto request = engine->registration_request(coordinator_command::join_v2);
  EXPECT_EQ(request.topic, "T");
  EXPECT_EQ(request.name, "me");
  EXPECT_EQ(request.address, std::nullopt);
}

TEST_F(peer_test, asks_stun_on_the_data_socket_and_registers_what_it_says) {
  start_with_section_1();
  EXPECT_THAT(commands(), IsEmpty()) << "the address is not known yet";
  answer_stun();
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::join));
  const auto request = engine->registration_request(coordinator_command::join);
  EXPECT_EQ(request.topic, "T");
  EXPECT_EQ(request.name, "me");
  EXPECT_EQ(request.address, here);
  EXPECT_THAT(notes(), ElementsAre(note_kind::public_address));
}

TEST_F(peer_test, asks_stun_once_for_both_ways_to_register) {
  engine = std::make_unique<peer>(config, random);
  engine->start(now);
  EXPECT_TRUE(engine->take_stun_lookup());
  EXPECT_FALSE(engine->take_stun_lookup());
  engine->on_coordinator(now, 0, events::reached{coordinator_at});
  engine->on_coordinator(now, 0, events::refused{400, "missing parameter \"ip\"", {}});
  EXPECT_FALSE(engine->take_stun_lookup());
}

TEST_F(peer_test, falls_back_where_the_upgrade_selects_no_subprotocol) {
  engine = std::make_unique<peer>(config, random);
  engine->start(now);
  engine->take_stun_lookup();
  engine->on_stun_servers(now, {stun_server}, "");
  answer_stun();
  engine->on_coordinator(now, 0, events::reached{coordinator_at});
  commands();
  engine->on_coordinator(now, 0, events::joined{});
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::close));
  engine->on_coordinator(now, 0, events::closed{1000, ""});
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::connect));
  engine->on_coordinator(now, 0, events::reached{coordinator_at});
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::join));
}

TEST_F(peer_test, registers_an_advertised_address_without_asking) {
  config.advertise = at("192.0.2.99:9");
  start_with_section_1();
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::join));
  EXPECT_EQ(engine->registration_request(coordinator_command::join).address, at("192.0.2.99:9"));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(peer_test, an_advertised_address_needs_no_stun_and_misses_none) {
  config.advertise = at("192.0.2.99:9");
  join();
  pass(1h);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_THAT(notes(), IsEmpty());
}

TEST_F(peer_test, a_restless_coordinator_cannot_make_it_ping_without_end) {
  join();
  std::size_t pings = 0;
  for (int i = 0; i < 1000; ++i) {
    strings names;
    for (int n = 0; n < 100; ++n)
      names.push_back("n" + std::to_string(i % 2) + " 198.51.100." + std::to_string(n + 1) + ":9");
    list(names);
    pings += count(sent(), "PING");
    pass(1ms);
  }
  EXPECT_LE(pings, 2U * 4096 + 100) << "in a second: the burst, and the rate";
}

TEST_F(peer_test, pings_a_peer_as_soon_as_it_is_listed_and_then_each_interval) {
  join();
  list({"me 203.0.113.7:4000", "bob 198.51.100.1:5000"});
  EXPECT_THAT(sent(), ElementsAre("PING 198.51.100.1:5000"));
  pass(250ms);
  EXPECT_THAT(sent(), ElementsAre("PING 198.51.100.1:5000"));
  ping_from(bob);
  sent();
  for (int minute = 0; minute < 20; ++minute) {
    pass(1min);
    EXPECT_EQ(count(sent(), "PING"), 60 * 4U) << "a seed peer's NAT is kept open for ever";
    if (minute % 4 == 3) ping_from(bob);
    sent();
  }
}

TEST_F(peer_test, who_was_not_heard_for_five_minutes_is_pinged_as_rarely_as_a_stranger) {
  join();
  list({"bob 198.51.100.1:5000"});
  ping_from(bob);
  pass(5min);
  sent();
  pass(10min);
  EXPECT_NEAR(static_cast<double>(count(sent(), "PING")), 40 + 60, 1);
  ping_from(bob);
  sent();
  pass(10s);
  EXPECT_EQ(count(sent(), "PING"), 40U) << "each interval again";
}

TEST_F(peer_test, an_address_that_icmp_calls_unreachable_gets_few_pings_and_no_data_until_it_is_heard) {
  config.wait_for = 0;
  join();
  list({"bob 198.51.100.1:5000"});
  ping_from(bob);
  sent();
  engine->on_unreachable(now, bob);
  engine->on_input(now, as_bytes("lost\n"));
  EXPECT_EQ(count(sent(), "DATA"), 0U);
  pass(1min);
  EXPECT_NEAR(static_cast<double>(count(sent(), "PING")), 40 + 5, 2);
  ping_from(bob);
  engine->on_input(now, as_bytes("heard\n"));
  EXPECT_EQ(count(sent(), "DATA"), 1U);
}

TEST_F(peer_test, pings_an_address_that_never_answers_forty_times_and_then_each_ten_seconds) {
  join();
  list({"victim 198.51.100.1:5000"});
  pass(10s - 1ns);
  EXPECT_EQ(count(sent(), "PING"), 40U);
  pass(10min);
  EXPECT_NEAR(static_cast<double>(count(sent(), "PING")), 60, 1);
}

TEST_F(peer_test, an_address_that_is_listed_again_under_another_name_gets_no_new_allowance) {
  join();
  for (int i = 0; i < 100; ++i) {
    list({"name" + std::to_string(i) + " 198.51.100.1:5000"});
    pass(90ms);
  }
  EXPECT_EQ(count(sent(), "PING"), 40U);
}

TEST_F(peer_test, who_answers_late_is_pinged_each_interval_again) {
  join();
  list({"bob 198.51.100.1:5000"});
  pass(1min);
  ping_from(bob);
  sent();
  pass(10s);
  EXPECT_EQ(count(sent(), "PING"), 40U);
}

TEST_F(peer_test, pings_each_of_many_peers_once_an_interval) {
  join();
  list({"bob 198.51.100.1:5000", "carol 198.51.100.2:6000", "dave 198.51.100.3:7000"});
  EXPECT_EQ(sent().size(), 3U);
  pass(10s);
  const auto all = sent();
  for (const auto* who : {"PING 198.51.100.1:5000", "PING 198.51.100.2:6000", "PING 198.51.100.3:7000"}) {
    EXPECT_NEAR(static_cast<double>(count(all, who)), 40, 1) << who;
  }
}

TEST_F(peer_test, does_not_ping_itself) {
  join();
  list({"me 203.0.113.9:1", "old-me 203.0.113.7:4000"});
  pass(1s);
  EXPECT_THAT(sent(), IsEmpty());
  EXPECT_TRUE(engine->seeds().empty());
}

TEST_F(peer_test, ignores_a_listed_loopback_address_unless_the_coordinator_is_there_too) {
  join();
  list({"evil 127.0.0.1:25"});
  EXPECT_THAT(sent(), IsEmpty());
  join(at("127.0.0.1:6969"));
  list({"bob 127.0.0.1:25"});
  EXPECT_THAT(sent(), ElementsAre("PING 127.0.0.1:25"));
}

TEST_F(peer_test, names_a_peer_when_it_appears_is_first_heard_and_leaves) {
  join();
  list({"bob 198.51.100.1:5000"});
  EXPECT_THAT(notes(), ElementsAre(note_kind::peer_appeared));
  ping_from(bob);
  EXPECT_THAT(notes(), Contains(note_kind::peer_heard));
  ping_from(bob);
  EXPECT_THAT(notes(), IsEmpty());
  list({});
  EXPECT_THAT(notes(), ElementsAre(note_kind::peer_left));
  pass(1s);
  EXPECT_EQ(count(sent(), "PING"), 2U) << "one when listed, one when heard";
}

TEST_F(peer_test, a_ping_that_came_before_the_list_counts) {
  join();
  ping_from(bob);
  list({"bob 198.51.100.1:5000"});
  EXPECT_TRUE(engine->wants_input());
  EXPECT_THAT(notes(), ElementsAre(note_kind::peer_appeared, note_kind::peer_heard, note_kind::input_open));
}

TEST_F(peer_test, reads_stdin_once_everyone_listed_was_heard_or_pinged_for_two_seconds) {
  join();
  EXPECT_FALSE(engine->wants_input());
  list({"bob 198.51.100.1:5000", "carol 198.51.100.2:6000"});
  ping_from(bob);
  EXPECT_FALSE(engine->wants_input());
  pass(2s - 1ns);
  EXPECT_FALSE(engine->wants_input());
  pass(1ns);
  EXPECT_TRUE(engine->wants_input());
}

TEST_F(peer_test, sends_each_packet_to_every_peer) {
  join();
  list({"bob 198.51.100.1:5000", "carol 198.51.100.2:6000"});
  ping_from(bob);
  ping_from(carol);
  sent();
  engine->on_input(now, as_bytes("hello\n"));
  EXPECT_THAT(sent(), ElementsAre("DATA 198.51.100.1:5000 hello\n", "DATA 198.51.100.2:6000 hello\n"));
}

TEST_F(peer_test, prints_data_of_listed_peers_only) {
  join();
  list({"bob 198.51.100.1:5000"});
  data_from(bob, "from bob");
  data_from(carol, "from a stranger");
  data_from(at("198.51.100.1:5001"), "from another port");
  EXPECT_EQ(output(), "from bob");
  EXPECT_EQ(engine->counters().data_unlisted, 2U);
}

TEST_F(peer_test, what_is_no_packet_is_counted_and_changes_nothing) {
  join();
  list({"bob 198.51.100.1:5000"});
  notes();
  sent();
  for (const auto* magic : {"DATADATA", "PINGPING"}) {
    for (std::size_t size = 0; size < header_size; ++size) receive(bob, packet_text(magic).substr(0, size));
  }
  std::array<std::uint8_t, 1500> noise;
  for (int i = 0; i < 1000; ++i) {
    random.fill(noise);
    noise[4] |= 1;  // not STUN's cookie
    engine->on_datagram(now, 0, bob, noise);
  }
  EXPECT_EQ(engine->counters().malformed, 2 * header_size + 1000);
  EXPECT_EQ(output(), "");
  EXPECT_THAT(notes(), IsEmpty());
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(peer_test, takes_datagrams_as_large_as_udp_has_them) {
  join();
  list({"bob 198.51.100.1:5000"});
  const std::string payload(65507 - header_size, 'x');
  data_from(bob, payload);
  EXPECT_EQ(output(), payload);
}

TEST_F(peer_test, drops_what_comes_while_stdout_stands_still_and_says_so_once) {
  join();
  list({"bob 198.51.100.1:5000"});
  notes();
  const std::string payload(60'000, 'x');
  for (int i = 0; i < 300; ++i) data_from(bob, payload);
  EXPECT_LE(output().size(), receiver::max_unsealed);
  EXPECT_GT(engine->counters().data_overflow, 0U);
  EXPECT_THAT(notes(), ElementsAre(note_kind::peer_heard, note_kind::input_open, note_kind::output_full));
}

TEST_F(peer_test, a_list_that_cannot_be_read_changes_nothing) {
  join();
  list({"bob 198.51.100.1:5000"});
  notes();
  for (const auto* bad : {"", "no json", "[]", "{}", R"({"peers":3})", R"({"peers":[)"}) {
    raw_list(bad);
    EXPECT_THAT(notes(), ElementsAre(note_kind::list_rejected)) << bad;
  }
  EXPECT_EQ(engine->seeds().size(), 1U);
}

TEST_F(peer_test, keeps_sending_while_the_coordinator_is_away_and_over_its_restart) {
  join();
  list({"bob 198.51.100.1:5000"});
  ping_from(bob);
  sent();
  engine->on_coordinator(now, 0, events::closed{1006, "gone"});
  engine->on_input(now, as_bytes("still here\n"));
  EXPECT_THAT(sent(), ElementsAre("DATA 198.51.100.1:5000 still here\n"));
  pass(250ms);
  ASSERT_TRUE(engine->take_stun_lookup());
  engine->on_stun_servers(now, {stun_server}, "");
  engine->on_coordinator(now, 0, events::reached{coordinator_at});
  answer_stun();
  engine->on_coordinator(now, 0, events::joined{});
  ping_from(bob);
  list({"me 203.0.113.7:4000"});  // bob has not come back to it yet
  engine->on_input(now, as_bytes("and here\n"));
  EXPECT_THAT(sent(), Contains("DATA 198.51.100.1:5000 and here\n"));
  pass(3s);
  EXPECT_TRUE(engine->seeds().empty()) << "bob is silent, and gone";
}

TEST_F(peer_test, registers_anew_when_the_public_address_changes) {
  join();
  mapped = at("203.0.113.7:4444");
  while (std::ranges::count(commands(), coordinator_command::close) == 0) {
    pass(100ms);
    answer_stun();
    ASSERT_LT(now, time_point{1h + 30s});
  }
  engine->on_coordinator(now, 0, events::closed{1000, ""});
  EXPECT_THAT(commands(), ElementsAre(coordinator_command::connect));
  EXPECT_THAT(notes(), ElementsAre(note_kind::address_changed));
  EXPECT_EQ(engine->registration_request(coordinator_command::join).address, mapped);
}

TEST_F(peer_test, ends_once_the_last_packet_was_sent_where_only_seed_peers_are) {
  config.quit_on_eof = 2s;
  join();
  list({"bob 198.51.100.1:5000"});
  ping_from(bob);
  sent();
  engine->on_input(now, as_bytes("last words"));
  engine->on_input_end(now);
  EXPECT_FALSE(engine->wants_input());
  pass(10s);
  EXPECT_FALSE(engine->ended()) << "the packet is not sent yet";
  EXPECT_THAT(sent(), Contains("DATA 198.51.100.1:5000 last words"));
  EXPECT_THAT(commands(), Contains(coordinator_command::close));
  engine->on_coordinator(now, 0, events::closed{1000, ""});
  ASSERT_TRUE(engine->ended());
  EXPECT_EQ(engine->ended()->status, 0);
}

TEST_F(peer_test, what_is_said_while_nobody_is_there_is_gone_and_blocks_nothing) {
  config.wait_for = 0;
  config.input = input_mode::lines;
  config.quit_on_eof = 1s;
  join();
  std::string lines;
  while (lines.size() < 60'000) lines += std::string(100, 'x') + '\n';
  std::size_t said = 0;
  for (; said < 3 * outbox::max_bytes; said += lines.size()) {
    while (!engine->wants_input()) pass(10ms);
    engine->on_input(now, as_bytes(lines));
    EXPECT_THAT(sent(), Each(testing::StartsWith("STUN")));
  }
  list({"bob 198.51.100.1:5000"});
  EXPECT_THAT(sent(), Contains("PING 198.51.100.1:5000"));
  engine->on_input(now, as_bytes("hello\n"));
  EXPECT_THAT(sent(), testing::ElementsAre("DATA 198.51.100.1:5000 hello"));
}

TEST_F(peer_test, ends_even_where_nobody_ever_came) {
  config.wait_for = 0;
  config.quit_on_eof = 1s;
  join();
  engine->on_input(now, as_bytes("hello"));
  engine->on_input_end(now);
  pass(2s);
  EXPECT_THAT(commands(), Contains(coordinator_command::close));
}

TEST_F(peer_test, goes_on_receiving_after_the_end_of_stdin) {
  join();
  list({"bob 198.51.100.1:5000"});
  ping_from(bob);
  engine->on_input_end(now);
  pass(1min);
  sent();
  data_from(bob, "still there?");
  EXPECT_EQ(output(), "still there?");
  EXPECT_FALSE(engine->ended());
}

TEST_F(peer_test, a_refusal_at_the_start_ends_the_program_with_its_reason) {
  start_with_section_1();
  answer_stun();
  engine->on_coordinator(now, 0, events::refused{400, "bad name", {}});
  ASSERT_TRUE(engine->ended());
  EXPECT_EQ(engine->ended()->status, 1);
  EXPECT_EQ(engine->ended()->reason, "HTTP 400: bad name");
}

TEST_F(peer_test, a_closed_stdout_is_no_failure_a_full_disk_is) {
  join();
  engine->on_output_closed(now, "");
  engine->on_coordinator(now, 0, events::closed{1000, ""});
  EXPECT_EQ(engine->ended()->status, 0);
  join();
  engine->on_output_closed(now, "no space left");
  engine->on_coordinator(now, 0, events::closed{1000, ""});
  EXPECT_EQ(engine->ended()->status, 1);
  EXPECT_EQ(engine->ended()->reason, "no space left");
}

TEST_F(peer_test, a_long_sleep_of_the_machine_costs_one_ping_a_peer) {
  join();
  list({"bob 198.51.100.1:5000", "carol 198.51.100.2:6000"});
  sent();
  now += 8h;
  engine->on_time(now);
  EXPECT_LE(count(sent(), "PING"), 2U);
}

TEST_F(peer_test, stops_pinging_where_nothing_leaves_rather_than_grow) {
  join();
  list({"bob 198.51.100.1:5000"});
  pass(24h);
  EXPECT_LE(engine->datagrams().size(), outbox::max_datagrams);
}

}  // namespace
}  // namespace nat
