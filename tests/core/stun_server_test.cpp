#include "nat/stun_server.hpp"

#include "plain_random.hpp"
#include "stun_builder.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using bytes = std::vector<std::uint8_t>;
using types = std::vector<std::uint16_t>;

constexpr transaction_id test_id{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

stun_builder request() { return {binding_request_type, test_id}; }

TEST(stun_server, tells_a_client_its_address) {
  for (const auto* from : {"203.0.113.7:40000", "[2001:db8::7]:40000"}) {
    const auto packet = answer_stun(request(), at(from)).value();
    const auto answer = decode_stun(packet).value();
    EXPECT_EQ(answer.kind, stun_class::success);
    EXPECT_EQ(answer.id, test_id);
    EXPECT_EQ(answer.xor_mapped, at(from));
    EXPECT_FALSE(answer.has_fingerprint);
  }
}

TEST(stun_server, takes_an_ipv4_client_of_a_dual_stack_socket_for_one) {
  EXPECT_EQ(answer_stun(request(), {ip("::ffff:203.0.113.7"), 40000}), answer_stun(request(), at("203.0.113.7:40000")));
}

TEST(stun_server, adds_a_fingerprint_only_when_asked_with_one) {
  EXPECT_TRUE(decode_stun(*answer_stun(request().add_fingerprint(), at("203.0.113.7:1"))).value().has_fingerprint);
  EXPECT_TRUE(decode_stun(*answer_stun(request().add(0x0003, bytes(4)).add_fingerprint(), at("203.0.113.7:1")))
                  .value()
                  .has_fingerprint);
  EXPECT_FALSE(decode_stun(*answer_stun(request().add(0x0003, bytes(4)), at("203.0.113.7:1"))).value().has_fingerprint);
}

TEST(stun_server, reads_over_credentials_and_optional_attributes) {
  auto signed_request = request();
  signed_request.add(0x8022, bytes(7)).add(0x0006, bytes(9)).add(0x0014, bytes(11)).add(0x0015, bytes(28));
  signed_request.add(0x001E, bytes(32)).add(0x001D, bytes(4)).add(0x0008, bytes(20)).add(0x001C, bytes(32));
  const auto answer = answer_stun(signed_request.add_fingerprint(), at("203.0.113.7:40000")).value();
  EXPECT_EQ(decode_stun(answer).value().xor_mapped, at("203.0.113.7:40000"));
}

TEST(stun_server, names_the_attributes_it_does_not_know) {
  // RESPONSE-ADDRESS and CHANGE-REQUEST of RFC 3489 would make it send elsewhere; PRIORITY and USE-CANDIDATE
  // are ICE's.
  for (const auto type : types{0x0002, 0x0003, 0x0024, 0x0025, 0x7fff}) {
    const auto packet = answer_stun(request().add(0x8022, {'x'}).add(type, bytes(4)), at("203.0.113.7:1")).value();
    const auto answer = decode_stun(packet).value();
    EXPECT_EQ(answer.kind, stun_class::error);
    EXPECT_EQ(answer.error.value().code, 420);
    EXPECT_EQ(answer.xor_mapped, std::nullopt);
    EXPECT_EQ(bytes(packet.begin() + 28, packet.begin() + 32), (bytes{0x00, 0x0a, 0x00, 0x02}));
    EXPECT_EQ(load_be<std::uint16_t>(&packet[32]), type);
  }
}

TEST(stun_server, never_answers_with_more_than_the_mandatory_attributes_on_top) {
  for (std::uint16_t count = 0; count < 100; ++count) {
    for (const bool fingerprint : {false, true}) {
      auto asked = request();
      for (std::uint16_t i = 0; i < count; ++i) asked.add(static_cast<std::uint16_t>(0x1000 + i), {});
      if (fingerprint) asked.add_fingerprint();
      const auto size = byte_view(asked).size();
      EXPECT_LE(answer_stun(asked, at("203.0.113.7:1"))->size(), size + 12) << count;
      EXPECT_LE(answer_stun(asked, at("[2001:db8::7]:1"))->size(), size + (count == 0 ? 24 : 12)) << count;
    }
  }
}

TEST(stun_server, is_silent_to_what_is_no_binding_request) {
  for (const auto type : types{0x0011, 0x0101, 0x0111, 0x0003, 0x0002, 0x0000, 0x3eef}) {
    EXPECT_EQ(answer_stun(stun_builder(type, test_id), at("203.0.113.7:1")), std::nullopt) << type;
  }
  EXPECT_EQ(answer_stun({}, at("203.0.113.7:1")), std::nullopt);
  EXPECT_EQ(answer_stun(as_bytes("GET / HTTP/1.1\r\n\r\n"), at("203.0.113.7:1")), std::nullopt);
}

TEST(stun_server, is_silent_to_broken_requests) {
  auto flipped = request().add(0x8022, bytes(4)).add_fingerprint();
  flipped.bytes()[24] ^= 1;
  EXPECT_EQ(answer_stun(flipped, at("203.0.113.7:1")), std::nullopt);

  const auto whole = request().add(0x8022, bytes(4)).bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(answer_stun(byte_view(whole).first(size), at("203.0.113.7:1")), std::nullopt) << size;
  }
}

TEST(stun_server, is_silent_to_clients_of_rfc_3489) {
  auto old = request();
  old.bytes()[4] = 0x99;  // where the cookie stands today, their transaction id had random bytes
  EXPECT_EQ(answer_stun(old, at("203.0.113.7:1")), std::nullopt);
}

TEST(stun_server, is_silent_to_sources_that_nobody_has) {
  for (const auto* from : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"}) {
    EXPECT_EQ(answer_stun(request(), {ip(from), 40000}), std::nullopt) << from;
  }
  EXPECT_EQ(answer_stun(request(), {ip("203.0.113.7"), 0}), std::nullopt);
}

class stun_server_tokens : public testing::Test {
 protected:
  static stun_builder asking(bool token, bool probe) {
    auto out = request();
    if (token) out.add(stun_attribute::natpeer_token, bytes(stun_token_size));
    if (probe) out.add(stun_attribute::natpeer_probe, bytes(stun_probe_size));
    return out;
  }

  plain_random random;
  address_tokens tokens{random};
  time_point now = time_point(std::chrono::seconds(1000));
  endpoint from = at("203.0.113.7:40000");
};

TEST_F(stun_server_tokens, proves_the_address_to_whoever_asks_for_it) {
  const auto reply = answer_stun(now, asking(true, false), from, &tokens).value();
  const auto answer = decode_stun(reply.answer).value();
  EXPECT_EQ(answer.xor_mapped, from);
  ASSERT_TRUE(answer.token.has_value());
  EXPECT_TRUE(tokens.verify(now, from, *answer.token));
  EXPECT_FALSE(tokens.verify(now, at("203.0.113.8:40000"), *answer.token));
  EXPECT_EQ(reply.copy, std::nullopt);
}

TEST_F(stun_server_tokens, gives_no_token_unasked_and_none_where_it_has_none) {
  EXPECT_EQ(decode_stun(answer_stun(now, asking(false, true), from, &tokens)->answer).value().token, std::nullopt);
  EXPECT_EQ(decode_stun(answer_stun(now, asking(true, true), from, nullptr)->answer).value().token, std::nullopt);
  EXPECT_EQ(decode_stun(*answer_stun(asking(true, true), from)).value().token, std::nullopt);
}

TEST_F(stun_server_tokens, sends_a_copy_without_the_token_to_whoever_asks_for_it) {
  const auto reply = answer_stun(now, asking(true, true), from, &tokens).value();
  ASSERT_TRUE(reply.copy.has_value());
  const auto copy = decode_stun(*reply.copy).value();
  EXPECT_EQ(copy.id, test_id);
  EXPECT_EQ(copy.xor_mapped, from);
  EXPECT_EQ(copy.token, std::nullopt) << "a copy that comes unasked must prove nothing";
}

TEST_F(stun_server_tokens, sends_no_copy_of_a_refusal) {
  const auto reply = answer_stun(now, asking(true, true).add(0x7777, {}), from, &tokens).value();
  EXPECT_EQ(decode_stun(reply.answer).value().kind, stun_class::error);
  EXPECT_EQ(reply.copy, std::nullopt);
}

TEST_F(stun_server_tokens, sends_no_more_than_it_was_sent_but_for_the_addresses) {
  for (unsigned bits = 0; bits < 16; ++bits) {
    const bool token = bits & 1, probe = bits & 2, fingerprint = bits & 4, v6 = bits & 8;
    auto asked = asking(token, probe);
    if (fingerprint) asked.add_fingerprint();
    const auto reply = answer_stun(now, asked, at(v6 ? "[2001:db8::7]:1" : "203.0.113.7:1"), &tokens).value();
    const auto sent = reply.answer.size() + (reply.copy ? reply.copy->size() : 0);
    const std::size_t address = v6 ? 24 : 12;  // XOR-MAPPED-ADDRESS, bytes
    EXPECT_LE(sent, byte_view(asked).size() + (probe ? 2 : 1) * address) << bits;
  }
}

TEST_F(stun_server_tokens, is_paid_for_the_copy_and_its_address) {
  for (const auto* source : {"203.0.113.7:1", "[2001:db8::7]:1"}) {
    const auto plain = answer_stun(now, asking(true, false), at(source), &tokens).value();
    const auto probed = answer_stun(now, asking(true, true), at(source), &tokens).value();
    EXPECT_LE(probed.copy->size(), byte_view(asking(true, true)).size() - byte_view(asking(true, false)).size());
    EXPECT_EQ(probed.answer, plain.answer);
  }
}

}  // namespace
}  // namespace nat
