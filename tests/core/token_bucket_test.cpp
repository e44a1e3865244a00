#include "nat/token_bucket.hpp"

#include <chrono>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

const time_point start(1h);

TEST(token_bucket, gives_its_burst_at_once_and_the_rate_after_it) {
  const allowance limit{20, 1s, 100};
  token_bucket bucket;
  const auto taken = [&](time_point now) {
    int count = 0;
    for (; count < 1000 && bucket.ready(now, limit); ++count) bucket.take(now, limit);
    return count;
  };
  EXPECT_EQ(taken(start), 100);
  EXPECT_EQ(taken(start + 49ms), 0);
  EXPECT_EQ(taken(start + 50ms), 1);
  EXPECT_EQ(taken(start + 1050ms), 20);
  EXPECT_EQ(taken(start + 1h), 100) << "no more than the burst is saved up";
}

TEST(token_bucket, says_when_it_will_be_ready) {
  const allowance limit{2, 1s, 3};
  token_bucket bucket;
  EXPECT_LE(bucket.ready_at(limit), start);
  for (int i = 0; i < 3; ++i) bucket.take(start, limit);
  EXPECT_EQ(bucket.ready_at(limit), start + 500ms);
  EXPECT_FALSE(bucket.ready(start + 500ms - 1ns, limit));
  EXPECT_TRUE(bucket.ready(start + 500ms, limit));
}

TEST(token_bucket, may_be_overdrawn_and_waits_for_its_debt) {
  const allowance limit{1000, 1s, 1000};
  token_bucket bucket;
  bucket.take(start, limit, 5000);
  EXPECT_FALSE(bucket.ready(start + 4s, limit));
  EXPECT_TRUE(bucket.ready(start + 4001ms, limit));
}

TEST(token_bucket, has_no_end_where_there_is_no_limit) {
  const allowance limit{0, 1s, 0};
  token_bucket bucket;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(bucket.ready(start, limit));
    bucket.take(start, limit, 1U << 30);
  }
}

TEST(token_bucket, holds_nothing_against_anybody_for_longer_than_a_day) {
  const allowance limit{1, 24h, 1};
  token_bucket bucket;
  bucket.take(start, limit, ~std::uint64_t{0});
  EXPECT_TRUE(bucket.ready(start + 24h, limit));
}

}  // namespace
}  // namespace nat
