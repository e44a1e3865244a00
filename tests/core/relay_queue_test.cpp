#include "nat/relay_queue.hpp"

#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};

std::vector<peer_id> ids(std::size_t count) {
  std::vector<peer_id> all(count);
  std::iota(all.begin(), all.end(), peer_id{1});
  return all;
}

const std::vector<std::uint8_t> packet(1232, 'x');

void fill(relay_queue& queue, time_point now) {
  while (!queue.holds_up(now)) queue.push(now, ids(1), packet);
}

TEST(relay_queue, hands_frames_on_in_their_order) {
  relay_queue queue;
  queue.push(start, ids(2), as_bytes("one"));
  queue.push(start, ids(1), as_bytes("two"));
  const auto first = queue.next(start);
  const auto upload = decode_relay_upload(**first).value();
  EXPECT_EQ(upload.to.size(), 2U);
  EXPECT_EQ(upload.to[1], 2U);
  EXPECT_EQ(as_text(upload.packet), "one");
  EXPECT_EQ(as_text(decode_relay_upload(**queue.next(start)).value().packet), "two");
  EXPECT_FALSE(queue.next(start));
  EXPECT_EQ(queue.held_bytes(), 0U);
}

TEST(relay_queue, needs_more_frames_for_more_recipients_than_one_names) {
  relay_queue queue;
  queue.push(start, ids(600), as_bytes("all"));
  std::vector<peer_id> reached;
  while (const auto frame = queue.next(start)) {
    const auto upload = decode_relay_upload(**frame).value();
    ASSERT_GT(upload.to.size(), 0U) << "nobody named means everyone";
    for (std::size_t i = 0; i < upload.to.size(); ++i) reached.push_back(upload.to[i]);
  }
  EXPECT_EQ(reached, ids(600));
}

TEST(relay_queue, for_nobody_sends_nothing) {
  relay_queue queue;
  queue.push(start, {}, as_bytes("x"));
  EXPECT_TRUE(queue.empty());
}

TEST(relay_queue, drops_and_counts_what_does_not_fit) {
  relay_queue queue;
  for (int i = 0; i < 1000; ++i) queue.push(start, ids(255), packet);
  EXPECT_LE(queue.held_bytes(), relay_queue::max_bytes);
  EXPECT_GT(queue.dropped(), 900U - relay_queue::max_bytes / 3000);
}

TEST(relay_queue, holds_data_up_while_it_is_full_and_moves) {
  relay_queue queue;
  fill(queue, start);
  EXPECT_EQ(queue.next_deadline(), start + relay_queue::patience);
  EXPECT_TRUE(queue.holds_up(start + relay_queue::patience - 1ns));
  EXPECT_FALSE(queue.holds_up(start + relay_queue::patience)) << "a connection that stands still holds nobody up";
}

TEST(relay_queue, a_frame_that_is_taken_begins_its_patience_anew) {
  relay_queue queue;
  fill(queue, start);
  queue.next(start + 400ms);
  queue.push(start + 400ms, ids(1), packet);
  EXPECT_TRUE(queue.holds_up(start + 800ms));
}

TEST(relay_queue, an_idle_queue_has_all_its_patience) {
  relay_queue queue;
  fill(queue, start);
  while (queue.next(start)) {}
  fill(queue, start + 1h);
  EXPECT_TRUE(queue.holds_up(start + 1h));
}

TEST(relay_queue, holds_nothing_up_once_cleared) {
  relay_queue queue;
  fill(queue, start);
  queue.clear();
  EXPECT_FALSE(queue.holds_up(start));
  EXPECT_EQ(queue.next_deadline(), std::nullopt);
}

}  // namespace
}  // namespace nat
