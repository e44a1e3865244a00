#include "nat/header_cipher.hpp"

#include <algorithm>

#include <sodium.h>

namespace nat {
namespace {

static_assert(header_cipher::nonce_size == crypto_core_hchacha20_INPUTBYTES + 8);
static_assert(header_cipher::key_size == crypto_core_hchacha20_KEYBYTES);
static_assert(header_cipher::tag_size == crypto_onetimeauth_poly1305_BYTES);
static_assert(header_stream::block + sealed_header_size <= header_stream::size);

constexpr std::size_t mac_block = 16;
constexpr std::size_t padded_beside = mac_block;
static_assert(header_cipher::beside_size <= padded_beside && sealed_header_size % mac_block == 0);
constexpr std::size_t covered_size = padded_beside + sealed_header_size + 2 * sizeof(std::uint64_t);
static_assert(sealed_header_size < 256);

}  // namespace

header_stream::header_stream(header_cipher::key with, header_cipher::nonce number) {
  std::array<std::uint8_t, crypto_stream_chacha20_ietf_KEYBYTES> subkey;
  ::crypto_core_hchacha20(subkey.data(), number.data(), with.data(), nullptr);
  std::array<std::uint8_t, crypto_stream_chacha20_ietf_NONCEBYTES> rest{};
  std::ranges::copy(number.last<8>(), rest.begin() + 4);
  // Four blocks are what the library makes at once; three take it longer.
  std::array<std::uint8_t, 4 * block> made;
  ::crypto_stream_chacha20_ietf(made.data(), made.size(), rest.data(), subkey.data());
  std::copy_n(made.begin(), size, bytes_.begin());
  ::sodium_memzero(made.data(), made.size());
  ::sodium_memzero(subkey.data(), subkey.size());
}

header_stream::~header_stream() { ::sodium_memzero(bytes_.data(), bytes_.size()); }

void header_stream::apply(header_cipher::header in, std::span<std::uint8_t, sealed_header_size> out) const {
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] ^ bytes_[block + i];
}

/// RFC 8439, 2.8: each part padded to 16 bytes, then the lengths of both.
std::array<std::uint8_t, header_cipher::tag_size> header_stream::tag_of(header_cipher::associated beside,
                                                                        header_cipher::header sealed) const {
  std::array<std::uint8_t, covered_size> covered{};
  std::ranges::copy(beside, covered.begin());
  std::ranges::copy(sealed, covered.begin() + padded_beside);
  covered[padded_beside + sealed_header_size] = header_cipher::beside_size;
  covered[padded_beside + sealed_header_size + sizeof(std::uint64_t)] = sealed_header_size;
  std::array<std::uint8_t, header_cipher::tag_size> tag;
  ::crypto_onetimeauth_poly1305(tag.data(), covered.data(), covered.size(), bytes_.data());
  return tag;
}

void header_stream::encrypt(header_cipher::associated beside, header_cipher::header plain,
                            std::span<std::uint8_t, sealed_header_size> out,
                            std::span<std::uint8_t, header_cipher::tag_size> out_tag) const {
  apply(plain, out);
  std::ranges::copy(tag_of(beside, out), out_tag.begin());
}

bool header_stream::decrypt(header_cipher::associated beside, header_cipher::header sealed, header_cipher::tag expected,
                            std::span<std::uint8_t, sealed_header_size> out) const {
  if (::crypto_verify_16(tag_of(beside, sealed).data(), expected.data()) != 0) return false;
  apply(sealed, out);
  return true;
}

}  // namespace nat
