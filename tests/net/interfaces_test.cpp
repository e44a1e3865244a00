#include "nat/net/interfaces.hpp"

#include "test_loop.hpp"

#include <algorithm>
#include <cstdlib>
#include <sched.h>
#include <string>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

namespace nat::net {
namespace {

using addresses = std::vector<ip_address>;

ip_address ip(const char* text) { return ip_address::parse(text).value(); }

void sh(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

/// Runs in a process of its own with a network of its own: two ends of a cable, `a0` and `b0`, no address.
void in_own_network(void (*test)()) {
  constexpr int skipped = 77;
  const auto child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool alone = ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    if (!alone || std::system("ip link add a0 type veth peer name b0 2> /dev/null") != 0) ::_exit(skipped);
    sh("ip link set a0 up && ip link set b0 up");
    test();
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == skipped) GTEST_SKIP() << "no network namespaces here";
  EXPECT_EQ(status, 0) << "its failures are above";
}

/// What a watch tells first of all that `command` does.
interface_change first_change(const std::string& command) {
  test_loop loop;
  interface_watch watch(loop.io);
  sh(command);
  return loop.finish(watch.next());
}

TEST(interfaces_test, the_machines_addresses_are_ones_that_others_could_reach) {
  const auto found = interface_addresses();
  EXPECT_LE(found.size(), max_interface_addresses);
  for (const auto& each : found) {
    EXPECT_TRUE(each.is_unicast() && !each.is_loopback()) << each.to_string();
    EXPECT_EQ(std::ranges::count(found, each), 1);
  }
}

TEST(interfaces_test, knows_ipv4_and_ipv6_but_nothing_that_holds_on_one_link) {
  in_own_network([] {
    sh("ip link set lo up");
    EXPECT_EQ(interface_addresses(), addresses{});
    sh("ip addr add 192.0.2.1/24 dev a0 && ip addr add 169.254.3.4/16 dev a0 && ip addr add fd00::1/64 dev a0 nodad");
    EXPECT_EQ(interface_addresses(), (addresses{ip("192.0.2.1"), ip("fd00::1")}));
    sh("ip link set a0 down");
    EXPECT_EQ(interface_addresses(), addresses{});
  });
}

TEST(interfaces_test, an_interface_without_a_cable_has_no_address) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0 && ip link set b0 down");
    EXPECT_EQ(interface_addresses(), addresses{});
  });
}

TEST(interfaces_test, more_addresses_than_anybody_needs_are_cut) {
  in_own_network([] {
    sh("for i in $(seq 1 40); do ip addr add 192.0.2.$i/24 dev a0; done");
    EXPECT_EQ(interface_addresses().size(), max_interface_addresses);
  });
}

bool moved(const interface_change& change) { return change.rerouted || !change.gone.empty(); }

TEST(interface_watch_test, tells_of_a_new_address) {
  in_own_network([] {
    const auto change = first_change("ip addr add 192.0.2.1/24 dev a0");
    EXPECT_EQ(change.addresses, addresses{ip("192.0.2.1")});
    EXPECT_FALSE(moved(change)) << "what there was still works";
  });
}

TEST(interface_watch_test, tells_of_an_address_that_is_gone) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0");
    const auto change = first_change("ip addr del 192.0.2.1/24 dev a0");
    EXPECT_EQ(change.addresses, addresses{});
    EXPECT_EQ(change.gone, addresses{ip("192.0.2.1")});
    EXPECT_FALSE(change.rerouted);
  });
}

TEST(interface_watch_test, names_only_the_address_that_is_gone) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0 && ip addr add 172.30.0.1/24 dev a0 && ip addr add fd00::1/64 dev a0 nodad");
    const auto change = first_change("ip addr del 172.30.0.1/24 dev a0; ip addr del fd00::1/64 dev a0");
    EXPECT_EQ(change.addresses, addresses{ip("192.0.2.1")});
    EXPECT_EQ(change.gone, (addresses{ip("172.30.0.1"), ip("fd00::1")}));
    EXPECT_FALSE(change.rerouted);
  });
}

TEST(interfaces_test, tells_from_where_it_would_send) {
  in_own_network([] {
    const endpoint there{ip("203.0.113.5"), 1};
    EXPECT_EQ(source_towards(there), std::nullopt);
    sh("ip addr add 192.0.2.1/24 dev a0 && ip addr add 198.51.100.1/24 dev a0 && ip route add default via 192.0.2.2");
    EXPECT_EQ(source_towards(there), ip("192.0.2.1"));
    EXPECT_EQ(source_towards({ip("198.51.100.7"), 1}), ip("198.51.100.1"));
  });
}

TEST(interface_watch_test, an_address_that_went_and_came_back_has_moved) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0");
    const auto change = first_change("ip addr del 192.0.2.1/24 dev a0; ip addr add 192.0.2.1/24 dev a0");
    EXPECT_EQ(change.addresses, addresses{ip("192.0.2.1")});
    EXPECT_TRUE(moved(change)) << "another network may use the same addresses";
  });
}

TEST(interface_watch_test, tells_of_a_pulled_cable) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0");
    const auto change = first_change("ip link set b0 down");
    EXPECT_EQ(change.addresses, addresses{});
    EXPECT_TRUE(moved(change));
  });
}

TEST(interface_watch_test, tells_of_another_way_out) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0 && ip route add default via 192.0.2.2");
    const auto change = first_change("ip route replace default via 192.0.2.3");
    EXPECT_EQ(change.addresses, addresses{ip("192.0.2.1")});
    EXPECT_TRUE(change.rerouted);
  });
}

TEST(interface_watch_test, one_change_is_told_of_many_messages) {
  in_own_network([] {
    test_loop loop;
    interface_watch watch(loop.io);
    sh("ip addr add 192.0.2.1/24 dev a0; ip addr add 192.0.2.2/24 dev a0; ip addr add 192.0.2.3/24 dev a0");
    EXPECT_EQ(loop.finish(watch.next()).addresses.size(), 3U);
    sh("ip addr add 192.0.2.4/24 dev a0");
    EXPECT_EQ(loop.finish(watch.next()).addresses.size(), 4U);
  });
}

TEST(interface_watch_test, what_says_nothing_about_the_way_to_others_is_no_change) {
  in_own_network([] {
    sh("ip addr add 192.0.2.1/24 dev a0");
    const auto change = first_change(
        "ip link set lo up; ip route add 198.51.100.0/24 via 192.0.2.2; ip route del 198.51.100.0/24;"
        "ip link set b0 mtu 1400; ip addr add 169.254.3.4/16 scope link dev a0; ip addr del 169.254.3.4/16 dev a0;"
        "ip addr add 192.0.2.9/24 dev a0");
    EXPECT_EQ(change.addresses, (addresses{ip("192.0.2.1"), ip("192.0.2.9")}));
    EXPECT_FALSE(moved(change));
  });
}

TEST(interface_watch_test, a_default_route_that_is_written_again_is_no_change) {
  in_own_network([] {
    test_loop loop;
    interface_watch watch(loop.io);
    sh("ip addr add 192.0.2.1/24 dev a0; ip route add default via 192.0.2.2");
    EXPECT_TRUE(moved(loop.finish(watch.next())));
    sh("ip route replace default via 192.0.2.2; ip addr add 192.0.2.9/24 dev a0");
    EXPECT_FALSE(moved(loop.finish(watch.next())));
  });
}

}  // namespace
}  // namespace nat::net
