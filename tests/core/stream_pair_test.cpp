// Whatever the link does, each byte arrives once, in order, and both ends come to an end.
#include "stream_pair.hpp"

namespace nat {
namespace {

constexpr std::uint64_t mebibyte = 1U << 20;

TEST(stream_pair, over_a_good_link_nothing_is_sent_twice) {
  stream_pair both(1, {.delay = 10ms}, {}, mebibyte);
  both.at(0s, way_to(1, 20ms));
  ASSERT_TRUE(both.run(10s));
  EXPECT_EQ(both.written(), mebibyte);
  EXPECT_EQ(both.sender().resent(), 0U);
  EXPECT_EQ(both.sender().lost(), 0U);
  EXPECT_EQ(both.pings(), 1U) << "it was told once where the stream begins";
}

TEST(stream_pair, a_stream_of_nothing_ends) {
  stream_pair both(1, {.delay = 10ms}, {}, 0);
  both.at(0s, way_to(1, 20ms));
  ASSERT_TRUE(both.run(1s));
  EXPECT_EQ(both.packets(), 1U);
}

TEST(stream_pair, whatever_is_lost_comes_again) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    plain_random random(seed * 1000);
    weather sky;
    sky.loss = static_cast<double>(random.next_u64() % 31) / 100;
    sky.repeats = static_cast<double>(random.next_u64() % 10) / 100;
    sky.delay = std::chrono::milliseconds(random.next_u64() % 500);
    sky.jitter = std::chrono::milliseconds(random.next_u64() % 4 == 0 ? random.next_u64() % 100 : 0);
    reading reader;
    if (random.next_u64() % 3 == 0) reader.most = 1 + random.next_u64() % 20'000;
    if (random.next_u64() % 4 == 0) reader.stall_at = std::chrono::milliseconds(random.next_u64() % 5000);
    const auto rate = random.next_u64() % 4 == 0 ? 20'000 + random.next_u64() % 200'000 : 0;
    const auto total = random.next_u64() % 400'000;
    stream_pair both(seed, sky, reader, total);
    const auto told = random.next_u64() % 2 == 0 ? sky.delay * 2 : duration{};
    both.at(0s, way_to(1, told, rate));
    if (random.next_u64() % 2 == 0) both.at(2s, way_to(2, told, rate));
    if (random.next_u64() % 2 == 0) {
      both.at(3s, std::nullopt);
      both.at(std::chrono::seconds(3 + random.next_u64() % 40),
              way_to(static_cast<std::uint16_t>(1 + random.next_u64() % 3), 0ms, rate));
    }
    ASSERT_TRUE(both.run(10min)) << "not at its end after " << both.taken().count() / 1'000'000 << " ms; written "
                                 << both.written() << " of " << total << "; in flight " << both.sender().in_flight()
                                 << ", received " << both.sender().received() << ", floor " << both.sender().floor();
    EXPECT_EQ(both.written(), total);
    EXPECT_EQ(both.missed(), 0U);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace nat
