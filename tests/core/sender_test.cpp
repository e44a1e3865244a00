// From stdin to the peers: who gets a packet, by which way, how fast.
#include "sender_fixture.hpp"

#include <set>

#include <gmock/gmock.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST_F(sender_test, addresses_each_packet_to_every_peer_and_groups_a_burst_by_peer) {
  begin(input_mode::lines);
  seeds = {seed(true, 1), seed(true, 2)};
  type("one\ntwo\n");
  pump(start);
  EXPECT_THAT(sent(), ElementsAre("1 one", "1 two", "2 one", "2 two"));
  EXPECT_EQ(from_stdin->next_deadline(), std::nullopt);
}

TEST_F(sender_test, keeps_the_rate_to_each_peer_and_reads_no_faster) {
  begin(input_mode::bytes, 8'000'000);
  seeds = {seed(true, 1), seed(true, 2)};
  const std::string chunk(input_splitter::max_chunk, 'x');
  std::size_t read = 0;
  std::size_t sent_to_each = 0;
  for (auto now = start; now < start + 1s;) {
    while (from_stdin->wants_input()) {
      type(chunk);
      read += chunk.size();
    }
    pump(now);
    for (std::size_t i = 0; i < out.size(); ++i) sent_to_each += out.bytes(out.at(i)).size();
    out.consume(out.size());
    ASSERT_GT(from_stdin->next_deadline(), now) << "a deadline in the past would spin";
    now = *from_stdin->next_deadline();
  }
  sent_to_each /= seeds.size();
  EXPECT_NEAR(static_cast<double>(sent_to_each), 1e6, 15'000);
  EXPECT_LE(read, sent_to_each + input_splitter::max_buffered);
}

TEST_F(sender_test, an_address_that_is_never_heard_is_not_flooded_and_holds_up_nobody) {
  begin(input_mode::bytes, 8'000'000);
  seeds = {seed(true, 1), seed(false, 2)};
  const auto bytes = sent_in_a_second(start);
  EXPECT_GT(bytes[0], 980'000U);
  EXPECT_GT(bytes[1], unproven_data.burst - 2 * max_datagram);
  EXPECT_LE(bytes[1], unproven_data.burst);
}

TEST_F(sender_test, a_seed_peer_gets_no_more_than_its_budget_and_holds_up_nobody) {
  begin(input_mode::bytes, 80'000'000);
  seeds = {seed(true, 1), seed(true, 2)};
  seeds[1].is_ours = true;  // counts what goes to the port of
  direct_peer("dave", 4, 2);
  const auto bytes = sent_in_a_second(start);
  EXPECT_NEAR(static_cast<double>(bytes[0]), 1e6, 20'000) << "default_seed_rate";
  EXPECT_GT(bytes[1], 5'000'000U);
}

TEST_F(sender_test, tiny_packets_that_wait_for_a_seed_peer_do_not_fill_the_log) {
  begin(input_mode::lines, 0);
  seeds = {seed(true, 1)};
  direct_peer("dave", 4, 44);
  std::string lines;
  while (lines.size() < 50'000) lines += "x\n";
  std::size_t most = 0;
  for (auto now = start; from_stdin->packets() < 100'000; now += 1ms) {
    ASSERT_LT(now, start + 1min);
    if (from_stdin->wants_input()) type(lines);
    pump(now);
    out.consume(out.size());
    acknowledge(now + 100us);
    most = std::max(most, from_stdin->log().held_bytes());
  }
  EXPECT_GT(most, 3U << 20) << "it is behind";
  EXPECT_LT(most, 6U << 20);
}

TEST_F(sender_test, where_everyone_is_a_seed_peer_stdin_is_read_as_fast_as_they_may_have_it) {
  begin(input_mode::bytes, 80'000'000);
  seeds = {seed(true, 1)};
  const auto bytes = sent_in_a_second(start);
  EXPECT_NEAR(static_cast<double>(bytes[0]), 1e6, 20'000);
  EXPECT_LE(from_stdin->packets() * header_size, bytes[0]) << "nothing was read to be dropped";
}

TEST_F(sender_test, what_an_unheard_peer_was_not_sent_does_not_count_as_sent) {
  begin(input_mode::bytes, 80'000'000);
  seeds = {seed(false, 1), seed(true, 2)};
  seeds[1].is_ours = true;
  direct_peer("dave", 4, 2);       // for whose sake stdin is read faster
  seeds[0].budget = pacer(8'000);  // 1000 bytes a second
  const auto bytes = sent_in_a_second(start);
  EXPECT_TRUE(unproven.has(start + 1s, seeds[0].address, unproven_data.burst - bytes[0]));
  EXPECT_FALSE(unproven.has(start + 1s, seeds[0].address, unproven_data.burst - bytes[0] + 1));
}

TEST_F(sender_test, a_peer_that_fell_silent_gets_no_more_than_a_stranger) {
  begin(input_mode::bytes, 8'000'000);
  seeds = {seed(true, 1)};
  EXPECT_LE(sent_in_a_second(start + known_peer::consent)[0], unproven_data.burst);
}

TEST_F(sender_test, an_address_that_icmp_calls_unreachable_gets_nothing_until_it_is_heard) {
  begin(input_mode::bytes, 8'000'000);
  seeds = {seed(true, 1)};
  seeds[0].unreachable = true;
  EXPECT_EQ(sent_in_a_second(start)[0], 0U);
  seeds[0].unreachable = false;
  EXPECT_GT(sent_in_a_second(start + 1s)[0], 900'000U);
}

TEST_F(sender_test, the_ports_of_one_host_share_what_an_unheard_address_gets) {
  begin(input_mode::bytes, 80'000'000);
  for (std::uint16_t port = 1; port <= 10; ++port) seeds.push_back(seed(false, port));
  std::size_t all = 0;
  for (const auto bytes : sent_in_a_second(start)) all += bytes;
  EXPECT_LE(all, unproven_data.host_burst);
  EXPECT_GT(all, unproven_data.host_burst - 11 * max_datagram);
}

TEST_F(sender_test, goes_on_reading_where_nobody_may_have_it) {
  begin(input_mode::lines);
  seeds = {seed(false, 1)};
  unproven.take(start, seeds[0].address, unproven_data.burst);
  type("one\n");
  from_stdin->on_input_end();
  pump(start);
  EXPECT_TRUE(out.empty());
  EXPECT_TRUE(from_stdin->finished());
}

TEST_F(sender_test, holds_its_input_while_the_kernel_takes_nothing) {
  begin(input_mode::bytes);
  seeds = {seed(true, 1)};
  for (int i = 0; i < 2000; ++i) out.send(as_bytes("x"), seed_at(9));
  type("kept");
  pump(start);
  EXPECT_EQ(out.size(), 2000U);
  EXPECT_EQ(from_stdin->packets(), 0U);
  EXPECT_EQ(from_stdin->next_deadline(), std::nullopt) << "what was sent wakes it";
}

TEST_F(sender_test, tells_a_peer_where_the_stream_begins_before_it_sends) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  pump(start);
  EXPECT_THAT(told, IsEmpty()) << "there is nothing to say yet";
  type("one\n");
  pump(start);
  EXPECT_THAT(told, ElementsAre("dave"));
  EXPECT_THAT(sent(), ElementsAre("44 one"));
}

TEST_F(sender_test, sends_again_what_one_peer_lacks_and_only_to_it) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  direct_peer("erin", 5, 55);
  type("one\ntwo\n");
  pump(start);
  EXPECT_THAT(sent(), ElementsAre("44 one", "44 two", "55 one", "55 two"));
  const ping_acknowledgement all{.next = 3, .limit = 1000, .unwritten = 994, .newest = -1};
  ping_acknowledgement second{.next = 1, .limit = 1000, .unwritten = 1000, .newest = 1};
  second.runs[0] = 1;  // one has not come,
  second.runs[1] = 1;  // one has
  const auto now = start + 10ms;
  ours.by_name("dave")->outgoing()->on_ack(now, 1, all, 0, from_stdin->log());
  ours.by_name("erin")->outgoing()->on_ack(now, 1, second, 0, from_stdin->log());
  pump(now);
  pump(now + 10ms);
  EXPECT_THAT(sent(), ElementsAre("55 one"));
}

TEST_F(sender_test, forgets_what_everybody_has_written_and_nothing_before) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  direct_peer("erin", 5, 55);
  type("one\n");
  pump(start);
  sent();
  const ping_acknowledgement come{.next = 2, .limit = 1000, .unwritten = 1000, .newest = -1};
  const ping_acknowledgement written{.next = 2, .limit = 1000, .unwritten = 997, .newest = -1};
  ours.by_name("dave")->outgoing()->on_ack(start + 1ms, 1, written, 0, from_stdin->log());
  ours.by_name("erin")->outgoing()->on_ack(start + 1ms, 1, come, 0, from_stdin->log());
  pump(start + 1ms);
  EXPECT_TRUE(from_stdin->is_awaited()) << "it may be thrown away again";
  ours.by_name("erin")->outgoing()->on_ack(start + 2ms, 2, written, 0, from_stdin->log());
  pump(start + 2ms);
  EXPECT_FALSE(from_stdin->is_awaited());
}

TEST_F(sender_test, sends_no_more_than_a_peer_takes) {
  begin(input_mode::bytes);
  direct_peer("dave", 4, 44);
  type(std::string(input_splitter::max_chunk, 'x'));
  for (auto now = start; now < start + 100ms; now += 1ms) pump(now);
  std::size_t payload = 0;
  for (std::size_t i = 0; i < out.size(); ++i) payload += out.bytes(out.at(i)).size() - header_size;
  EXPECT_LE(payload, stream_initial_window);
  EXPECT_GT(payload, stream_initial_window - 2 * max_payload);
}

TEST_F(sender_test, a_keyed_topic_has_no_seed_peers) {
  begin(input_mode::lines);
  seeds_too = false;
  seeds = {seed(true, 1)};
  direct_peer("dave", 4, 44);
  type("one\n");
  pump(start);
  EXPECT_THAT(sent(), ElementsAre("44 one"));
}

TEST_F(sender_test, sends_directly_where_that_works_and_by_the_relay_where_not) {
  begin(input_mode::lines);
  direct_peer("dave", 4, 44);
  relayed_peer("eve", 5);
  relayed_peer("frank", 6);
  seeds = {seed(true, 1)};
  type("one\n");
  pump(start);
  EXPECT_THAT(sent(), UnorderedElementsAre("1 one", "44 one"));
  EXPECT_THAT(relayed(), ElementsAre("to 5,6: one")) << "one upload for all";
}

TEST_F(sender_test, holds_data_back_from_who_does_not_accept_it_yet) {
  begin(input_mode::lines);
  peer_of_ours("dave", 4);
  seeds = {seed(true, 1)};
  type("one\n");
  pump(start);
  EXPECT_THAT(sent(), ElementsAre("1 one"));
  EXPECT_THAT(relayed(), IsEmpty());
}

TEST_F(sender_test, waits_for_a_relay_that_is_full_and_holds_up_nobody_else) {
  begin(input_mode::bytes);
  relayed_peer("eve", 5);
  direct_peer("dave", 4, 44);
  while (!relay.is_full()) relay.push(std::vector<peer_id>{9}, std::vector<std::uint8_t>(1000));
  type("one");
  pump(start);
  EXPECT_THAT(sent(), ElementsAre("44 one"));
  EXPECT_TRUE(from_stdin->waits_for_relay());
  EXPECT_FALSE(from_stdin->next_deadline() == start) << "a deadline that has come would spin";
  relay.clear();
  pump(start);
  EXPECT_THAT(relayed(), ElementsAre("to 5: one"));
}

TEST_F(sender_test, a_packet_for_the_relay_alone_stays_in_no_outbox) {
  begin(input_mode::lines);
  relayed_peer("eve", 5);
  for (int i = 0; i < 100; ++i) {
    type("one\n");
    pump(start + i * 10ms);
    relay.clear();
  }
  EXPECT_EQ(out.held_bytes(), 0U);
}

TEST_F(sender_test, numbers_each_packet_anew_whoever_gets_it) {
  begin(input_mode::lines);
  relayed_peer("eve", 5);
  direct_peer("dave", 4, 44);
  for (int i = 0; i < 10; ++i) type("same\n");
  pump(start);
  std::set<std::uint64_t> numbers;
  std::vector<std::uint64_t> offsets;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto header = std::get<data_header>(open_header(keys, out.bytes(out.at(i))).value());
    numbers.insert(header.number);
    offsets.push_back(header.offset);
  }
  EXPECT_EQ(numbers.size(), 10U);
  EXPECT_EQ(*numbers.begin(), 1U);
  EXPECT_EQ(offsets.back(), 9 * 4U);
}

}  // namespace
}  // namespace nat
