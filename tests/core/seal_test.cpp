#include "nat/seal.hpp"

#include "seal_fixture.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

constexpr payload_cipher both_ciphers[] = {payload_cipher::aes_256_gcm, payload_cipher::chacha20_poly1305};

const topic_keys open_topic = topic_keys::open("topic");
const topic_keys keyed_topic = topic_keys::keyed("topic", counting_key());

ping_header full_introduction() {
  ping_header ping{.number = 0x2122232425262728,
                   .recipient = 0x3132333435363738,
                   .challenge = 0x4142434445464748,
                   .echo = 0x5152535455565758,
                   .timestamp = 0x61626364,
                   .timestamp_echo = 0x71727374,
                   .flags = ping_header::wants_answer | ping_header::accepts};
  ping.body = ping_header::introduction{keyed_topic.tag_of("alice")};
  return ping;
}

void expect_same_but_body(const ping_header& found, const ping_header& expected) {
  EXPECT_EQ(found.number, expected.number);
  EXPECT_EQ(found.recipient, expected.recipient);
  EXPECT_EQ(found.challenge, expected.challenge);
  EXPECT_EQ(found.echo, expected.echo);
  EXPECT_EQ(found.timestamp, expected.timestamp);
  EXPECT_EQ(found.timestamp_echo, expected.timestamp_echo);
  EXPECT_EQ(found.flags, expected.flags);
  EXPECT_EQ(found.newest_version, expected.newest_version);
}

TEST(seal, data_comes_back_with_either_cipher_in_either_kind_of_topic) {
  for (const auto* keys : {&open_topic, &keyed_topic}) {
    for (const auto cipher : both_ciphers) {
      plain_random random;
      packet_sealer sealer(*keys, alice, cipher);
      const auto packet = sealed_data(sealer, 7, "hello\n", random, 0x1122334455667788, 0x81);
      const auto header = opened_data(*keys, packet);
      EXPECT_EQ(header.sender, alice);
      EXPECT_EQ(header.number, 7U);
      EXPECT_EQ(header.offset, 0x1122334455667788U);
      EXPECT_EQ(header.flags, 0x81);
      EXPECT_EQ(header.cipher, cipher);
      EXPECT_EQ(opened_payload(*keys, alice, packet), "hello\n");
    }
  }
}

TEST(seal, payloads_of_every_kind_of_size_come_back) {
  plain_random random;
  for (const auto* keys : {&open_topic, &keyed_topic}) {
    for (const auto cipher : both_ciphers) {
      packet_sealer sealer(*keys, alice, cipher);
      std::uint64_t number = 0;
      for (const std::size_t size : {0, 1, 15, 16, 17, 63, 64, 65, 1104, 65507 - 128}) {
        const std::string payload(size, 'x');
        const auto packet = sealed_data(sealer, ++number, payload, random);
        EXPECT_TRUE(opened_payload(*keys, alice, packet) == payload) << size;
      }
    }
  }
}

TEST(seal, a_keyed_topic_hides_the_payload_and_an_open_one_does_not) {
  plain_random random;
  const std::string payload(100, 'x');
  packet_sealer open_sealer(open_topic, alice, payload_cipher::aes_256_gcm);
  packet_sealer keyed_sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  const auto readable = sealed_data(open_sealer, 1, payload, random);
  const auto hidden = sealed_data(keyed_sealer, 1, payload, random);
  EXPECT_EQ(as_text(readable).substr(header_size), payload);
  EXPECT_EQ(as_text(hidden).find("xxxx"), std::string_view::npos);
}

TEST(seal, an_introduction_comes_back) {
  for (const auto* keys : {&open_topic, &keyed_topic}) {
    plain_random random;
    packet_sealer sealer(*keys, alice, payload_cipher::aes_256_gcm);
    const auto ping = full_introduction();
    const auto found = opened_ping(*keys, sealed_ping(sealer, ping, random));
    EXPECT_EQ(found.sender, alice);
    expect_same_but_body(found, ping);
    const auto& body = std::get<ping_header::introduction>(found.body);
    EXPECT_EQ(body.name, keyed_topic.tag_of("alice"));
  }
}

TEST(seal, a_reflection_comes_back_with_an_address_of_either_family) {
  plain_random random;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  for (const auto* text : {"192.0.2.1:5000", "[2001:db8::1]:65535"}) {
    auto ping = full_introduction();
    ping.body = ping_header::reflection{endpoint::parse(text).value()};
    const auto found = opened_ping(keyed_topic, sealed_ping(sealer, ping, random));
    expect_same_but_body(found, ping);
    EXPECT_EQ(std::get<ping_header::reflection>(found.body).seen.to_string(), text);
  }
}

TEST(seal, an_acknowledgement_comes_back) {
  plain_random random;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  ping_header ping{.number = 5, .recipient = 6, .flags = ping_acknowledgement::revoked};
  ping_acknowledgement said{.next = 1ULL << 40,
                            .limit = 1ULL << 50,
                            .unwritten = 0xfedcba98,
                            .delay = 0x12345678,
                            .newest = -3,
                            .duplicates = 0xabcd,
                            .from = 0x89abcdef};
  for (std::size_t i = 0; i < said.runs.size(); ++i) said.runs[i] = static_cast<std::uint8_t>(i + 1);
  ping.body = said;
  const auto found = opened_ping(keyed_topic, sealed_ping(sealer, ping, random));
  EXPECT_EQ(found.recipient, 6U);
  EXPECT_EQ(found.flags, ping_acknowledgement::revoked);
  const auto& read = std::get<ping_header::acknowledgement>(found.body);
  EXPECT_EQ(read.next, said.next);
  EXPECT_EQ(read.limit, said.limit);
  EXPECT_EQ(read.unwritten, said.unwritten);
  EXPECT_EQ(read.delay, said.delay);
  EXPECT_EQ(read.newest, -3);
  EXPECT_EQ(read.duplicates, said.duplicates);
  EXPECT_EQ(read.from, said.from);
  EXPECT_EQ(read.runs, said.runs);
}

TEST(seal, what_is_said_of_a_stream_comes_back) {
  plain_random random;
  packet_sealer sealer(open_topic, alice, payload_cipher::aes_256_gcm);
  ping_header ping{.number = 5, .recipient = 6, .flags = ping_stream::will_end};
  ping.body = ping_stream{.first = 1ULL << 33, .offset = 1ULL << 43, .next = 1ULL << 53, .confirmed = 1ULL << 63};
  const auto found = opened_ping(open_topic, sealed_ping(sealer, ping, random));
  EXPECT_EQ(found.flags, ping_stream::will_end);
  EXPECT_FALSE(found.is_about_path());
  const auto& read = std::get<ping_header::stream>(found.body);
  EXPECT_EQ(read.first, 1ULL << 33);
  EXPECT_EQ(read.offset, 1ULL << 43);
  EXPECT_EQ(read.next, 1ULL << 53);
  EXPECT_EQ(read.confirmed, 1ULL << 63);
}

TEST(seal, the_sender_of_a_ping_is_who_seals_it) {
  plain_random random;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  auto ping = full_introduction();
  ping.sender = bob;
  EXPECT_EQ(opened_ping(keyed_topic, sealed_ping(sealer, ping, random)).sender, alice);
}

TEST(seal, what_follows_the_header_of_a_ping_is_padding) {
  plain_random random;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  packet_bytes packet(1400, 0x55);
  sealer.seal_ping(packet, full_introduction(), random);
  EXPECT_EQ(packet[header_size], 0x55) << "only the header is written";
  packet.back() ^= 1;
  EXPECT_EQ(opened_ping(keyed_topic, packet).number, 0x2122232425262728U);
}

TEST(seal, a_payload_opens_in_its_own_place) {
  plain_random random;
  for (const auto* keys : {&open_topic, &keyed_topic}) {
    packet_sealer sealer(*keys, alice, payload_cipher::chacha20_poly1305);
    auto packet = sealed_data(sealer, 1, "in place", random);
    const auto header = opened_data(*keys, packet);
    ASSERT_TRUE(payload_opener(*keys, alice).open(packet, header, byte_span(packet).subspan(header_size)));
    EXPECT_EQ(as_text(packet).substr(header_size), "in place");
  }
}

TEST(seal, one_opener_takes_many_packets_and_both_ciphers_and_survives_a_bad_one) {
  plain_random random;
  payload_opener opener(keyed_topic, alice);
  packet_sealer aes(keyed_topic, alice, payload_cipher::aes_256_gcm);
  packet_sealer chacha(keyed_topic, alice, payload_cipher::chacha20_poly1305);
  for (std::uint64_t number = 1; number <= 20; ++number) {
    auto& sealer = number % 2 == 0 ? aes : chacha;
    const auto text = "packet " + std::to_string(number);
    auto packet = sealed_data(sealer, number, text, random);
    const auto header = opened_data(keyed_topic, packet);
    packet_bytes out(text.size());
    packet.back() ^= 1;
    EXPECT_FALSE(opener.open(packet, header, out));
    packet.back() ^= 1;
    ASSERT_TRUE(opener.open(packet, header, out));
    EXPECT_EQ(as_text(out), text);
  }
}

TEST(seal, sealers_and_openers_can_be_moved) {
  plain_random random;
  packet_sealer first(keyed_topic, alice, payload_cipher::aes_256_gcm);
  auto sealer = std::move(first);
  payload_opener opener(keyed_topic, bob);
  opener = payload_opener(keyed_topic, alice);
  const auto packet = sealed_data(sealer, 1, "moved", random);
  packet_bytes out(5);
  EXPECT_TRUE(opener.open(packet, opened_data(keyed_topic, packet), out));
}

TEST(seal, the_same_packet_sealed_twice_looks_new) {
  plain_random random;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  const auto first = sealed_ping(sealer, full_introduction(), random);
  const auto second = sealed_ping(sealer, full_introduction(), random);
  std::size_t same = 0;
  for (std::size_t i = magic_size; i < header_size; ++i) same += first[i] == second[i] ? 1 : 0;
  EXPECT_LT(same, 8U);  // 120 bytes agree in 0.5 on average
}

// ---- headers that somebody else of the topic sealed

using header_bytes = std::array<std::uint8_t, sealed_header_size>;

/// A valid header of the kind, version 1.
header_bytes valid_header(std::uint8_t kind) {
  header_bytes header{};
  header[0] = 1;  // version
  header[1] = kind;
  header[2] = 1;   // AES-256-GCM, or the newest version
  header[11] = 9;  // sender
  header[19] = 3;  // number
  return header;
}

std::error_code error_of(const header_bytes& header, std::uint64_t magic) {
  const auto opened = open_header(keyed_topic, seal_by_hand(keyed_topic, magic, header));
  return opened ? std::error_code() : opened.error();
}

TEST(seal_header, a_valid_one_of_each_kind_opens) {
  EXPECT_EQ(error_of(valid_header(1), data_magic), std::error_code());
  EXPECT_EQ(error_of(valid_header(2), ping_magic), std::error_code());
  EXPECT_EQ(error_of(valid_header(3), ping_magic), std::error_code());
}

TEST(seal_header, a_later_version_is_named_as_such_whatever_else_it_holds) {
  for (const unsigned version : {2U, 3U, 255U}) {
    for (const auto magic : {data_magic, ping_magic}) {
      header_bytes header;
      header.fill(0xff);
      header[0] = static_cast<std::uint8_t>(version);
      EXPECT_EQ(error_of(header, magic), errc::unknown_version);
      header.fill(0);
      header[0] = static_cast<std::uint8_t>(version);
      EXPECT_EQ(error_of(header, magic), errc::unknown_version);
    }
  }
}

TEST(seal_header, version_0_is_malformed) {
  auto header = valid_header(2);
  header[0] = 0;
  EXPECT_EQ(error_of(header, ping_magic), errc::malformed);
}

TEST(seal_header, a_kind_goes_with_its_magic) {
  EXPECT_EQ(error_of(valid_header(1), ping_magic), errc::malformed);
  EXPECT_EQ(error_of(valid_header(0), ping_magic), errc::malformed);
  for (const unsigned kind : {0U, 2U, 3U, 4U, 255U}) {
    EXPECT_EQ(error_of(valid_header(static_cast<std::uint8_t>(kind)), data_magic), errc::malformed) << kind;
  }
}

TEST(seal_header, a_ping_of_a_later_kind_is_named_as_such) {
  EXPECT_EQ(error_of(valid_header(7), ping_magic), errc::unknown_type);
  EXPECT_EQ(error_of(valid_header(255), ping_magic), errc::unknown_type);
}

TEST(seal_header, an_unknown_cipher_is_malformed) {
  for (const unsigned cipher : {0U, 3U, 255U}) {
    auto header = valid_header(1);
    header[2] = static_cast<std::uint8_t>(cipher);
    EXPECT_EQ(error_of(header, data_magic), errc::malformed) << cipher;
  }
}

TEST(seal_header, sender_0_and_number_0_are_malformed) {
  for (const auto& [kind, magic] : {std::pair{1, data_magic}, {2, ping_magic}, {3, ping_magic}}) {
    for (const std::size_t last : {11U, 19U}) {
      auto header = valid_header(static_cast<std::uint8_t>(kind));
      header[last] = 0;
      EXPECT_EQ(error_of(header, magic), errc::malformed) << kind << ' ' << last;
    }
  }
}

TEST(seal_header, unknown_flags_and_reserved_bytes_are_ignored) {
  auto header = valid_header(1);
  header[3] = 0xff;
  std::fill(header.begin() + 44, header.end(), std::uint8_t{0xff});
  EXPECT_EQ(error_of(header, data_magic), std::error_code());
  for (const auto& [kind, from] : {std::pair{2, 76}, {3, 70}}) {
    auto ping = valid_header(static_cast<std::uint8_t>(kind));
    ping[3] = 0xff;
    std::fill(ping.begin() + from, ping.end(), std::uint8_t{0xff});
    EXPECT_EQ(error_of(ping, ping_magic), std::error_code());
  }
}

TEST(seal_header, a_sender_reads_at_least_the_version_it_writes) {
  auto header = valid_header(2);
  header[2] = 0;
  EXPECT_EQ(opened_ping(keyed_topic, seal_by_hand(keyed_topic, ping_magic, header)).newest_version, 1);
  header[2] = 9;
  EXPECT_EQ(opened_ping(keyed_topic, seal_by_hand(keyed_topic, ping_magic, header)).newest_version, 9);
}

}  // namespace
}  // namespace nat
