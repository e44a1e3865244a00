#include "nat/header_streams.hpp"

#include <bit>
#include <cstdint>
#include <cstring>

#include <sodium.h>

namespace nat {
namespace {

// One word of each lane. The compiler splits it where the processor's vectors are shorter.
using lanes = std::uint32_t __attribute__((vector_size(header_lanes * sizeof(std::uint32_t))));

constexpr std::size_t words = 16;  // of a block
constexpr int double_rounds = 10;
constexpr std::array<std::uint32_t, 4> constants = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};  // RFC 8439, 2.3

using block_of_lanes = std::array<lanes, words>;

std::uint32_t load_le(const std::uint8_t* from) {
  std::uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return std::endian::native == std::endian::little ? word : __builtin_bswap32(word);
}

void store_le(std::uint8_t* to, std::uint32_t word) {
  if (std::endian::native != std::endian::little) word = __builtin_bswap32(word);
  std::memcpy(to, &word, sizeof(word));
}

// Always inlined, so that each of the functions below compiles them for its own instructions.
#define NAT_LANES_INLINE [[gnu::always_inline]] inline

template <int Bits>
NAT_LANES_INLINE void turn(lanes& word) {
  word = (word << Bits) | (word >> (32 - Bits));
}

NAT_LANES_INLINE void quarter_round(lanes& a, lanes& b, lanes& c, lanes& d) {
  a += b, d ^= a, turn<16>(d);
  c += d, b ^= c, turn<12>(b);
  a += b, d ^= a, turn<8>(d);
  c += d, b ^= c, turn<7>(b);
}

NAT_LANES_INLINE void permute(block_of_lanes& x) {
  for (int i = 0; i < double_rounds; ++i) {
    quarter_round(x[0], x[4], x[8], x[12]);
    quarter_round(x[1], x[5], x[9], x[13]);
    quarter_round(x[2], x[6], x[10], x[14]);
    quarter_round(x[3], x[7], x[11], x[15]);
    quarter_round(x[0], x[5], x[10], x[15]);
    quarter_round(x[1], x[6], x[11], x[12]);
    quarter_round(x[2], x[7], x[8], x[13]);
    quarter_round(x[3], x[4], x[9], x[14]);
  }
}

NAT_LANES_INLINE void set_word(lanes& of, std::span<const std::uint8_t* const, header_lanes> nonces, std::size_t at) {
  for (std::size_t lane = 0; lane < header_lanes; ++lane) of[lane] = load_le(nonces[lane] + at);
}

/// HChaCha20 of the key and the first 16 bytes of each nonce (draft-irtf-cfrg-xchacha-03, 2.2), then three blocks of
/// ChaCha20 under what comes of it, with the other 8 bytes (2.3).
NAT_LANES_INLINE void make(header_cipher::key with, std::span<const std::uint8_t* const, header_lanes> nonces,
                           std::span<header_stream, header_lanes> streams) {
  block_of_lanes x;
  for (std::size_t i = 0; i < 4; ++i) x[i] = lanes{} + constants[i];
  for (std::size_t i = 0; i < 8; ++i) x[4 + i] = lanes{} + load_le(&with[4 * i]);
  for (std::size_t i = 0; i < 4; ++i) set_word(x[12 + i], nonces, 4 * i);
  permute(x);

  block_of_lanes first;
  for (std::size_t i = 0; i < 4; ++i) {
    first[i] = lanes{} + constants[i];
    first[4 + i] = x[i];
    first[8 + i] = x[12 + i];
  }
  first[12] = first[13] = lanes{};
  set_word(first[14], nonces, 16);
  set_word(first[15], nonces, 20);
  for (std::uint32_t counter = 0; counter < header_stream::size / header_stream::block; ++counter) {
    first[12] = lanes{} + counter;
    x = first;
    permute(x);
    for (std::size_t i = 0; i < words; ++i) {
      const lanes sum = x[i] + first[i];
      for (std::size_t lane = 0; lane < header_lanes; ++lane)
        store_le(&streams[lane].bytes()[counter * header_stream::block + 4 * i], sum[lane]);
    }
  }
  ::sodium_memzero(x.data(), sizeof(x));
  ::sodium_memzero(first.data(), sizeof(first));
}

void make_by_any(header_cipher::key with, std::span<const std::uint8_t* const, header_lanes> nonces,
                 std::span<header_stream, header_lanes> streams) {
  make(with, nonces, streams);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void make_by_avx2(header_cipher::key with,
                                                  std::span<const std::uint8_t* const, header_lanes> nonces,
                                                  std::span<header_stream, header_lanes> streams) {
  make(with, nonces, streams);
}

__attribute__((target("avx2,avx512f,avx512vl"))) void make_by_avx512(
    header_cipher::key with, std::span<const std::uint8_t* const, header_lanes> nonces,
    std::span<header_stream, header_lanes> streams) {
  make(with, nonces, streams);
}
#endif

}  // namespace

header_instructions best_header_instructions() {
#if defined(__x86_64__)
  static const auto best = [] {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) return header_instructions::avx512;
    return __builtin_cpu_supports("avx2") ? header_instructions::avx2 : header_instructions::any;
  }();
  return best;
#else
  return header_instructions::any;
#endif
}

void make_header_streams(header_cipher::key with, std::span<const std::uint8_t* const, header_lanes> nonces,
                         std::span<header_stream, header_lanes> streams, header_instructions by) {
#if defined(__x86_64__)
  if (by == header_instructions::avx512) return make_by_avx512(with, nonces, streams);
  if (by == header_instructions::avx2) return make_by_avx2(with, nonces, streams);
#else
  static_cast<void>(by);
#endif
  make_by_any(with, nonces, streams);
}

}  // namespace nat
