#include "nat/topic_keys.hpp"

#include "seal_fixture.hpp"

#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using testing::MatchesRegex;

constexpr std::string_view counting_base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

TEST(secret_key, base64_comes_back_as_the_same_bytes) {
  const auto key = secret_key::parse(counting_base64).value();
  EXPECT_EQ(hex(key.bytes()), hex(counting_key().bytes()));
  EXPECT_EQ(key.to_base64(), counting_base64);
}

TEST(secret_key, white_space_around_it_is_allowed) {
  const auto text = " \t" + std::string(counting_base64) + "\r\n\n";
  EXPECT_EQ(hex(secret_key::parse(text).value().bytes()), hex(counting_key().bytes()));
}

TEST(secret_key, refuses_what_is_not_32_bytes_in_base64) {
  const std::string whole(counting_base64);
  for (const std::string& text : {
           std::string(),
           std::string(" \n"),
           whole.substr(0, 43),               // no padding
           whole.substr(0, 40),               // 30 bytes
           whole + "AAAA",                    // 35 bytes
           "AA" + whole.substr(0, 41) + "=",  // 31 bytes and a misplaced end
           whole.substr(0, 42) + "==",        // 31 bytes
           whole.substr(0, 42) + "9=",        // bits behind the last byte
           whole.substr(0, 20) + " " + whole.substr(21),
           whole.substr(0, 20) + "-" + whole.substr(21),  // base64url
           whole.substr(0, 20) + '\0' + whole.substr(21),
           std::string(100'000, 'A'),
       }) {
    const auto parsed = secret_key::parse(text);
    ASSERT_FALSE(parsed) << text.substr(0, 60);
    EXPECT_EQ(parsed.error(), errc::bad_key);
  }
}

TEST(secret_key, copies_are_apart_and_a_moved_key_is_empty) {
  auto first = counting_key();
  auto copy = first;
  EXPECT_NE(copy.bytes().data(), first.bytes().data());
  auto moved = std::move(first);
  EXPECT_TRUE(first.bytes().empty());  // NOLINT(bugprone-use-after-move)
  first = counting_key(32);
  EXPECT_EQ(hex(moved.bytes()), hex(copy.bytes()));
  EXPECT_EQ(hex(first.bytes()), hex(counting_key(32).bytes()));
  first = first;  // NOLINT: on purpose
  EXPECT_EQ(hex(first.bytes()), hex(counting_key(32).bytes()));
}

TEST(secret_key, a_fingerprint_is_two_groups_that_are_easy_to_read) {
  EXPECT_THAT(counting_key().fingerprint(), MatchesRegex("[0-9a-hjkmnp-tv-z]{4}-[0-9a-hjkmnp-tv-z]{4}"));
  EXPECT_EQ(counting_key().fingerprint(), secret_key::parse(counting_base64)->fingerprint());
}

TEST(secret_key, other_keys_have_other_fingerprints) {
  std::set<std::string> seen;
  for (std::uint8_t first = 0; first < 200; ++first) seen.insert(counting_key(first).fingerprint());
  EXPECT_EQ(seen.size(), 200U);
}

TEST(secret_key, a_passphrase_gives_the_same_key_each_time_and_another_for_each_topic) {
  const auto key = secret_key::from_passphrase("correct horse", "topic").value();
  EXPECT_EQ(hex(secret_key::from_passphrase("correct horse", "topic")->bytes()), hex(key.bytes()));
  EXPECT_NE(hex(secret_key::from_passphrase("correct horse", "other")->bytes()), hex(key.bytes()));
  EXPECT_NE(hex(secret_key::from_passphrase("correct horsf", "topic")->bytes()), hex(key.bytes()));
}

TEST(topic_keys, an_open_topic_is_called_by_its_name) {
  const auto keys = topic_keys::open("my topic");
  EXPECT_FALSE(keys.is_keyed());
  EXPECT_EQ(keys.public_topic(), "my topic");
}

TEST(topic_keys, a_keyed_topic_is_called_by_43_characters_that_need_no_escape) {
  const auto keys = topic_keys::keyed("my topic", counting_key());
  EXPECT_TRUE(keys.is_keyed());
  EXPECT_THAT(keys.public_topic(), MatchesRegex("[A-Za-z0-9_-]+"));
  EXPECT_EQ(keys.public_topic().size(), 43U);
}

TEST(topic_keys, the_same_topic_and_key_give_the_same_keys) {
  const auto first = topic_keys::keyed("topic", counting_key());
  const auto second = topic_keys::keyed("topic", counting_key());
  EXPECT_EQ(first.public_topic(), second.public_topic());
  EXPECT_EQ(hex(first.header_key()), hex(second.header_key()));
  EXPECT_EQ(hex(first.payload_root()), hex(second.payload_root()));
  EXPECT_EQ(first.tag_of("bob"), second.tag_of("bob"));
}

TEST(topic_keys, no_two_topics_keys_or_uses_share_a_key) {
  std::set<std::string> seen;
  std::size_t derived = 0;
  const auto add = [&](const topic_keys& keys) {
    for (const auto& key :
         {hex(keys.header_key()), hex(keys.payload_root()), keys.public_topic(), hex(keys.tag_of("x"))}) {
      seen.insert(key);
      ++derived;
    }
  };
  add(topic_keys::open("topic"));
  add(topic_keys::open("topic2"));
  add(topic_keys::keyed("topic", counting_key()));
  add(topic_keys::keyed("topic2", counting_key()));
  add(topic_keys::keyed("topic", counting_key(1)));
  EXPECT_EQ(seen.size(), derived);
}

TEST(topic_keys, names_have_tags_of_their_own) {
  const auto keys = topic_keys::open("topic");
  EXPECT_NE(keys.tag_of("bob"), keys.tag_of("bo"));
  EXPECT_NE(keys.tag_of("bob"), keys.tag_of(""));
}

TEST(topic_keys, copies_outlive_the_first) {
  auto first = std::make_unique<topic_keys>(topic_keys::keyed("topic", counting_key()));
  const auto expected = hex(first->header_key());
  const auto copy = *first;
  first.reset();
  EXPECT_EQ(hex(copy.header_key()), expected);
}

}  // namespace
}  // namespace nat
