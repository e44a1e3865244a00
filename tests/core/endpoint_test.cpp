#include "nat/endpoint.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

ip_address ip(std::string_view text) { return ip_address::parse(text).value(); }

TEST(ip_address, reads_and_writes_the_canonical_text) {
  for (const auto* text : {"1.2.3.4", "255.255.255.255", "2001:db8::1", "::1", "::", "fe80::1"}) {
    EXPECT_EQ(ip(text).to_string(), text);
  }
}

TEST(ip_address, is_one_address_whether_ipv4_or_ipv4_mapped) {
  EXPECT_EQ(ip("::ffff:1.2.3.4"), ip("1.2.3.4"));
  EXPECT_EQ(ip("::ffff:1.2.3.4").to_string(), "1.2.3.4");
  EXPECT_TRUE(ip("::ffff:1.2.3.4").is_v4());
}

TEST(ip_address, refuses_what_is_no_literal) {
  for (const auto* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", " 1.2.3.4", "1.2.3.4 ",
                           "[::1]", "fe80::1%eth0", "1.2.3.4:5", "::g", "1::2::3", "0x7f.0.0.1"}) {
    EXPECT_FALSE(ip_address::parse(text)) << text;
  }
}

TEST(ip_address, knows_what_can_never_be_a_peers) {
  for (const auto* text : {"0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255",
                           "::ffff:0.0.0.0", "::ffff:224.0.0.1"}) {
    EXPECT_FALSE(ip(text).is_unicast()) << text;
  }
  for (const auto* text : {"127.0.0.1", "10.0.0.1", "192.0.2.255", "240.0.0.1", "::1", "2001:db8::1"}) {
    EXPECT_TRUE(ip(text).is_unicast()) << text;
  }
}

TEST(ip_address, knows_loopback) {
  EXPECT_TRUE(ip("127.0.0.1").is_loopback());
  EXPECT_TRUE(ip("127.255.0.9").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_FALSE(ip("::2").is_loopback());
}

TEST(endpoint, reads_and_writes_address_and_port) {
  for (const auto* text : {"1.2.3.4:5", "[2001:db8::1]:65535"})
    EXPECT_EQ(endpoint::parse(text).value().to_string(), text);
}

TEST(endpoint, refuses_half_an_endpoint) {
  for (const auto* text : {"", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "::1:80", "[1.2.3.4]:80",
                           "[::1]", "[::1]80", "host:80"}) {
    EXPECT_FALSE(endpoint::parse(text)) << text;
  }
}

TEST(parse_port, takes_plain_decimal_only) {
  EXPECT_EQ(parse_port("1").value(), 1);
  EXPECT_EQ(parse_port("65535").value(), 65535);
  for (const auto* text : {"", "0", "65536", "-1", "+1", " 1", "1 ", "0x10", "080", "1e3", "99999999999999999999"}) {
    EXPECT_FALSE(parse_port(text)) << text;
  }
}

}  // namespace
}  // namespace nat
