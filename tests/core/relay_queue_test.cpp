#include "nat/relay_queue.hpp"

#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

std::vector<peer_id> ids(std::size_t count) {
  std::vector<peer_id> all(count);
  std::iota(all.begin(), all.end(), peer_id{1});
  return all;
}

const std::vector<std::uint8_t> packet(1232, 'x');

TEST(relay_queue, hands_frames_on_in_their_order) {
  relay_queue queue;
  queue.push(ids(2), as_bytes("one"));
  queue.push(ids(1), as_bytes("two"));
  const auto first = queue.next();
  const auto upload = decode_relay_upload(**first).value();
  EXPECT_EQ(upload.to.size(), 2U);
  EXPECT_EQ(upload.to[1], 2U);
  EXPECT_EQ(as_text(upload.packet), "one");
  EXPECT_EQ(as_text(decode_relay_upload(**queue.next()).value().packet), "two");
  EXPECT_FALSE(queue.next());
  EXPECT_EQ(queue.held_bytes(), 0U);
}

TEST(relay_queue, needs_more_frames_for_more_recipients_than_one_names) {
  relay_queue queue;
  queue.push(ids(600), as_bytes("all"));
  std::vector<peer_id> reached;
  while (const auto frame = queue.next()) {
    const auto upload = decode_relay_upload(**frame).value();
    ASSERT_GT(upload.to.size(), 0U) << "nobody named means everyone";
    for (std::size_t i = 0; i < upload.to.size(); ++i) reached.push_back(upload.to[i]);
  }
  EXPECT_EQ(reached, ids(600));
}

TEST(relay_queue, for_nobody_sends_nothing) {
  relay_queue queue;
  queue.push({}, as_bytes("x"));
  EXPECT_TRUE(queue.empty());
}

TEST(relay_queue, drops_and_counts_what_does_not_fit) {
  relay_queue queue;
  for (int i = 0; i < 1000; ++i) queue.push(ids(255), packet);
  EXPECT_LE(queue.held_bytes(), relay_queue::max_bytes);
  EXPECT_GT(queue.dropped(), 900U - relay_queue::max_bytes / 3000);
}

TEST(relay_queue, is_full_before_something_is_dropped_and_not_once_a_frame_was_taken) {
  relay_queue queue;
  while (!queue.is_full()) queue.push(ids(1), packet);
  EXPECT_EQ(queue.dropped(), 0U);
  for (int i = 0; i < 3; ++i) queue.next();  // room for the largest upload
  EXPECT_FALSE(queue.is_full());
}

TEST(relay_queue, a_ping_does_not_wait_behind_data) {
  relay_queue queue;
  queue.push(ids(1), packet);
  EXPECT_TRUE(queue.push_ping(7, as_bytes("ping")));
  EXPECT_EQ(as_text(decode_relay_upload(**queue.next()).value().packet), "ping");
}

TEST(relay_queue, a_frame_is_used_again_once_it_was_sent) {
  relay_queue queue;
  queue.push(ids(1), packet);
  auto first = queue.next();
  const auto* place = first->get();
  queue.push(ids(1), as_bytes("second"));
  const auto second = queue.next();
  EXPECT_NE(second->get(), place) << "that is still on its way";
  first.reset();
  queue.push(ids(2), as_bytes("third"));
  const auto third = queue.next();
  EXPECT_EQ(third->get(), place);
  EXPECT_EQ(as_text(decode_relay_upload(**third).value().packet), "third");
  EXPECT_EQ(as_text(decode_relay_upload(**second).value().packet), "second");
}

TEST(relay_queue, is_empty_once_cleared) {
  relay_queue queue;
  while (!queue.is_full()) queue.push(ids(1), packet);
  queue.clear();
  EXPECT_FALSE(queue.is_full());
  EXPECT_FALSE(queue.next());
}

}  // namespace
}  // namespace nat
