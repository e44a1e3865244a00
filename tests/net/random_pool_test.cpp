#include "nat/net/random_pool.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

namespace nat::net {
namespace {

constexpr std::size_t block_size = 32;  // bytes; that two of n random ones are equal has the probability n² / 2^257

std::string random_bytes(random_pool& pool, std::size_t size) {
  std::string out(size, '\0');
  pool.fill({reinterpret_cast<std::uint8_t*>(out.data()), size});
  return out;
}

/// Whether two of the blocks of `block_size` that `bytes` consists of are equal.
bool repeats(std::string_view bytes) {
  std::vector<std::string_view> blocks;
  for (; bytes.size() >= block_size; bytes.remove_prefix(block_size)) blocks.push_back(bytes.substr(0, block_size));
  std::ranges::sort(blocks);
  return std::ranges::adjacent_find(blocks) != blocks.end();
}

/// What a forked child gets from `pool`.
std::string bytes_of_a_child(random_pool& pool, std::size_t size) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const auto child = ::fork();
  if (child == 0) {
    const auto bytes = random_bytes(pool, size);
    ::_exit(::write(ends[1], bytes.data(), size) == static_cast<ssize_t>(size) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string out(size, '\0');
  std::size_t got = 0;
  for (ssize_t some = 1; some > 0 && got < size; got += static_cast<std::size_t>(some)) {
    some = std::max<ssize_t>(::read(ends[0], out.data() + got, size - got), 0);
  }
  ::close(ends[0]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(got, size);
  return out;
}

TEST(random_pool, gives_other_bytes_each_time) {
  random_pool pool;
  EXPECT_NE(random_bytes(pool, block_size), random_bytes(pool, block_size));
  random_pool other;
  EXPECT_NE(random_bytes(pool, block_size), random_bytes(other, block_size));
}

TEST(random_pool, fills_all_of_what_it_is_given_and_nothing_else) {
  random_pool pool;
  // 65,536 is the pool's size: around it and beyond a refill comes in the middle.
  for (const std::size_t size : {0U, 1U, 31U, 120U, 65'503U, 65'504U, 65'505U, 65'536U, 65'537U, 200'000U}) {
    std::vector<bool> changed(size);
    std::vector<std::uint8_t> bytes(size + 1);
    for (int round = 0; round < 16; ++round) {  // that a byte stays 0 in all has the probability 2^-128
      pool.fill(byte_span(bytes).first(size));
      for (std::size_t i = 0; i < size; ++i) changed[i] = changed[i] || bytes[i] != 0;
    }
    EXPECT_EQ(std::ranges::count(changed, false), 0) << size;
    EXPECT_EQ(bytes[size], 0) << size;
  }
}

TEST(random_pool, never_repeats_a_block_over_many_refills) {
  random_pool pool;
  EXPECT_FALSE(repeats(random_bytes(pool, 8U << 20)));
}

TEST(random_pool, never_repeats_what_it_gives_to_packets) {
  random_pool pool;
  std::string beginnings;
  for (int packet = 0; packet < 40'000; ++packet) beginnings += random_bytes(pool, 120).substr(0, block_size);
  EXPECT_FALSE(repeats(beginnings));
}

TEST(random_pool, gives_a_forked_child_bytes_of_its_own) {
  random_pool pool;
  random_bytes(pool, 1000);  // the rest of this refill is in both processes' memory
  constexpr std::size_t size = 256U << 10;
  auto all = bytes_of_a_child(pool, size);
  all += bytes_of_a_child(pool, size);
  all += random_bytes(pool, size);
  EXPECT_FALSE(repeats(all));
}

TEST(random_pool, looks_uniform) {
  random_pool pool;
  std::array<double, 256> seen{};
  constexpr std::size_t size = 1U << 20;
  for (const char byte : random_bytes(pool, size)) ++seen[static_cast<std::uint8_t>(byte)];
  const double expected = size / 256.0;
  double chi_square = 0;
  for (const auto count : seen) chi_square += (count - expected) * (count - expected) / expected;
  // 255 degrees of freedom; each bound is passed by chance with a probability below 1e-9 (Wilson-Hilferty, 6 sigma).
  EXPECT_LT(chi_square, 420);
  EXPECT_GT(chi_square, 138);
}

}  // namespace
}  // namespace nat::net
