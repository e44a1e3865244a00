// One peer of ours: how two become ready for each other, and what becomes of their packets.
#include "nat/session.hpp"

#include "seal_fixture.hpp"
#include "stun_builder.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

class session_test : public testing::Test {
 protected:
  /// One of the two: its session with the other.
  struct side {
    side(const topic_keys& keys, sender_id self, const char* name, const char* other, const char* other_at,
         random_source& random)
        : id(self),
          own_tag(keys.tag_of(name)),
          ours(random),
          who(other, keys.tag_of(other), time_point{1h}),
          at_other(at(other_at)) {}
    sender_id id;
    name_tag own_tag;
    challenges ours;
    session who;
    endpoint at_other;
    std::uint64_t unaddressed = 0;
  };
  using heard = std::optional<session::ping_result>;

  ping_header ask(side& from, bool wants_answer = true) {
    auto& on = *from.who.paths().learn(now, from.at_other);
    auto ping = from.who.make_ping(now, from.ours, on, wants_answer, from.own_tag);
    if (wants_answer) from.who.paths().on_pinged(now, on);
    ping.sender = from.id;
    ping.number = ping.recipient != 0 ? from.who.next_ping_number() : ++from.unaddressed;
    return ping;
  }
  heard hear(side& to, const ping_header& ping) {
    if (!to.who.take_number(ping)) return std::nullopt;
    auto& by = *to.who.paths().learn(now, to.at_other);
    const auto result = to.who.on_ping(now, to.ours, by, ping, to.id);
    to.who.paths().choose(now);
    return result;
  }
  heard say(side& from, side& to) { return hear(to, ask(from)); }
  void meet() {
    say(a, b);
    say(b, a);
    say(a, b);
    say(b, a);
  }
  data_verdict receive(side& to, const packet_bytes& packet) {
    return to.who.on_data(now, 0, keys, opened_data(keys, packet), packet, payload);
  }
  /// Its payload stands at the offset that it has where all are as long.
  packet_bytes data(std::uint64_t number, std::string_view text) {
    return sealed_data(sealer, number, text, random, (number - 1) * text.size());
  }
  void begin(std::uint64_t number = 1, std::uint64_t offset = 0) {
    a.who.inbox().set_window(stream_inbox::first_window);
    a.who.on_stream(now, {.first = number, .offset = offset}, 0);
  }
  std::string released() {
    std::string all;
    while (const auto next = a.who.inbox().next_bytes(1000)) {
      all += as_text(next->first);
      all += as_text(next->second);
      a.who.inbox().on_written(now, a.who.inbox().take_out(next->size()));
    }
    return all;
  }

  plain_random random;
  topic_keys keys = topic_keys::open("T");
  time_point now{1h};
  side a{keys, 0xa, "a", "b", "198.51.100.2:2", random};
  side b{keys, 0xb, "b", "a", "198.51.100.1:1", random};
  packet_sealer sealer{keys, 0xb, payload_cipher::chacha20_poly1305};
  std::vector<std::uint8_t> payload;
};

TEST_F(session_test, three_pings_make_two_peers_ready_and_the_fourth_says_so_the_other_way) {
  EXPECT_FALSE(say(a, b)->became_fresh);
  EXPECT_FALSE(b.who.is_fresh());
  EXPECT_TRUE(say(b, a)->became_fresh);
  EXPECT_FALSE(a.who.accepts()) << "B does not know yet that A lives";
  const auto third = say(a, b);
  EXPECT_TRUE(third->became_fresh);
  EXPECT_TRUE(third->began_to_accept);
  EXPECT_TRUE(say(b, a)->began_to_accept);
  EXPECT_EQ(a.who.id(), 0xbU);
  EXPECT_EQ(b.who.id(), 0xaU);
  EXPECT_NE(a.who.paths().chosen(), nullptr);
}

TEST_F(session_test, works_where_the_first_pings_of_both_cross) {
  const auto from_a = ask(a);
  const auto from_b = ask(b);
  hear(a, from_b);
  hear(b, from_a);
  say(a, b);
  say(b, a);
  say(a, b);
  EXPECT_TRUE(a.who.accepts());
  EXPECT_TRUE(b.who.accepts());
}

TEST_F(session_test, a_ping_counts_once) {
  const auto first = ask(a);
  EXPECT_TRUE(hear(b, first));
  EXPECT_FALSE(hear(b, first));
  meet();
  const auto settled = ask(a);
  EXPECT_TRUE(hear(b, settled));
  EXPECT_FALSE(hear(b, settled));
  EXPECT_FALSE(hear(b, first));
}

TEST_F(session_test, pings_may_come_out_of_order) {
  meet();
  const auto first = ask(a);
  const auto second = ask(a);
  EXPECT_TRUE(hear(b, second));
  EXPECT_TRUE(hear(b, first));
}

TEST_F(session_test, an_echo_that_is_made_up_proves_nothing) {
  say(a, b);
  auto forged = ask(b);
  forged.echo ^= 1;
  EXPECT_FALSE(hear(a, forged)->became_fresh);
  EXPECT_FALSE(a.who.is_fresh());
  EXPECT_EQ(a.who.paths().chosen(), nullptr);
}

TEST_F(session_test, an_echo_that_is_too_old_proves_nothing) {
  say(a, b);
  const auto late = ask(b);
  now += 2 * challenges::period;
  EXPECT_FALSE(hear(a, late)->became_fresh);
}

TEST_F(session_test, an_echo_proves_the_address_that_was_asked_and_not_where_it_came_from) {
  meet();
  const auto another = at("198.51.100.3:3");
  auto answer = ask(b);
  a.who.take_number(answer);
  auto& by = *a.who.paths().learn(now, another);
  a.who.on_ping(now, a.ours, by, answer, a.id);
  EXPECT_FALSE(a.who.paths().is_valid(now, *a.who.paths().find(another)));
}

TEST_F(session_test, measures_the_round_trip_without_the_time_that_the_other_took) {
  const auto asked = ask(a);
  now += 2ms;
  hear(b, asked);
  now += 30ms;
  const auto answer = ask(b);
  now += 5ms;
  hear(a, answer);
  EXPECT_EQ(a.who.paths().find(a.at_other)->rtt, 7ms);
}

TEST_F(session_test, tells_a_settled_peer_where_it_is_seen) {
  meet();
  say(a, b);
  say(a, b);
  EXPECT_EQ(b.who.seen_as(), a.at_other);
}

TEST_F(session_test, a_program_started_anew_takes_the_place_of_the_one_before) {
  meet();
  side again{keys, 0xbb, "b", "a", "198.51.100.1:1", random};
  say(again, a);
  EXPECT_EQ(a.who.id(), 0xbU) << "it has proved nothing yet";
  say(a, again);
  EXPECT_TRUE(say(again, a)->became_fresh);
  EXPECT_EQ(a.who.id(), 0xbbU);
}

TEST_F(session_test, a_claim_without_proof_does_not_disturb_who_is_there) {
  meet();
  for (sender_id claim = 0x100; claim < 0x200; ++claim) {
    side stranger{keys, claim, "b", "a", "198.51.100.1:1", random};
    say(stranger, a);
  }
  EXPECT_EQ(a.who.id(), 0xbU);
  EXPECT_TRUE(a.who.accepts());
  begin();
  EXPECT_EQ(receive(a, data(1, "x")), data_verdict::taken);
}

TEST_F(session_test, what_a_claim_asks_is_echoed_in_its_answer_alone) {
  meet();
  const auto asked = ask(b);
  hear(a, asked);
  now += 10ms;
  side stranger{keys, 0xbb, "b", "a", "198.51.100.1:1", random};
  const auto claim = ask(stranger);
  EXPECT_TRUE(hear(a, claim)->is_newcomer);
  const auto& on = *a.who.paths().find(a.at_other);
  const auto ping = a.who.make_ping(now, a.ours, on, true, a.own_tag);
  EXPECT_EQ(ping.recipient, 0xbU);
  EXPECT_EQ(ping.echo, asked.challenge);
  EXPECT_EQ(ping.timestamp_echo, asked.timestamp + 10'000);
  const auto answer = a.who.make_ping(now, a.ours, on, false, a.own_tag, true);
  EXPECT_EQ(answer.recipient, 0xbbU);
  EXPECT_EQ(answer.echo, claim.challenge);
  EXPECT_EQ(answer.flags & ping_header::accepts, 0) << "that is the other's";
  for (int i = 0; i < 200; ++i) a.who.take_answer(now, true);
  EXPECT_TRUE(a.who.take_answer(now));
}

TEST_F(session_test, who_was_replaced_does_not_come_back_by_a_recorded_ping) {
  meet();
  const auto recorded = ask(b);  // echoes a challenge that is good for a while
  side again{keys, 0xbb, "b", "a", "198.51.100.1:1", random};
  say(again, a);
  say(a, again);
  say(again, a);
  ASSERT_EQ(a.who.id(), 0xbbU);
  hear(a, recorded);
  EXPECT_EQ(a.who.id(), 0xbbU);
}

TEST_F(session_test, data_of_who_has_proved_nothing_is_unexpected) {
  EXPECT_EQ(receive(a, data(1, "early")), data_verdict::unexpected);
  meet();
  packet_sealer stranger(keys, 0xc, payload_cipher::chacha20_poly1305);
  const auto packet = sealed_data(stranger, 1, "x", random);
  EXPECT_EQ(receive(a, packet), data_verdict::unexpected);
}

TEST_F(session_test, data_comes_out_once) {
  meet();
  begin();
  const auto packet = data(1, "once");
  EXPECT_EQ(receive(a, packet), data_verdict::taken);
  EXPECT_EQ(receive(a, packet), data_verdict::duplicate);
  EXPECT_EQ(released(), "once");
  EXPECT_EQ(receive(a, packet), data_verdict::duplicate);
  EXPECT_EQ(released(), "");
}

TEST_F(session_test, data_out_of_order_comes_out_in_order) {
  meet();
  begin();
  for (const auto number : {1U, 3U, 4U}) {
    EXPECT_EQ(receive(a, data(number, std::to_string(number))), data_verdict::taken);
  }
  EXPECT_EQ(released(), "1");
  EXPECT_EQ(receive(a, data(2, "2")), data_verdict::taken);
  EXPECT_EQ(released(), "234");
}

TEST_F(session_test, what_is_missing_is_waited_for_however_long) {
  meet();
  begin();
  receive(a, data(1, "1"));
  receive(a, data(3, "3"));
  now += 1h;
  EXPECT_EQ(released(), "1");
  EXPECT_EQ(receive(a, data(2, "2")), data_verdict::taken);
  EXPECT_EQ(released(), "23");
}

TEST_F(session_test, takes_no_data_before_it_is_told_where_they_begin) {
  meet();
  EXPECT_EQ(receive(a, data(8, "8")), data_verdict::not_begun);
  begin(7, 6);
  EXPECT_EQ(receive(a, data(8, "8")), data_verdict::taken);
  EXPECT_EQ(released(), "");
  EXPECT_EQ(receive(a, data(6, "6")), data_verdict::duplicate) << "before its beginning";
  EXPECT_EQ(receive(a, data(7, "7")), data_verdict::taken);
  EXPECT_EQ(released(), "78");
}

TEST_F(session_test, what_was_forgotten_is_not_taken_again) {
  meet();
  a.who.forget_data_below(3);
  begin();
  EXPECT_EQ(receive(a, data(1, "1")), data_verdict::duplicate);
  EXPECT_EQ(receive(a, data(4, "4")), data_verdict::no_room) << "where the third begins is not known yet";
  EXPECT_EQ(receive(a, data(3, "3")), data_verdict::taken);
  EXPECT_EQ(receive(a, data(4, "4")), data_verdict::taken);
  EXPECT_EQ(released(), "34");
}

TEST_F(session_test, a_forged_payload_is_dropped_and_the_true_one_still_taken) {
  meet();
  begin();
  const auto packet = data(1, "true");
  auto forged = packet;
  forged.back() ^= 1;
  EXPECT_EQ(receive(a, forged), data_verdict::forged);
  EXPECT_EQ(receive(a, packet), data_verdict::taken);
}

}  // namespace
}  // namespace nat
