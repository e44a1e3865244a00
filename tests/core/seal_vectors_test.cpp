// The test vectors of docs/PROTOCOL.md, 8.8. Somebody else's implementation relies on them: they do not change.
#include "nat/seal.hpp"

#include "seal_fixture.hpp"

#include <gtest/gtest.h>

namespace nat {
namespace {

const topic_keys open_topic = topic_keys::open("topic");
const topic_keys keyed_topic = topic_keys::keyed("topic", counting_key());  // 00 01 02 ... 1f

ping_header vector_ping() {
  return {.number = 1,
          .recipient = bob,
          .challenge = 0x2122232425262728,
          .echo = 0x3132333435363738,
          .timestamp = 0x41424344,
          .timestamp_echo = 0x51525354,
          .flags = ping_header::wants_answer | ping_header::accepts,
          .body = ping_header::introduction{keyed_topic.tag_of("alice")}};
}

std::string data_in_hex(const topic_keys& keys, payload_cipher cipher) {
  counting_random nonce;  // 00 01 02 ... 0f, and its mark
  packet_sealer sealer(keys, alice, cipher);
  const auto packet = sealed_data(sealer, 1, "hello\n", nonce, 6);
  EXPECT_EQ(opened_payload(keys, alice, packet), "hello\n");
  return hex(packet);
}

std::string ping_in_hex(const ping_header& ping) {
  counting_random nonce;
  packet_sealer sealer(keyed_topic, alice, payload_cipher::aes_256_gcm);
  return hex(sealed_ping(sealer, ping, nonce));
}

TEST(seal_vectors, keys_of_a_keyed_topic) {
  EXPECT_EQ(keyed_topic.public_topic(), "QtMU7OOl8Yz1UtMzl8pXk8wNlTHJDK1qAn8z2q836Mo");
  EXPECT_EQ(hex(keyed_topic.header_key()), "3917aa58ff1e82be2efb6a4fdcfedd92075db02843044cda191db00ccec57315");
  EXPECT_EQ(hex(keyed_topic.payload_root()), "8245ba991b48313530d50a8a2b23a36784fa17ec5e0d65700f08cd02d603643c");
  EXPECT_EQ(hex(keyed_topic.tag_of("alice")), "73ad52b453d543c7bbbce565c13a4fa2");
}

TEST(seal_vectors, keys_of_an_open_topic) {
  EXPECT_EQ(hex(open_topic.header_key()), "2c7772535f601752eeed7dade894b257e5934fd7f43d7c61edc6c5dd357e5d84");
  EXPECT_EQ(hex(open_topic.payload_root()), "258d20192b1638a2cb027abad0a64f20530c81f80e8df2b0a66040fc6a9097bd");
  EXPECT_EQ(hex(open_topic.tag_of("alice")), "e02881a3e8769a274291ff9b0907c10a");
}

TEST(seal_vectors, the_fingerprint_of_a_key) { EXPECT_EQ(counting_key().fingerprint(), "yr6c-zyxt"); }

TEST(seal_vectors, the_key_of_a_passphrase) {
  EXPECT_EQ(hex(secret_key::from_passphrase("correct horse battery staple", "topic")->bytes()),
            "a756debc158861ff25d325bd3043e81177cfe246a7408a96f0e085aada82dff1");
}

TEST(seal_vectors, an_introduction) {
  EXPECT_EQ(ping_in_hex(vector_ping()),
            "50494e4750494e47000102030405060708090a0b0c0d0e0f5ddc9663d3c42823"
            "cda6e69e4b586c238a9e9eb62a2596823f67de24e44a42f65b8eada5d086e864"
            "93c68d7e3b19c0e16d998e321331883b9361d920dcb544a546850c5ff08d2d7b"
            "b58b5600fd90990a656697dea6d85a547c7698bb5cbcf32394aaa120254ebc86");
}

TEST(seal_vectors, a_reflection) {
  auto ping = vector_ping();
  ping.body = ping_header::reflection{endpoint::parse("192.0.2.1:5000").value()};
  EXPECT_EQ(ping_in_hex(ping),
            "50494e4750494e47000102030405060708090a0b0c0d0e0f5ddc9663d3c42823"
            "0ba4a7f96b20b0f75fea21adc51599ac3f66de24e44a42f65b8eada5d086e864"
            "93c68d7e3b19c0e16d998e321331883b9361d920dcb544a546850c5ff08d2d7b"
            "b58b56008e3dcbbe36b3d4191d6440ce7d4cd5184f34f32394aaa120254ebc86");
}

TEST(seal_vectors, keyed_data_with_aes_256_gcm) {
  EXPECT_EQ(data_in_hex(keyed_topic, payload_cipher::aes_256_gcm),
            "4441544144415441000102030405060708090a0b0c0d0e0f5ddc9663d3c42823"
            "a1f947050203708b0cfa5248e3b71b523f64de27e44a42f65b8eada5d086e864"
            "93c68d7e2a0bd3f5788f992cf243a2597aeb354ded86340014480c97b1cf6e3f"
            "e4d905548e3dcbbe36b3d4191d64bf31bd4cd7195cbcf32394aaa120254ebc86"
            "34df761af33e");
}

TEST(seal_vectors, keyed_data_with_chacha20_poly1305) {
  EXPECT_EQ(data_in_hex(keyed_topic, payload_cipher::chacha20_poly1305),
            "4441544144415441000102030405060708090a0b0c0d0e0f5ddc9663d3c42823"
            "260e116ef38f49a8b4bbd07117e0ea4a3f64dd27e44a42f65b8eada5d086e864"
            "93c68d7e2a0bd3f5788f992cb51962052a369539bb71d6f6acdc4a43b1cf6e3f"
            "e4d905548e3dcbbe36b3d4191d64bf31bd4cd7195cbcf32394aaa120254ebc86"
            "90651506e2ca");
}

TEST(seal_vectors, open_data_with_aes_256_gcm) {
  EXPECT_EQ(data_in_hex(open_topic, payload_cipher::aes_256_gcm),
            "4441544144415441000102030405060708090a0b0c0d0e0f5ddc9663d3c42823"
            "f02d09dc47b8f0b83f156cef797c3931cb716a8a4d3475e2efd409d81027ae52"
            "22ab730bae6458923389dc7c0dfe70eabf587b599d06ffbbe4e347e4d3613aab"
            "5cca1426df9969330ab92384123e388cc8e64c7aaeebfc6d3b892f5eaac130ac"
            "68656c6c6f0a");
}

}  // namespace
}  // namespace nat
