// The cipher of sealed headers: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03, 2, and RFC 8439, 2.8) of one short
// message.
//
// libsodium's own function makes the stream block by block, and uses it. Here it is made by itself, so that the streams
// of several packets can be made together (`header_streams`): one by one, this was most of what a packet cost.
#pragma once

#include <array>
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
};

/// The stream that belongs to a key and a nonce: what one header is encrypted or decrypted with. It is wiped when it
/// goes.
class header_stream {
 public:
  // The tag's key in the first block, what hides the header in the next two.
  static constexpr std::size_t block = 64;
  static constexpr std::size_t size = 3 * block;

  header_stream() = default;
  header_stream(header_cipher::key with, header_cipher::nonce number);
  header_stream(const header_stream&) = delete;
  header_stream& operator=(const header_stream&) = delete;
  ~header_stream();

  /// For whoever makes it elsewhere.
  std::span<std::uint8_t, size> bytes() { return bytes_; }

  /// A nonce never encrypts two headers under one key. `out` may be `plain`.
  void encrypt(header_cipher::associated beside, header_cipher::header plain,
               std::span<std::uint8_t, sealed_header_size> out,
               std::span<std::uint8_t, header_cipher::tag_size> out_tag) const;
  /// False: it is forged, and nothing is written. `out` may be `sealed`.
  bool decrypt(header_cipher::associated beside, header_cipher::header sealed, header_cipher::tag expected,
               std::span<std::uint8_t, sealed_header_size> out) const;

 private:
  void apply(header_cipher::header in, std::span<std::uint8_t, sealed_header_size> out) const;
  std::array<std::uint8_t, header_cipher::tag_size> tag_of(header_cipher::associated beside,
                                                           header_cipher::header sealed) const;

  std::array<std::uint8_t, size> bytes_;
};

}  // namespace nat
