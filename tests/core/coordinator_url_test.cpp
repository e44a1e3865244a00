#include "nat/coordinator_url.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

TEST(coordinator_url, takes_all_four_schemes) {
  for (const auto* text : {"ws://h:1/p", "http://h:1/p", "WS://h:1/p"})
    EXPECT_EQ(parse_coordinator_url(text)->to_string(), "ws://h:1/p");
  for (const auto* text : {"wss://h:1/p", "https://h:1/p"})
    EXPECT_EQ(parse_coordinator_url(text)->to_string(), "wss://h:1/p");
}

TEST(coordinator_url, has_the_schemes_own_default_port) {
  EXPECT_EQ(parse_coordinator_url("ws://h")->port, 80);
  EXPECT_EQ(parse_coordinator_url("https://h")->port, 443);
  EXPECT_EQ(parse_coordinator_url("wss://h:80")->authority(), "h:80");
  EXPECT_EQ(parse_coordinator_url("ws://h:80")->authority(), "h");
}

TEST(coordinator_url, keeps_a_path_without_its_last_slash) {
  EXPECT_EQ(parse_coordinator_url("ws://h")->path, "");
  EXPECT_EQ(parse_coordinator_url("ws://h/")->path, "");
  EXPECT_EQ(parse_coordinator_url("ws://h/a%20b/c/")->path, "/a%20b/c");
}

TEST(coordinator_url, takes_literal_addresses) {
  const auto url = parse_coordinator_url("ws://[2001:db8::1]:6969").value();
  EXPECT_EQ(url.host, "2001:db8::1");
  EXPECT_EQ(url.authority(), "[2001:db8::1]:6969");
  EXPECT_EQ(parse_coordinator_url("ws://127.0.0.1:6969")->host, "127.0.0.1");
}

TEST(coordinator_url, refuses_what_it_cannot_use) {
  for (const auto* text : {"", "host:6969", "ftp://h", "ws://", "ws:///path", "ws://user@h", "ws://h/?a=b", "ws://h/#f",
                           "ws://h:0", "ws://h:65536", "ws://h:port", "ws://h h", "//h"}) {
    EXPECT_FALSE(parse_coordinator_url(text)) << text;
  }
  EXPECT_FALSE(parse_coordinator_url("ws://h/" + std::string(3000, 'x')));
}

const coordinator_request from{*parse_coordinator_url("ws://h:6969/base"), "/base/websocket?topic=T"};

TEST(resolve_redirect, follows_absolute_and_relative_locations) {
  const auto absolute = resolve_redirect(from, "https://other/websocket?topic=T").value();
  EXPECT_EQ(absolute.server.to_string(), "wss://other");
  EXPECT_EQ(absolute.target, "/websocket?topic=T");
  const auto relative = resolve_redirect(from, "/elsewhere?topic=T").value();
  EXPECT_EQ(relative.server.to_string(), "ws://h:6969");
  EXPECT_EQ(relative.target, "/elsewhere?topic=T");
  EXPECT_EQ(resolve_redirect(from, "http://other")->target, "/");
}

TEST(resolve_redirect, never_leaves_tls_or_our_schemes) {
  const coordinator_request secure{*parse_coordinator_url("wss://h"), "/websocket"};
  EXPECT_TRUE(resolve_redirect(secure, "https://other/"));
  EXPECT_FALSE(resolve_redirect(secure, "http://other/"));
  EXPECT_FALSE(resolve_redirect(from, "file:///etc/passwd"));
  EXPECT_FALSE(resolve_redirect(from, "http://[bad"));
  EXPECT_FALSE(resolve_redirect(from, std::string(5000, 'a')));
}

}  // namespace
}  // namespace nat
