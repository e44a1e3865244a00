// natcoord.v2: which addresses of a client the others hear of, and what proves them.
#include "nat/coordinator.hpp"

#include "coordinator_v2_fixture.hpp"

namespace nat {
namespace {

using ::testing::ElementsAre;

class v2_addresses : public coordinator_v2_fixture {
 protected:
  /// Both are there all the time.
  void stay(client_id a, client_id b, duration time) {
    for (duration passed{}; passed < time; passed += 30s) {
      after(30s);
      ping(a);
      ping(b);
    }
  }
};
class v2_unproven : public coordinator_v2_fixture {
 protected:
  void restart_with_policy(unproven_policy policy) {
    views.clear();
    restart_with({.unproven = policy});
  }
};

TEST_F(v2_addresses, are_told_to_the_others_with_the_nats_behaviour) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  after(1s);
  announce(b, {host("10.0.0.1:5"), proven("5.5.5.5:5")}, nat_behavior{nat_mapping::dependent, true});
  EXPECT_THAT(candidates(a, b), ElementsAre("host 10.0.0.1:5", "reflexive 5.5.5.5:5 proven"));
  EXPECT_EQ(views[a].peers[b].nat, (nat_behavior{nat_mapping::dependent, true}));
  EXPECT_EQ(engine->counters().proven, 1U);
}

TEST_F(v2_addresses, are_not_told_again_when_nothing_has_changed) {
  const auto a = join_v2("a");
  join_v2("b");
  after(1s);
  announce(a, {host("10.0.0.1:5"), proven("5.5.5.5:5")});
  after(1s);
  EXPECT_TRUE(announce(a, {host("10.0.0.1:5"), proven("5.5.5.5:5")}).nothing());
  EXPECT_TRUE(after(1s).nothing());
}

TEST_F(v2_addresses, are_proven_by_a_fresh_token_for_exactly_that_address) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  const auto old_token = token_for("5.5.5.5:5");
  const auto told = [&](std::string_view address, std::string token) {
    announce(b, {{at(address), candidate_kind::reflexive, std::move(token)}});
    after(1s);
    return candidates(a, b);
  };
  EXPECT_THAT(told("5.5.5.5:5", "nonsense"), ElementsAre("reflexive 5.5.5.5:5"));
  EXPECT_THAT(told("5.5.5.5:5", std::string(24, '\0')), ElementsAre("reflexive 5.5.5.5:5"));
  EXPECT_THAT(told("5.5.5.5:6", token_for("5.5.5.5:5")), ElementsAre("reflexive 5.5.5.5:6"));
  EXPECT_THAT(told("5.5.5.6:5", token_for("5.5.5.5:5")), ElementsAre("reflexive 5.5.5.6:5"));
  EXPECT_THAT(told("5.5.5.5:5", token_for("5.5.5.5:5")), ElementsAre("reflexive 5.5.5.5:5 proven"));
  told("5.5.5.6:5", "");
  stay(a, b, 2min);
  EXPECT_THAT(told("5.5.5.5:5", old_token), ElementsAre("reflexive 5.5.5.5:5")) << "too old";
}

TEST_F(v2_addresses, stay_proven_while_they_are_announced) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  announce(b, {proven("5.5.5.5:5")});
  stay(a, b, 10min);
  announce(b, {reflexive("5.5.5.5:5"), host("10.0.0.1:1")});
  after(1s);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 5.5.5.5:5 proven", "host 10.0.0.1:1"));
  announce(b, {});
  announce(b, {reflexive("5.5.5.5:5")});
  after(1s);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 5.5.5.5:5"));
}

TEST_F(v2_addresses, are_told_once_each_with_their_proof) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  announce(b, {host("5.5.5.5:5"), proven("5.5.5.5:5"), reflexive("5.5.5.5:5")});
  after(1s);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 5.5.5.5:5 proven"));
  EXPECT_EQ(engine->counters().proven, 1U);
}

TEST_F(v2_addresses, that_change_too_often_are_told_late_and_only_the_newest) {
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  const auto move_to = [&](int port) { announce(b, {reflexive("5.5.5.5:" + std::to_string(port))}); };
  for (int port = 1; port <= 30; ++port) move_to(port);
  after(100ms);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 5.5.5.5:20")) << "20 at once";
  after(500ms);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 5.5.5.5:30"));
  EXPECT_TRUE(after(10s).nothing());
}

TEST_F(v2_addresses, that_wait_are_forgotten_with_their_client) {
  const auto b = join_v2("b");
  for (int port = 1; port <= 30; ++port) announce(b, {reflexive("5.5.5.5:" + std::to_string(port))});
  go(b);
  EXPECT_EQ(engine->next_deadline(), std::nullopt);
  EXPECT_TRUE(after(10s).nothing());
}

// ---- unproven addresses

TEST_F(v2_unproven, are_passed_on_by_policy) {
  struct policy_case {
    unproven_policy policy;
    std::string source;
    v2::offered_candidate offered;
    bool passes;
  };
  using enum unproven_policy;
  const policy_case cases[] = {
      {allow, "192.0.2.1", reflexive("5.5.5.5:5"), true},
      {allow, "192.0.2.1", host("5.5.5.5:5"), true},
      {same_ip, "192.0.2.1", reflexive("5.5.5.5:5"), false},
      {same_ip, "192.0.2.1", reflexive("192.0.2.1:5"), true},
      {same_ip, "192.0.2.1", host("192.0.2.1:5"), true},
      {same_ip, "192.0.2.1", host("5.5.5.5:5"), false},
      {deny, "192.0.2.1", reflexive("192.0.2.1:5"), false},
      {deny, "192.0.2.1", host("192.0.2.1:5"), false},
      {deny, "192.0.2.1", reflexive("10.0.0.1:5"), false},
      // Private addresses of the machine itself.
      {deny, "192.0.2.1", host("10.255.0.1:5"), true},
      {deny, "192.0.2.1", host("172.16.0.1:5"), true},
      {deny, "192.0.2.1", host("172.31.0.1:5"), true},
      {deny, "192.0.2.1", host("172.32.0.1:5"), false},
      {deny, "192.0.2.1", host("192.168.0.1:5"), true},
      {deny, "192.0.2.1", host("192.169.0.1:5"), false},
      {deny, "192.0.2.1", host("100.64.0.1:5"), true},
      {deny, "192.0.2.1", host("100.127.0.1:5"), true},
      {deny, "192.0.2.1", host("100.128.0.1:5"), false},
      {deny, "192.0.2.1", host("169.254.0.1:5"), true},
      {deny, "192.0.2.1", host("[fd00::1]:5"), true},
      {deny, "192.0.2.1", host("[fc00::1]:5"), true},
      {deny, "192.0.2.1", host("[fe80::1]:5"), true},
      {deny, "192.0.2.1", host("[febf::1]:5"), true},
      {deny, "192.0.2.1", host("[fec0::1]:5"), false},
      {deny, "192.0.2.1", host("[2001:db8::1]:5"), false},
      // Loopback addresses.
      {allow, "192.0.2.1", host("127.0.0.1:5"), false},
      {allow, "192.0.2.1", reflexive("[::1]:5"), false},
      {deny, "127.0.0.1", host("127.0.0.1:5"), true},
      {deny, "::1", host("127.0.0.1:5"), true},
      {deny, "127.0.0.1", reflexive("127.0.0.1:5"), false},
      {allow, "127.0.0.1", reflexive("127.0.0.1:5"), true},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.source + " names " + one.offered.address.to_string());
    restart_with_policy(one.policy);
    source = one.source;
    const auto a = join_v2("a");
    const auto b = join_v2("b");
    announce(b, {one.offered});
    after(1s);
    EXPECT_EQ(candidates(a, b).size(), one.passes ? 1U : 0U);
    EXPECT_EQ(engine->counters().unproven_dropped, one.passes ? 0U : 1U);
  }
}

TEST_F(v2_unproven, that_are_denied_pass_with_a_token) {
  restart_with_policy(unproven_policy::deny);
  const auto a = join_v2("a");
  const auto b = join_v2("b");
  announce(b, {proven("5.5.5.5:5")});
  after(1s);
  EXPECT_THAT(candidates(a, b), ElementsAre("reflexive 5.5.5.5:5 proven"));
}

TEST_F(v2_unproven, of_section_1_are_refused_by_policy) {
  EXPECT_EQ(ask("a", "5.5.5.5:5").status, 101U);
  restart_with_policy(unproven_policy::same_ip);
  EXPECT_EQ(ask("a", "192.0.2.1:5").status, 101U);
  const auto refused = ask("b", "5.5.5.5:5");
  EXPECT_EQ(refused.status, 403U);
  EXPECT_EQ(refused.reason, "the address is not yours: you come from 192.0.2.1");
  restart_with_policy(unproven_policy::deny);
  EXPECT_EQ(ask("a", "192.0.2.1:5").status, 403U);
  EXPECT_EQ(engine->counters().refused, 1U);
  EXPECT_EQ(ask_v2("a").status, 101U);
  EXPECT_EQ(engine->topics(), 1U);
}

}  // namespace
}  // namespace nat
