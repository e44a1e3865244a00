// Datagrams on a system that has no word for IPv4's being whole, and one bit for IPv6's: the file itself, compiled as
// there, in a program of its own.
#include <netinet/in.h>
#undef IP_MTU_DISCOVER
#undef IPV6_MTU_DISCOVER
#undef IP_DONTFRAG
#include "../../src/net/udp_batches.cpp"
#include "test_loop.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace nat::net {
namespace {

namespace asio = boost::asio;

std::vector<std::string> sent_with(const ip_address& address, fragments second, udp_counters& counters) {
  test_loop loop;
  udp_link here(loop.io, {.bind = address});
  udp_link there(loop.io, {.bind = address});
  std::vector<datagram_out> out;
  for (const std::string_view text : {"one", "two", "end"}) out.push_back({as_bytes(text), there.local(), {}});
  out[1].fragments = second;
  EXPECT_EQ(here.send(out), out.size());
  counters = here.counters();
  std::vector<std::string> arrived;
  loop.finish([](udp_link& link, std::vector<std::string>& into) -> asio::awaitable<void> {
    while (into.empty() || into.back() != "end") {
      for (const auto& each : co_await link.receive()) into.emplace_back(as_text(each.bytes));
    }
  }(there, arrived));
  return arrived;
}

TEST(udp_fallback, what_has_to_be_whole_and_may_be_cut_is_dropped_and_counted) {
  const auto ipv4 = ip_address::parse("127.0.0.1").value();
  udp_counters counters;
  EXPECT_EQ(sent_with(ipv4, fragments::never, counters), (std::vector<std::string>{"one", "end"}));
  EXPECT_EQ(counters.sent, 2U);
  EXPECT_EQ(counters.send_errors, 1U);
}

TEST(udp_fallback, what_may_be_cut_is_sent) {
  const auto ipv4 = ip_address::parse("127.0.0.1").value();
  udp_counters counters;
  EXPECT_EQ(sent_with(ipv4, fragments::allowed, counters), (std::vector<std::string>{"one", "two", "end"}));
  EXPECT_EQ(counters.send_errors, 0U);
}

#if defined(IPV6_DONTFRAG)
TEST(udp_fallback, one_bit_is_enough_for_a_probe) {
  const auto ipv6 = ip_address::parse("::1").value();
  udp_counters counters;
  EXPECT_EQ(sent_with(ipv6, fragments::never, counters), (std::vector<std::string>{"one", "two", "end"}));
  EXPECT_EQ(counters.sent, 3U);
}
#endif

}  // namespace
}  // namespace nat::net
