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
          .body = ping_header::introduction{keyed_topic.tag_of("alice"), 1}};
}

std::string data_in_hex(const topic_keys& keys, payload_cipher cipher) {
  counting_random nonce;  // 00 01 02 ... 17
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
            "50494e4750494e47000102030405060708090a0b0c0d0e0f1011121314151617"
            "64acdc04efa74697bec3c7331c501ecee4b976fdfe7b645037c222f27918f552"
            "b6b0225569843f6e0a7e5adc83d6167de128156dbe94153a9fbc424666a62cab"
            "d174edc337a96c4824870481970e82e521a143546b344e5be8c883bc62524c6a");
}

TEST(seal_vectors, a_reflection) {
  auto ping = vector_ping();
  ping.body = ping_header::reflection{endpoint::parse("192.0.2.1:5000").value()};
  EXPECT_EQ(ping_in_hex(ping),
            "50494e4750494e47000102030405060708090a0b0c0d0e0f1011121314151617"
            "853c492bd531abca3c4d3becca95afebe4b876fdfe7b645037c222f27918f552"
            "b6b0225569843f6e0a7e5adc83d6167de128156dbe94153a9fbc424666a62cab"
            "d174edc344043efc775247462cb2987f209b0ef778bc4e5be8c883bd62524c6a");
}

TEST(seal_vectors, keyed_data_with_aes_256_gcm) {
  EXPECT_EQ(data_in_hex(keyed_topic, payload_cipher::aes_256_gcm),
            "4441544144415441000102030405060708090a0b0c0d0e0f1011121314151617"
            "500ab85298323ffa96d2a492635e735ae4ba76fefe7b645037c222f27918f552"
            "b6b0225578962c7a1f684dc262a43c1f08a2f9008fa7659fcd71428e27e46fef"
            "8026be9744043efc775247462cb26780e09b0cf66b344e5be8c883bd62524c6a"
            "34df761af33e");
}

TEST(seal_vectors, keyed_data_with_chacha20_poly1305) {
  EXPECT_EQ(data_in_hex(keyed_topic, payload_cipher::chacha20_poly1305),
            "4441544144415441000102030405060708090a0b0c0d0e0f1011121314151617"
            "a8642bf4259c6532453c36ffefed1a43e4ba75fefe7b645037c222f27918f552"
            "b6b0225578962c7a1f684dc225fefc43587f5974d950876975e5045a27e46fef"
            "8026be9744043efc775247462cb26780e09b0cf66b344e5be8c883bd62524c6a"
            "90651506e2ca");
}

TEST(seal_vectors, open_data_with_aes_256_gcm) {
  EXPECT_EQ(data_in_hex(open_topic, payload_cipher::aes_256_gcm),
            "4441544144415441000102030405060708090a0b0c0d0e0f1011121314151617"
            "92517dddd74662cb795f62dfa707d428513d0dbf03ccbb328b07389e49a514e7"
            "856e10ace7d28d4a72908071e942fe1283ec1164dc9c9a8707c5bc1ecc010d14"
            "7511916c26bf72c5b3902af1d73cea8b08f8a0c0de880f9eddbed524c16dfcde"
            "68656c6c6f0a");
}

}  // namespace
}  // namespace nat
