// What hostile clients, and a coordinator that lies, can have peers do; in small. All of it: natpeer_sim hostile, liar.
#include "hostile_client.hpp"
#include "runs.hpp"
#include "victim.hpp"

#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat::sim {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class hostile_clients : public testing::TestWithParam<std::size_t> {};

TEST_P(hostile_clients, get_a_victim_no_more_than_the_allowance_from_each_peer) {
  auto chosen = all_hostile_cases(40)[GetParam()];
  chosen.clients = std::max<std::size_t>(chosen.clients, 10);
  chosen.time = 75s;
  const auto row = run_hostile(6, chosen);
  EXPECT_THAT(row.failures, IsEmpty()) << chosen.name;
  EXPECT_GT(row.in_all.pings, 0U);
}

INSTANTIATE_TEST_SUITE_P(all, hostile_clients, testing::Range<std::size_t>(0, all_hostile_cases(1).size()));

TEST(lying_coordinator, cannot_make_members_take_what_no_member_has_said) {
  const auto row = run_liar(1);
  EXPECT_THAT(row.failures, IsEmpty());
  EXPECT_GT(row.refused, 1000U);
}

// That the bounds can be broken.
class bounds : public testing::Test {
 protected:
  bounds() { who.know(source, "somebody"); }

  void send(const std::string& bytes, std::uint16_t port = 5) {
    who.on_arrival({{source, 1}, {who.ip(), port}, {bytes.begin(), bytes.end()}});
  }
  const std::vector<std::string>& failures() { return run.check().failures(); }

  world run{1, 1s};
  victim who{run.around(), run.net().add_host(run.net().open()), {}};
  ip_address source = endpoint::parse("198.51.100.1:1").value().ip;
  std::string ping = "PINGPING" + std::string(120, 'x');
  std::string data = "DATADATA" + std::string(120, 'x') + std::string(896, 'y');  // 1 KiB
};

TEST_F(bounds, of_pings_to_one_address_can_be_broken) {
  for (int i = 0; i < 41; ++i) send(ping);
  EXPECT_THAT(failures(), IsEmpty());
  send(ping);
  EXPECT_THAT(failures(), Contains(HasSubstr("somebody: has sent 42 PINGs to 198.18.0.2:5")));
}

TEST_F(bounds, of_pings_to_one_host_can_be_broken) {
  for (std::uint16_t port = 1; port <= 401; ++port) send(ping, port);
  EXPECT_THAT(failures(), IsEmpty());
  send(ping, 402);
  EXPECT_THAT(failures(), Contains(HasSubstr("has sent 402 PINGs to 198.18.0.2, a victim")));
}

TEST_F(bounds, of_data_can_be_broken) {
  for (std::uint16_t port = 1; port <= 64; ++port) send(data, port);
  EXPECT_THAT(failures(), IsEmpty());
  send(data, 65);
  EXPECT_THAT(failures(), Contains(HasSubstr("has sent 66560 bytes of DATA to 198.18.0.2")));
}

TEST_F(bounds, of_anything_else_can_be_broken) {
  send("hello");
  EXPECT_THAT(failures(), Contains(HasSubstr("neither PINGs nor DATA")));
}

TEST_F(bounds, hold_for_those_alone_who_are_known) {
  source = endpoint::parse("198.51.100.2:1").value().ip;
  for (int i = 0; i < 100; ++i) send(ping);
  EXPECT_THAT(failures(), IsEmpty());
}

// What the internet has for them.
struct reader final : receiver_of_datagrams {
  void on_datagram(const endpoint& from, byte_view) override { heard.push_back(from); }
  void on_unreachable(const endpoint& at) override { refused.push_back(at); }

  std::vector<endpoint> heard;
  std::vector<endpoint> refused;
};

TEST(internet, carries_a_source_that_is_forged) {
  world run(1, 1s);
  auto& net = run.net();
  reader socket;
  const auto to = net.bind(net.add_host(net.open()), socket);
  const auto source = endpoint::parse("198.51.100.1:7").value();
  net.send_forged(net.add_host(net.open()), source, to, as_bytes(std::string_view("x")));
  run.time().run_for(1s);
  EXPECT_THAT(socket.heard, testing::ElementsAre(source));
}

TEST(internet, brings_icmp_back_through_a_nat_to_who_has_sent) {
  world run(1, 1s);
  auto& net = run.net();
  reader socket;
  auto& inside = net.add_host(net.add_network(net.open(), {.min_payload = 64}));
  const auto from = net.bind(inside, socket);
  auto& silent = net.add_host(net.open());
  auto& refusing = net.add_host(net.open());
  refusing.refuse_with_icmp();
  for (const auto* machine : {&silent, &refusing}) {
    net.send(inside, from.port, {machine->ip(), 9}, as_bytes(std::string(100, 'x')));
  }
  run.time().run_for(1s);
  EXPECT_THAT(socket.refused, testing::ElementsAre(endpoint{refusing.ip(), 9}));
  EXPECT_THAT(socket.heard, IsEmpty());
}

}  // namespace
}  // namespace nat::sim
