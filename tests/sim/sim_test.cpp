// That the simulator repeats itself, and that its properties can fail.
#include "runs.hpp"
#include "topology.hpp"

#include <algorithm>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat::sim {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::string traced(std::uint64_t seed) {
  std::ostringstream log;
  run_random(seed, &log);
  return log.str();
}

TEST(simulator, the_same_seed_gives_the_same_trace_byte_for_byte) {
  const auto once = traced(22);
  EXPECT_GT(once.size(), 300'000U) << "a run that says so little proves nothing";
  EXPECT_GT(run_random(22).pairs[static_cast<std::size_t>(verdict::must)], 0U);
  const auto again = traced(22);
  const auto differ = std::ranges::mismatch(once, again).in1 - once.begin();
  EXPECT_TRUE(once == again) << "they differ at byte " << differ;  // EXPECT_EQ would compare megabytes line by line
}

TEST(simulator, another_seed_gives_another_trace) {
  EXPECT_NE(run_random(11, nullptr, true).trace_checksum, run_random(12, nullptr, true).trace_checksum);
}

TEST(simulator, a_trace_does_not_change_what_happens) {
  const auto silent = run_random(13);
  const auto told = run_random(13, nullptr, true);
  EXPECT_EQ(silent.connect_times, told.connect_times);
}

// Two peers on public addresses, one of which is not what theory thinks it is.
struct pair_of_peers {
  explicit pair_of_peers(const nat_config& behind, protocol speaks = protocol::v2)
      : run(1, 100ms, speaks),
        first(run.add_peer(run.net().add_host(run.net().open()), "t", "first")),
        inside(run.net().add_network(run.net().open(), behind)),
        second(run.add_peer(run.net().add_host(inside), "t", "second")) {
    run.start(first);
    run.start(second);
  }

  world run;
  peer_host& first;
  network& inside;
  peer_host& second;
};

TEST(properties, a_pair_that_must_connect_and_does_not_is_found) {
  pair_of_peers pair({});
  pair.run.time().run_for(3s);
  pair.run.check_connected(scheduler::start);
  ASSERT_TRUE(pair.run.check().passed());
  pair.inside.line()->set_up(false);  // which theory does not know
  const auto since = pair.run.time().now() + 1s;
  pair.run.time().run_for(3s);
  pair.run.check_connected(since);
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("second: has not heard first")));
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("first: has not heard second")));
}

TEST(properties, a_pair_that_connects_although_it_cannot_is_found) {
  pair_of_peers pair({}, protocol::section_1);
  pair.run.time().run_for(3s);
  // Theory is asked where they are now: behind one NAT without hairpin they could not have heard each other.
  pair.run.move(pair.first.machine(), pair.inside);
  pair.run.check_connected(scheduler::start);
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("second: has heard first, as it cannot")));
}

TEST(properties, a_peer_that_is_not_forgotten_is_found) {
  pair_of_peers pair({});
  pair.run.time().run_for(3s);
  pair.second.vanish();
  pair.run.check_forgotten();
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("first: still knows second, which is gone")));
}

// What a peer's output could say, word for word.
std::string line_of(const std::string& label, const std::string& name, std::uint64_t n) {
  return label + ": " + nth_line(name, n) + '\n';
}

TEST(properties, a_line_that_nobody_has_sent_is_found) {
  pair_of_peers pair({});
  pair.run.time().run_for(3s);
  pair.first.words().hear("second: second 1 not its checksum\n");
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("first: got what nobody has sent")));
}

TEST(properties, a_line_under_another_name_is_found) {
  pair_of_peers pair({.mapping = mapping_behavior::per_session});  // which excuses nothing under the seal
  pair.run.time().run_for(3s);
  pair.first.words().hear(line_of("third", "second", 2));
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("first: took one peer for another: third: second 2")));
}

TEST(properties, a_line_that_comes_twice_or_late_is_found) {
  for (const std::uint64_t number : {5U, 4U}) {
    pair_of_peers pair({});
    pair.run.time().run_for(3s);
    const auto next = pair.first.received_from("second")->last_number;
    ASSERT_GE(next, 5U);
    pair.first.words().hear(line_of("second", "second", number));
    EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("first: heard line " + std::to_string(number))));
  }
}

TEST(properties, a_line_from_before_the_start_is_found) {
  pair_of_peers pair({});
  pair.run.time().run_for(3s);
  pair.first.kill();
  pair.run.time().run_for(1s);
  pair.first.start();
  pair.first.words().hear(line_of("second", "second", pair.second.lines_said() - 3));
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("of second, said before it started")));
}

TEST(properties, a_line_that_is_missing_is_found) {
  pair_of_peers pair({});
  pair.run.time().run_for(3s);
  pair.run.check_gapless(1s);
  ASSERT_TRUE(pair.run.check().passed()) << pair.run.check().failures().front();
  auto& words = pair.second.words();
  words.say();  // which its engine never gets
  pair.run.time().run_for(3s);
  pair.run.check_gapless(1s);
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("first: misses 1 lines of second before line")));
}

TEST(properties, lines_of_a_peer_that_was_started_anew_may_be_missing) {
  pair_of_peers pair({});
  pair.run.time().run_for(3s);
  pair.second.kill();
  pair.second.words().say();
  pair.run.start(pair.second);
  pair.run.time().run_for(90s);
  pair.run.check_connected(pair.second.started_at());
  EXPECT_THAT(pair.run.check().failures(), IsEmpty());
}

// One of ours and a seed peer, both on public addresses.
struct mixed_pair {
  mixed_pair()
      : run(1, 100ms),
        ours(run.add_peer(run.net().add_host(run.net().open()), "t", "ours", {.unanswered_data = 65'536})),
        seed(run.add_seed(run.net().add_host(run.net().open()), "t", "seed")) {
    run.start(ours);
    run.start(seed);
    run.time().run_for(3s);
    run.check_connected(scheduler::start);
    run.check_forgotten();
  }

  world run;
  peer_host& ours;
  seed_peer& seed;
};

TEST(properties, hold_between_one_of_ours_and_a_seed_peer) {
  mixed_pair pair;
  EXPECT_THAT(pair.run.check().failures(), IsEmpty());
  EXPECT_EQ(pair.run.finish(1).pairs[static_cast<std::size_t>(verdict::must)], 2U);
}

TEST(properties, a_seed_peer_that_must_be_heard_and_is_not_is_found) {
  mixed_pair pair;
  pair.seed.machine().line().set_up(false);  // which theory does not know
  const auto since = pair.run.time().now() + 1s;
  pair.run.time().run_for(3s);
  pair.run.check_connected(since);
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("ours: has not heard seed")));
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("seed: has not heard ours")));
}

TEST(properties, a_line_that_comes_twice_to_or_from_a_seed_peer_is_found) {
  mixed_pair pair;
  pair.seed.words().hear(line_of("ours", "ours", pair.seed.words().received_from("ours")->last_number));
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("seed: heard line")));
  pair.ours.words().hear(line_of("seed", "seed", pair.ours.received_from("seed")->last_number));
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("ours: heard line")));
}

TEST(properties, a_seed_peer_that_is_not_forgotten_is_found) {
  mixed_pair pair;
  pair.seed.vanish();
  pair.run.check_forgotten();
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("ours: still knows seed, which is gone")));
}

TEST(properties, a_time_that_stands_still_is_found) {
  scheduler time;
  std::function<void()> again = [&] { time.at(time.now(), again); };
  again();
  EXPECT_THROW(time.run_for(1s), std::runtime_error);
}

TEST(properties, fewer_events_at_one_moment_may_be_too_many) {
  scheduler time;
  time.limit_moments(10);
  for (int i = 0; i < 10; ++i) time.after(1s, [] {});
  EXPECT_NO_THROW(time.run_for(2s));
  for (int i = 0; i < 12; ++i) time.after(1s, [] {});
  EXPECT_THROW(time.run_for(2s), std::runtime_error);
}

TEST(properties, a_queue_above_its_bound_is_found) {
  scheduler time;
  audit check(time);
  const queue_level queues[] = {{"full", 3, 3}, {"too full", 4, 3}};
  check.check_queues("somebody", queues);
  EXPECT_EQ(check.count(), 1U);
  EXPECT_THAT(check.failures(), Contains(HasSubstr("somebody: the queue 'too full' holds 4, its bound is 3")));
}

class contacts : public testing::Test {
 protected:
  contact_book book{{.data = 1000, .pings = 40, .then_one_each = 10s}};
  time_point now{1h};
  endpoint victim = endpoint::parse("198.51.100.1:5").value();
  std::string ping = "PINGPING" + std::string(120, 'x');
  std::string data = "DATADATA" + std::string(120, 'x') + std::string(372, 'y');  // 500 bytes
};

TEST_F(contacts, data_beyond_the_allowance_to_who_never_answered_is_found) {
  EXPECT_THAT(book.on_sent(now, victim, as_bytes(data)), IsEmpty());
  EXPECT_THAT(book.on_sent(now, victim, as_bytes(data)), IsEmpty());
  EXPECT_THAT(book.on_sent(now, victim, as_bytes(data)), HasSubstr("1500 bytes of DATA to 198.51.100.1:5"));
}

TEST_F(contacts, who_answered_may_have_more) {
  book.on_answer(victim);
  for (int i = 0; i < 10; ++i) EXPECT_THAT(book.on_sent(now, victim, as_bytes(data)), IsEmpty());
}

TEST_F(contacts, pings_beyond_the_allowance_are_found) {
  std::string wrong;
  int sent = 0;
  for (; sent < 100 && wrong.empty(); ++sent, now += 100ms) wrong = book.on_sent(now, victim, as_bytes(ping));
  EXPECT_THAT(wrong, HasSubstr("PINGs to 198.51.100.1:5, which never answered"));
  EXPECT_EQ(sent, 42);
}

TEST_F(contacts, pings_that_have_become_rare_are_allowed) {
  for (int i = 0; i < 40; ++i) EXPECT_THAT(book.on_sent(now, victim, as_bytes(ping)), IsEmpty());
  for (int i = 0; i < 1000; ++i, now += 10s) EXPECT_THAT(book.on_sent(now, victim, as_bytes(ping)), IsEmpty());
}

}  // namespace
}  // namespace nat::sim
