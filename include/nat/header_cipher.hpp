// The cipher of sealed headers: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, 2, and RFC 8439, 2.8) of one short
// message.
//
// libsodium's own function makes the stream block by block. Its parts, put together for a message of this size, make
// all blocks at once and take a third less: this is most of what a packet costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nat {

constexpr std::size_t sealed_header_size = 80;

struct header_cipher {
  static constexpr std::size_t nonce_size = 24;
  static constexpr std::size_t tag_size = 16;
  static constexpr std::size_t key_size = 32;
  static constexpr std::size_t beside_size = 8;  // a packet's magic

  using key = std::span<const std::uint8_t, key_size>;
  using nonce = std::span<const std::uint8_t, nonce_size>;
  using associated = std::span<const std::uint8_t, beside_size>;  ///< what the tag covers beside the header
  using header = std::span<const std::uint8_t, sealed_header_size>;
  using tag = std::span<const std::uint8_t, tag_size>;

  /// A nonce never encrypts two headers under one key.
  static void encrypt(key with, nonce number, associated beside, header plain,
                      std::span<std::uint8_t, sealed_header_size> out, std::span<std::uint8_t, tag_size> out_tag);
  /// False: it is forged, and nothing is written.
  static bool decrypt(key with, nonce number, associated beside, header sealed, tag expected,
                      std::span<std::uint8_t, sealed_header_size> out);
};

}  // namespace nat
