#include "nat/fifo.hpp"

#include <memory>

#include <gtest/gtest.h>

namespace nat {
namespace {

TEST(fifo, what_comes_first_goes_first_however_many_there_are) {
  fifo<int> queue;
  int in = 0, out = 0;
  for (const int burst : {1, 15, 16, 17, 3000, 2, 40}) {
    for (int i = 0; i < burst; ++i) queue.push_back(in++);
    EXPECT_EQ(queue.back(), in - 1);
    while (queue.size() > 1) {
      EXPECT_EQ(queue.front(), out);
      EXPECT_EQ(queue.take_front(), out++);
    }
  }
  queue.pop_front();
  EXPECT_TRUE(queue.empty());
}

TEST(fifo, what_was_taken_is_not_kept) {
  fifo<std::shared_ptr<int>> queue;
  const auto one = std::make_shared<int>(1);
  queue.push_back(one);
  queue.pop_front();
  EXPECT_EQ(one.use_count(), 1);
  queue.push_back(one);
  queue.clear();
  EXPECT_EQ(one.use_count(), 1);
  EXPECT_TRUE(queue.empty());
}

}  // namespace
}  // namespace nat
