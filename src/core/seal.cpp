#include "nat/seal.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <stdexcept>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>

namespace nat {
namespace {

// The packet.
constexpr std::size_t nonce_at = magic_size;
constexpr std::size_t nonce_size = header_cipher::nonce_size;
// What every nonce ends with: SipHash-2-4 of the rest of it, under a key that is no secret.
constexpr std::size_t mark_size = crypto_shorthash_BYTES;
constexpr std::uint8_t mark_key[] = {'n', 'a', 't', 'p', 'e', 'e', 'r', ' ', 'n', 'o', 'n', 'c', 'e', ' ', 'v', '1'};
static_assert(sizeof(mark_key) == crypto_shorthash_KEYBYTES);
constexpr std::size_t tag_at = nonce_at + nonce_size;
constexpr std::size_t tag_size = header_cipher::tag_size;
static_assert(tag_size == data_header::tag_size);
constexpr std::size_t sealed_at = tag_at + tag_size;
static_assert(magic_size == header_cipher::beside_size);
static_assert(nonce_size == 24 && tag_size == 16 && sealed_at + sealed_header_size == header_size);

constexpr std::size_t payload_nonce_size = 12;  // RFC 5116, 5.1 and RFC 8439, 2.8: of both ciphers
constexpr std::size_t payload_key_size = 32;    // of both

struct context_free {
  void operator()(EVP_CIPHER_CTX* context) const { ::EVP_CIPHER_CTX_free(context); }  // wipes the key
};
using cipher_context = std::unique_ptr<EVP_CIPHER_CTX, context_free>;

/// The library fails where it has no memory, and nowhere else: what is not sealed must not leave.
void require(int status) {
  if (status != 1) throw std::runtime_error("the cryptographic library failed");
}

const EVP_CIPHER* evp_cipher(payload_cipher cipher) {
  return cipher == payload_cipher::aes_256_gcm ? ::EVP_aes_256_gcm() : ::EVP_chacha20_poly1305();
}

/// One sender's payload key: BLAKE2b-256, keyed with the topic's, of cipher and sender.
class payload_key {
 public:
  payload_key(const topic_keys& keys, sender_id sender, payload_cipher cipher) {
    static_assert(payload_key_size == crypto_generichash_BYTES);
    std::array<std::uint8_t, 1 + sizeof(sender_id)> of;
    of[0] = static_cast<std::uint8_t>(cipher);
    store_be(&of[1], sender);
    const auto root = keys.payload_root();
    ::crypto_generichash(bytes_.data(), bytes_.size(), of.data(), of.size(), root.data(), root.size());
  }
  payload_key(const payload_key&) = delete;
  payload_key& operator=(const payload_key&) = delete;
  ~payload_key() { ::sodium_memzero(bytes_.data(), bytes_.size()); }

  const std::uint8_t* data() const { return bytes_.data(); }

 private:
  std::array<std::uint8_t, payload_key_size> bytes_;
};

enum class direction : int { open = 0, seal = 1 };  // as OpenSSL numbers them

/// A context with its key set, so that a packet needs no more than a nonce.
cipher_context make_context(const topic_keys& keys, sender_id sender, payload_cipher cipher, direction way) {
  cipher_context context(::EVP_CIPHER_CTX_new());
  if (!context) throw std::bad_alloc();
  const payload_key key(keys, sender, cipher);
  require(::EVP_CipherInit_ex(context.get(), evp_cipher(cipher), nullptr, key.data(), nullptr, static_cast<int>(way)));
  return context;
}

/// What a payload's tag covers of its header: all but the tag's own place.
constexpr std::size_t covered_header_size = sealed_header_size - tag_size;
static_assert(covered_header_size <= header_size);

void put_covered(const plain_header& header, std::span<std::uint8_t, covered_header_size> out) {
  const auto behind = std::copy_n(header.begin(), data_header::tag_at, out.begin());
  std::copy(header.begin() + data_header::tag_at + tag_size, header.end(), behind);
}

void start_payload(EVP_CIPHER_CTX* context, const plain_header& header) {
  std::array<std::uint8_t, payload_nonce_size> nonce{};
  std::memcpy(&nonce[payload_nonce_size - sizeof(std::uint64_t)], &header[data_header::number_at],
              sizeof(std::uint64_t));
  require(::EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), -1, nullptr));
}

/// Takes what the tag covers beside the encrypted payload: the header, and in an open topic the payload as it is.
void cover(EVP_CIPHER_CTX* context, byte_view bytes) {
  int size = 0;
  if (!bytes.empty())
    require(::EVP_CipherUpdate(context, nullptr, &size, bytes.data(), static_cast<int>(bytes.size())));
}

/// The parameter that the library reads or writes a tag by; EVP_CIPHER_CTX_ctrl would make one, more slowly.
std::array<OSSL_PARAM, 2> tag_parameter(std::uint8_t* tag) {
  return {::OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, tag_size), ::OSSL_PARAM_construct_end()};
}

std::array<std::uint8_t, mark_size> mark_of(std::span<const std::uint8_t, nonce_size> nonce) {
  std::array<std::uint8_t, mark_size> mark;
  ::crypto_shorthash(mark.data(), nonce.data(), nonce_size - mark_size, mark_key);
  return mark;
}

header_cipher::key header_key_of(const topic_keys& keys) { return keys.header_key().first<header_cipher::key_size>(); }

/// Nonces and their streams, made several at once. Each is given out once.
class nonce_stock {
 public:
  struct item {
    header_cipher::nonce nonce;
    const header_stream& stream;
  };

  item next(const topic_keys& keys, random_source& random) {
    if (next_ == header_lanes) fill(keys, random);
    const auto at = next_++;
    return {nonces_[at], streams_[at]};
  }

 private:
  void fill(const topic_keys& keys, random_source& random) {
    std::array<const std::uint8_t*, header_lanes> each;
    for (std::size_t i = 0; i < header_lanes; ++i) {
      random.fill(byte_span(nonces_[i]).first(nonce_size - mark_size));
      std::ranges::copy(mark_of(nonces_[i]), nonces_[i].begin() + nonce_size - mark_size);
      each[i] = nonces_[i].data();
    }
    make_header_streams(header_key_of(keys), each, streams_);
    next_ = 0;
  }

  std::array<std::array<std::uint8_t, nonce_size>, header_lanes> nonces_;
  std::array<header_stream, header_lanes> streams_;
  std::size_t next_ = header_lanes;
};

void seal_header(byte_span packet, std::uint64_t magic, const plain_header& header, const nonce_stock::item& with) {
  store_be(packet.data(), magic);
  std::ranges::copy(with.nonce, &packet[nonce_at]);
  with.stream.encrypt(packet.first<magic_size>(), header, packet.subspan<sealed_at, sealed_header_size>(),
                      packet.subspan<tag_at, tag_size>());
}

bool has_magic(byte_view packet) {
  if (packet.size() < header_size) return false;
  const auto magic = load_be<std::uint64_t>(packet.data());
  return magic == data_magic || magic == ping_magic;
}

}  // namespace

// ---- packet_sealer

struct packet_sealer::state {
  topic_keys keys;
  sender_id self;
  payload_cipher cipher;
  cipher_context context;
  nonce_stock nonces{};
};

packet_sealer::packet_sealer(const topic_keys& keys, sender_id self, payload_cipher cipher)
    : state_(new state{keys, self, cipher, make_context(keys, self, cipher, direction::seal)}) {
  assert(self != 0 && is_known(cipher));
}
packet_sealer::~packet_sealer() = default;
packet_sealer::packet_sealer(packet_sealer&&) noexcept = default;
packet_sealer& packet_sealer::operator=(packet_sealer&&) noexcept = default;

void packet_sealer::seal_data(byte_span packet, std::uint64_t number, std::uint64_t offset, std::uint8_t flags,
                              random_source& random) {
  assert(packet.size() >= header_size && number != 0);
  auto header = encode_sealed(data_header{
      .sender = state_->self, .number = number, .offset = offset, .flags = flags, .cipher = state_->cipher});
  auto* context = state_->context.get();
  const auto payload = packet.subspan(header_size);
  start_payload(context, header);
  // Right before the payload, where the sealed header comes later: what is covered is taken at once.
  put_covered(header, packet.subspan<header_size - covered_header_size, covered_header_size>());
  const auto covered = packet.subspan(header_size - covered_header_size);
  const bool keyed = state_->keys.is_keyed();
  cover(context, keyed ? covered.first(covered_header_size) : covered);
  int size = 0;
  if (keyed && !payload.empty()) {
    require(::EVP_CipherUpdate(context, payload.data(), &size, payload.data(), static_cast<int>(payload.size())));
  }
  std::uint8_t end[EVP_MAX_BLOCK_LENGTH];  // both are stream ciphers: nothing is left for it
  require(::EVP_CipherFinal_ex(context, end, &size));
  require(::EVP_CIPHER_CTX_get_params(context, tag_parameter(&header[data_header::tag_at]).data()));
  seal_header(packet, data_magic, header, state_->nonces.next(state_->keys, random));
}

void packet_sealer::seal_ping(byte_span packet, ping_header ping, random_source& random) {
  assert(packet.size() >= header_size && ping.number != 0);
  ping.sender = state_->self;
  seal_header(packet, ping_magic, encode_sealed(ping), state_->nonces.next(state_->keys, random));
}

// ---- opening

void opening_streams::make(const topic_keys& keys, std::span<const byte_view> packets) {
  assert(packets.size() <= max);
  is_made_.fill(false);
  const byte_view* some = nullptr;
  std::size_t count = 0;
  for (const auto& packet : packets) {
    if (!has_magic(packet)) continue;
    some = &packet;
    ++count;
  }
  if (count < 2) return;
  std::array<const std::uint8_t*, max> nonces;
  for (std::size_t i = 0; i < max; ++i) {
    is_made_[i] = i < packets.size() && has_magic(packets[i]);
    nonces[i] = &(is_made_[i] ? packets[i] : *some)[nonce_at];
  }
  make_header_streams(header_key_of(keys), nonces, streams_);
}

result<sealed_header> open_header(const topic_keys& keys, byte_view packet, const header_stream* made) {
  if (!has_magic(packet)) return errc::not_sealed;
  const auto nonce = packet.subspan<nonce_at, nonce_size>();
  plain_header header;
  const auto open_with = [&](const header_stream& stream) {
    return stream.decrypt(packet.first<magic_size>(), packet.subspan<sealed_at, sealed_header_size>(),
                          packet.subspan<tag_at, tag_size>(), header);
  };
  if (!(made != nullptr ? open_with(*made) : open_with(header_stream(header_key_of(keys), nonce)))) {
    return std::ranges::equal(mark_of(nonce), nonce.last<mark_size>()) ? errc::other_topic : errc::not_sealed;
  }
  return decode_sealed(load_be<std::uint64_t>(packet.data()) == data_magic, header);
}

struct payload_opener::state {
  topic_keys keys;
  sender_id sender;
  // Made when the first packet names the cipher. A sender that names both costs two contexts, and no more.
  cipher_context aes;
  cipher_context chacha;

  EVP_CIPHER_CTX* context_of(payload_cipher cipher) {
    auto& context = cipher == payload_cipher::aes_256_gcm ? aes : chacha;
    if (!context) context = make_context(keys, sender, cipher, direction::open);
    return context.get();
  }
};

payload_opener::payload_opener(const topic_keys& keys, sender_id sender)
    : state_(new state{keys, sender, nullptr, nullptr}) {}
payload_opener::~payload_opener() = default;
payload_opener::payload_opener(payload_opener&&) noexcept = default;
payload_opener& payload_opener::operator=(payload_opener&&) noexcept = default;

bool payload_opener::open(byte_view packet, const data_header& header, byte_span out) {
  assert(packet.size() >= header_size && out.size() == packet.size() - header_size && is_known(header.cipher));
  if (header.sender != state_->sender) return false;
  auto* context = state_->context_of(header.cipher);
  const auto payload = packet.subspan(header_size);
  const bool keyed = state_->keys.is_keyed();
  start_payload(context, header.opened);
  std::array<std::uint8_t, covered_header_size> covered;
  put_covered(header.opened, covered);
  cover(context, covered);
  if (!keyed) cover(context, payload);
  int size = 0;
  if (keyed && !payload.empty()) {
    require(::EVP_CipherUpdate(context, out.data(), &size, payload.data(), static_cast<int>(payload.size())));
  }
  std::array<std::uint8_t, tag_size> tag;
  std::copy_n(&header.opened[data_header::tag_at], tag_size, tag.begin());
  require(::EVP_CIPHER_CTX_set_params(context, tag_parameter(tag.data()).data()));
  std::uint8_t end[EVP_MAX_BLOCK_LENGTH];
  if (::EVP_CipherFinal_ex(context, end, &size) != 1) return false;
  if (!keyed && !payload.empty() && out.data() != payload.data())
    std::memmove(out.data(), payload.data(), payload.size());
  return true;
}

}  // namespace nat
