// What the name of a topic, or the name and a secret key, are turned into (docs/PROTOCOL.md, section 8).
#pragma once

#include "nat/bytes.hpp"
#include "nat/error.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace nat {

/// 32 secret bytes: locked in memory where the system allows it, wiped at their end.
class secret_key {
 public:
  static constexpr std::size_t size = 32;

  explicit secret_key(byte_view bytes);  ///< exactly `size` bytes
  secret_key(const secret_key& other);
  secret_key(secret_key&& other) noexcept;  ///< `other` is empty afterwards
  secret_key& operator=(secret_key other) noexcept;
  ~secret_key();

  byte_view bytes() const { return {bytes_, bytes_ == nullptr ? 0 : size}; }

  /// Base64 (RFC 4648, 4) of 32 bytes, with its padding, white space around it allowed. Error: `bad_key`.
  static result<secret_key> parse(std::string_view base64);
  std::string to_base64() const;
  /// Argon2id over the phrase; takes about 0.2 s and 64 MiB. The salt is made of the topic. Error: `no_memory`.
  static result<secret_key> from_passphrase(std::string_view phrase, std::string_view topic);
  /// "k3fd-9x2m": the same for the same key, to compare by eye. 40 bits of a hash: it tells nothing of a random key,
  /// and lets a passphrase be guessed at, as every packet does.
  std::string fingerprint() const;

 private:
  std::uint8_t* bytes_ = nullptr;
  bool guarded_ = false;  ///< whether the library's locked memory holds it, or ordinary memory
};

/// A keyed hash of a peer's name: what a PING carries so that nobody has to believe the coordinator's labels.
using name_tag = std::array<std::uint8_t, 16>;

/// Copies share the keys.
class topic_keys {
 public:
  /// An open topic: whoever knows its name can do everything.
  static topic_keys open(std::string_view topic);
  static topic_keys keyed(std::string_view topic, const secret_key& key);

  bool is_keyed() const { return keyed_; }
  /// What the coordinator is told: the topic itself, or 43 characters that tell nothing of it.
  const std::string& public_topic() const { return public_topic_; }
  name_tag tag_of(std::string_view name) const;

  byte_view header_key() const { return subkeys_->header; }     ///< 32 bytes, XChaCha20-Poly1305
  byte_view payload_root() const { return subkeys_->payload; }  ///< 32 bytes; each sender's key is derived from it

 private:
  using key_bytes = std::array<std::uint8_t, secret_key::size>;
  struct subkeys {
    key_bytes header;
    key_bytes payload;
    key_bytes names;
  };

  explicit topic_keys(bool keyed) : keyed_(keyed) {}
  void derive(const key_bytes& root);

  bool keyed_;
  std::string public_topic_;
  std::shared_ptr<const subkeys> subkeys_;
};

}  // namespace nat
