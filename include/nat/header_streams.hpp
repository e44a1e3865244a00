// The streams of several nonces under one key, made at once: a nonce in each lane of the processor's vectors. Eight
// cost as much as one to three of libsodium's, which works on one nonce at a time: 1.2 with AVX-512, 1.6 with AVX2.
#pragma once

#include "nat/header_cipher.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace nat {

/// How many at once.
constexpr std::size_t header_lanes = 8;

/// Which instructions it is done with. What this processor lacks is never chosen, and must not be asked for.
enum class header_instructions { any, avx2, avx512 };
header_instructions best_header_instructions();

/// Makes `streams[i]` of `nonces[i]` (24 bytes), for each of the eight. A nonce may stand in several places.
void make_header_streams(header_cipher::key with, std::span<const std::uint8_t* const, header_lanes> nonces,
                         std::span<header_stream, header_lanes> streams,
                         header_instructions by = best_header_instructions());

}  // namespace nat
