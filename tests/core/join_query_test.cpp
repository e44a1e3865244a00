#include "nat/join_query.hpp"

#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace nat {
namespace {

std::string reason_of(std::string_view query) {
  const auto decoded = decode_join_query(query);
  return decoded ? "accepted" : decoded.error().reason;
}

/// A query with one value replaced; the others are good.
std::string with(std::string_view parameter, std::string_view value) {
  std::string query;
  for (const auto& [key, good] : {std::pair{"topic", "T"}, {"name", "N"}, {"ip", "1.2.3.4"}, {"port", "5"}}) {
    query += query.empty() ? "" : "&";
    query += key;
    query += '=';
    query += key == parameter ? value : good;
  }
  return query;
}

std::string repeated(std::string_view piece, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += piece;
  return text;
}

TEST(join_query, reads_what_a_peer_registers_with) {
  const auto request = decode_join_query("topic=my%20topic&name=caf%C3%A9&ip=1.2.3.4&port=6969").value();
  EXPECT_EQ(request.topic, "my topic");
  EXPECT_EQ(request.name, "café");
  EXPECT_EQ(request.address.value().to_string(), "1.2.3.4:6969");
}

TEST(join_query, reads_parameters_in_any_order_and_ignores_others) {
  const auto request = decode_join_query("v=2&port=1&&ip=%3A%3A1&x&name=n&=&topic=t&v=3&").value();
  EXPECT_EQ(request.topic, "t");
  EXPECT_EQ(request.name, "n");
  EXPECT_EQ(request.address.value().to_string(), "[::1]:1");
}

TEST(join_query, reads_a_plus_as_a_space_and_an_escaped_one_as_itself) {
  EXPECT_EQ(decode_join_query(with("name", "a+b%2Bc%20d")).value().name, "a b+c d");
}

TEST(join_query, reads_what_browsers_leave_unescaped) {
  EXPECT_EQ(decode_join_query(with("name", "a{b}|c=d?/\\^`[]\"")).value().name, "a{b}|c=d?/\\^`[]\"");
  EXPECT_EQ(decode_join_query(with("name", "🙂")).value().name, "🙂");
}

TEST(join_query, writes_only_unreserved_characters_and_escapes) {
  EXPECT_EQ(encode_join_query({"a b", "100%+\"ü\"", endpoint::parse("[2001:db8::1]:80").value()}),
            "topic=a%20b&name=100%25%2B%22%C3%BC%22&ip=2001%3Adb8%3A%3A1&port=80");
}

TEST(join_query, reads_back_every_name_it_writes) {
  for (const auto* name : {"plain", "a \"quoted\" 'name'", " spaces  ", "100%", "%41", "%%", "a+b", "+", "&=?#/",
                           "🙂🙃", "grüße", "a;b", "~-._", "\\"}) {
    const join_request request{name, name, endpoint::parse("1.2.3.4:5").value()};
    const auto back = decode_join_query(encode_join_query(request)).value();
    EXPECT_EQ(back.topic, name);
    EXPECT_EQ(back.name, name);
    EXPECT_EQ(back.address, request.address);
  }
}

TEST(join_query, names_the_parameter_that_is_missing_empty_or_repeated) {
  EXPECT_EQ(reason_of(""), "missing parameter \"topic\"");
  EXPECT_EQ(reason_of("name=N&ip=1.2.3.4&port=5"), "missing parameter \"topic\"");
  EXPECT_EQ(reason_of("topic=T&ip=1.2.3.4&port=5"), "missing parameter \"name\"");
  EXPECT_EQ(reason_of("topic=T&name=N&port=5"), "missing parameter \"ip\"");
  EXPECT_EQ(reason_of("topic=T&name=N&ip=1.2.3.4"), "missing parameter \"port\"");
  EXPECT_EQ(reason_of("Topic=T&name=N&ip=1.2.3.4&port=5"), "missing parameter \"topic\"") << "names are case-sensitive";
  for (const auto* parameter : {"topic", "name", "ip", "port"}) {
    const auto quoted = "parameter \"" + std::string(parameter) + "\" ";
    EXPECT_EQ(reason_of(with(parameter, "")), quoted + "is empty");
    EXPECT_EQ(reason_of(with("", "") + '&' + parameter), quoted + "is given twice");
    EXPECT_EQ(reason_of(with("", "") + '&' + parameter + "=1.2.3.4"), quoted + "is given twice");
  }
  EXPECT_EQ(reason_of("%74opic=U&" + with("", "")), "parameter \"topic\" is given twice") << "escaped, but the same";
}

TEST(join_query, refuses_values_over_their_length) {
  EXPECT_EQ(reason_of(with("topic", repeated("t", 255))), "accepted");
  EXPECT_EQ(reason_of(with("topic", repeated("t", 256))), "parameter \"topic\" is longer than 255 bytes");
  EXPECT_EQ(reason_of(with("name", repeated("%C3%BC", 64))), "accepted") << "the bytes are counted decoded";
  EXPECT_EQ(reason_of(with("name", repeated("n", 129))), "parameter \"name\" is longer than 128 bytes");
}

TEST(join_query, refuses_text_that_is_not_utf8_or_controls_a_terminal) {
  for (const auto* parameter : {"topic", "name"}) {
    const auto quoted = "parameter \"" + std::string(parameter) + "\" ";
    for (const auto* bad : {"%ff", "a%C3", "%C0%AF", "%ED%A0%80", "\xff"}) {
      EXPECT_EQ(reason_of(with(parameter, bad)), quoted + "is not UTF-8") << bad;
    }
    for (const auto* bad : {"%00", "a%0A", "%1b[31m", "%7F", "%C2%85", "a\tb"}) {
      EXPECT_EQ(reason_of(with(parameter, bad)), quoted + "has control characters") << bad;
    }
  }
}

TEST(join_query, refuses_broken_escapes) {
  for (const auto* bad : {"%", "a%2", "%zz", "%%20", "% 41"}) {
    EXPECT_EQ(reason_of(with("name", bad)), "parameter \"name\" has an invalid percent escape") << bad;
    EXPECT_EQ(reason_of(with("", "") + '&' + bad), "the query has an invalid percent escape") << bad;
  }
}

TEST(join_query, refuses_addresses_that_are_no_literal_or_no_peers) {
  for (const auto* bad :
       {"localhost", "1.2.3", "1.2.3.4:5", "[::1]", "fe80::1%25eth0", "+1.2.3.4", "1.2.3.4%00", "01.2.3.4"}) {
    EXPECT_EQ(reason_of(with("ip", bad)), "parameter \"ip\" is not an IP address") << bad;
  }
  for (const auto* bad : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:224.0.0.1"}) {
    EXPECT_EQ(reason_of(with("ip", bad)), "parameter \"ip\" can never be a peer's address") << bad;
  }
}

TEST(join_query, refuses_ports_that_are_not_plain_decimal) {
  for (const auto* bad :
       {"0", "65536", "-1", "+1", "%2B1", "080", "0x50", "8e1", "http", "1.0", "99999999999999999999"}) {
    EXPECT_EQ(reason_of(with("port", bad)), "parameter \"port\" is not a port number (1 to 65535)") << bad;
  }
  EXPECT_EQ(reason_of(with("port", "65535")), "accepted");
}

TEST(join_query, bounds_the_whole_query) {
  const auto good = with("", "") + "&pad=";
  EXPECT_EQ(reason_of(good + repeated("x", 8192 - good.size())), "accepted");
  EXPECT_EQ(reason_of(good + repeated("x", 8193 - good.size())), "the query is longer than 8192 bytes");
  EXPECT_EQ(reason_of(with("", "") + repeated("&x=1", 60)), "accepted");
  EXPECT_EQ(reason_of(with("", "") + repeated("&x=1", 61)), "the query has too many parameters");
}

TEST(join_query, needs_no_address_where_it_may_come_later) {
  const auto request = decode_join_query("topic=T&name=N", /*needs_address=*/false).value();
  EXPECT_EQ(request.topic, "T");
  EXPECT_EQ(request.name, "N");
  EXPECT_EQ(request.address, std::nullopt);
  const auto with_address = decode_join_query(with("", ""), /*needs_address=*/false).value();
  EXPECT_EQ(with_address.address, endpoint::parse("1.2.3.4:5").value());
}

TEST(join_query, checks_an_address_that_is_given_though_none_is_needed) {
  const auto reason = [](std::string_view query) {
    const auto decoded = decode_join_query(query, /*needs_address=*/false);
    return decoded ? "accepted" : decoded.error().reason;
  };
  EXPECT_EQ(reason("topic=T&name=N&ip=1.2.3.4"), "missing parameter \"port\"");
  EXPECT_EQ(reason("topic=T&name=N&port=5"), "missing parameter \"ip\"");
  EXPECT_EQ(reason("topic=T&name=N&ip=&port="), "parameter \"ip\" is empty");
  EXPECT_EQ(reason("topic=T&name=N&ip=0.0.0.0&port=5"), "parameter \"ip\" can never be a peer's address");
  EXPECT_EQ(reason("name=N"), "missing parameter \"topic\"");
}

TEST(join_query, writes_no_address_where_there_is_none) {
  EXPECT_EQ(encode_join_query({"T", "N", std::nullopt}), "topic=T&name=N");
}

TEST(join_query, throws_the_reason_where_a_value_is_taken_that_is_not_there) {
  EXPECT_THROW(decode_join_query("").value(), std::runtime_error);
}

}  // namespace
}  // namespace nat
