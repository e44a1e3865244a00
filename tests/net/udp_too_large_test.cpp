// What is too large for the way to an address: who tells that, and who is told.
#include "nat/net/udp_link.hpp"

#include "test_loop.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace nat::net {
namespace {

#if defined(__linux__)

namespace asio = boost::asio;

ip_address ip(std::string_view text) { return ip_address::parse(text).value(); }

class udp_too_large_test : public testing::Test, public testing::WithParamInterface<bool> {
 protected:
  using claim = std::pair<ip_address, std::size_t>;

  udp_options told_of_all(std::string_view bind) {
    return {.bind = ip(bind),
            .portable = GetParam(),
            .on_unreachable = [this](const endpoint& at) { unreachable.push_back(at); },
            .on_too_large = [this](const ip_address& to, std::size_t mtu) { too_large.emplace_back(to, mtu); }};
  }
  /// What is in the error queue is told before the next datagram is handed out.
  void exchange(udp_link& from, udp_link& to, const endpoint& at) {
    const datagram_out one{as_bytes("one"), at, {}};
    loop.finish([](udp_link& link, udp_link& by, const datagram_out& what) -> asio::awaitable<void> {
      while (by.send({&what, 1}) == 0) co_await by.writable();
      co_await link.receive();
    }(to, from, one));
  }

  test_loop loop;
  std::vector<endpoint> unreachable;
  std::vector<claim> too_large;
};

INSTANTIATE_TEST_SUITE_P(ways, udp_too_large_test, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "portable" : "batched"; });

TEST_P(udp_too_large_test, the_kernel_tells_what_the_interface_does_not_carry) {
  for (const auto* bind : {"127.0.0.1", "::1", "::"}) {
    const auto address = ip(std::string_view(bind) == "::1" ? "::1" : "127.0.0.1");
    too_large.clear();
    udp_link here(loop.io, told_of_all(bind));
    udp_link there(loop.io, {.bind = address});
    const std::string bytes(65'535, 'x');  // with UDP's and IP's headers more than IP has a length for
    const datagram_out large{as_bytes(bytes), there.local(), {}};
    EXPECT_EQ(here.send({&large, 1}), 1U) << "it is dropped";
    EXPECT_EQ(here.counters().send_errors, 1U);
    exchange(there, here, {address, here.local().port});
    ASSERT_FALSE(too_large.empty()) << bind;
    EXPECT_EQ(too_large[0].first, address);
    EXPECT_GE(too_large[0].second, 65'535U) << "the loopback's MTU, or as much as IPv4 has a length for";
    EXPECT_TRUE(unreachable.empty());
  }
}

void put(std::vector<std::uint8_t>& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

/// RFC 792 and 1191: "fragmentation needed", about a datagram that went from one endpoint to the other.
std::vector<std::uint8_t> fragmentation_needed(const endpoint& from, const endpoint& to, std::uint16_t mtu) {
  std::vector<std::uint8_t> out{3, 4, 0, 0, 0, 0};
  put(out, mtu);
  out.insert(out.end(), {0x45, 0, 5, 220, 0, 1, 0x40, 0, 64, 17, 0, 0});  // 1500 bytes of UDP, not to be cut
  for (const auto& each : {from, to}) {
    const auto bytes = each.ip.v4();
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  for (const std::uint16_t each : {from.port, to.port, std::uint16_t{1480}, std::uint16_t{0}}) put(out, each);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < out.size(); i += 2) sum += static_cast<std::uint32_t>(out[i] << 8 | out[i + 1]);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  out[2] = static_cast<std::uint8_t>(~sum >> 8);
  out[3] = static_cast<std::uint8_t>(~sum);
  return out;
}

TEST_P(udp_too_large_test, tells_what_a_router_says_of_the_way_and_loses_nothing_by_it) {
  const int raw = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
  if (raw < 0) GTEST_SKIP() << "only root may play a router";
  udp_link here(loop.io, told_of_all("127.0.0.1"));
  // Of its own: what the kernel is told here it heeds for ten minutes.
  udp_link there(loop.io, {.bind = ip(GetParam() ? "127.91.7.1" : "127.91.7.2")});
  exchange(here, there, there.local());
  const auto message = fragmentation_needed(here.local(), there.local(), 1400);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::sendto(raw, message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to),
            static_cast<ssize_t>(message.size()));
  ::close(raw);
  exchange(there, here, here.local());
  EXPECT_EQ(too_large, (std::vector<claim>{{there.local().ip, 1400}}));
  EXPECT_TRUE(unreachable.empty());
  exchange(here, there, there.local());
}

#endif

}  // namespace
}  // namespace nat::net
