// What natpeer counts of the streams for who watches them.
#include "nat/progress_report.hpp"

#include "peer_stream_fixture.hpp"

namespace nat {
namespace {

class peer_progress_test : public peer_stream_test {
 protected:
  progress_report progress(const std::string& whose) { return of(whose).engine->progress(now); }
  peer_progress progress(const std::string& whose, const std::string& of_whom) {
    for (auto& each : progress(whose).peers) {
      if (each.name == of_whom) return each;
    }
    ADD_FAILURE() << of_whom << " is not told of";
    return {};
  }
};

TEST_F(peer_progress_test, each_byte_is_counted_once_at_both_ends) {
  three_peers();
  EXPECT_EQ(progress("ann").sent, 0U);
  EXPECT_EQ(progress("ann", "ben").has, 0U);
  passes = losing(5);
  const auto typed = pour("ann", 100'000);
  pass(30s);
  EXPECT_EQ(progress("ann").sent, typed.size());
  EXPECT_EQ(progress("ann").received, 0U);
  EXPECT_EQ(progress("ann", "ben").has, typed.size());
  EXPECT_EQ(progress("ann", "ben").by, reach::direct);
  EXPECT_EQ(progress("ben").received, typed.size()) << "however often it was sent again";
  EXPECT_EQ(progress("ben", "ann").received, typed.size());
  EXPECT_EQ(progress("ben", "cat").received, 0U);
  EXPECT_EQ(progress("ben").at, now);
}

TEST_F(peer_progress_test, who_does_not_write_what_it_gets_is_behind) {
  unread.insert("cat");
  passes = no_datagrams();
  three_peers();
  const auto typed = pour("ann", 50'000);
  pass(10s);
  EXPECT_EQ(progress("ann", "ben").has, typed.size());
  EXPECT_EQ(progress("ann", "ben").by, reach::relay);
  EXPECT_EQ(progress("ann", "cat").has, 0U);
  EXPECT_FALSE(progress("ann", "cat").has_gap);
}

TEST_F(peer_progress_test, who_comes_late_is_where_its_part_begins) {
  three_peers();
  const auto typed = pour("ann", 50'000);
  pass(1s);
  add("dan", "203.0.113.4:4444");
  pass(1s);
  EXPECT_EQ(progress("ann", "dan").has, typed.size());
  EXPECT_EQ(progress("dan", "ann").received, 0U);
}

TEST_F(peer_progress_test, who_left_is_told_of_for_a_while) {
  three_peers();
  const auto typed = pour("ann", 50'000);
  pass(1s);
  vanish("ben");
  pass(1s);
  EXPECT_EQ(progress("ann", "ben").by, reach::left);
  EXPECT_EQ(progress("ann", "ben").has, typed.size());
  pass(sender::keeps_for_return);
  EXPECT_EQ(progress("ann").peers.size(), 1U);
}

TEST_F(peer_progress_test, who_was_left_behind_has_a_gap) {
  peer_config sender;
  sender.memory = 4U << 20;
  sender.slow_peer = 5s;
  unread.insert("cat");
  three_peers(sender);
  pour("ann", 3'000'000);
  pass(10s);
  EXPECT_TRUE(progress("ann", "cat").has_gap);
  EXPECT_FALSE(progress("ann", "ben").has_gap);
}

TEST_F(peer_progress_test, of_a_seed_peer_it_is_told_what_was_sent_to_it) {
  add("ann", "203.0.113.1:1111");
  add_seed("old", "203.0.113.9:9999");
  pass(100ms);
  EXPECT_EQ(progress("ann", "old").by, reach::none);
  EXPECT_FALSE(progress("ann", "old").has);
  const auto noise = std::string(120, 'x');
  of("ann").engine->on_datagram(now, wall, at("203.0.113.9:9999"), as_bytes("DATADATA" + noise + "hello"));
  EXPECT_EQ(progress("ann", "old").by, reach::seed);
  EXPECT_EQ(progress("ann", "old").received, 5U);
  EXPECT_EQ(progress("ann").received, 5U);
  type("ann", "line\n");
  pass(1s);
  EXPECT_EQ(progress("ann").sent, 5U);
  EXPECT_EQ(progress("ann", "old").has, 5U);
}

}  // namespace
}  // namespace nat
