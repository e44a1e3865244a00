#include "nat/reorder_buffer.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;

/// A receiver that writes down what it is handed, in order.
struct reader {
  reorder_buffer buffer;
  std::string got;

  void arrive(time_point now, std::uint64_t number, char payload) {
    const auto byte = static_cast<std::uint8_t>(payload);
    if (buffer.is_late(number)) return;
    if (buffer.is_next(number)) {
      got += payload;
    } else {
      buffer.hold(now, number, {&byte, 1});
    }
    take(now);
  }
  void take(time_point now) {
    while (const auto next = buffer.release(now)) got += static_cast<char>(next->front());
  }
};

constexpr time_point start{};

TEST(ReorderBuffer, HandsOnAtOnceWhatComesInOrder) {
  reader r;
  r.arrive(start, 1, 'a');
  r.arrive(start, 2, 'b');
  EXPECT_EQ(r.got, "ab");
  EXPECT_EQ(r.buffer.next_deadline(), std::nullopt);
}

TEST(ReorderBuffer, ABeginningThatIsNotKnownIsWaitedForAsALostPacketIs) {
  reader r;
  r.arrive(start, 8, 'b');
  r.arrive(start + 1ms, 7, 'a');
  EXPECT_EQ(r.got, "");
  EXPECT_EQ(r.buffer.next_deadline(), start + 100ms);
  r.take(start + 100ms);
  EXPECT_EQ(r.got, "ab");
  EXPECT_EQ(r.buffer.skipped(), 0U) << "what is before it was for others";
}

TEST(ReorderBuffer, AWordThatComesAfterThePacketsReleasesThem) {
  reader r;
  r.arrive(start, 8, 'b');
  r.buffer.expect(7);
  r.take(start);
  EXPECT_EQ(r.got, "");
  r.arrive(start, 7, 'a');
  EXPECT_EQ(r.got, "ab");
  reader wrong;
  wrong.arrive(start, 3, 'x');
  wrong.buffer.expect(9);
  wrong.take(start);
  EXPECT_EQ(wrong.got, "x") << "it was for us, whatever the word says";
  EXPECT_EQ(wrong.buffer.skipped(), 0U);
}

TEST(ReorderBuffer, WhatWentToOthersMeanwhileIsNotWaitedFor) {
  reader r;
  r.arrive(start, 1, 'a');
  r.buffer.skip();
  r.arrive(start, 50, 'b');
  r.arrive(start, 51, 'c');
  EXPECT_EQ(r.got, "abc");
  r.arrive(start, 1, 'a');
  EXPECT_EQ(r.got, "abc") << "and nothing comes out of order";
  r.arrive(start, 53, 'e');
  EXPECT_EQ(r.got, "abc") << "a gap is one again";
}

TEST(ReorderBuffer, OfASenderThatIsGoneEverythingIsHandedOnAtOnce) {
  reader r;
  r.arrive(start, 1, 'a');
  r.arrive(start, 3, 'c');
  r.arrive(start, 5, 'e');
  while (const auto next = r.buffer.drain()) r.got += static_cast<char>(next->front());
  EXPECT_EQ(r.got, "ace");
}

TEST(ReorderBuffer, HoldsAPacketUntilTheOneBeforeItIsThere) {
  reader r;
  r.arrive(start, 1, 'a');
  r.arrive(start + 1ms, 3, 'c');
  EXPECT_EQ(r.got, "a");
  EXPECT_EQ(r.buffer.next_deadline(), start + 101ms);
  r.arrive(start + 2ms, 2, 'b');
  EXPECT_EQ(r.got, "abc");
  EXPECT_EQ(r.buffer.next_deadline(), std::nullopt);
  EXPECT_EQ(r.buffer.skipped(), 0U);
}

TEST(ReorderBuffer, GivesUpAGapAfterTheWaitAndTakesNothingFromItLater) {
  reader r;
  r.arrive(start, 1, 'a');
  r.arrive(start, 3, 'c');
  r.take(start + reorder_buffer::max_wait - 1ns);
  EXPECT_EQ(r.got, "a");
  r.take(start + reorder_buffer::max_wait);
  EXPECT_EQ(r.got, "ac");
  EXPECT_EQ(r.buffer.skipped(), 1U);
  r.arrive(start + 200ms, 2, 'b');
  EXPECT_EQ(r.got, "ac");
}

TEST(ReorderBuffer, NoPacketWaitsLongerForASecondGapThanForItsOwn) {
  reader r;
  r.arrive(start, 1, 'a');
  r.arrive(start, 5, 'e');
  r.arrive(start + 50ms, 3, 'c');
  r.take(start + 100ms);
  EXPECT_EQ(r.got, "ace") << "e came first and has waited long enough";
}

TEST(ReorderBuffer, TheSendersWordSaysWhereItBegins) {
  reader r;
  r.buffer.expect(4);
  r.arrive(start, 5, 'b');
  EXPECT_EQ(r.got, "");
  r.arrive(start, 4, 'a');
  EXPECT_EQ(r.got, "ab");
  r.buffer.expect(1);
  r.arrive(start, 6, 'c');
  EXPECT_EQ(r.got, "abc") << "the word comes too late to matter";
}

TEST(ReorderBuffer, ABufferThatIsFullGivesUpItsGapAtOnce) {
  reader r;
  r.arrive(start, 1, 'a');
  for (std::uint64_t i = 0; i < reorder_buffer::max_packets; ++i) r.arrive(start, 3 + i, 'x');
  EXPECT_EQ(r.got, "a");
  r.arrive(start, 3 + reorder_buffer::max_packets, 'x');
  EXPECT_EQ(r.got.size(), 1 + reorder_buffer::max_packets + 1);
  EXPECT_EQ(r.buffer.held_packets(), 0U);

  reorder_buffer bytes;
  bytes.expect(1);
  const std::vector<std::uint8_t> payload(reorder_buffer::max_bytes / 2 + 1);
  bytes.hold(start, 2, payload);
  EXPECT_EQ(bytes.release(start), std::nullopt);
  bytes.hold(start, 3, payload);
  EXPECT_NE(bytes.release(start), std::nullopt);
}

}  // namespace
}  // namespace nat
