#include "reachability.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat::sim {
namespace {

using namespace std::chrono_literals;
using enum mapping_behavior;

constexpr auto filter_ei = filtering_behavior::endpoint_independent;
constexpr auto filter_ad = filtering_behavior::address_dependent;
constexpr auto filter_apd = filtering_behavior::address_and_port_dependent;

/// A host's own NAT first.
using boxes = std::vector<nat_config>;

verdict between(const boxes& from, const boxes& to, bool shared_outermost = false) {
  std::vector<const nat_config*> out;
  std::vector<const nat_config*> in;
  for (const auto& box : from) out.push_back(&box);
  for (const auto& box : to) in.push_back(&box);
  return delivers({out}, {in}, shared_outermost);
}

const boxes open;
const nat_config full{.mapping = endpoint_independent, .filtering = filter_ei};
const nat_config addr{.mapping = endpoint_independent, .filtering = filter_ad};
const nat_config port{.mapping = endpoint_independent, .filtering = filter_apd};
const nat_config symmetric{.mapping = address_and_port_dependent, .filtering = filter_apd};

struct kind {
  std::string name;
  boxes way;
};

/// The lab's, all of which can be punched through.
const std::vector<kind> punchable{{"open", open},   {"fw", {{.mapping = none, .filtering = filter_apd}}},
                                  {"full", {full}}, {"addr", {addr}},
                                  {"port", {port}}, {"cgnat", {port, port}}};

TEST(reachability, all_pairs_of_endpoint_independent_mappings_must_connect_both_ways) {
  int pairs = 0;
  for (std::size_t i = 0; i < punchable.size(); ++i) {
    for (std::size_t j = i; j < punchable.size(); ++j, ++pairs) {
      const auto& [first, first_way] = punchable[i];
      const auto& [second, second_way] = punchable[j];
      EXPECT_EQ(between(first_way, second_way), verdict::must) << first << " to " << second;
      EXPECT_EQ(between(second_way, first_way), verdict::must) << second << " to " << first;
    }
  }
  EXPECT_EQ(pairs, 21);
}

TEST(reachability, who_is_behind_a_mapping_by_destination_is_never_heard) {
  nat_config by_address = symmetric;
  by_address.mapping = address_dependent;
  for (const auto& [name, way] : punchable) {
    EXPECT_EQ(between({symmetric}, way), verdict::cannot) << name;
    EXPECT_EQ(between({by_address}, way), verdict::cannot) << name;
    EXPECT_EQ(between({symmetric, port}, way), verdict::cannot) << name;
    EXPECT_EQ(between({port, symmetric}, way), verdict::cannot) << name;
  }
}

TEST(reachability, a_mapping_by_destination_hears_others_only_where_its_filter_lets_in_all) {
  const nat_config lets_in_all{.mapping = address_and_port_dependent, .filtering = filter_ei};
  for (const auto& [name, way] : punchable) {
    EXPECT_EQ(between(way, {symmetric}), verdict::cannot) << name;
    EXPECT_EQ(between(way, {lets_in_all}), verdict::must) << name;
  }
}

TEST(reachability, an_inner_mapping_by_destination_is_reached_only_if_the_outer_filter_lets_in_all) {
  const nat_config inner{.mapping = address_and_port_dependent, .filtering = filter_ei};
  EXPECT_EQ(between(open, {inner, full}), verdict::must);
  EXPECT_EQ(between(open, {inner, addr}), verdict::cannot);
  EXPECT_EQ(between(open, {inner, port}), verdict::cannot);
  EXPECT_EQ(between(open, {inner, {.mapping = none, .filtering = filter_ei}}), verdict::must);
  EXPECT_EQ(between(open, {inner, {.mapping = none, .filtering = filter_apd}}), verdict::cannot);
}

TEST(reachability, behind_one_nat_it_takes_hairpin) {
  nat_config turns_round = port;
  turns_round.hairpin = true;
  EXPECT_EQ(between({port}, {port}, true), verdict::cannot);
  EXPECT_EQ(between({turns_round}, {turns_round}, true), verdict::must);
  EXPECT_EQ(between({port, turns_round}, {port, turns_round}, true), verdict::must) << "the outermost turns round";
  EXPECT_EQ(between({turns_round, port}, {turns_round, port}, true), verdict::cannot);
}

TEST(reachability, no_udp_and_no_small_packets_mean_no_connection) {
  const nat_config no_udp{.filtering = filter_ei, .drops_udp = true};
  const nat_config too_large{.filtering = filter_ei, .min_payload = 129};  // a PING has 128 bytes
  for (const auto& box : {no_udp, too_large}) {
    EXPECT_EQ(between({box}, open), verdict::cannot);
    EXPECT_EQ(between(open, {box}), verdict::cannot);
    EXPECT_EQ(between(open, {port, box}), verdict::cannot);
  }
  const nat_config just_right{.min_payload = 128};
  EXPECT_EQ(between({just_right}, {just_right}), verdict::must);
}

TEST(reachability, few_ports_leave_it_to_chance) {
  const nat_config few{.ports = port_allocation::block, .block_size = 8};
  const nat_config enough{.ports = port_allocation::block, .block_size = 512};
  EXPECT_EQ(between({few}, open), verdict::may);
  EXPECT_EQ(between(open, {few}), verdict::may);
  EXPECT_EQ(between({enough}, {enough}), verdict::must);
}

TEST(reachability, sessions_connect_as_long_as_they_keep_the_port) {
  const nat_config keeps{.mapping = per_session};
  const nat_config draws{.mapping = per_session, .ports = port_allocation::random};
  const nat_config accepts{.mapping = per_session, .accepts_unsolicited = true};
  EXPECT_EQ(between({keeps}, {keeps}), verdict::must);
  EXPECT_EQ(between({draws}, open), verdict::cannot);
  EXPECT_EQ(between(open, {draws}), verdict::cannot);
  EXPECT_EQ(between({accepts}, open), verdict::may) << "it depends on who is first";
}

TEST(reachability, a_short_lifetime_leaves_what_could_not_be_to_chance) {
  nat_config forgetful = symmetric;
  forgetful.lifetime = 20s;  // the port may come back as another destination's
  EXPECT_EQ(between({forgetful}, open), verdict::may);
  EXPECT_EQ(between(open, {forgetful}), verdict::may);
  nat_config at_once = port;
  at_once.lifetime = 500ms;  // PINGs barely keep it
  EXPECT_EQ(between({at_once}, open), verdict::may);
}

verdict session_between(const boxes& one, const boxes& other, bool shared_outermost = false) {
  std::vector<const nat_config*> here;
  std::vector<const nat_config*> there;
  for (const auto& box : one) here.push_back(&box);
  for (const auto& box : other) there.push_back(&box);
  return connects({here}, {there}, shared_outermost);
}

TEST(reachability, ours_connect_wherever_seed_peers_hear_each_other) {
  for (const auto& [first, first_way] : punchable) {
    for (const auto& [second, second_way] : punchable) {
      EXPECT_EQ(session_between(first_way, second_way), verdict::must) << first << " and " << second;
    }
  }
}

TEST(reachability, a_ping_that_comes_in_may_show_ours_where_to_answer) {
  for (const boxes& way : {open, {full}, {addr}}) {
    EXPECT_EQ(session_between({symmetric}, way), verdict::may);
    EXPECT_EQ(session_between(way, {symmetric}), verdict::may) << "who is first makes no difference";
  }
  EXPECT_EQ(session_between({symmetric}, {port}), verdict::cannot) << "neither lets the other's PINGs in";
  EXPECT_EQ(session_between({symmetric}, {symmetric}), verdict::cannot);
  EXPECT_EQ(session_between({symmetric}, {addr, port}), verdict::cannot);
}

TEST(reachability, ours_do_not_connect_where_nothing_gets_through) {
  const nat_config no_udp{.filtering = filter_ei, .drops_udp = true};
  EXPECT_EQ(session_between({no_udp}, open), verdict::cannot);
  EXPECT_EQ(session_between(open, {no_udp}), verdict::cannot);
  EXPECT_EQ(session_between({port}, {port}, true), verdict::cannot) << "without hairpin";
}

TEST(reachability, verdicts_have_names) {
  EXPECT_EQ(to_string(verdict::cannot), "cannot");
  EXPECT_EQ(to_string(verdict::may), "may");
  EXPECT_EQ(to_string(verdict::must), "must");
}

}  // namespace
}  // namespace nat::sim
