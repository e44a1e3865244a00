#include "nat/net/udp_link.hpp"

#include "test_loop.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

namespace nat::net {
namespace {

namespace asio = boost::asio;

ip_address ip(std::string_view text) { return ip_address::parse(text).value(); }

/// A datagram that arrived, copied.
struct arrival {
  std::string bytes;
  endpoint from;
  local_path to;
};

/// Bytes of which no two places of one datagram, and no two datagrams, look alike.
std::string pattern(std::size_t size, std::size_t seed) {
  std::string out(size, '\0');
  std::uint32_t state = static_cast<std::uint32_t>(seed) * 2'654'435'761U + 1;
  for (auto& byte : out) {
    state = state * 1'664'525U + 1'013'904'223U;  // Numerical Recipes' generator
    byte = static_cast<char>(state >> 24);
  }
  return out;
}

std::vector<std::string> bytes_of(const std::vector<arrival>& arrivals) {
  std::vector<std::string> out;
  for (const auto& arrived : arrivals) out.push_back(arrived.bytes);
  return out;
}

class udp_test_base : public testing::Test {
 protected:
  std::unique_ptr<udp_link> open(const ip_address& bind, bool portable, bool tell_destination = false) {
    const udp_options options{bind, 0, tell_destination, portable};
    return std::make_unique<udp_link>(loop.io, options);
  }

  /// A port of the machine that nobody listens on.
  endpoint closed_port(const ip_address& address) { return open(address, false)->local(); }

  /// Waits for `count` datagrams, and returns these and what came with the last of them.
  std::vector<arrival> receive(udp_link& link, std::size_t count) {
    auto out = std::make_shared<std::vector<arrival>>();
    try {
      loop.finish(gather(link, count, out));
    } catch (const std::runtime_error& error) {
      ADD_FAILURE() << error.what() << ", " << out->size() << " of " << count << " datagrams came";
    }
    return *out;
  }

  /// Sends all of them, in order.
  void send(udp_link& link, const std::vector<datagram_out>& datagrams) { loop.finish(send_all(link, datagrams)); }

  test_loop loop;

 private:
  static asio::awaitable<void> gather(udp_link& link, std::size_t count, std::shared_ptr<std::vector<arrival>> into) {
    while (into->size() < count) {
      for (const auto& arrived : co_await link.receive()) {
        into->push_back({std::string(as_text(arrived.bytes)), arrived.from, arrived.to});
      }
    }
  }

  static asio::awaitable<void> send_all(udp_link& link, std::span<const datagram_out> datagrams) {
    while (!datagrams.empty()) {
      datagrams = datagrams.subspan(link.send(datagrams));
      if (!datagrams.empty()) co_await link.writable();
    }
  }
};

struct way {
  bool portable;
  const char* loopback;
  const char* other_family;
};

/// Both ways of calling the kernel, over both families.
class udp_link_test : public udp_test_base, public testing::WithParamInterface<way> {
 protected:
  std::unique_ptr<udp_link> open_one() { return open(address, GetParam().portable); }

  ip_address address = ip(GetParam().loopback);
  std::unique_ptr<udp_link> here = open_one();
  std::unique_ptr<udp_link> there = open_one();
};

INSTANTIATE_TEST_SUITE_P(ways, udp_link_test,
                         testing::Values(way{false, "127.0.0.1", "::1"}, way{true, "127.0.0.1", "::1"},
                                         way{false, "::1", "127.0.0.1"}, way{true, "::1", "127.0.0.1"}),
                         [](const auto& instance) {
                           return std::string(instance.param.portable ? "portable" : "batched") +
                                  (ip(instance.param.loopback).is_v4() ? "_v4" : "_v6");
                         });

TEST_P(udp_link_test, datagrams_arrive_unchanged_with_their_source) {
  for (const std::size_t size : {0U, 1U, 128U, 1232U, 1472U, 1473U, 9000U, 65'507U}) {
    const auto sent = pattern(size, size);
    send(*here, {{as_bytes(sent), there->local(), {}}});
    const auto arrived = receive(*there, 1);
    ASSERT_EQ(arrived.size(), 1U) << size;
    EXPECT_TRUE(arrived[0].bytes == sent) << size;
    EXPECT_EQ(arrived[0].from, here->local());
    EXPECT_EQ(arrived[0].to.address, ip_address{}) << "told unasked";
  }
  EXPECT_EQ(here->counters().sent, 8U);
  EXPECT_EQ(here->counters().send_errors, 0U);
  EXPECT_EQ(there->counters().received, 8U);
}

TEST_P(udp_link_test, empty_datagrams_do_not_hide_their_neighbours) {
  send(*here, {{{}, there->local(), {}},
               {as_bytes("a"), there->local(), {}},
               {{}, there->local(), {}},
               {{}, there->local(), {}},
               {as_bytes("b"), there->local(), {}}});
  EXPECT_EQ(bytes_of(receive(*there, 5)), (std::vector<std::string>{"", "a", "", "", "b"}));
}

TEST_P(udp_link_test, a_burst_to_several_destinations_arrives_complete_and_in_order) {
  std::vector<std::unique_ptr<udp_link>> receivers;
  for (int i = 0; i < 3; ++i) receivers.push_back(open_one());
  std::vector<std::vector<std::string>> sent(receivers.size());
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < 300; ++i) payloads.push_back(pattern(i * 37 % 701, i));
  std::vector<datagram_out> burst;
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const auto to = i / 2 % receivers.size();
    burst.push_back({as_bytes(payloads[i]), receivers[to]->local(), {}});
    sent[to].push_back(payloads[i]);
  }
  send(*here, burst);
  for (std::size_t i = 0; i < receivers.size(); ++i) {
    EXPECT_TRUE(bytes_of(receive(*receivers[i], sent[i].size())) == sent[i]) << i;
  }
  EXPECT_EQ(here->counters().sent, burst.size());
}

TEST_P(udp_link_test, a_run_of_one_size_arrives_as_separate_datagrams) {
  // More than the 64 segments of one offloaded call, and more than 65,507 bytes.
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < 70; ++i) payloads.push_back(pattern(1232, i));
  payloads.push_back(pattern(500, 70));  // ends the run
  for (std::size_t i = 71; i < 150; ++i) payloads.push_back(pattern(64, i));
  std::vector<datagram_out> run;
  for (const auto& payload : payloads) run.push_back({as_bytes(payload), there->local(), {}});
  send(*here, run);
  EXPECT_TRUE(bytes_of(receive(*there, payloads.size())) == payloads);
  EXPECT_EQ(there->counters().received, payloads.size());
}

TEST_P(udp_link_test, a_run_of_the_largest_datagrams_arrives) {
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < 2; ++i) payloads.push_back(pattern(65'507, i));
  send(*here, {{as_bytes(payloads[0]), there->local(), {}}, {as_bytes(payloads[1]), there->local(), {}}});
  EXPECT_TRUE(bytes_of(receive(*there, 2)) == payloads);
}

TEST_P(udp_link_test, an_unreachable_destination_costs_its_neighbours_nothing) {
  const auto closed = closed_port(address);
  std::vector<std::string> sent;
  for (std::size_t round = 0; round < 20; ++round) {
    const auto payload = pattern(100, round);
    send(*here, {{as_bytes(payload), closed, {}},
                 {as_bytes(payload), closed, {}},
                 {as_bytes(payload), there->local(), {}},
                 {as_bytes(payload), closed, {}},
                 {as_bytes(payload), there->local(), {}}});
    sent.insert(sent.end(), 2, payload);
  }
  EXPECT_EQ(bytes_of(receive(*there, sent.size())), sent);
  send(*there, {{as_bytes("answer"), here->local(), {}}});
  EXPECT_EQ(bytes_of(receive(*here, 1)), std::vector<std::string>{"answer"});  // what ICMP told it ends nothing
}

#if defined(__linux__)
TEST_P(udp_link_test, tells_what_icmp_calls_unreachable_and_loses_nothing_by_it) {
  const auto closed = closed_port(address);
  std::vector<endpoint> unreachable;
  udp_link told(loop.io, {.bind = address, .portable = GetParam().portable, .on_unreachable = [&](const endpoint& at) {
                            unreachable.push_back(at);
                          }});
  send(told, {{as_bytes("nobody"), closed, {}},
              {as_bytes("one"), there->local(), {}},
              {as_bytes("nobody"), closed, {}},
              {as_bytes("two"), there->local(), {}}});
  EXPECT_EQ(bytes_of(receive(*there, 2)), (std::vector<std::string>{"one", "two"}));
  send(*there, {{as_bytes("answer"), told.local(), {}}});
  EXPECT_EQ(bytes_of(receive(told, 1)), std::vector<std::string>{"answer"});
  ASSERT_FALSE(unreachable.empty());
  for (const auto& at : unreachable) EXPECT_EQ(at, closed);
}
#endif

TEST_P(udp_link_test, what_the_kernel_refuses_is_counted_and_dropped) {
  const auto too_big = std::string(65'536, 'x');
  const endpoint other_family{ip(GetParam().other_family), there->local().port};
  const endpoint port_zero{address, 0};
  for (const auto& refused : std::vector<std::vector<datagram_out>>{
           {{as_bytes(too_big), there->local(), {}}},
           {{as_bytes("refused"), other_family, {}}},
           {{as_bytes("a run"), other_family, {}}, {as_bytes("of it"), other_family, {}}},
           {{as_bytes("a run"), port_zero, {}}, {as_bytes("of it"), port_zero, {}}}}) {
    const auto before = here->counters();
    auto all = refused;
    all.insert(all.begin(), {as_bytes("before"), there->local(), {}});
    all.push_back({as_bytes("behind"), there->local(), {}});
    all.insert(all.end(), refused.begin(), refused.end());
    send(*here, all);
    EXPECT_EQ(bytes_of(receive(*there, 2)), (std::vector<std::string>{"before", "behind"}));
    EXPECT_EQ(here->counters().send_errors - before.send_errors, 2 * refused.size());
    EXPECT_EQ(here->counters().sent - before.sent, 2U);
  }
}

TEST_P(udp_link_test, says_which_address_it_cannot_bind) {
  try {
    const udp_link second(loop.io, {address, here->local().port, false, GetParam().portable});
    FAIL() << "two sockets on one port";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find(here->local().to_string()), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("in use"), std::string::npos) << error.what();
  }
}

TEST_P(udp_link_test, a_flood_does_not_starve_a_timer) {
  // Each datagram that arrives is sent again: there is always one to receive.
  const auto echo = [](udp_link& link) -> asio::awaitable<void> {
    for (;;) {
      for (const auto& arrived : co_await link.receive()) {
        const datagram_out again{arrived.bytes, arrived.from, {}};
        link.send({&again, 1});
      }
    }
  };
  send(*here, std::vector<datagram_out>(20, {as_bytes("round and round"), here->local(), {}}));
  const auto flood = loop.start(echo(*here));
  ASSERT_TRUE(loop.until([&] { return here->counters().received > 1000; }));
  asio::steady_timer timer(loop.io, std::chrono::milliseconds(1));
  const auto waited =
      loop.start([](auto& on) -> asio::awaitable<void> { co_await on.async_wait(asio::use_awaitable); }(timer));
  EXPECT_TRUE(loop.until([&] { return test_loop::has_ended(waited); }));
  EXPECT_FALSE(test_loop::has_ended(flood));
}

TEST_P(udp_link_test, an_idle_socket_is_writable) { loop.finish(here->writable()); }

TEST_P(udp_link_test, closing_ends_what_waits) {
  auto waiting = loop.start([](udp_link& link) -> asio::awaitable<void> { co_await link.receive(); }(*here));
  loop.poll();
  ASSERT_FALSE(test_loop::has_ended(waiting));
  here->close();
  EXPECT_THROW(loop.finish(std::move(waiting)), boost::system::system_error);
  EXPECT_THROW(loop.finish([](udp_link& link) -> asio::awaitable<void> { co_await link.receive(); }(*here)),
               boost::system::system_error);
}

class udp_wildcard_test : public udp_test_base, public testing::WithParamInterface<way> {};

INSTANTIATE_TEST_SUITE_P(ways, udp_wildcard_test,
                         testing::Values(way{false, "0.0.0.0", ""}, way{true, "0.0.0.0", ""}, way{false, "::", ""},
                                         way{true, "::", ""}),
                         [](const auto& instance) {
                           return std::string(instance.param.portable ? "portable" : "batched") +
                                  (ip(instance.param.loopback).is_v4() ? "_v4" : "_dual");
                         });

TEST_P(udp_wildcard_test, tells_the_destination_and_answers_from_there) {
  const auto server = open(ip(GetParam().loopback), GetParam().portable, true);
  const auto client = open(ip("127.0.0.1"), GetParam().portable);
  for (const auto* text : {"127.0.0.1", "127.0.0.2", "127.3.2.1"}) {
    const endpoint asked{ip(text), server->local().port};
    send(*client, {{as_bytes("question"), asked, {}}});
    const auto question = receive(*server, 1);
    ASSERT_EQ(question.size(), 1U) << text;
    EXPECT_EQ(question[0].from, client->local());
    EXPECT_EQ(question[0].to.address, ip(text));
    send(*server, {{as_bytes("answer"), question[0].from, question[0].to}});
    const auto answer = receive(*client, 1);
    ASSERT_EQ(answer.size(), 1U) << text;
    EXPECT_EQ(answer[0].from, asked);
  }
}

TEST_P(udp_wildcard_test, tells_the_destination_of_each_datagram_of_a_run) {
  const auto server = open(ip(GetParam().loopback), GetParam().portable, true);
  const auto client = open(ip("127.0.0.1"), GetParam().portable);
  const endpoint asked{ip("127.0.0.2"), server->local().port};
  send(*client, std::vector<datagram_out>(40, {as_bytes("one of many"), asked, {}}));
  const auto arrived = receive(*server, 40);
  EXPECT_EQ(arrived.size(), 40U);
  for (const auto& one : arrived) EXPECT_EQ(one.to.address, asked.ip);
}

TEST_P(udp_wildcard_test, answers_from_different_addresses_do_not_mix) {
  const auto server = open(ip(GetParam().loopback), GetParam().portable, true);
  const auto client = open(ip("127.0.0.1"), GetParam().portable);
  std::vector<datagram_out> answers;
  std::vector<endpoint> sources;
  for (const auto* text : {"127.0.0.2", "127.0.0.3", "127.0.0.3", "127.0.0.2"}) {
    sources.push_back({ip(text), server->local().port});
    send(*client, {{as_bytes("question"), sources.back(), {}}});
    const auto question = receive(*server, 1);
    ASSERT_EQ(question.size(), 1U);
    answers.push_back({as_bytes("answer"), question[0].from, question[0].to});
  }
  send(*server, answers);
  const auto arrived = receive(*client, answers.size());
  ASSERT_EQ(arrived.size(), answers.size());
  for (std::size_t i = 0; i < arrived.size(); ++i) EXPECT_EQ(arrived[i].from, sources[i]) << i;
}

using udp_dual_stack_test = udp_test_base;

TEST_F(udp_dual_stack_test, one_socket_speaks_ipv4_and_ipv6) {
  const auto both = open(ip_address{}, false, true);
  for (const auto* text : {"127.0.0.1", "::1"}) {
    const auto client = open(ip(text), false);
    const endpoint asked{ip(text), both->local().port};
    send(*client, {{as_bytes("question"), asked, {}}});
    const auto question = receive(*both, 1);
    ASSERT_EQ(question.size(), 1U) << text;
    EXPECT_EQ(question[0].from, client->local());
    EXPECT_EQ(question[0].to.address, asked.ip);
    send(*both, {{as_bytes("answer"), question[0].from, question[0].to}});
    const auto answer = receive(*client, 1);
    ASSERT_EQ(answer.size(), 1U) << text;
    EXPECT_EQ(answer[0].from, asked);
  }
}

}  // namespace
}  // namespace nat::net
