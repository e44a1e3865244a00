#include "nat/text.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

TEST(text, tells_utf8_from_other_bytes) {
  for (const auto* good : {"", "plain", "grüße", "日本", "🙂", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const auto* bad :
       {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(text, finds_control_characters) {
  EXPECT_FALSE(has_control_character("a \"name\" with 100% 🙂"));
  for (const auto* bad : {"a\n", "\x1b[31m", "\x7f", "\xc2\x85", "tab\t"}) EXPECT_TRUE(has_control_character(bad));
  EXPECT_TRUE(has_control_character(std::string_view("nul\0", 4)));
}

TEST(text, makes_control_characters_visible_and_leaves_the_rest) {
  EXPECT_EQ(visible("grüße 🙂"), "grüße 🙂");
  EXPECT_EQ(visible("\x1b[31mred\r\n\t\x07"), "\\x1b[31mred\\r\\n\\t\\x07");
  EXPECT_EQ(visible("\xc2\x9b"), "\\x9b");
  EXPECT_EQ(visible("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(visible("a\u202e"
                    "b"),
            "a\\u{202e}b");
}

TEST(text, cuts_between_characters) {
  EXPECT_EQ(utf8_cut("abc", 8), 3U);
  EXPECT_EQ(utf8_cut("abcdef", 4), 4U);
  EXPECT_EQ(utf8_cut("abc🙂", 4), 3U);
  EXPECT_EQ(utf8_cut("abc🙂", 6), 3U);
  EXPECT_EQ(utf8_cut("abc🙂d", 7), 7U);
  EXPECT_EQ(utf8_cut("\xff\xff\xff\xff\xff", 3), 3U);
  EXPECT_EQ(utf8_cut("🙂", 2), 2U) << "a cut never makes an empty piece";
}

TEST(text, makes_what_deceives_visible_too) {
  EXPECT_EQ(visible("a\u2028b\u200bc\ufeffd"), "a\\u{2028}b\\u{200b}c\\u{feff}d");
  EXPECT_EQ(visible("\U000e0041"), "\\u{e0041}");
}

TEST(text, writes_json_strings_that_a_terminal_only_shows) {
  std::string out;
  append_json_string(out, "\u009b\u202e\x7f\u2028ü");
  EXPECT_EQ(out, "\"\\u009b\\u202e\\u007f\\u2028ü\"");
}

TEST(text, writes_json_strings) {
  std::string out;
  append_json_string(out, "a\"b\\c\n🙂");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\u000a🙂\"");
}

}  // namespace
}  // namespace nat
