#include "nat/topic_keys.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include <sodium.h>

namespace nat {
namespace {

// Each use of a hash has a label of its own. None is the beginning of another, so no two uses share an input.
constexpr std::string_view open_label = "natpeer open topic:";
constexpr std::string_view keyed_label = "natpeer keyed topic:";
constexpr std::string_view salt_label = "natpeer passphrase:";
constexpr std::string_view fingerprint_label = "natpeer fingerprint";

constexpr char kdf_context[] = "nat-peer";
static_assert(sizeof kdf_context - 1 == crypto_kdf_CONTEXTBYTES);
enum subkey_id : std::uint64_t { header_subkey = 1, payload_subkey, names_subkey, public_topic_subkey };

constexpr unsigned long long argon_passes = 3;      // libsodium's MODERATE; RFC 9106, 4, second choice, has 3 as well
constexpr std::size_t argon_memory = 64ULL << 20U;  // bytes; RFC 9106, 4, second choice: what a small machine has

constexpr std::string_view base64_space = " \t\r\n";
constexpr std::size_t base64_key_size = 44;  // characters of 32 bytes, with padding

// Crockford's: no letter that looks like a digit.
constexpr char fingerprint_digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t fingerprint_bytes = 5;  // 40 bits: 8 digits of 5
constexpr std::size_t fingerprint_group = 4;  // digits

void require_sodium() {
  static const bool ready = ::sodium_init() >= 0;
  if (!ready) throw std::runtime_error("the cryptographic library cannot be initialised");
}

struct secret_memory {
  void* at = nullptr;
  bool guarded = false;
};

/// Locked memory between guard pages, or ordinary memory where there is no more of that.
secret_memory allocate_secret(std::size_t size) {
  require_sodium();
  if (void* at = ::sodium_malloc(size)) return {at, true};
  return {::operator new(size), false};
}

void free_secret(secret_memory memory, std::size_t size) {
  if (memory.at == nullptr) return;
  if (memory.guarded) return ::sodium_free(memory.at);  // wipes
  ::sodium_memzero(memory.at, size);
  ::operator delete(memory.at);
}

/// Bytes on the stack that do not stay there.
template <std::size_t Size>
struct wiped_bytes {
  std::array<std::uint8_t, Size> bytes{};

  wiped_bytes() = default;
  wiped_bytes(const wiped_bytes&) = delete;
  wiped_bytes& operator=(const wiped_bytes&) = delete;
  ~wiped_bytes() { ::sodium_memzero(bytes.data(), Size); }
};

/// BLAKE2b (RFC 7693) of `label` and then `rest`; without a key where `key` is empty.
void blake2b(byte_span out, byte_view key, std::string_view label, std::string_view rest = {}) {
  crypto_generichash_state state;
  ::crypto_generichash_init(&state, key.data(), key.size(), out.size());
  ::crypto_generichash_update(&state, as_bytes(label).data(), label.size());
  ::crypto_generichash_update(&state, as_bytes(rest).data(), rest.size());
  ::crypto_generichash_final(&state, out.data(), out.size());
  ::sodium_memzero(&state, sizeof state);
}

void derive_subkey(byte_span out, subkey_id id, byte_view root) {
  static_assert(secret_key::size == crypto_kdf_KEYBYTES);
  ::crypto_kdf_derive_from_key(out.data(), out.size(), id, kdf_context, root.data());
}

std::string to_text(byte_view bytes, int base64_variant) {
  std::string text(sodium_base64_encoded_len(bytes.size(), base64_variant), '\0');
  ::sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), base64_variant);
  text.pop_back();  // the NUL that the library ends it with
  return text;
}

}  // namespace

// ---- secret_key

secret_key::secret_key(byte_view bytes) {
  assert(bytes.size() == size);
  const auto memory = allocate_secret(size);
  bytes_ = static_cast<std::uint8_t*>(memory.at);
  guarded_ = memory.guarded;
  std::memcpy(bytes_, bytes.data(), size);
}

secret_key::secret_key(const secret_key& other) : secret_key(other.bytes()) {}

secret_key::secret_key(secret_key&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), guarded_(other.guarded_) {}

secret_key& secret_key::operator=(secret_key other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(guarded_, other.guarded_);
  return *this;
}

secret_key::~secret_key() { free_secret({bytes_, guarded_}, size); }

result<secret_key> secret_key::parse(std::string_view base64) {
  const auto first = base64.find_first_not_of(base64_space);
  if (first == base64.npos) return errc::bad_key;
  base64 = base64.substr(first, base64.find_last_not_of(base64_space) - first + 1);
  if (base64.size() != base64_key_size) return errc::bad_key;
  wiped_bytes<size> decoded;
  std::size_t written = 0;
  const char* end = nullptr;
  const bool valid = ::sodium_base642bin(decoded.bytes.data(), size, base64.data(), base64.size(), nullptr, &written,
                                         &end, sodium_base64_VARIANT_ORIGINAL) == 0;
  if (!valid || written != size || end != base64.data() + base64.size()) return errc::bad_key;
  return secret_key(decoded.bytes);
}

std::string secret_key::to_base64() const { return to_text(bytes(), sodium_base64_VARIANT_ORIGINAL); }

result<secret_key> secret_key::from_passphrase(std::string_view phrase, std::string_view topic) {
  require_sodium();
  std::array<std::uint8_t, crypto_pwhash_SALTBYTES> salt;
  blake2b(salt, {}, salt_label, topic);
  wiped_bytes<size> derived;
  if (::crypto_pwhash(derived.bytes.data(), size, phrase.data(), phrase.size(), salt.data(), argon_passes, argon_memory,
                      crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return errc::no_memory;
  }
  return secret_key(derived.bytes);
}

std::string secret_key::fingerprint() const {
  std::array<std::uint8_t, size> hash;
  blake2b(hash, bytes(), fingerprint_label);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < fingerprint_bytes; ++i) bits = bits << 8U | hash[i];
  std::string text;
  for (std::size_t digit = 0; digit < fingerprint_bytes * 8 / 5; ++digit) {
    if (digit == fingerprint_group) text += '-';
    text += fingerprint_digits[bits >> (35 - 5 * digit) & 0x1f];
  }
  return text;
}

// ---- topic_keys

topic_keys topic_keys::open(std::string_view topic) {
  require_sodium();
  topic_keys keys(false);
  key_bytes root;
  blake2b(root, {}, open_label, topic);
  keys.derive(root);
  keys.public_topic_ = topic;
  return keys;
}

topic_keys topic_keys::keyed(std::string_view topic, const secret_key& key) {
  topic_keys keys(true);
  wiped_bytes<secret_key::size> root;
  blake2b(root.bytes, key.bytes(), keyed_label, topic);
  keys.derive(root.bytes);
  std::array<std::uint8_t, 32> name;
  derive_subkey(name, public_topic_subkey, root.bytes);
  keys.public_topic_ = to_text(name, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return keys;
}

void topic_keys::derive(const key_bytes& root) {
  // What follows from a topic's name is no secret, and locked pages are few.
  const auto memory = keyed_ ? allocate_secret(sizeof(subkeys)) : secret_memory{::operator new(sizeof(subkeys)), false};
  const std::shared_ptr<subkeys> made(new (memory.at) subkeys,
                                      [memory](subkeys*) { free_secret(memory, sizeof(subkeys)); });
  derive_subkey(made->header, header_subkey, root);
  derive_subkey(made->payload, payload_subkey, root);
  derive_subkey(made->names, names_subkey, root);
  subkeys_ = made;
}

name_tag topic_keys::tag_of(std::string_view name) const {
  name_tag tag;
  blake2b(tag, subkeys_->names, name);
  return tag;
}

}  // namespace nat
