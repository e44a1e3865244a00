// stdin cut into pieces: what stands in a payload, and which marks it has.
#include "nat/input_splitter.hpp"

#include "nat/text.hpp"

#include "plain_random.hpp"

#include <algorithm>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

constexpr std::size_t full = 1104;  // bytes of the smallest payload that a path carries
constexpr std::size_t max_record = input_splitter::max_record;

/// A piece that outlives its splitter.
struct kept {
  std::string bytes;
  bool continues = false;
  bool open_ended = false;

  bool operator==(const kept&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const kept& piece) {
    out << piece.bytes.size() << " bytes '" << piece.bytes.substr(0, 40) << '\'';
    return out << (piece.continues ? " continues" : "") << (piece.open_ended ? " open_ended" : "");
  }
};
using pieces = std::vector<kept>;

kept goes_on(std::string bytes) { return {std::move(bytes), true, false}; }
kept open_ended(std::string bytes) { return {std::move(bytes), false, true}; }
kept whole(std::string bytes) { return {std::move(bytes), false, false}; }

void take_into(pieces& out, input_splitter& splitter, std::size_t max_payload = full) {
  for (;;) {
    const auto [bytes, continues, open] = splitter.front(max_payload);
    if (bytes.empty()) return;
    ASSERT_LE(bytes.size(), max_payload);
    out.push_back({std::string(as_text(bytes)), continues, open});
    splitter.pop();
  }
}

pieces take_all(input_splitter& splitter, std::size_t max_payload = full) {
  pieces out;
  take_into(out, splitter, max_payload);
  return out;
}

pieces split(input_mode mode, std::string_view input, std::size_t max_payload = full, bool ended = true) {
  input_splitter splitter(mode);
  splitter.push(as_bytes(input));
  if (ended) splitter.end();
  return take_all(splitter, max_payload);
}

/// The records that a receiver makes of pieces in lines mode.
std::vector<std::string> join(const pieces& all) {
  std::vector<std::string> records;
  bool goes_on = false;
  for (const auto& piece : all) {
    if (!goes_on) records.emplace_back();
    records.back() += piece.bytes;
    goes_on = piece.continues;
  }
  EXPECT_FALSE(goes_on) << "the last record never ends";
  return records;
}

/// Pushes `input` in chunks and takes what there is after each.
pieces stream(input_splitter& splitter, std::string_view input, std::size_t chunk, std::size_t max_payload) {
  pieces out;
  for (; !input.empty(); input.remove_prefix(std::min(chunk, input.size()))) {
    splitter.push(as_bytes(input.substr(0, chunk)));
    take_into(out, splitter, max_payload);
  }
  splitter.end();
  take_into(out, splitter, max_payload);
  EXPECT_TRUE(splitter.finished());
  return out;
}

TEST(input_splitter, ends_a_packet_at_a_newline_where_that_is_wanted) {
  input_splitter splitter(input_mode::bytes);
  splitter.push(as_bytes("one\ntwo\nthree"));
  EXPECT_EQ(as_text(splitter.front(10).bytes), "one\ntwo\nth");
  splitter.end_at_newlines(true);
  EXPECT_EQ(as_text(splitter.front(10).bytes), "one\ntwo\n");
  splitter.pop();
  EXPECT_EQ(as_text(splitter.front(10).bytes), "three") << "none fits";
}

TEST(input_splitter, in_bytes_mode_sends_what_arrives_as_it_arrives) {
  EXPECT_EQ(split(input_mode::bytes, "no newline yet", full, false), pieces{open_ended("no newline yet")});
  EXPECT_EQ(split(input_mode::bytes, "one\ntwo\n", full, false), pieces{whole("one\ntwo\n")});
  EXPECT_EQ(split(input_mode::bytes, "one\ntwo\nthr", full, false), pieces{open_ended("one\ntwo\nthr")});
}

TEST(input_splitter, in_bytes_mode_fills_payloads_and_says_which_end_within_a_line) {
  EXPECT_EQ(split(input_mode::bytes, "ab\ncde\nfghi\nj", 4),
            (pieces{open_ended("ab\nc"), open_ended("de\nf"), whole("ghi\n"), open_ended("j")}));
}

TEST(input_splitter, in_bytes_mode_cuts_between_characters) {
  EXPECT_EQ(split(input_mode::bytes, "abc🙂d", 5), (pieces{open_ended("abc"), open_ended("🙂d")}));
  const std::string no_text(full * 2 + 5, '\xff');
  EXPECT_EQ(split(input_mode::bytes, no_text),
            (pieces{open_ended(no_text.substr(0, full)), open_ended(no_text.substr(0, full)),
                    open_ended(no_text.substr(0, 5))}));
}

TEST(input_splitter, in_bytes_mode_adds_what_came_meanwhile_to_a_piece_that_was_not_taken) {
  input_splitter splitter(input_mode::bytes);
  splitter.push(as_bytes("one "));
  EXPECT_EQ(as_text(splitter.front(full).bytes), "one ");
  splitter.push(as_bytes("two"));
  EXPECT_EQ(as_text(splitter.front(full).bytes), "one two");
}

TEST(input_splitter, in_bytes_mode_loses_and_adds_nothing) {
  plain_random random;
  std::string bytes(300'000, '\0');
  random.fill({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  for (const std::size_t chunk : {1'000U, 1'104U, 65'536U}) {
    input_splitter splitter(input_mode::bytes);
    std::string joined;
    for (const auto& piece : stream(splitter, bytes, chunk, full)) {
      EXPECT_EQ(piece.open_ended, piece.bytes.back() != '\n');
      EXPECT_FALSE(piece.continues);
      joined += piece.bytes;
    }
    EXPECT_TRUE(joined == bytes) << chunk;
  }
}

TEST(input_splitter, finds_the_piece_anew_when_the_path_takes_another_size) {
  for (const auto mode : {input_mode::bytes, input_mode::lines}) {
    input_splitter splitter(mode);
    splitter.push(as_bytes("0123456789\n"));
    EXPECT_EQ(as_text(splitter.front(4).bytes), "0123");
    EXPECT_EQ(as_text(splitter.front(6).bytes), "012345");
    EXPECT_EQ(as_text(splitter.front(3).bytes), "012");
    splitter.pop();
    EXPECT_TRUE(as_text(splitter.front(99).bytes).starts_with("3456789"));
    EXPECT_FALSE(splitter.front(99).continues);
    splitter.pop();
    EXPECT_TRUE(splitter.front(99).bytes.empty());
  }
}

TEST(input_splitter, in_lines_mode_sends_each_line_without_its_ending) {
  EXPECT_EQ(split(input_mode::lines, "one\ntwo\r\nthree"), (pieces{whole("one"), whole("two"), whole("three")}));
  EXPECT_EQ(split(input_mode::lines, "last\r"), pieces{whole("last")});
  EXPECT_EQ(split(input_mode::lines, "a\rb\r\r\n"), pieces{whole("a\rb\r")});
}

TEST(input_splitter, in_lines_mode_skips_empty_lines) {
  EXPECT_EQ(split(input_mode::lines, "\n\r\n\na\n\n\r\n"), pieces{whole("a")});
  EXPECT_EQ(split(input_mode::lines, "\n\r"), pieces{});
}

TEST(input_splitter, in_lines_mode_waits_for_the_rest_of_a_line) {
  input_splitter splitter(input_mode::lines);
  splitter.push(as_bytes("one\ntw"));
  EXPECT_EQ(take_all(splitter), pieces{whole("one")});
  splitter.push(as_bytes("o\n"));
  EXPECT_EQ(take_all(splitter), pieces{whole("two")});
  EXPECT_FALSE(splitter.finished());
  splitter.push(as_bytes("\n\r\n"));
  splitter.end();
  EXPECT_TRUE(splitter.finished()) << "empty lines are nothing";
}

TEST(input_splitter, in_lines_mode_a_line_of_exactly_a_payload_is_one_piece) {
  for (const auto* ending : {"", "\r", "\n", "\r\n"}) {
    EXPECT_EQ(split(input_mode::lines, std::string("abcd") + ending, 4), pieces{whole("abcd")});
  }
}

TEST(input_splitter, in_lines_mode_a_longer_line_goes_on_in_further_pieces) {
  EXPECT_EQ(split(input_mode::lines, "abcdefghij\nnext\n", 4),
            (pieces{goes_on("abcd"), goes_on("efgh"), whole("ij"), whole("next")}));
  EXPECT_EQ(split(input_mode::lines, "abcdefgh\n", 4), (pieces{goes_on("abcd"), whole("efgh")}));
}

TEST(input_splitter, in_lines_mode_fills_the_pieces_of_a_record_though_it_splits_characters) {
  EXPECT_EQ(split(input_mode::lines, "abc🙂\n", 4), (pieces{goes_on("abc\xf0"), whole("\x9f\x99\x82")}));
}

TEST(input_splitter, in_lines_mode_a_piece_leaves_as_soon_as_more_than_it_is_there) {
  input_splitter splitter(input_mode::lines);
  splitter.push(as_bytes("abcd"));
  EXPECT_EQ(take_all(splitter, 4), pieces{}) << "the line may end here";
  splitter.push(as_bytes("\r"));
  EXPECT_EQ(take_all(splitter, 4), pieces{}) << "this may be its ending";
  splitter.push(as_bytes("e"));
  EXPECT_EQ(take_all(splitter, 4), pieces{goes_on("abcd")});
  splitter.push(as_bytes("f\r"));
  EXPECT_EQ(take_all(splitter, 4), pieces{});
  splitter.push(as_bytes("\n"));
  EXPECT_EQ(take_all(splitter, 4), pieces{whole("\ref")});
}

TEST(input_splitter, in_lines_mode_no_cut_parts_an_ending_or_leaves_an_empty_last_piece) {
  for (std::size_t length = 1; length < 14; ++length) {
    for (const auto* ending : {"\n", "\r\n", "\r\r\n"}) {
      for (std::size_t chunk = 1; chunk < 7; ++chunk) {
        const auto line = std::string(length, 'x') + ending;
        input_splitter splitter(input_mode::lines);
        const auto all = stream(splitter, line + "end", chunk, 4);
        const auto content = std::string(length, 'x') + (std::string_view(ending).size() == 3 ? "\r" : "");
        EXPECT_EQ(join(all), (std::vector<std::string>{content, "end"})) << length << ' ' << chunk;
        for (const auto& piece : all) EXPECT_TRUE(!piece.continues || piece.bytes.size() == 4U);
      }
    }
  }
}

TEST(input_splitter, in_lines_mode_gives_the_records_back_however_they_came_and_were_cut) {
  plain_random random;
  for (int round = 0; round < 300; ++round) {
    std::vector<std::uint8_t> draws(600);
    random.fill(draws);
    std::string input;
    for (const auto draw : draws) input += "ab\r\n\n\xf0\x9f\x99\x82"[draw % (round % 2 == 0 ? 9 : 3)];
    std::vector<std::string> lines;
    for (std::string_view rest = input; !rest.empty();) {
      const auto newline = std::min(rest.find('\n'), rest.size());
      auto line = rest.substr(0, newline);
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty()) lines.emplace_back(line);
      rest.remove_prefix(std::min(newline + 1, rest.size()));
    }
    input_splitter splitter(input_mode::lines);
    pieces all;
    for (std::size_t at = 0, i = 0; at < input.size(); ++i) {
      const std::size_t chunk = 1 + draws[i] % 40U;
      splitter.push(as_bytes(std::string_view(input).substr(at, chunk)));
      at += chunk;
      if (draws[i + 1] % 3 != 0) take_into(all, splitter, 1 + draws[i + 2] % 30U);
    }
    splitter.end();
    take_into(all, splitter, 7);
    EXPECT_TRUE(splitter.finished());
    ASSERT_EQ(join(all), lines);
  }
}

/// The records of one line that is longer than a record may be.
std::vector<std::string> records_of(const std::string& line, std::size_t chunk, std::size_t max_payload) {
  input_splitter splitter(input_mode::lines);
  return join(stream(splitter, line, chunk, max_payload));
}

TEST(input_splitter, in_lines_mode_a_line_of_exactly_a_record_is_one) {
  for (const auto* ending : {"", "\n", "\r\n"}) {
    const auto records = records_of(std::string(max_record, 'x') + ending, 65'536, full);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].size(), max_record);
  }
}

TEST(input_splitter, in_lines_mode_a_line_over_a_record_goes_on_in_another) {
  const auto records = records_of(std::string(2 * max_record + 1, 'x') + '\n', 65'536, full);
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].size(), max_record);
  EXPECT_EQ(records[1].size(), max_record);
  EXPECT_EQ(records[2], "x");
}

TEST(input_splitter, in_lines_mode_two_records_do_not_share_a_character) {
  for (std::size_t before = 0; before <= 4; ++before) {
    // The character has `before` bytes in front of the limit.
    const auto line = std::string(max_record - before, 'x') + "🙂end";
    const auto first = before == 4 ? max_record : max_record - before;
    // Payloads that end at the limit, near it and far from it; chunks that show the limit early and late.
    for (const std::size_t max_payload : {1'024U, 1'023U, 1'104U, 65'507U}) {
      for (const std::size_t chunk : {65'536U, 60'001U}) {
        const auto records = records_of(line, chunk, max_payload);
        ASSERT_EQ(records.size(), 2U);
        EXPECT_EQ(records[0].size(), first) << before << ' ' << max_payload;
        EXPECT_TRUE(is_utf8(records[0]));
        EXPECT_EQ(records[1], line.substr(first));
      }
    }
  }
}

TEST(input_splitter, in_lines_mode_cuts_a_record_at_the_same_place_byte_by_byte) {
  for (std::size_t before = 1; before <= 3; ++before) {
    const auto line = std::string(max_record - before, 'x') + "🙂end\n";
    for (const std::size_t max_payload : {1U, 2U, 3U, 4U, 5U, 9U}) {
      input_splitter splitter(input_mode::lines);
      std::size_t first = 0;
      std::string second;
      bool in_first = true;
      const auto take = [&](std::size_t limit) {
        for (auto next = splitter.front(limit); !next.bytes.empty(); next = splitter.front(limit)) {
          in_first ? first += next.bytes.size() : (second += as_text(next.bytes), 0U);
          in_first = in_first && next.continues;
          splitter.pop();
        }
      };
      // Fast until the limit is near, then as slow as can be.
      std::string_view rest = line;
      for (; rest.size() > 1'000; rest.remove_prefix(std::min<std::size_t>(rest.size() - 999, 65'536))) {
        splitter.push(as_bytes(rest.substr(0, std::min<std::size_t>(rest.size() - 999, 65'536))));
        take(full);
      }
      for (; !rest.empty(); rest.remove_prefix(1)) {
        splitter.push(as_bytes(rest.substr(0, 1)));
        take(max_payload);
      }
      EXPECT_EQ(first, max_record - before) << max_payload;
      EXPECT_EQ(second, "🙂end") << max_payload;
    }
  }
}

TEST(input_splitter, a_line_that_never_ends_is_sent_while_it_comes) {
  input_splitter splitter(input_mode::lines);
  const std::string chunk(input_splitter::max_chunk, 'x');
  std::size_t sent = 0;
  for (int i = 0; i < 160; ++i) {
    ASSERT_TRUE(splitter.wants_input());
    splitter.push(as_bytes(chunk));
    for (const auto& piece : take_all(splitter)) sent += piece.bytes.size();
    ASSERT_LE(splitter.held(), full);
  }
  splitter.end();
  for (const auto& piece : take_all(splitter)) sent += piece.bytes.size();
  EXPECT_EQ(sent, 160 * chunk.size());
}

TEST(input_splitter, wants_input_for_as_long_as_the_largest_piece_waits) {
  input_splitter splitter(input_mode::lines);
  while (splitter.front(input_splitter::largest_payload).bytes.empty()) {
    ASSERT_TRUE(splitter.wants_input()) << splitter.held();
    splitter.push(as_bytes("x"));
  }
}

TEST(input_splitter, wants_no_more_than_its_bound) {
  input_splitter splitter(input_mode::bytes);
  const std::string chunk(input_splitter::max_chunk, 'x');
  splitter.push(as_bytes(chunk));
  EXPECT_TRUE(splitter.wants_input());
  splitter.push(as_bytes(chunk));
  EXPECT_FALSE(splitter.wants_input());
  EXPECT_EQ(splitter.held(), input_splitter::max_buffered);
}

}  // namespace
}  // namespace nat
