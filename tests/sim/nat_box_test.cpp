#include "nat_box.hpp"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace nat::sim {
namespace {

using namespace std::chrono_literals;
using enum mapping_behavior;

constexpr auto filter_ei = filtering_behavior::endpoint_independent;
constexpr auto filter_ad = filtering_behavior::address_dependent;
constexpr auto filter_apd = filtering_behavior::address_and_port_dependent;

endpoint at(std::string_view text) { return endpoint::parse(text).value(); }

const endpoint alice = at("192.168.1.2:4000");
const endpoint bob = at("192.168.1.3:4000");
const endpoint server = at("203.0.113.1:7000");
const endpoint server_other_port = at("203.0.113.1:7001");
const endpoint stranger = at("203.0.113.2:7000");
const endpoint stun = at("203.0.113.3:3478");

struct home {
  explicit home(const nat_config& config, std::uint64_t seed = 1) : box(config, public_ip, seed) {}

  std::optional<endpoint> out(const endpoint& inside, const endpoint& remote, std::size_t payload = 200) {
    return box.outbound(now, inside, remote, payload);
  }
  /// The outside port that is seen.
  std::uint16_t port(const endpoint& inside, const endpoint& remote) { return out(inside, remote).value().port; }
  std::optional<endpoint> in(std::uint16_t port, const endpoint& remote, std::size_t payload = 200) {
    return box.inbound(now, {public_ip, port}, remote, payload);
  }

  const ip_address public_ip = ip_address::parse("198.51.100.1").value();
  nat_box box;
  time_point now{1h};
};

constexpr int first_port = 1024;

int port_after(int port) { return port == 65535 ? first_port : port + 1; }

/// Inside endpoints of one host, each on a port of its own.
endpoint on_port(int port) { return {alice.ip, static_cast<std::uint16_t>(port)}; }

// ---- mapping. Ports are sequential here, so a new mapping always shows.

TEST(nat_mapping, a_source_is_translated_to_the_outside_address) {
  home net({});
  EXPECT_EQ(net.out(alice, server), (endpoint{net.public_ip, alice.port}));
  EXPECT_EQ(net.in(alice.port, server), alice);
}

TEST(nat_mapping, endpoint_independent_has_one_port_for_all_destinations) {
  home net({.mapping = endpoint_independent, .ports = port_allocation::sequential});
  const auto port = net.port(alice, server);
  EXPECT_EQ(net.port(alice, server_other_port), port);
  EXPECT_EQ(net.port(alice, stranger), port);
  EXPECT_EQ(net.box.counts().mapped, 1U);
}

TEST(nat_mapping, address_dependent_has_a_port_for_each_address) {
  home net({.mapping = address_dependent, .ports = port_allocation::sequential});
  const auto port = net.port(alice, server);
  EXPECT_EQ(net.port(alice, server_other_port), port);
  EXPECT_NE(net.port(alice, stranger), port);
  EXPECT_EQ(net.port(alice, server), port);
}

TEST(nat_mapping, address_and_port_dependent_has_a_port_for_each_endpoint) {
  home net({.mapping = address_and_port_dependent, .ports = port_allocation::sequential});
  const std::set<int> ports{net.port(alice, server), net.port(alice, server_other_port), net.port(alice, stranger)};
  EXPECT_EQ(ports.size(), 3U);
  EXPECT_TRUE(ports.contains(net.port(alice, server)));
}

TEST(nat_mapping, no_two_inside_endpoints_share_a_port) {
  for (const auto mapping : {endpoint_independent, address_dependent, address_and_port_dependent}) {
    home net({.mapping = mapping, .filtering = filter_ei});
    const auto of_alice = net.port(alice, server);
    const auto of_bob = net.port(bob, server);
    EXPECT_NE(of_alice, of_bob);
    EXPECT_EQ(net.in(of_alice, server), alice);
    EXPECT_EQ(net.in(of_bob, server), bob);
  }
}

TEST(nat_mapping, what_is_for_an_unmapped_port_has_no_destination) {
  home net({.filtering = filter_ei});
  const auto port = net.port(alice, server);
  EXPECT_FALSE(net.in(static_cast<std::uint16_t>(port + 1), server));
  EXPECT_EQ(net.box.counts().filtered, 1U);
}

// ---- filtering

TEST(nat_filtering, endpoint_independent_lets_in_anybody) {
  home net({.filtering = filter_ei});
  const auto port = net.port(alice, server);
  for (const auto& from : {server, server_other_port, stranger}) EXPECT_EQ(net.in(port, from), alice);
}

TEST(nat_filtering, address_dependent_lets_in_every_port_of_an_address_that_was_sent_to) {
  home net({.filtering = filter_ad});
  const auto port = net.port(alice, server);
  EXPECT_EQ(net.in(port, server), alice);
  EXPECT_EQ(net.in(port, server_other_port), alice);
  EXPECT_FALSE(net.in(port, stranger));
  EXPECT_EQ(net.box.counts().filtered, 1U);
}

TEST(nat_filtering, address_and_port_dependent_lets_in_only_an_endpoint_that_was_sent_to) {
  home net({.filtering = filter_apd});
  const auto port = net.port(alice, server);
  EXPECT_EQ(net.in(port, server), alice);
  EXPECT_FALSE(net.in(port, server_other_port));
  EXPECT_FALSE(net.in(port, stranger));
  net.out(alice, stranger);
  EXPECT_EQ(net.in(port, stranger), alice);
  EXPECT_EQ(net.box.counts().filtered, 2U);
}

TEST(nat_filtering, what_one_inside_endpoint_opened_is_not_open_for_another) {
  home net({.filtering = filter_apd});
  net.out(alice, server);
  const auto of_bob = net.port(bob, stranger);
  EXPECT_FALSE(net.in(of_bob, server));
}

TEST(nat_filtering, a_mapping_of_one_destination_lets_in_others_if_the_filter_does) {
  home net({.mapping = address_and_port_dependent, .filtering = filter_ei});
  EXPECT_EQ(net.in(net.port(alice, server), stranger), alice);
}

TEST(nat_filtering, a_full_table_lets_in_nobody_new_and_keeps_the_known) {
  home net({});
  const auto remote = [](std::size_t i) {
    return endpoint{ip_address(ip_address::v4_bytes{203, 0, 113, static_cast<std::uint8_t>(i >> 15)}),
                    static_cast<std::uint16_t>(1 + i % 32'768)};
  };
  for (std::size_t i = 0; i < nat_box::max_mappings; ++i) ASSERT_TRUE(net.out(alice, remote(i)));
  net.out(alice, remote(nat_box::max_mappings));
  EXPECT_FALSE(net.in(alice.port, remote(nat_box::max_mappings)));
  EXPECT_EQ(net.in(alice.port, remote(0)), alice);
  EXPECT_EQ(net.in(alice.port, remote(nat_box::max_mappings - 1)), alice);
}

// ---- ports

TEST(nat_ports, preserving_keeps_the_inside_port_and_passes_over_the_taken) {
  home net({.ports = port_allocation::preserving});
  EXPECT_EQ(net.port(alice, server), 4000);
  EXPECT_EQ(net.port(on_port(4001), server), 4001);
  EXPECT_EQ(net.port(bob, server), 4002);
}

TEST(nat_ports, the_first_port_follows_the_last_and_stands_in_for_those_below_it) {
  home net({.ports = port_allocation::preserving});
  EXPECT_EQ(net.port({alice.ip, 65535}, server), 65535);
  EXPECT_EQ(net.port({bob.ip, 65535}, server), 1024);
  EXPECT_EQ(net.port(on_port(80), server), 1025);
}

TEST(nat_ports, sequential_gives_the_one_after_the_last_given) {
  home net({.ports = port_allocation::sequential});
  const auto first = net.port(on_port(5000), server);
  const auto second = net.port(on_port(9000), server);
  EXPECT_EQ(second, port_after(first));
  EXPECT_EQ(net.port(on_port(7000), server), port_after(second));
  EXPECT_NE(home({.ports = port_allocation::sequential}, 2).port(on_port(5000), server), first);
}

TEST(nat_ports, a_block_has_so_many_ports_and_then_new_mappings_are_refused) {
  home net({.ports = port_allocation::block, .block_size = 8});
  std::set<int> ports;
  for (int i = 0; i < 8; ++i) ports.insert(net.port(on_port(5000 + i), server));
  EXPECT_EQ(ports.size(), 8U);
  EXPECT_EQ(*ports.rbegin() - *ports.begin(), 7);
  EXPECT_FALSE(net.out(on_port(6000), server));
  EXPECT_EQ(net.box.counts().exhausted, 1U);
  EXPECT_TRUE(net.out(on_port(5000), stranger)) << "its mapping is there";
  net.now += net.box.config().lifetime + 1ms;
  EXPECT_TRUE(net.out(on_port(6000), server)) << "ports come back";
}

TEST(nat_ports, random_ones_are_neither_kept_nor_in_a_row) {
  home net({.ports = port_allocation::random});
  std::set<int> ports;
  int kept = 0;
  int in_a_row = 0;
  int before = 0;
  for (int i = 0; i < 100; ++i) {
    const auto port = net.port(on_port(5000 + i), server);
    ports.insert(port);
    kept += port == 5000 + i;
    in_a_row += port == port_after(before);
    before = port;
  }
  EXPECT_EQ(ports.size(), 100U);
  EXPECT_GE(*ports.begin(), first_port);
  EXPECT_GT(*ports.rbegin() - *ports.begin(), 32'768) << "from the whole range";
  EXPECT_LT(kept + in_a_row, 5);
}

// ---- lifetime

TEST(nat_lifetime, a_silent_mapping_is_gone_after_its_lifetime) {
  home net({.ports = port_allocation::sequential, .lifetime = 20s});
  const auto port = net.port(alice, server);
  net.now += 20s - 1ms;
  EXPECT_TRUE(net.in(port, server));
  net.now += 2ms;
  EXPECT_FALSE(net.in(port, server));
  EXPECT_NE(net.port(alice, server), port);
}

TEST(nat_lifetime, a_packet_out_refreshes_the_mapping) {
  home net({.ports = port_allocation::sequential, .lifetime = 20s});
  const auto port = net.port(alice, server);
  for (int i = 0; i < 3; ++i) {
    net.now += 15s;
    EXPECT_EQ(net.port(alice, server), port);
  }
  net.now += 15s;
  EXPECT_TRUE(net.in(port, server));
}

TEST(nat_lifetime, a_packet_in_does_not_refresh_it) {
  home net({.lifetime = 20s});
  const auto port = net.port(alice, server);
  net.now += 15s;
  ASSERT_TRUE(net.in(port, server));
  net.now += 15s;
  EXPECT_FALSE(net.in(port, server));
}

TEST(nat_lifetime, who_is_let_in_is_forgotten_although_the_mapping_lives_on) {
  home net({.filtering = filter_apd, .lifetime = 20s});
  const auto port = net.port(alice, server);
  net.now += 15s;
  ASSERT_EQ(net.port(alice, stranger), port);
  net.now += 15s;
  EXPECT_FALSE(net.in(port, server));
  EXPECT_TRUE(net.in(port, stranger));
}

TEST(nat_lifetime, forgetting_loses_mappings_and_filters_but_not_which_port_comes_next) {
  home net({.ports = port_allocation::sequential});
  const auto port = net.port(alice, server);
  net.box.forget();
  EXPECT_EQ(net.box.mappings(), 0U);
  EXPECT_FALSE(net.in(port, server));
  const auto next = net.port(alice, stranger);
  EXPECT_EQ(next, port_after(port));
  EXPECT_FALSE(net.in(next, server));
}

// ---- other rules

TEST(nat_rules, hairpin_is_a_flag_for_others_and_changes_nothing_in_the_box) {
  for (const bool hairpin : {false, true}) {
    home net({.hairpin = hairpin});
    const endpoint of_bob{net.public_ip, net.port(bob, server)};
    const auto seen_as = net.out(alice, of_bob).value();
    EXPECT_EQ(net.box.config().hairpin, hairpin);
    EXPECT_EQ(seen_as.ip, net.public_ip);
    EXPECT_FALSE(net.in(of_bob.port, seen_as)) << "the filter is for inside hosts, too";
    net.out(bob, seen_as);
    EXPECT_EQ(net.in(of_bob.port, seen_as), bob);
  }
}

TEST(nat_rules, small_payloads_are_dropped_both_ways) {
  home net({.filtering = filter_ei, .min_payload = 64});
  EXPECT_FALSE(net.out(alice, server, 63));
  const auto seen_as = net.out(alice, server, 64);
  ASSERT_TRUE(seen_as);
  EXPECT_FALSE(net.in(seen_as->port, server, 63));
  EXPECT_TRUE(net.in(seen_as->port, server, 64));
  EXPECT_EQ(net.box.counts().small, 2U);
  EXPECT_EQ(net.box.counts().filtered, 0U);
}

TEST(nat_rules, small_payloads_pass_to_and_from_the_stun_port) {
  home net({.min_payload = 64});
  const auto seen_as = net.out(alice, stun, 20);
  ASSERT_TRUE(seen_as);
  EXPECT_EQ(net.in(seen_as->port, stun, 20), alice);
  EXPECT_FALSE(net.out({alice.ip, 3478}, server, 20)) << "the inside port does not matter";
  EXPECT_EQ(net.box.counts().small, 1U);
}

TEST(nat_rules, a_box_that_drops_udp_drops_all_of_it) {
  home net({.mapping = none, .filtering = filter_ei, .drops_udp = true});
  EXPECT_FALSE(net.out(alice, stun));
  EXPECT_FALSE(net.box.inbound(net.now, alice, stun, 200));
}

TEST(nat_rules, a_firewall_leaves_addresses_alone_and_filters) {
  home net({.mapping = none, .filtering = filter_apd, .lifetime = 20s});
  const auto in = [&](const endpoint& from) { return net.box.inbound(net.now, alice, from, 200); };
  EXPECT_FALSE(in(server)) << "nothing has gone out";
  EXPECT_EQ(net.out(alice, server), alice);
  EXPECT_EQ(in(server), alice);
  EXPECT_FALSE(in(server_other_port));
  EXPECT_FALSE(net.box.inbound(net.now, bob, server, 200));
  EXPECT_EQ(net.box.counts().filtered, 3U);
  net.now += 20s + 1ms;
  EXPECT_FALSE(in(server));
}

// ---- per session

TEST(nat_sessions, one_port_serves_many_destinations_and_lets_in_only_them) {
  home net({.mapping = per_session, .filtering = filter_ei});
  EXPECT_EQ(net.port(alice, server), alice.port);
  EXPECT_EQ(net.port(alice, server_other_port), alice.port);
  EXPECT_EQ(net.in(alice.port, server), alice);
  EXPECT_EQ(net.in(alice.port, server_other_port), alice);
  EXPECT_FALSE(net.in(alice.port, stranger)) << "whatever the filtering says";
  EXPECT_EQ(net.box.counts().mapped, 2U);
}

TEST(nat_sessions, a_session_in_the_way_shifts_the_port_towards_that_destination_only) {
  home net({.mapping = per_session});
  ASSERT_EQ(net.port(alice, server), 4000);
  EXPECT_EQ(net.port(bob, server), 4001);
  EXPECT_EQ(net.port(bob, stranger), 4000);
  EXPECT_EQ(net.in(4000, server), alice);
  EXPECT_EQ(net.in(4001, server), bob);
  EXPECT_EQ(net.in(4000, stranger), bob);
}

TEST(nat_sessions, without_preserving_each_destination_has_a_port_of_its_own) {
  home net({.mapping = per_session, .ports = port_allocation::random});
  EXPECT_NE(net.port(alice, server), net.port(alice, stranger));
}

TEST(nat_sessions, a_packet_that_came_too_early_shifts_the_port_of_a_box_that_accepts_it) {
  home net({.mapping = per_session, .lifetime = 20s, .accepts_unsolicited = true});
  EXPECT_FALSE(net.in(alice.port, server)) << "it is for the box itself";
  EXPECT_EQ(net.port(alice, server), alice.port + 1);
  EXPECT_EQ(net.port(alice, stranger), alice.port);
  EXPECT_FALSE(net.in(alice.port, server));
  EXPECT_EQ(net.box.counts().filtered, 2U);
  net.now += 20s + 1ms;
  EXPECT_EQ(net.port(alice, server), alice.port) << "that session has expired as any other";
}

TEST(nat_sessions, what_keeps_coming_in_keeps_the_boxs_own_session) {
  home net({.mapping = per_session, .lifetime = 20s, .accepts_unsolicited = true});
  net.in(alice.port, server);
  net.now += 15s;
  net.in(alice.port, server);
  net.now += 15s;
  EXPECT_EQ(net.port(alice, server), alice.port + 1);
}

TEST(nat_sessions, a_packet_that_came_too_early_leaves_no_trace_in_a_box_that_does_not) {
  home net({.mapping = per_session});
  EXPECT_FALSE(net.in(alice.port, server));
  EXPECT_EQ(net.port(alice, server), alice.port);
  EXPECT_EQ(net.in(alice.port, server), alice);
}

// ---- text

TEST(nat_config, text_says_what_the_box_does) {
  EXPECT_EQ(nat_config{}.to_string(), "mapping=ei filtering=apd ports=preserving life=120s");
  EXPECT_EQ((nat_config{.mapping = address_dependent,
                        .filtering = filter_ad,
                        .ports = port_allocation::block,
                        .lifetime = 20s,
                        .hairpin = true,
                        .block_size = 8})
                .to_string(),
            "mapping=ad filtering=ad ports=block(8) life=20s hairpin");
  EXPECT_EQ((nat_config{.mapping = per_session,
                        .filtering = filter_ei,
                        .ports = port_allocation::sequential,
                        .min_payload = 64,
                        .accepts_unsolicited = true,
                        .drops_udp = true})
                .to_string(),
            "mapping=session filtering=ei ports=sequential life=120s drops-below=64 accepts-unsolicited drops-udp");
}

}  // namespace
}  // namespace nat::sim
