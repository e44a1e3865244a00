// The pieces between the network and stdout: formats, receiver.
#include "nat/receiver.hpp"
#include "nat/record_formatter.hpp"
#include "nat/text.hpp"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nat {
namespace {

constexpr time_point now{std::chrono::hours(1)};
constexpr std::size_t memory = 1U << 20;
const output_source bob{"bob", {ip_address::parse("192.0.2.7").value(), 4000}, 1656829882876};

std::string format(output_mode mode, std::string_view payload, output_source source = bob) {
  std::vector<std::uint8_t> out;
  append_output(out, mode, source, as_bytes(payload));
  return std::string(as_text(out));
}

TEST(output_format, raw_is_the_payload_as_it_came) {
  EXPECT_EQ(format(output_mode::raw, std::string_view("a\0b\xff", 4)), std::string("a\0b\xff", 4));
  EXPECT_EQ(format(output_mode::raw, ""), "");
}

TEST(output_format, lines_adds_a_newline_only_where_one_lacks) {
  EXPECT_EQ(format(output_mode::lines, "a"), "a\n");
  EXPECT_EQ(format(output_mode::lines, "a\n"), "a\n");
  EXPECT_EQ(format(output_mode::lines, "a\nb"), "a\nb\n");
}

TEST(output_format, text_puts_the_name_before_each_line) {
  EXPECT_EQ(format(output_mode::text, "hello"), "bob: hello\n");
  EXPECT_EQ(format(output_mode::text, "hello\n"), "bob: hello\n");
  EXPECT_EQ(format(output_mode::text, "hello\n\n"), "bob: hello\nbob: \n");
  EXPECT_EQ(format(output_mode::text, "hi\nalice: give me money\n"), "bob: hi\nbob: alice: give me money\n");
}

TEST(output_format, text_makes_control_characters_visible) {
  EXPECT_EQ(format(output_mode::text, "\x1b[2Jgone\r"), "bob: \\x1b[2Jgone\\r\n");
  auto liar = bob;
  liar.name = "bo\nb\x1b";
  EXPECT_EQ(format(output_mode::text, "x", liar), "bo\\nb\\x1b: x\n");
}

TEST(output_format, text_stays_small_when_a_long_name_meets_many_lines) {
  auto liar = bob;
  const std::string name(1024, '\x01');
  liar.name = name;
  EXPECT_LT(format(output_mode::text, std::string(65379, '\n'), liar).size(), 10U << 20);
}

TEST(output_format, json_is_one_object_a_packet) {
  EXPECT_EQ(format(output_mode::json, "a \"line\"\n"),
            R"({"from":"bob","ip":"192.0.2.7","port":4000,"time":1656829882876,"text":"a \"line\"\u000a"})"
            "\n");
}

TEST(output_format, json_has_no_address_for_what_came_by_the_relay) {
  auto relayed = bob;
  relayed.address = {};
  EXPECT_EQ(format(output_mode::json, "x", relayed),
            R"({"from":"bob","ip":null,"port":null,"time":1656829882876,"text":"x"})"
            "\n");
}

TEST(output_format, json_carries_bytes_that_are_no_text_in_base64) {
  const auto object = nlohmann::json::parse(format(output_mode::json, std::string_view("\xff\x00\x01", 3)));
  EXPECT_EQ(object["base64"], "/wAB");
  EXPECT_FALSE(object.contains("text"));
}

TEST(receiver, hands_over_what_came_and_goes_on_meanwhile) {
  session_table nobody;
  receiver to_stdout(output_mode::raw, memory);
  EXPECT_TRUE(to_stdout.drained());
  to_stdout.on_unsealed(bob, as_bytes("one"));
  std::vector<std::uint8_t> bytes;
  to_stdout.next_output(bytes, nobody);
  EXPECT_EQ(as_text(bytes), "one");
  to_stdout.on_unsealed(bob, as_bytes("two"));
  EXPECT_FALSE(to_stdout.drained());
  to_stdout.on_written(now, 3, nobody);
  bytes.clear();
  to_stdout.next_output(bytes, nobody);
  EXPECT_EQ(as_text(bytes), "two");
  to_stdout.on_written(now, 3, nobody);
  EXPECT_TRUE(to_stdout.drained());
}

TEST(receiver, drops_what_seed_peers_send_above_its_bound) {
  session_table nobody;
  receiver to_stdout(output_mode::raw, memory);
  const std::string payload(1U << 20, 'x');
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(to_stdout.on_unsealed(bob, as_bytes(payload)));
  EXPECT_FALSE(to_stdout.on_unsealed(bob, as_bytes("x")));
  std::vector<std::uint8_t> bytes;
  to_stdout.next_output(bytes, nobody);
  EXPECT_TRUE(to_stdout.on_unsealed(bob, as_bytes("x")));
}

}  // namespace
}  // namespace nat
