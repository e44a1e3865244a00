// Received records written piece by piece: the same bytes as at once, within the bound, however the record is split.
#include "nat/record_formatter.hpp"

#include "nat/text.hpp"

#include "plain_random.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace nat {
namespace {

const output_source bob{"bob", {ip_address::parse("192.0.2.7").value(), 4000}, 1656829882876};
constexpr output_mode every_mode[] = {output_mode::raw, output_mode::lines, output_mode::text, output_mode::json};
constexpr auto unlimited = std::numeric_limits<std::size_t>::max();

std::string plain_base64(std::string_view bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      three = three << 8 | (i + j < bytes.size() ? static_cast<std::uint8_t>(bytes[i + j]) : 0U);
    }
    for (unsigned j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : digits[three >> (18 - 6 * j) & 63U];
  }
  return out;
}

/// What a record becomes, written the plain way: the whole of it in memory, several times.
std::string plainly(output_mode mode, const output_source& source, std::string_view record) {
  std::string out;
  if (mode == output_mode::raw || mode == output_mode::lines) {
    out = record;
    if (mode == output_mode::lines && !record.ends_with('\n')) out += '\n';
  } else if (mode == output_mode::text) {
    if (record.ends_with('\n')) record.remove_suffix(1);
    for (bool more = true; more;) {
      const auto newline = record.find('\n');
      more = newline != std::string_view::npos;
      auto line = record.substr(0, newline);
      if (more) record.remove_prefix(newline + 1);
      if (more && line.ends_with('\r')) line.remove_suffix(1);
      out += visible(source.name) + ": " + visible(line) + '\n';
    }
  } else {
    out = "{\"from\":\"" + std::string(source.name) + R"(","ip":"192.0.2.7","port":4000,"time":)" +
          std::to_string(source.time);
    if (is_utf8(record)) {
      out += ",\"text\":";
      append_json_string(out, record);
      out += "}\n";
    } else {
      out += ",\"base64\":\"" + plain_base64(record) + "\"}\n";
    }
  }
  return out;
}

/// Formats a record of two spans with at most `max_bytes` a call; each call keeps its bound.
std::string piecewise(record_formatter& formatter, std::string_view first, std::string_view second,
                      std::size_t max_bytes) {
  std::string all;
  std::vector<std::uint8_t> out;
  formatter.begin(bob, as_bytes(first), as_bytes(second));
  EXPECT_TRUE(formatter.busy());
  EXPECT_EQ(formatter.taken(), 0U);
  for (bool done = false; !done;) {
    const auto taken = formatter.taken();
    out.clear();
    done = formatter.write_some(out, max_bytes);
    EXPECT_EQ(done, !formatter.busy());
    EXPECT_GE(formatter.taken(), taken);
    EXPECT_TRUE(done || !out.empty()) << "a call without progress would spin";
    EXPECT_TRUE(max_bytes == unlimited || out.size() <= max_bytes + record_formatter::max_overrun) << out.size();
    all += as_text(out);
    if (testing::Test::HasFailure()) return all;
  }
  EXPECT_EQ(formatter.taken(), first.size() + second.size());
  return all;
}

/// A record of up to `longest` bytes out of what is hard to cut; the same each time.
std::string hard_record(random_source& random, std::size_t longest, bool utf8) {
  static const std::vector<std::string> parts = {"a",
                                                 "plain text ",
                                                 "\n",
                                                 "\r\n",
                                                 "\r",
                                                 "\n\n\n",
                                                 "\"",
                                                 "\\",
                                                 "\x1b[2J",
                                                 "\x7f",
                                                 "\u00fc",
                                                 "\u0085",
                                                 "\u061c",
                                                 "\u65e5",
                                                 "\u202e",
                                                 "\u200b",
                                                 "\U0001f642",
                                                 "\U000e0041",
                                                 std::string(1, '\0'),
                                                 "\t",
                                                 "\xff",
                                                 "\xf0\x9f\x99",
                                                 "\x82",
                                                 "\xe2\x80",
                                                 "\xc3",
                                                 "\xed\xa0\x80",
                                                 "\xf4\x90\x80\x80"};
  constexpr std::size_t text_parts = 20;
  std::vector<std::uint8_t> draws(longest + 2);
  random.fill(draws);
  const auto size = (draws[0] * 256U + draws[1]) % (longest + 1);
  std::string record;
  for (std::size_t i = 2; record.size() < size; ++i) {
    record += parts[draws[i] % (utf8 ? text_parts : parts.size())];
  }
  return record;
}

TEST(record_formatter, writes_piecewise_what_it_writes_at_once_wherever_the_record_is_split) {
  plain_random random;
  for (int round = 0; round < 4'000; ++round) {
    const auto record = hard_record(random, 60, round % 2 == 0);
    std::uint8_t draws[2];
    random.fill(draws);
    const auto split = draws[0] % (record.size() + 1);
    const auto first = std::string_view(record).substr(0, split);
    const auto second = std::string_view(record).substr(split);
    const auto max_bytes = round % 5 == 0 ? unlimited : 1U + draws[1] % 80U;
    for (const auto mode : every_mode) {
      record_formatter formatter(mode);
      ASSERT_EQ(piecewise(formatter, first, second, max_bytes), plainly(mode, bob, record))
          << "split at " << split << ", " << max_bytes << " a call";
    }
  }
}

TEST(record_formatter, cuts_large_records_at_every_kind_of_place) {
  plain_random random(2);
  for (int round = 0; round < 60; ++round) {
    const auto record = hard_record(random, 40'000, round % 2 == 0);
    const auto first = std::string_view(record).substr(0, record.size() / 3);
    const auto second = std::string_view(record).substr(record.size() / 3);
    for (const auto mode : every_mode) {
      record_formatter formatter(mode);
      const auto expected = plainly(mode, bob, record);
      for (const std::size_t max_bytes : {61U, 4'096U, 100'000U}) {
        ASSERT_TRUE(piecewise(formatter, first, second, max_bytes) == expected) << max_bytes;
      }
    }
  }
}

TEST(record_formatter, takes_any_border_through_a_character_and_through_three_bytes_of_base64) {
  for (const std::string record : {"abcdefgh\U0001f642ijklmnopq\u65e5rstuvwxyz\r\nA",
                                   "0123456789\xff"
                                   "0123456789\xe2\x80"}) {
    for (std::size_t split = 0; split <= record.size(); ++split) {
      for (const auto mode : every_mode) {
        for (const std::size_t max_bytes : {1U, 5U, 1'000U}) {
          record_formatter formatter(mode);
          ASSERT_EQ(piecewise(formatter, record.substr(0, split), record.substr(split), max_bytes),
                    plainly(mode, bob, record));
        }
      }
    }
  }
}

TEST(record_formatter, writes_one_record_after_another) {
  for (const auto mode : every_mode) {
    record_formatter formatter(mode);
    for (const auto* record : {"\xff", "two\n", "", "three", "\n", "\n\n", "\r\n"}) {
      ASSERT_EQ(piecewise(formatter, record, "", 7), plainly(mode, bob, record));
      ASSERT_EQ(piecewise(formatter, "", record, 7), plainly(mode, bob, record));
    }
  }
}

TEST(record_formatter, appends_behind_what_is_there_and_nothing_where_nothing_may_be) {
  record_formatter formatter(output_mode::raw);
  std::vector<std::uint8_t> out{'>'};
  formatter.begin(bob, as_bytes("abc"), as_bytes("def"));
  EXPECT_FALSE(formatter.write_some(out, 0));
  EXPECT_FALSE(formatter.write_some(out, 4));
  EXPECT_EQ(as_text(out), ">abcd");
  EXPECT_TRUE(formatter.write_some(out, 2)) << "the call that writes the last byte says so";
  EXPECT_TRUE(formatter.write_some(out, 100));
  EXPECT_EQ(as_text(out), ">abcdef");
}

TEST(record_formatter, reads_nothing_again_that_is_taken) {
  plain_random random(3);
  for (int round = 0; round < 400; ++round) {
    const auto record = hard_record(random, 200, round % 2 == 0);
    for (const auto mode : every_mode) {
      auto first = record.substr(0, record.size() / 2);
      auto second = record.substr(record.size() / 2);
      record_formatter formatter(mode);
      std::vector<std::uint8_t> out;
      formatter.begin(bob, as_bytes(first), as_bytes(second));
      while (!formatter.write_some(out, 10)) {
        const auto taken = formatter.taken();
        std::fill_n(first.begin(), std::min(taken, first.size()), '#');
        std::fill_n(second.begin(), taken - std::min(taken, first.size()), '#');
      }
      ASSERT_EQ(as_text(out), plainly(mode, bob, record));
    }
  }
}

TEST(record_formatter, reads_the_source_at_the_beginning_only) {
  for (const auto mode : {output_mode::text, output_mode::json}) {
    std::string name = "bob";
    record_formatter formatter(mode);
    formatter.begin({name, bob.address, bob.time}, as_bytes("one\ntwo"), {});
    name = "eve";
    std::vector<std::uint8_t> out;
    formatter.write_some(out, unlimited);
    EXPECT_EQ(as_text(out), plainly(mode, bob, "one\ntwo"));
  }
}

TEST(record_formatter, keeps_its_bound_though_the_name_is_long) {
  const std::string name(1024, '\x01');
  for (const auto mode : {output_mode::text, output_mode::json}) {
    record_formatter formatter(mode);
    formatter.begin({name, {}, 0}, as_bytes(std::string_view("\n\n\n")), {});
    std::vector<std::uint8_t> out;
    for (bool done = false; !done; out.clear()) {
      done = formatter.write_some(out, 50);
      ASSERT_LE(out.size(), 50 + record_formatter::max_overrun);
    }
  }
}

TEST(record_formatter, keeps_its_bound_for_the_records_that_grow_most) {
  constexpr std::size_t size = 1U << 20;
  constexpr std::size_t max_bytes = 65'536;
  for (const auto* part : {"\n", "\x01", "\xff", "\u061c", "\U000e0041", "\"", "x"}) {
    std::string record;
    while (record.size() < size) record += part;
    for (const auto mode : every_mode) {
      record_formatter formatter(mode);
      formatter.begin(bob, as_bytes(record), as_bytes(record));
      std::vector<std::uint8_t> out;
      std::size_t all = 0;
      for (bool done = false; !done; out.clear()) {
        done = formatter.write_some(out, max_bytes);
        all += out.size();
        ASSERT_LE(out.size(), max_bytes + record_formatter::max_overrun);
        ASSERT_TRUE(done || out.size() >= max_bytes) << "calls that write little make many";
      }
      EXPECT_GE(all, 2 * record.size());
    }
  }
}

TEST(record_formatter, json_of_a_large_record_is_one_object_that_gives_it_back) {
  std::string record;
  while (record.size() < (4U << 20)) record += "line \"" + std::to_string(record.size()) + "\" \U0001f642\x1b\n";
  record_formatter formatter(output_mode::json);
  const auto half = record.size() / 2 + 1;
  const auto object = nlohmann::json::parse(
      piecewise(formatter, std::string_view(record).substr(0, half), std::string_view(record).substr(half), 65'536));
  EXPECT_TRUE(object["text"] == record);
}

TEST(record_formatter, one_bad_byte_anywhere_makes_a_record_base64) {
  const std::string good(1'000, 'x');
  for (const std::size_t at : {0U, 491U, 499U, 500U, 501U, 999U}) {
    auto record = good;
    record[at] = '\x80';
    record_formatter formatter(output_mode::json);
    EXPECT_EQ(piecewise(formatter, record.substr(0, 500), record.substr(500), 100),
              plainly(output_mode::json, bob, record))
        << at;
    EXPECT_NE(plainly(output_mode::json, bob, record).find("base64"), std::string::npos);
  }
}

}  // namespace
}  // namespace nat
