// The lines of --progress: what they say, and that they fit whatever terminal there is.
#include "natpeer/progress.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace natpeer {
namespace {

using namespace std::chrono_literals;
using nat::peer_progress;
using nat::reach;

constexpr nat::time_point start{1h};

nat::progress_report report_of(std::uint64_t sent, std::uint64_t received, std::vector<peer_progress> peers) {
  return {.at = start, .sent = sent, .received = received, .peers = std::move(peers)};
}

std::string shown(const nat::progress_report& report, std::size_t columns = 80, std::size_t rows = 24) {
  return progress_text(report, {}, columns, rows);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) {
      ADD_FAILURE() << "a line without an end: " << text;
      return out;
    }
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return out;
}

std::vector<peer_progress> crowd(std::size_t size) {
  std::vector<peer_progress> out;
  for (std::size_t i = 0; i < size; ++i) {
    out.push_back({.name = "peer" + std::to_string(100 + i), .by = reach::direct, .has = 1000});
  }
  return out;
}

TEST(progress_text, tells_totals_and_how_far_each_peer_is) {
  EXPECT_EQ(shown(report_of(12'340'000, 3'400'000,
                            {{.name = "bob", .by = reach::direct, .has = 12'340'000, .received = 3'400'000},
                             {.name = "carol", .by = reach::relay, .has = 12'000'000},
                             {.name = "dave", .by = reach::seed, .has = 1'234'000, .received = 999},
                             {.name = "eve", .by = reach::left, .has = 12'340'000, .has_gap = true},
                             {.name = "frank"}})),
            "sent 12.3 MB, 0 B/s; received 3.4 MB, 0 B/s\n"
            "bob    direct   100%                     received 3.4 MB\n"
            "carol  relay     97%, behind by 340 kB   received 0 B\n"
            "dave   seed      10%, behind by 11.1 MB  received 999 B\n"
            "eve    left     100%, with a gap         received 0 B\n"
            "frank  no path     -                     received 0 B\n");
}

TEST(progress_text, before_anything_is_sent_nobody_has_a_share) {
  EXPECT_EQ(shown(report_of(0, 0, {{.name = "bob", .by = reach::direct, .has = 0}})),
            "sent 0 B, 0 B/s; received 0 B, 0 B/s\n"
            "bob  direct      -  received 0 B\n");
}

TEST(progress_text, says_100_percent_only_where_all_of_it_is) {
  const auto almost = shown(report_of(1'000'000'000, 0, {{.name = "bob", .by = reach::direct, .has = 999'999'999}}));
  EXPECT_NE(almost.find(" 99%, behind by 1 B"), std::string::npos) << almost;
}

TEST(progress_text, a_narrow_terminal_gets_narrow_lines) {
  const auto report = report_of(12'340'000, 0, {{.name = "a long name of a peer", .by = reach::direct, .has = 1}});
  EXPECT_EQ(shown(report, 30),
            "sent 12.3 MB, 0 B/s; recei...\n"
            "a long ...  direct     0%,...\n");
  for (std::size_t columns = 0; columns < 120; ++columns) {
    for (const auto& line : lines_of(shown(report, columns))) {
      EXPECT_LT(width_of(line), std::max<std::size_t>(columns, 2)) << line;
    }
  }
}

TEST(progress_text, is_never_higher_than_the_terminal_nor_than_20_peers) {
  for (const std::size_t peers : {0U, 1U, 3U, 20U, 21U, 400U}) {
    for (std::size_t rows = 0; rows < 60; ++rows) {
      const auto lines = lines_of(shown(report_of(1000, 0, crowd(peers)), 80, rows));
      EXPECT_LT(lines.size(), std::max<std::size_t>(rows, 2)) << peers << " peers";
      EXPECT_LE(lines.size(), 1 + max_progress_peers + 1);
    }
  }
  const auto lines = lines_of(shown(report_of(1000, 0, crowd(3)), 80, 4));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1], "peer100  direct   100%  received 0 B");
  EXPECT_EQ(lines[2], "and 2 more");
  EXPECT_EQ(lines_of(shown(report_of(1000, 0, crowd(3)), 80, 5)).size(), 4U) << "all fit";
  EXPECT_EQ(lines_of(shown(report_of(1000, 0, crowd(400)))).back(), "and 380 more");
}

TEST(progress_text, of_too_many_peers_shows_those_that_lack_most) {
  auto peers = crowd(100);
  peers[7].has = 10;
  peers[70].has.reset();
  peers[90].has = 500;
  peers[91] = {.name = "peer191", .by = reach::left};
  const auto lines = lines_of(shown(report_of(1000, 0, peers), 80, 6));
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_EQ(lines[1].substr(0, 7), "peer107") << "by name";
  EXPECT_EQ(lines[2].substr(0, 7), "peer170");
  EXPECT_EQ(lines[3].substr(0, 7), "peer190") << "who has left is waited for by nobody";
  EXPECT_EQ(lines[4], "and 97 more");
}

TEST(progress_text, a_hostile_name_moves_no_cursor) {
  const auto text = shown(report_of(1, 0,
                                    {{.name = "\x1b[2J\x9b\r\nx\u202e", .by = reach::direct, .has = 1},
                                     {.name = std::string(1024, 'n'), .by = reach::direct, .has = 1},
                                     {.name = "\xff\xfe", .by = reach::direct, .has = 1}}));
  EXPECT_TRUE(nat::is_utf8(text));
  for (const auto& line : lines_of(text)) {
    EXPECT_FALSE(nat::has_control_character(line)) << line;
    EXPECT_LT(width_of(line), 80U);
  }
  EXPECT_EQ(lines_of(text)[1].substr(0, 26), "\\x1b[2J\\x9b\\r\\nx\\u{202e}  ");
  EXPECT_EQ(lines_of(text)[2].substr(0, 28), std::string(23, 'n') + "...  ");
}

TEST(progress_text, cuts_between_characters_and_counts_wide_ones_twice) {
  EXPECT_EQ(width_of("grüße"), 5U);
  EXPECT_EQ(width_of("日本🙂"), 6U);
  const auto report = report_of(1, 0, {{.name = "日本日本日本日本日本日本日本日本", .by = reach::direct, .has = 1}});
  EXPECT_EQ(lines_of(shown(report))[1], "日本日本日本日本日本日...  direct   100%  received 0 B")
      << "26 columns, less one that is half";
  for (std::size_t columns = 1; columns < 60; ++columns) EXPECT_TRUE(nat::is_utf8(shown(report, columns))) << columns;
}

TEST(progress_rates, are_those_of_the_last_seconds) {
  progress_rates rates;
  EXPECT_EQ(rates.sent(), 0);
  auto now = start;
  std::uint64_t sent = 5000;  // a first look says nothing about speed
  rates.on_totals(now, sent, 0);
  EXPECT_EQ(rates.sent(), 0);
  for (int i = 0; i < 20; ++i) rates.on_totals(now += 500ms, sent += 1000, 0);
  EXPECT_DOUBLE_EQ(rates.sent(), 2000);
  EXPECT_DOUBLE_EQ(rates.received(), 0);
  for (int i = 0; i < 10; ++i) rates.on_totals(now += 500ms, sent, 70);
  EXPECT_DOUBLE_EQ(rates.sent(), 0) << "what was before is over";
  rates.on_totals(now += 500ms, sent, 570);
  EXPECT_DOUBLE_EQ(rates.received(), 100);
}

TEST(progress_rates, keep_little_however_often_they_are_asked) {
  progress_rates rates;
  auto now = start;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    rates.on_totals(now += 1ms, i * 10, 0);
    ASSERT_LE(rates.samples(), static_cast<std::size_t>(progress_rates::window / progress_rates::spacing) + 2);
  }
  EXPECT_NEAR(rates.sent(), 10'000, 1);
}

}  // namespace
}  // namespace natpeer
