#include "nat/net/resolver.hpp"

#include "test_loop.hpp"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

namespace nat::net {
namespace {

// A label has 63 bytes at most (RFC 1035, 2.3.4): nobody has to be asked to know that this name does not exist.
const std::string impossible_name = std::string(64, 'x') + ".invalid";

class resolver_test : public testing::Test {
 protected:
  test_loop loop;
  resolver names{loop.io};
};

TEST_F(resolver_test, answers_a_literal_address_at_once) {
  for (const auto* text : {"192.0.2.1", "2001:db8::1", "::1", "255.255.255.255"}) {
    auto answer = loop.start(names.resolve(text, 6969));
    loop.poll();
    ASSERT_TRUE(test_loop::has_ended(answer)) << text;
    const auto found = answer.get();
    ASSERT_EQ(found.endpoints.size(), 1U) << text;
    EXPECT_EQ(found.endpoints[0], (endpoint{ip_address::parse(text).value(), 6969}));
    EXPECT_EQ(found.error, "");
  }
}

TEST_F(resolver_test, finds_each_address_of_a_name_once) {
  const auto found = loop.finish(names.resolve("localhost", 80));
  ASSERT_FALSE(found.endpoints.empty()) << found.error;
  for (const auto& at : found.endpoints) {
    EXPECT_TRUE(at.ip.is_loopback()) << at.to_string();
    EXPECT_EQ(at.port, 80);
    EXPECT_EQ(std::ranges::count(found.endpoints, at), 1) << at.to_string();
  }
}

TEST_F(resolver_test, says_which_name_it_cannot_resolve) {
  const auto found = loop.finish(names.resolve(impossible_name, 80));
  EXPECT_TRUE(found.endpoints.empty());
  const auto beginning = "cannot resolve " + impossible_name + ": ";
  EXPECT_TRUE(found.error.starts_with(beginning)) << found.error;
  EXPECT_GT(found.error.size(), beginning.size());
}

TEST_F(resolver_test, gives_an_error_for_what_is_no_name) {
  for (const std::string host : {"", "[::1]", "1.2.3.4.5:6", "a b", "..", "\n"}) {
    const auto found = loop.finish(names.resolve(host + '!' + std::string(64, 'x'), 80));
    EXPECT_TRUE(found.endpoints.empty()) << host;
    EXPECT_NE(found.error, "") << host;
  }
}

TEST_F(resolver_test, is_busy_until_every_lookup_is_over) {
  EXPECT_FALSE(names.busy());
  auto first = loop.start(names.resolve("localhost", 1));
  auto second = loop.start(names.resolve(impossible_name, 2));
  ASSERT_TRUE(loop.until([&] { return names.busy(); }));
  loop.finish(std::move(first));
  loop.finish(std::move(second));
  EXPECT_FALSE(names.busy());
}

}  // namespace
}  // namespace nat::net
