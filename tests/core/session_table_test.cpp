#include "nat/session_table.hpp"

#include "session_fixture.hpp"
#include "stun_builder.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};

class session_table_test : public testing::Test {
 protected:
  session& add(const std::string& name) { return table.add(start, name, keys.tag_of(name)); }
  void prove(session& who, sender_id id) {
    auto& by = *who.paths().learn(start, at("198.51.100.1:5000"));
    const auto ping = proof(start, ours, who, by, 1, id);
    ASSERT_TRUE(who.take_number(ping));
    ASSERT_TRUE(who.on_ping(start, ours, by, ping, own_id).became_fresh);
    table.on_fresh(who);
  }

  plain_random random;
  topic_keys keys = topic_keys::open("T");
  challenges ours{random};
  session_table table;
};

TEST_F(session_table_test, finds_a_peer_by_name_and_by_the_hash_of_it) {
  auto& bob = add("bob");
  EXPECT_EQ(table.by_name("bob"), &bob);
  EXPECT_EQ(table.by_tag(keys.tag_of("bob")), &bob);
  EXPECT_EQ(table.by_name("carol"), nullptr);
}

TEST_F(session_table_test, a_name_has_one_session) {
  EXPECT_EQ(&add("bob"), &add("bob"));
  EXPECT_EQ(table.size(), 1U);
}

TEST_F(session_table_test, finds_a_peer_by_the_id_that_it_has_proved) {
  auto& bob = add("bob");
  EXPECT_EQ(table.by_sender(0), nullptr);
  prove(bob, 7);
  EXPECT_EQ(table.by_sender(7), &bob);
}

TEST_F(session_table_test, forgets_an_id_that_was_replaced) {
  auto& bob = add("bob");
  prove(bob, 7);
  prove(bob, 8);
  EXPECT_EQ(table.by_sender(7), nullptr);
  EXPECT_EQ(table.by_sender(8), &bob);
}

TEST_F(session_table_test, who_is_removed_is_found_by_nothing) {
  prove(add("bob"), 7);
  table.remove(start, "bob");
  table.remove(start, "bob");
  EXPECT_EQ(table.by_name("bob"), nullptr);
  EXPECT_EQ(table.by_tag(keys.tag_of("bob")), nullptr);
  EXPECT_EQ(table.by_sender(7), nullptr);
  EXPECT_TRUE(table.empty());
}

TEST_F(session_table_test, an_id_that_two_names_have_proved_outlives_neither) {
  auto& bob = add("bob");
  auto& mallory = add("mallory");
  prove(bob, 7);
  prove(mallory, 7);  // a member may seal whatever it likes
  table.remove(start, "mallory");
  EXPECT_NE(table.by_sender(7), &mallory);
  table.remove(start, "bob");
  EXPECT_EQ(table.by_sender(7), nullptr);
}

TEST_F(session_table_test, visits_them_in_the_order_of_their_names) {
  for (const auto* name : {"carol", "ann", "bob"}) add(name);
  std::vector<std::string> names;
  table.for_each([&](const session& who) { names.push_back(who.name()); });
  EXPECT_THAT(names, testing::ElementsAre("ann", "bob", "carol"));
}

}  // namespace
}  // namespace nat
