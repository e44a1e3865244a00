#include "nat/peer_table.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr time_point start{1h};

endpoint at(std::uint16_t port) { return {ip_address::parse("192.0.2.1").value(), port}; }

roster_entry entry(std::string name, std::uint16_t port) { return {std::move(name), at(port), 0}; }

roster list(std::vector<roster_entry> peers) { return {std::move(peers), 0}; }

class peer_table_test : public testing::Test {
 protected:
  peer_table::changes update(roster now_listed, bool keep_missing = false) {
    return table.update(
        now, now_listed, [](const roster_entry& who) { return who.name == "me"; }, keep_missing);
  }
  bool hear(std::uint16_t port) {
    bool first = false;
    table.on_heard(now, at(port), first);
    return first;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& peer : table.peers()) out.push_back(peer.name);
    return out;
  }

  peer_table table;
  time_point now = start;
};

TEST_F(peer_table_test, takes_over_a_list_without_those_excluded) {
  const auto changes = update(list({entry("a", 1), entry("me", 2), entry("b", 3)}));
  EXPECT_THAT(names(), ElementsAre("a", "b"));
  EXPECT_THAT(changes.appeared, ElementsAre(0U, 1U));
  EXPECT_TRUE(changes.left.empty());
}

TEST_F(peer_table_test, tells_only_what_changed) {
  update(list({entry("a", 1), entry("b", 2)}));
  const auto changes = update(list({entry("b", 2), entry("c", 3)}));
  EXPECT_THAT(names(), ElementsAre("b", "c"));
  EXPECT_THAT(changes.appeared, ElementsAre(1U));
  ASSERT_EQ(changes.left.size(), 1U);
  EXPECT_EQ(changes.left[0].name, "a");
}

TEST_F(peer_table_test, remembers_who_was_heard_over_a_new_list) {
  update(list({entry("a", 1)}));
  EXPECT_TRUE(hear(1));
  EXPECT_FALSE(hear(1));
  update(list({entry("b", 2), entry("a", 1)}));
  EXPECT_TRUE(table.peers()[1].heard);
  EXPECT_FALSE(table.peers()[0].heard);
}

TEST_F(peer_table_test, a_peer_at_a_new_address_is_another_one) {
  update(list({entry("a", 1)}));
  hear(1);
  const auto changes = update(list({entry("a", 2)}));
  EXPECT_EQ(changes.left.size(), 1U);
  EXPECT_EQ(changes.appeared.size(), 1U);
  EXPECT_FALSE(table.peers()[0].heard);
}

TEST_F(peer_table_test, knows_a_peer_by_exactly_its_address) {
  update(list({entry("a", 1)}));
  bool first = false;
  EXPECT_EQ(table.on_heard(now, at(2), first), nullptr);
  ASSERT_NE(table.on_heard(now, at(1), first), nullptr);
  EXPECT_TRUE(first);
}

TEST_F(peer_table_test, a_packet_before_the_list_counts_for_a_while) {
  hear(1);
  hear(2);
  now += peer_table::remember_stranger - 1ns;
  update(list({entry("a", 1)}));
  EXPECT_TRUE(table.peers()[0].heard);
  now += 1ns;
  update(list({entry("a", 1), entry("b", 2)}));
  EXPECT_FALSE(table.peers()[1].heard);
}

TEST_F(peer_table_test, remembers_few_strangers) {
  hear(1);
  for (std::uint16_t port = 1000; port < 1000 + peer_table::max_strangers; ++port) hear(port);
  update(list({entry("a", 1), entry("b", 1000)}));
  EXPECT_FALSE(table.peers()[0].heard);
  EXPECT_TRUE(table.peers()[1].heard);
}

TEST_F(peer_table_test, after_a_reconnect_keeps_who_is_still_heard) {
  update(list({entry("a", 1), entry("b", 2)}));
  hear(1);
  now += 2s;
  hear(2);
  now += 2s;
  const auto changes = update(list({entry("c", 3)}), true);
  EXPECT_THAT(names(), ElementsAre("c", "b")) << "a was silent for too long";
  EXPECT_EQ(changes.left.size(), 1U);
  EXPECT_EQ(table.next_deadline(), now + 1s);
  now += 1s;
  const auto left = table.expire(now);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].name, "b");
  EXPECT_EQ(table.next_deadline(), std::nullopt);
}

TEST_F(peer_table_test, does_not_keep_an_unlisted_peer_for_ever) {
  update(list({entry("a", 1)}));
  hear(1);
  update(list({}), true);
  for (const auto end = start + peer_table::keep_unlisted; now < end; now += 1s) {
    hear(1);
    EXPECT_TRUE(table.expire(now).empty());
    update(list({}));  // later lists without it change nothing
    EXPECT_EQ(table.size(), 1U);
  }
  hear(1);
  EXPECT_EQ(table.expire(now).size(), 1U);
}

TEST_F(peer_table_test, a_kept_peer_that_is_listed_again_was_never_away) {
  update(list({entry("a", 1)}));
  hear(1);
  update(list({}), true);
  const auto changes = update(list({entry("a", 1)}));
  EXPECT_TRUE(changes.appeared.empty());
  EXPECT_TRUE(changes.left.empty());
  EXPECT_EQ(table.next_deadline(), std::nullopt);
  EXPECT_TRUE(table.peers()[0].heard);
}

TEST_F(peer_table_test, a_kept_peer_makes_way_for_its_successor) {
  update(list({entry("a", 1), entry("b", 2)}));
  hear(1);
  hear(2);
  const auto changes = update(list({entry("a", 7), entry("other", 2)}), true);
  EXPECT_THAT(names(), ElementsAre("a", "other"));
  EXPECT_EQ(changes.left.size(), 2U);
}

TEST_F(peer_table_test, never_heard_never_kept) {
  update(list({entry("a", 1)}));
  EXPECT_EQ(update(list({}), true).left.size(), 1U);
}

TEST_F(peer_table_test, who_is_unreachable_stays_so_until_it_is_heard) {
  update(list({entry("a", 1)}));
  EXPECT_FALSE(table.on_unreachable(at(9)));
  hear(1);
  EXPECT_TRUE(table.peers()[0].has_consent(now));
  EXPECT_TRUE(table.on_unreachable(table.peers()[0].address));
  EXPECT_FALSE(table.peers()[0].has_consent(now));
  hear(1);
  EXPECT_TRUE(table.peers()[0].has_consent(now));
}

}  // namespace
}  // namespace nat
