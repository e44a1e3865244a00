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
constexpr std::size_t mark_at = nonce_at + nonce_size - mark_size;
constexpr std::uint8_t mark_key[] = {'n', 'a', 't', 'p', 'e', 'e', 'r', ' ', 'n', 'o', 'n', 'c', 'e', ' ', 'v', '1'};
static_assert(sizeof(mark_key) == crypto_shorthash_KEYBYTES);
constexpr std::size_t tag_at = nonce_at + nonce_size;
constexpr std::size_t tag_size = header_cipher::tag_size;
constexpr std::size_t sealed_at = tag_at + tag_size;
static_assert(magic_size == header_cipher::beside_size);
static_assert(nonce_size == 24 && tag_size == 16 && sealed_at + sealed_header_size == header_size);

// The sealed header of every kind.
constexpr std::size_t version_at = 0;
constexpr std::size_t kind_at = 1;
constexpr std::size_t cipher_at = 2;  // PING: the newest version
constexpr std::size_t flags_at = 3;
constexpr std::size_t sender_at = 4;
constexpr std::size_t number_at = 12;
// DATA
constexpr std::size_t offset_at = 20;
constexpr std::size_t payload_tag_at = 28;
constexpr std::size_t payload_tag_end = payload_tag_at + tag_size;
// PING
constexpr std::size_t recipient_at = 20;
constexpr std::size_t challenge_at = 28;
constexpr std::size_t echo_at = 36;
constexpr std::size_t timestamp_at = 44;
constexpr std::size_t timestamp_echo_at = 48;
constexpr std::size_t body_at = 52;
constexpr std::size_t seen_port_at = body_at + 16;  // reflection
// acknowledgement
constexpr std::size_t ack_next_at = 28;
constexpr std::size_t ack_limit_at = 36;
constexpr std::size_t ack_unwritten_at = 44;
constexpr std::size_t ack_delay_at = 48;
constexpr std::size_t ack_newest_at = 52;
constexpr std::size_t ack_duplicates_at = 56;
constexpr std::size_t ack_from_at = 58;
constexpr std::size_t ack_runs_at = 62;
static_assert(ack_runs_at + ping_acknowledgement::runs_size == sealed_header_size);
// stream
constexpr std::size_t stream_first_at = 28;
constexpr std::size_t stream_offset_at = 36;
constexpr std::size_t stream_next_at = 44;
constexpr std::size_t stream_confirmed_at = 52;

constexpr std::size_t size_bytes_at = 28;

enum kind : std::uint8_t {
  data_kind = 1,
  introduction_kind = 2,
  reflection_kind = 3,
  acknowledgement_kind = 4,
  stream_kind = 5,
  size_kind = 6,
};

constexpr std::size_t payload_nonce_size = 12;  // RFC 5116, 5.1 and RFC 8439, 2.8: of both ciphers
constexpr std::size_t payload_key_size = 32;    // of both

using plain_header = std::array<std::uint8_t, sealed_header_size>;

struct context_free {
  void operator()(EVP_CIPHER_CTX* context) const { ::EVP_CIPHER_CTX_free(context); }  // wipes the key
};
using cipher_context = std::unique_ptr<EVP_CIPHER_CTX, context_free>;

/// The library fails where it has no memory, and nowhere else: what is not sealed must not leave.
void require(int status) {
  if (status != 1) throw std::runtime_error("the cryptographic library failed");
}

bool is_known(payload_cipher cipher) {
  return cipher == payload_cipher::aes_256_gcm || cipher == payload_cipher::chacha20_poly1305;
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

/// Takes what the tag covers beside the encrypted payload: the header without the tag's own place, and in an open topic
/// the payload as it is.
void start_payload(EVP_CIPHER_CTX* context, const plain_header& header, byte_view readable_payload) {
  std::array<std::uint8_t, payload_nonce_size> nonce{};
  std::memcpy(&nonce[payload_nonce_size - sizeof(std::uint64_t)], &header[number_at], sizeof(std::uint64_t));
  require(::EVP_CipherInit_ex2(context, nullptr, nullptr, nonce.data(), -1, nullptr));
  const auto cover = [&](byte_view bytes) {
    int size = 0;
    if (!bytes.empty())
      require(::EVP_CipherUpdate(context, nullptr, &size, bytes.data(), static_cast<int>(bytes.size())));
  };
  std::array<std::uint8_t, sealed_header_size - tag_size> rest;
  std::copy(header.begin() + payload_tag_end, header.end(), std::copy_n(header.begin(), payload_tag_at, rest.begin()));
  cover(rest);
  cover(readable_payload);
}

/// The parameter that the library reads or writes a tag by; EVP_CIPHER_CTX_ctrl would make one, more slowly.
std::array<OSSL_PARAM, 2> tag_parameter(std::uint8_t* tag) {
  return {::OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, tag_size), ::OSSL_PARAM_construct_end()};
}

std::array<std::uint8_t, mark_size> mark_of(byte_view packet) {
  std::array<std::uint8_t, mark_size> mark;
  ::crypto_shorthash(mark.data(), &packet[nonce_at], mark_at - nonce_at, mark_key);
  return mark;
}

void seal_header(byte_span packet, std::uint64_t magic, const plain_header& header, const topic_keys& keys,
                 random_source& random) {
  store_be(packet.data(), magic);
  random.fill(packet.subspan(nonce_at, nonce_size - mark_size));
  std::ranges::copy(mark_of(packet), &packet[mark_at]);
  header_cipher::encrypt(keys.header_key().first<header_cipher::key_size>(), packet.subspan<nonce_at, nonce_size>(),
                         packet.first<magic_size>(), header, packet.subspan<sealed_at, sealed_header_size>(),
                         packet.subspan<tag_at, tag_size>());
}

result<sealed_header> decode_data(const plain_header& header) {
  data_header data{.sender = load_be<sender_id>(&header[sender_at]),
                   .number = load_be<std::uint64_t>(&header[number_at]),
                   .offset = load_be<std::uint64_t>(&header[offset_at]),
                   .flags = header[flags_at],
                   .cipher = static_cast<payload_cipher>(header[cipher_at]),
                   .opened = header};
  if (!is_known(data.cipher)) return errc::malformed;
  return sealed_header(data);
}

ping_header::introduction decode_introduction(const plain_header& header) {
  ping_header::introduction body;
  std::copy_n(&header[body_at], body.name.size(), body.name.begin());
  return body;
}

ping_header::reflection decode_reflection(const plain_header& header) {
  ip_address::v6_bytes ip;
  std::copy_n(&header[body_at], ip.size(), ip.begin());
  return {{ip_address(ip), load_be<std::uint16_t>(&header[seen_port_at])}};
}

ping_header::acknowledgement decode_acknowledgement(const plain_header& header) {
  ping_header::acknowledgement body{.next = load_be<std::uint64_t>(&header[ack_next_at]),
                                    .limit = load_be<std::uint64_t>(&header[ack_limit_at]),
                                    .unwritten = load_be<std::uint32_t>(&header[ack_unwritten_at]),
                                    .delay = load_be<std::uint32_t>(&header[ack_delay_at]),
                                    .newest = static_cast<std::int32_t>(load_be<std::uint32_t>(&header[ack_newest_at])),
                                    .duplicates = load_be<std::uint16_t>(&header[ack_duplicates_at]),
                                    .from = load_be<std::uint32_t>(&header[ack_from_at])};
  std::copy_n(&header[ack_runs_at], body.runs.size(), body.runs.begin());
  return body;
}

ping_header::stream decode_stream(const plain_header& header) {
  return {.first = load_be<std::uint64_t>(&header[stream_first_at]),
          .offset = load_be<std::uint64_t>(&header[stream_offset_at]),
          .next = load_be<std::uint64_t>(&header[stream_next_at]),
          .confirmed = load_be<std::uint64_t>(&header[stream_confirmed_at])};
}

result<sealed_header> decode_ping(const plain_header& header) {
  ping_header ping{.sender = load_be<sender_id>(&header[sender_at]),
                   .number = load_be<std::uint64_t>(&header[number_at]),
                   .recipient = load_be<sender_id>(&header[recipient_at]),
                   .flags = header[flags_at],
                   .newest_version = std::max(header[cipher_at], header[version_at])};
  switch (header[kind_at]) {
    case introduction_kind: ping.body = decode_introduction(header); break;
    case reflection_kind: ping.body = decode_reflection(header); break;
    case acknowledgement_kind: ping.body = decode_acknowledgement(header); break;
    case stream_kind: ping.body = decode_stream(header); break;
    case size_kind: ping.body = ping_size{load_be<std::uint16_t>(&header[size_bytes_at])}; break;
    default: return errc::unknown_type;
  }
  if (ping.is_about_path()) {
    ping.challenge = load_be<std::uint64_t>(&header[challenge_at]);
    ping.echo = load_be<std::uint64_t>(&header[echo_at]);
    ping.timestamp = load_be<std::uint32_t>(&header[timestamp_at]);
    ping.timestamp_echo = load_be<std::uint32_t>(&header[timestamp_echo_at]);
  }
  return sealed_header(ping);
}

void encode_path(plain_header& header, const ping_header& ping) {
  store_be(&header[challenge_at], ping.challenge);
  store_be(&header[echo_at], ping.echo);
  store_be(&header[timestamp_at], ping.timestamp);
  store_be(&header[timestamp_echo_at], ping.timestamp_echo);
}

void encode_body(plain_header& header, const ping_header::introduction& body) {
  header[kind_at] = introduction_kind;
  std::ranges::copy(body.name, &header[body_at]);
}

void encode_body(plain_header& header, const ping_header::reflection& body) {
  header[kind_at] = reflection_kind;
  std::ranges::copy(body.seen.ip.v6(), &header[body_at]);
  store_be(&header[seen_port_at], body.seen.port);
}

void encode_body(plain_header& header, const ping_header::acknowledgement& body) {
  header[kind_at] = acknowledgement_kind;
  store_be(&header[ack_next_at], body.next);
  store_be(&header[ack_limit_at], body.limit);
  store_be(&header[ack_unwritten_at], body.unwritten);
  store_be(&header[ack_delay_at], body.delay);
  store_be(&header[ack_newest_at], static_cast<std::uint32_t>(body.newest));
  store_be(&header[ack_duplicates_at], body.duplicates);
  store_be(&header[ack_from_at], body.from);
  std::ranges::copy(body.runs, &header[ack_runs_at]);
}

void encode_body(plain_header& header, const ping_header::stream& body) {
  header[kind_at] = stream_kind;
  store_be(&header[stream_first_at], body.first);
  store_be(&header[stream_offset_at], body.offset);
  store_be(&header[stream_next_at], body.next);
  store_be(&header[stream_confirmed_at], body.confirmed);
}

void encode_body(plain_header& header, const ping_header::size& body) {
  header[kind_at] = size_kind;
  store_be(&header[size_bytes_at], body.bytes);
}

}  // namespace

// ---- packet_sealer

struct packet_sealer::state {
  topic_keys keys;
  sender_id self;
  payload_cipher cipher;
  cipher_context context;
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
  plain_header header{};
  header[version_at] = seal_version;
  header[kind_at] = data_kind;
  header[cipher_at] = static_cast<std::uint8_t>(state_->cipher);
  header[flags_at] = flags;
  store_be(&header[sender_at], state_->self);
  store_be(&header[number_at], number);
  store_be(&header[offset_at], offset);

  auto* context = state_->context.get();
  const auto payload = packet.subspan(header_size);
  const bool keyed = state_->keys.is_keyed();
  start_payload(context, header, keyed ? byte_view{} : payload);
  int size = 0;
  if (keyed && !payload.empty()) {
    require(::EVP_CipherUpdate(context, payload.data(), &size, payload.data(), static_cast<int>(payload.size())));
  }
  std::uint8_t end[EVP_MAX_BLOCK_LENGTH];  // both are stream ciphers: nothing is left for it
  require(::EVP_CipherFinal_ex(context, end, &size));
  require(::EVP_CIPHER_CTX_get_params(context, tag_parameter(&header[payload_tag_at]).data()));
  seal_header(packet, data_magic, header, state_->keys, random);
}

void packet_sealer::seal_ping(byte_span packet, ping_header ping, random_source& random) {
  assert(packet.size() >= header_size && ping.number != 0);
  plain_header header{};
  header[version_at] = seal_version;
  header[cipher_at] = ping.newest_version;
  header[flags_at] = ping.flags;
  store_be(&header[sender_at], state_->self);
  store_be(&header[number_at], ping.number);
  store_be(&header[recipient_at], ping.recipient);
  if (ping.is_about_path()) encode_path(header, ping);
  std::visit([&](const auto& body) { encode_body(header, body); }, ping.body);
  seal_header(packet, ping_magic, header, state_->keys, random);
}

// ---- opening

result<sealed_header> open_header(const topic_keys& keys, byte_view packet) {
  if (packet.size() < header_size) return errc::not_sealed;
  const auto magic = load_be<std::uint64_t>(packet.data());
  if (magic != data_magic && magic != ping_magic) return errc::not_sealed;
  plain_header header;
  if (!header_cipher::decrypt(keys.header_key().first<header_cipher::key_size>(),
                              packet.subspan<nonce_at, nonce_size>(), packet.first<magic_size>(),
                              packet.subspan<sealed_at, sealed_header_size>(), packet.subspan<tag_at, tag_size>(),
                              header)) {
    return std::ranges::equal(mark_of(packet), packet.subspan(mark_at, mark_size)) ? errc::other_topic
                                                                                   : errc::not_sealed;
  }
  // First of all: nothing is known of the rest of a later version.
  if (header[version_at] > seal_version) return errc::unknown_version;
  if (header[version_at] == 0) return errc::malformed;
  const bool is_data = magic == data_magic;
  if (!is_data && header[kind_at] > size_kind) return errc::unknown_type;
  if (header[kind_at] == 0 || is_data != (header[kind_at] == data_kind)) return errc::malformed;
  const bool nobody = load_be<sender_id>(&header[sender_at]) == 0;
  if (nobody || load_be<std::uint64_t>(&header[number_at]) == 0) return errc::malformed;
  return is_data ? decode_data(header) : decode_ping(header);
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
  start_payload(context, header.opened, keyed ? byte_view{} : payload);
  int size = 0;
  if (keyed && !payload.empty()) {
    require(::EVP_CipherUpdate(context, out.data(), &size, payload.data(), static_cast<int>(payload.size())));
  }
  std::array<std::uint8_t, tag_size> tag;
  std::copy_n(&header.opened[payload_tag_at], tag_size, tag.begin());
  require(::EVP_CIPHER_CTX_set_params(context, tag_parameter(tag.data()).data()));
  std::uint8_t end[EVP_MAX_BLOCK_LENGTH];
  if (::EVP_CipherFinal_ex(context, end, &size) != 1) return false;
  if (!keyed && !payload.empty() && out.data() != payload.data())
    std::memmove(out.data(), payload.data(), payload.size());
  return true;
}

}  // namespace nat
