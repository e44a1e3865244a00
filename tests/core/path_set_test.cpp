// Schedules and choice of the paths to one peer.
#include "nat/path_set.hpp"

#include "plain_random.hpp"
#include "stun_builder.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

const endpoint lan = at("192.168.1.2:1");
const endpoint outside = at("198.51.100.1:5000");
const endpoint other = at("198.51.100.2:6000");

class path_set_test : public testing::Test {
 protected:
  static constexpr time_point start{1h};

  struct asked {
    duration after;  ///< since `start`
    bool relay = false;
    endpoint at;
  };

  void offer(const std::vector<path_offer>& all) { paths.offer(now, all); }
  void echo(const endpoint& from, duration round_trip = 10ms) {
    paths.on_echo(now, *paths.find(from), round_trip);
    paths.choose(now);
  }
  void relay_echo() {
    paths.on_echo(now, paths.relay(), 40ms);
    paths.choose(now);
  }
  /// What is asked in the time to come. Who is in `answering` echoes at once.
  std::vector<asked> pings(duration time, const std::vector<endpoint>& answering = {}, bool relay_answers = false) {
    std::vector<asked> out;
    const auto end = now + time;
    for (;;) {
      const auto next = paths.next_deadline();
      if (!next || std::max(now, *next) >= end) break;
      now = std::max(now, *next);
      paths.choose(now);
      std::vector<endpoint> echoes;
      bool relay_asked = false;
      while (auto* on = paths.next_due(now)) {
        out.push_back({now - start, on->is_relay(), on->at});
        if (on->is_relay())
          relay_asked = true;
        else if (std::ranges::find(answering, on->at) != answering.end())
          echoes.push_back(on->at);
      }
      for (const auto& from : echoes) echo(from);
      if (relay_asked && relay_answers) relay_echo();
      const auto after = paths.next_deadline();
      EXPECT_TRUE(!after || *after > now) << "a deadline in the past would spin";
      if (after && *after <= now) break;
    }
    now = end;
    return out;
  }
  static std::vector<duration> gaps(const std::vector<asked>& all) {
    std::vector<duration> out;
    for (std::size_t i = 1; i < all.size(); ++i) out.push_back(all[i].after - all[i - 1].after);
    return out;
  }
  endpoint in_use() const { return paths.chosen() == nullptr ? endpoint{} : paths.chosen()->at; }

  path_set paths;
  time_point now = start;
};

TEST_F(path_set_test, choices_of_one_moment_are_told_apart) {
  offer({{outside, path_kind::public_address}, {lan, path_kind::lan}});
  EXPECT_EQ(paths.choice().number, 0U);
  echo(outside, 1ms);
  const auto first = paths.choice();
  EXPECT_EQ(first.number, 1U);
  echo(lan, 1ms);
  EXPECT_EQ(paths.chosen()->at, lan);
  EXPECT_EQ(paths.choice().since, first.since);
  EXPECT_EQ(paths.choice().number, 2U);
  offer({{outside, path_kind::public_address}, {lan, path_kind::ipv6}});
  paths.choose(now);
  EXPECT_EQ(paths.choice().number, 3U) << "it is another kind than was told";
}

TEST_F(path_set_test, asks_densely_then_eagerly_then_rarely_for_ever) {
  offer({{outside, path_kind::public_address}});
  EXPECT_EQ(pings(1s).size(), 10U);
  EXPECT_EQ(pings(3s).size(), 10U);
  const auto rare = gaps(pings(1h));
  EXPECT_TRUE(std::ranges::is_sorted(rare));
  EXPECT_EQ(rare.front(), 1s);
  EXPECT_EQ(rare.back(), path_set::longest_interval);
}

TEST_F(path_set_test, asks_the_relay_less_densely) {
  paths.set_relay(now, true);
  const auto between = gaps(pings(1h));
  EXPECT_TRUE(std::ranges::is_sorted(between));
  EXPECT_EQ(between.front(), 250ms);
  EXPECT_EQ(between.back(), path_set::longest_interval);
}

TEST_F(path_set_test, what_is_woken_is_asked_densely_again) {
  offer({{outside, path_kind::public_address}});
  pings(10min);
  paths.wake(now);
  EXPECT_EQ(pings(1s).size(), 10U);
}

TEST_F(path_set_test, a_peer_that_is_heard_late_is_asked_densely_again) {
  offer({{outside, path_kind::public_address}});
  pings(10min);
  paths.on_heard(now, *paths.find(outside));
  EXPECT_EQ(pings(1s).size(), 10U);
}

TEST_F(path_set_test, while_held_asks_the_lan_and_the_relay_alone) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}, {lan, path_kind::lan}});
  paths.hold(now + 1500ms);
  for (const auto& each : pings(1500ms)) EXPECT_NE(each.at, outside);
  const auto first = pings(1ms);
  EXPECT_TRUE(std::ranges::any_of(first, [](const auto& each) { return each.at == outside; }));
}

TEST_F(path_set_test, a_release_lets_it_ask_at_once) {
  offer({{outside, path_kind::public_address}});
  paths.hold(now + 1500ms);
  EXPECT_TRUE(pings(300ms).empty());
  paths.release(now);
  ASSERT_NE(paths.next_due(now), nullptr);
}

TEST_F(path_set_test, who_was_heard_is_not_held_back) {
  offer({{outside, path_kind::public_address}});
  paths.hold(now + 1500ms);
  paths.on_heard(now, *paths.find(outside));
  EXPECT_FALSE(pings(200ms).empty());
}

TEST_F(path_set_test, prefers_the_lan_where_the_public_address_is_hardly_faster) {
  offer({{outside, path_kind::public_address}, {lan, path_kind::lan}});
  echo(outside, 8ms);
  EXPECT_EQ(in_use(), outside);
  echo(lan, 10ms);
  EXPECT_EQ(in_use(), lan);
}

TEST_F(path_set_test, prefers_what_is_much_faster) {
  offer({{outside, path_kind::public_address}, {lan, path_kind::lan}});
  echo(lan, 30ms);
  echo(outside, 10ms);
  EXPECT_EQ(in_use(), outside);
}

TEST_F(path_set_test, stays_where_another_is_only_a_little_faster) {
  offer({{outside, path_kind::public_address}, {other, path_kind::public_address}});
  echo(outside, 10ms);
  echo(other, 8ms);
  EXPECT_EQ(in_use(), outside) << "within the hysteresis";
}

TEST_F(path_set_test, moves_where_another_is_faster_by_more_than_the_hysteresis) {
  offer({{outside, path_kind::public_address}, {other, path_kind::public_address}});
  echo(outside, 10ms);
  echo(other, 6ms);
  EXPECT_EQ(in_use(), other);
}

TEST_F(path_set_test, one_that_may_not_replace_the_path_in_use_does_not_stand_before_one_that_may) {
  offer({{lan, path_kind::lan}, {outside, path_kind::public_address}, {other, path_kind::public_address}});
  echo(outside, 160ms);  // counts as 165
  echo(lan, 170ms);
  echo(other, 150ms);  // 155: the best, by less than an eighth
  EXPECT_EQ(in_use(), outside);
  for (int i = 0; i < 40; ++i) echo(lan, 160ms);  // 160: by 2 ms, and preferred
  EXPECT_EQ(in_use(), lan);
}

TEST_F(path_set_test, a_slow_path_is_left_only_for_one_that_is_faster_by_an_eighth) {
  offer({{outside, path_kind::public_address}, {other, path_kind::public_address}});
  echo(outside, 160ms);
  echo(other, 140ms);
  EXPECT_EQ(in_use(), outside);
  for (int i = 0; i < 20; ++i) echo(other, 130ms);
  EXPECT_EQ(in_use(), other);
}

TEST_F(path_set_test, smooths_round_trip_times) {
  offer({{outside, path_kind::public_address}});
  echo(outside, 8ms);
  EXPECT_EQ(paths.find(outside)->rtt, 8ms);
  echo(outside, 16ms);
  EXPECT_EQ(paths.find(outside)->rtt, 9ms);
}

TEST_F(path_set_test, leads_nowhere_before_something_is_proven) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  paths.on_heard(now, *paths.find(outside));
  paths.choose(now);
  EXPECT_EQ(paths.route(now).direct, nullptr);
  EXPECT_FALSE(paths.route(now).relay);
  EXPECT_EQ(paths.chosen(), nullptr);
}

TEST_F(path_set_test, takes_the_relay_until_a_direct_path_is_proven) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  relay_echo();
  EXPECT_EQ(paths.route(now).direct, nullptr);
  EXPECT_TRUE(paths.route(now).relay);
  echo(outside);
  ASSERT_NE(paths.route(now).direct, nullptr);
  EXPECT_EQ(paths.route(now).direct->at, outside);
  EXPECT_FALSE(paths.route(now).relay);
}

TEST_F(path_set_test, takes_both_while_a_question_stays_unanswered) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  relay_echo();
  echo(outside, 10ms);
  paths.on_pinged(now, *paths.find(outside));
  EXPECT_FALSE(paths.route(now + path_set::doubt_after + 30ms).relay);
  const auto doubtful = paths.route(now + path_set::doubt_after + 30ms + 1ns);
  EXPECT_TRUE(doubtful.relay);
  EXPECT_NE(doubtful.direct, nullptr);
}

TEST_F(path_set_test, takes_both_where_the_direct_path_was_not_asked_for_long) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  relay_echo();
  echo(outside, 10ms);
  const auto later = now + path_set::fresh_for + 20ms;
  EXPECT_FALSE(paths.route(later).relay);
  EXPECT_TRUE(paths.route(later + 1ns).relay);
}

TEST_F(path_set_test, without_a_relay_a_doubtful_path_is_better_than_none) {
  offer({{outside, path_kind::public_address}});
  echo(outside);
  paths.on_pinged(now, *paths.find(outside));
  now += 2s;
  paths.choose(now);
  ASSERT_NE(paths.route(now).direct, nullptr);
  EXPECT_FALSE(paths.route(now).relay);
}

TEST_F(path_set_test, moves_to_another_direct_path_as_soon_as_one_is_in_doubt) {
  offer({{outside, path_kind::public_address}, {other, path_kind::public_address}});
  echo(outside, 10ms);
  echo(other, 11ms);
  ASSERT_EQ(in_use(), outside);
  paths.on_pinged(now, *paths.find(outside));
  now += path_set::doubt_after + 31ms;
  paths.choose(now);
  EXPECT_EQ(in_use(), other);
}

TEST_F(path_set_test, gives_a_silent_path_up_after_three_seconds_and_asks_it_anew) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  relay_echo();
  echo(outside);
  paths.on_data(now);
  pings(path_set::active_interval + path_set::lost_after, {}, true);  // asked after the one, lost after the other
  pings(1ns, {}, true);
  ASSERT_NE(paths.chosen(), nullptr);
  EXPECT_TRUE(paths.chosen()->is_relay());
  const auto anew = pings(1s, {}, true);
  EXPECT_GE(std::ranges::count(anew, outside, &asked::at), 9);
}

TEST_F(path_set_test, an_address_that_was_not_asked_for_thirty_seconds_has_to_prove_itself_again) {
  offer({{outside, path_kind::public_address}});
  echo(outside);
  EXPECT_TRUE(paths.is_valid(now + path_set::consent - 1ns, *paths.find(outside)));
  EXPECT_FALSE(paths.is_valid(now + path_set::consent, *paths.find(outside)));
}

TEST_F(path_set_test, asks_ever_more_rarely_while_idle_and_still_before_nats_forget) {
  offer({{outside, path_kind::public_address}});
  echo(outside);
  const auto between = gaps(pings(1h, {outside}));
  ASSERT_GT(between.size(), 10U);
  EXPECT_TRUE(std::ranges::is_sorted(between));
  EXPECT_LT(between.front(), 10s);
  EXPECT_EQ(between.back(), path_set::longest_keepalive);
  EXPECT_EQ(in_use(), outside);
}

TEST_F(path_set_test, asks_half_as_rarely_where_idleness_has_cost_the_path) {
  offer({{outside, path_kind::public_address}});
  echo(outside);
  pings(1h, {outside});
  pings(1min);  // its NAT has forgotten
  ASSERT_EQ(paths.chosen(), nullptr);
  echo(outside);
  EXPECT_LE(gaps(pings(1h, {outside})).back(), path_set::longest_keepalive / 2);
}

TEST_F(path_set_test, asks_twice_a_second_while_data_flows) {
  offer({{outside, path_kind::public_address}});
  echo(outside);
  std::size_t count = 0;
  for (int i = 0; i < 100; ++i) {
    paths.on_data(now);
    count += pings(100ms, {outside}).size();
  }
  EXPECT_NEAR(static_cast<double>(count), 20, 2);
}

TEST_F(path_set_test, a_relay_that_is_not_in_use_is_not_kept_alive) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  relay_echo();
  echo(outside);
  pings(1min, {outside}, true);
  const auto later = pings(1h, {outside}, true);
  EXPECT_EQ(std::ranges::count(later, true, &asked::relay), 0);
}

TEST_F(path_set_test, the_relay_is_asked_as_soon_as_the_direct_path_is_lost) {
  paths.set_relay(now, true);
  offer({{outside, path_kind::public_address}});
  relay_echo();
  echo(outside);
  pings(1h, {outside}, true);
  const auto after = pings(1min, {}, true);
  EXPECT_GT(std::ranges::count(after, true, &asked::relay), 0);
}

TEST_F(path_set_test, a_relay_that_is_gone_carries_nothing) {
  paths.set_relay(now, true);
  relay_echo();
  paths.set_relay(now, false);
  EXPECT_FALSE(paths.route(now).relay);
  EXPECT_EQ(paths.chosen(), nullptr);
  EXPECT_TRUE(pings(1h).empty());
}

TEST_F(path_set_test, a_path_that_is_no_longer_offered_stays_while_it_works) {
  offer({{outside, path_kind::public_address}, {lan, path_kind::lan}});
  echo(outside);
  offer({{other, path_kind::public_address}});
  EXPECT_NE(paths.find(outside), nullptr);
  EXPECT_EQ(paths.find(lan), nullptr);
  EXPECT_EQ(in_use(), outside);
}

TEST_F(path_set_test, takes_no_more_offers_than_a_peer_may_have) {
  std::vector<path_offer> many;
  for (std::uint16_t port = 1; port <= 100; ++port) many.push_back({{outside.ip, port}, path_kind::public_address});
  offer(many);
  EXPECT_EQ(paths.all().size(), 1 + path_set::max_offered);
}

TEST_F(path_set_test, of_learned_paths_the_one_heard_longest_ago_makes_room) {
  offer({{outside, path_kind::public_address}});
  for (std::uint16_t port = 1; port <= 100; ++port) {
    now += 1s;
    auto* learned = paths.learn(now, {other.ip, port});
    ASSERT_NE(learned, nullptr);
    paths.on_heard(now, *learned);
  }
  EXPECT_EQ(paths.all().size(), 2 + path_set::max_learned);
  EXPECT_NE(paths.find(outside), nullptr);
  EXPECT_EQ(paths.find({other.ip, 92}), nullptr);
  EXPECT_NE(paths.find({other.ip, 93}), nullptr);
}

TEST_F(path_set_test, learns_few_addresses_at_once_and_one_a_second_after_that) {
  std::size_t learned = 0;
  for (std::uint16_t port = 1; port <= 1000; ++port, now += 10ms) {
    learned += paths.learn(now, {other.ip, port}) != nullptr ? 1U : 0U;
  }
  EXPECT_EQ(learned, path_set::max_learned + 9) << "whoever comes from ever new ports cannot have all of them answered";
}

TEST_F(path_set_test, learned_paths_that_work_make_no_room) {
  for (std::uint16_t port = 1; port <= path_set::max_learned; ++port) {
    paths.learn(now, {other.ip, port});
    echo({other.ip, port});
  }
  EXPECT_EQ(paths.learn(now, outside), nullptr);
}

TEST_F(path_set_test, a_learned_path_that_answers_nothing_is_forgotten) {
  paths.learn(now, outside);
  pings(1min);
  EXPECT_EQ(paths.find(outside), nullptr);
  EXPECT_EQ(paths.next_deadline(), std::nullopt);
}

TEST_F(path_set_test, whatever_happens_its_deadlines_move_on_and_it_stays_small) {
  plain_random random(7);
  const auto draw = [&](std::uint64_t below) { return random.next_u64() % below; };
  const auto any = [&] { return endpoint{outside.ip, static_cast<std::uint16_t>(1 + draw(40))}; };
  for (int i = 0; i < 20'000; ++i) {
    switch (draw(9)) {
      case 0: offer({{any(), path_kind::public_address}, {any(), path_kind::lan}, {any(), path_kind::ipv6}}); break;
      case 1:
        if (auto* by = paths.learn(now, any())) paths.on_heard(now, *by);
        break;
      case 2:
        if (auto* by = paths.find(any())) paths.on_echo(now, *by, std::chrono::milliseconds(draw(300)));
        break;
      case 3: paths.on_echo(now, paths.relay(), 40ms); break;
      case 4: paths.on_data(now); break;
      case 5: paths.hold(now + std::chrono::milliseconds(draw(1500))); break;
      case 6: paths.release(now); break;
      case 7: paths.wake(now); break;
      default: paths.set_relay(now, draw(2) == 0);
    }
    paths.choose(now);
    while (paths.next_due(now) != nullptr) {
    }
    const auto next = paths.next_deadline();
    ASSERT_TRUE(!next || *next > now) << "step " << i;
    ASSERT_LE(paths.all().size(), 64U);
    now = draw(2) == 0 && next ? *next : now + std::chrono::milliseconds(draw(2000));
  }
}

}  // namespace
}  // namespace nat
