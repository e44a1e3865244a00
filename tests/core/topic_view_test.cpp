#include "nat/topic_view.hpp"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using strings = std::vector<std::string>;

v2_peer peer(peer_id id, const std::string& name) { return {.id = id, .name = name}; }

class topic_view_test : public testing::Test {
 protected:
  topic_view_test() { view.on_welcome(1); }

  /// "+appeared", "=changed", "-left", each with the id, and "?" for a resync.
  static strings words(const topic_view::changes& what) {
    strings out;
    const auto add = [&](const std::vector<v2_peer>& list, char sign) {
      for (const auto& each : list) out.push_back(sign + each.name + ' ' + std::to_string(each.id));
    };
    add(what.appeared, '+');
    add(what.changed, '=');
    add(what.left, '-');
    if (what.needs_resync) out.emplace_back("?");
    return out;
  }
  strings snapshot(std::uint64_t version, const std::vector<v2_peer>& peers) {
    return words(view.apply(now, v2::snapshot{version, peers}, is_heard));
  }
  strings delta(const v2::delta& what) { return words(view.apply(now, what, is_heard)); }
  strings expired() { return words({.left = view.expire(now, is_heard)}); }

  topic_view view{"me"};
  time_point now{1h};
  std::set<std::string, std::less<>> audible;
  std::set<std::string, std::less<>> doubted;  ///< audible, as long as nobody says that they have left
  topic_view::heard is_heard = [this](std::string_view name, bool doubtful) {
    return audible.contains(name) && !(doubtful && doubted.contains(name));
  };
};

TEST_F(topic_view_test, a_snapshot_tells_who_is_there) {
  EXPECT_THAT(snapshot(5, {peer(2, "a"), peer(3, "b")}), ElementsAre("+a 2", "+b 3"));
  EXPECT_EQ(view.version(), 5U);
  EXPECT_EQ(view.size(), 2U);
  EXPECT_EQ(view.by_id(3)->name, "b");
  EXPECT_EQ(view.find("a")->id, 2U);
  EXPECT_EQ(view.by_id(4), nullptr);
  EXPECT_EQ(view.find("c"), nullptr);
}

TEST_F(topic_view_test, leaves_itself_out_by_id_and_by_name) {
  EXPECT_THAT(snapshot(5, {peer(1, "my id"), peer(9, "me"), peer(2, "a")}), ElementsAre("+a 2"));
  EXPECT_THAT(delta({.from = 5, .to = 6, .joined = {peer(1, "me")}}), IsEmpty());
  EXPECT_THAT(delta({.from = 6, .to = 7, .left = {1}}), IsEmpty());
  EXPECT_EQ(view.version(), 7U);
}

TEST_F(topic_view_test, a_delta_tells_who_comes_changes_and_goes) {
  snapshot(5, {peer(2, "a"), peer(3, "b")});
  auto moved = peer(3, "b");
  moved.nat = nat_behavior{nat_mapping::independent, false};
  EXPECT_THAT(delta({.from = 5, .to = 6, .joined = {peer(4, "c")}, .changed = {moved}, .left = {2}}),
              ElementsAre("+c 4", "=b 3", "-a 2"));
  EXPECT_EQ(view.version(), 6U);
  EXPECT_EQ(view.find("b")->nat, moved.nat);
  EXPECT_EQ(view.by_id(2), nullptr);
}

TEST_F(topic_view_test, a_delta_that_the_snapshot_knew_already_changes_nothing_twice) {
  snapshot(7, {peer(2, "a"), peer(4, "c")});
  EXPECT_THAT(delta({.from = 5, .to = 8, .joined = {peer(4, "c"), peer(5, "d")}, .left = {3}}), ElementsAre("+d 5"));
  EXPECT_EQ(view.version(), 8U);
}

TEST_F(topic_view_test, an_old_delta_is_ignored) {
  snapshot(7, {peer(2, "a")});
  EXPECT_THAT(delta({.from = 5, .to = 6, .left = {2}}), IsEmpty());
  EXPECT_EQ(view.version(), 7U);
  EXPECT_EQ(view.size(), 1U);
}

TEST_F(topic_view_test, a_gap_asks_for_a_snapshot_and_changes_nothing) {
  snapshot(5, {peer(2, "a")});
  EXPECT_THAT(delta({.from = 6, .to = 7, .left = {2}}), ElementsAre("?"));
  EXPECT_EQ(view.size(), 1U);
  EXPECT_THAT(snapshot(7, {}), ElementsAre("-a 2"));
}

TEST_F(topic_view_test, a_delta_before_any_snapshot_asks_for_one) {
  EXPECT_THAT(delta({.from = 6, .to = 7, .joined = {peer(2, "a")}}), ElementsAre("?"));
  EXPECT_TRUE(view.empty());
}

TEST_F(topic_view_test, a_snapshot_that_does_not_come_is_asked_for_again_after_two_seconds) {
  snapshot(5, {});
  EXPECT_THAT(delta({.from = 6, .to = 7}), ElementsAre("?"));
  now += 2s - 1ns;
  EXPECT_THAT(delta({.from = 7, .to = 8}), IsEmpty());
  now += 1ns;
  EXPECT_THAT(delta({.from = 8, .to = 9}), ElementsAre("?"));
  snapshot(9, {});
  EXPECT_THAT(delta({.from = 10, .to = 11}), ElementsAre("?")) << "another gap";
}

TEST_F(topic_view_test, who_leaves_and_comes_back_in_one_message_has_changed) {
  snapshot(5, {peer(2, "a")});
  EXPECT_THAT(delta({.from = 5, .to = 7, .joined = {peer(8, "a")}, .left = {2}}), ElementsAre("=a 8"));
  EXPECT_EQ(view.by_id(2), nullptr);
  EXPECT_EQ(view.by_id(8)->name, "a");
}

TEST_F(topic_view_test, a_snapshot_on_the_same_connection_drops_whom_it_lacks_though_heard) {
  audible = {"a"};
  snapshot(5, {peer(2, "a"), peer(3, "b")});
  EXPECT_THAT(snapshot(9, {peer(3, "b")}), ElementsAre("-a 2"));
  EXPECT_EQ(view.next_deadline(), std::nullopt);
}

TEST_F(topic_view_test, a_restarted_server_gives_new_ids_to_known_names) {
  snapshot(500, {peer(2, "a"), peer(3, "b")});
  view.on_welcome(2);
  EXPECT_EQ(view.by_id(2), nullptr) << "that is our own now";
  EXPECT_EQ(view.find("a")->id, 0U);
  EXPECT_THAT(snapshot(1, {peer(3, "a"), peer(4, "b")}), ElementsAre("=a 3", "=b 4"));
  EXPECT_EQ(view.by_id(3)->name, "a");
  EXPECT_EQ(view.version(), 1U);
}

TEST_F(topic_view_test, after_a_reconnect_who_is_heard_stays_for_a_while) {
  snapshot(5, {peer(2, "silent"), peer(3, "heard")});
  audible = {"heard"};
  view.on_welcome(1);
  EXPECT_THAT(snapshot(1, {peer(9, "new")}), ElementsAre("+new 9", "-silent 0"));
  ASSERT_NE(view.find("heard"), nullptr);
  EXPECT_EQ(view.by_id(3), nullptr) << "the server could not relay to it";
  for (const auto end = now + 44s; now < end; now = *view.next_deadline()) EXPECT_THAT(expired(), IsEmpty());
  now = time_point(1h) + 45s;
  EXPECT_THAT(expired(), ElementsAre("-heard 0"));
  EXPECT_EQ(view.next_deadline(), std::nullopt);
}

TEST_F(topic_view_test, who_is_said_to_have_left_and_is_heard_all_the_same_stays_without_an_id) {
  snapshot(5, {peer(2, "left"), peer(3, "heard"), peer(4, "doubted")});
  audible = {"heard", "doubted"};
  doubted = {"doubted"};
  EXPECT_THAT(delta({.from = 5, .to = 6, .left = {2, 3, 4}}),
              UnorderedElementsAre("-doubted 4", "=heard 0", "-left 2"));
  EXPECT_EQ(view.by_id(3), nullptr);
  now = *view.next_deadline();
  EXPECT_THAT(expired(), IsEmpty());
  doubted = {"heard"};
  now = *view.next_deadline();
  EXPECT_THAT(expired(), ElementsAre("-heard 0")) << "it was said to have left, so doubt is enough";
}

TEST_F(topic_view_test, who_is_said_to_have_left_and_joins_anew_is_listed_again) {
  snapshot(5, {peer(3, "heard")});
  audible = {"heard"};
  EXPECT_THAT(delta({.from = 5, .to = 6, .joined = {peer(9, "heard")}, .left = {3}}), ElementsAre("=heard 9"));
  EXPECT_EQ(view.by_id(9)->name, "heard");
  EXPECT_EQ(view.by_id(3), nullptr);
  now += 1h;
  EXPECT_THAT(expired(), IsEmpty());
  EXPECT_EQ(view.size(), 1U);
}

TEST_F(topic_view_test, who_is_kept_leaves_within_a_second_of_being_silent) {
  snapshot(5, {peer(3, "heard")});
  audible = {"heard"};
  view.on_welcome(1);
  snapshot(1, {});
  now += 10s;
  EXPECT_THAT(expired(), IsEmpty());
  audible.clear();
  EXPECT_LE(*view.next_deadline(), now + 1s);
  now = *view.next_deadline();
  EXPECT_THAT(expired(), ElementsAre("-heard 0"));
}

TEST_F(topic_view_test, who_is_kept_and_comes_back_has_changed_its_id_only) {
  snapshot(5, {peer(3, "heard")});
  audible = {"heard"};
  view.on_welcome(1);
  snapshot(1, {});
  EXPECT_THAT(delta({.from = 1, .to = 2, .joined = {peer(7, "heard")}}), ElementsAre("=heard 7"));
  now += 1min;
  audible.clear();
  EXPECT_THAT(expired(), IsEmpty()) << "it is listed again";
  EXPECT_EQ(view.size(), 1U);
}

TEST_F(topic_view_test, a_further_snapshot_does_not_prolong_who_is_kept) {
  snapshot(5, {peer(3, "heard")});
  audible = {"heard"};
  view.on_welcome(1);
  snapshot(1, {});
  now += 44s;
  EXPECT_THAT(snapshot(2, {}), IsEmpty());
  now += 1s;
  EXPECT_THAT(snapshot(3, {}), ElementsAre("-heard 0"));
}

TEST_F(topic_view_test, a_server_that_contradicts_itself_is_taken_by_its_last_word) {
  EXPECT_THAT(snapshot(5, {peer(2, "a"), peer(2, "b")}), ElementsAre("+b 2")) << "one id for two names";
  EXPECT_THAT(delta({.from = 5, .to = 6, .changed = {peer(2, "c")}}), ElementsAre("+c 2", "-b 2"));
  EXPECT_THAT(delta({.from = 6, .to = 7, .joined = {peer(3, "c"), peer(4, "c")}}), ElementsAre("=c 4"));
  EXPECT_EQ(view.by_id(2), nullptr);
  EXPECT_EQ(view.by_id(3), nullptr);
  EXPECT_THAT(delta({.from = 7, .to = 8, .joined = {peer(0, "zero")}}), ElementsAre("+zero 0"));
  EXPECT_EQ(view.by_id(0), nullptr) << "no id";
}

TEST_F(topic_view_test, a_hostile_list_grows_it_to_the_limit_and_no_further) {
  std::vector<v2_peer> many;
  for (std::size_t i = 0; i < max_roster_peers + 10; ++i) many.push_back(peer(100 + i, "p" + std::to_string(i)));
  snapshot(1, many);
  EXPECT_EQ(view.size(), max_roster_peers);
  EXPECT_EQ(view.overflowed(), 10U);
  EXPECT_THAT(delta({.from = 1, .to = 2, .joined = {peer(2, "late")}}), IsEmpty());
  EXPECT_THAT(delta({.from = 2, .to = 3, .joined = {peer(2, "late")}, .left = {100}}),
              ElementsAre("+late 2", "-p0 100"));
}

TEST_F(topic_view_test, who_is_only_kept_makes_room) {
  snapshot(1, {peer(2, "kept")});
  audible = {"kept"};
  view.on_welcome(1);
  std::vector<v2_peer> many;
  for (std::size_t i = 0; i + 1 < max_roster_peers; ++i) many.push_back(peer(100 + i, "p" + std::to_string(i)));
  snapshot(1, many);
  EXPECT_EQ(view.size(), max_roster_peers);
  EXPECT_THAT(delta({.from = 1, .to = 2, .joined = {peer(2, "new")}}), ElementsAre("+new 2", "-kept 0"));
  EXPECT_EQ(view.size(), max_roster_peers);
}

TEST_F(topic_view_test, forgets_everybody_when_it_is_told_to) {
  snapshot(1, {peer(2, "a")});
  EXPECT_THAT(words({.left = view.clear()}), ElementsAre("-a 2"));
  EXPECT_TRUE(view.empty());
  EXPECT_EQ(view.version(), std::nullopt);
  EXPECT_EQ(view.by_id(2), nullptr);
}

}  // namespace
}  // namespace nat
