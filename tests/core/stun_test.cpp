#include "nat/stun.hpp"

#include "stun_builder.hpp"

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using testing::ElementsAre;
using bytes = std::vector<std::uint8_t>;
using types = std::vector<std::uint16_t>;

constexpr transaction_id test_id{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

// RFC 5769, 2.1
const bytes sample_request{
    0x00, 0x01, 0x00, 0x58,                          // Request type and message length
    0x21, 0x12, 0xa4, 0x42,                          // Magic cookie
    0xb7, 0xe7, 0xa7, 0x01,                          // }
    0xbc, 0x34, 0xd6, 0x86,                          // } Transaction ID
    0xfa, 0x87, 0xdf, 0xae,                          // }
    0x80, 0x22, 0x00, 0x10,                          // SOFTWARE attribute header
    0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73,  // } "STUN test client"
    0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74,  // }
    0x00, 0x24, 0x00, 0x04,                          // PRIORITY attribute header
    0x6e, 0x00, 0x01, 0xff,                          // ICE priority value
    0x80, 0x29, 0x00, 0x08,                          // ICE-CONTROLLED attribute header
    0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36,  // Pseudo-random tie breaker
    0x00, 0x06, 0x00, 0x09,                          // USERNAME attribute header
    0x65, 0x76, 0x74, 0x6a, 0x3a, 0x68, 0x36, 0x76,  // } "evtj:h6vY"
    0x59, 0x20, 0x20, 0x20,                          // } and three bytes of padding
    0x00, 0x08, 0x00, 0x14,                          // MESSAGE-INTEGRITY attribute header
    0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb, 0x56,  // }
    0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49,  // } HMAC-SHA1
    0xc1, 0xb5, 0x71, 0xa2,                          // }
    0x80, 0x28, 0x00, 0x04,                          // FINGERPRINT attribute header
    0xe5, 0x7a, 0x3b, 0xcf,                          // CRC32 fingerprint
};

// RFC 5769, 2.2
const bytes sample_ipv4_response{
    0x01, 0x01, 0x00, 0x3c,                          // Response type and message length
    0x21, 0x12, 0xa4, 0x42,                          // Magic cookie
    0xb7, 0xe7, 0xa7, 0x01,                          // }
    0xbc, 0x34, 0xd6, 0x86,                          // } Transaction ID
    0xfa, 0x87, 0xdf, 0xae,                          // }
    0x80, 0x22, 0x00, 0x0b,                          // SOFTWARE attribute header
    0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,  // } "test vector"
    0x74, 0x6f, 0x72, 0x20,                          // } and one byte of padding
    0x00, 0x20, 0x00, 0x08,                          // XOR-MAPPED-ADDRESS attribute header
    0x00, 0x01, 0xa1, 0x47,                          // Address family (IPv4) and xor'd mapped port
    0xe1, 0x12, 0xa6, 0x43,                          // Xor'd mapped IPv4 address
    0x00, 0x08, 0x00, 0x14,                          // MESSAGE-INTEGRITY attribute header
    0x2b, 0x91, 0xf5, 0x99, 0xfd, 0x9e, 0x90, 0xc3,  // }
    0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53,  // } HMAC-SHA1
    0xf0, 0x6b, 0xe7, 0xd7,                          // }
    0x80, 0x28, 0x00, 0x04,                          // FINGERPRINT attribute header
    0xc0, 0x7d, 0x4c, 0x96,                          // CRC32 fingerprint
};

// RFC 5769, 2.3
const bytes sample_ipv6_response{
    0x01, 0x01, 0x00, 0x48,                          // Response type and message length
    0x21, 0x12, 0xa4, 0x42,                          // Magic cookie
    0xb7, 0xe7, 0xa7, 0x01,                          // }
    0xbc, 0x34, 0xd6, 0x86,                          // } Transaction ID
    0xfa, 0x87, 0xdf, 0xae,                          // }
    0x80, 0x22, 0x00, 0x0b,                          // SOFTWARE attribute header
    0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63,  // } "test vector"
    0x74, 0x6f, 0x72, 0x20,                          // } and one byte of padding
    0x00, 0x20, 0x00, 0x14,                          // XOR-MAPPED-ADDRESS attribute header
    0x00, 0x02, 0xa1, 0x47,                          // Address family (IPv6) and xor'd mapped port
    0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,  // } Xor'd mapped IPv6 address
    0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,  // }
    0x00, 0x08, 0x00, 0x14,                          // MESSAGE-INTEGRITY attribute header
    0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1,  // }
    0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75,  // } HMAC-SHA1
    0xbf, 0xe3, 0xed, 0x41,                          // }
    0x80, 0x28, 0x00, 0x04,                          // FINGERPRINT attribute header
    0xc8, 0xfb, 0x0b, 0x4c,                          // CRC32 fingerprint
};

// RFC 5769, 2.4
const bytes sample_long_term_request{
    0x00, 0x01, 0x00, 0x60,                                                  // Request type and message length
    0x21, 0x12, 0xa4, 0x42,                                                  // Magic cookie
    0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e,  // Transaction ID
    0x00, 0x06, 0x00, 0x12,                                                  // USERNAME attribute header
    0xe3, 0x83, 0x9e, 0xe3, 0x83, 0x88, 0xe3, 0x83, 0xaa, 0xe3, 0x83, 0x83,  // } U+30DE U+30C8 U+30EA U+30C3
    0xe3, 0x82, 0xaf, 0xe3, 0x82, 0xb9, 0x00, 0x00,                          // } U+30AF U+30B9 and padding
    0x00, 0x15, 0x00, 0x1c,                                                  // NONCE attribute header
    0x66, 0x2f, 0x2f, 0x34, 0x39, 0x39, 0x6b, 0x39, 0x35, 0x34, 0x64, 0x36,  // }
    0x4f, 0x4c, 0x33, 0x34, 0x6f, 0x4c, 0x39, 0x46, 0x53, 0x54, 0x76, 0x79,  // } Nonce value
    0x36, 0x34, 0x73, 0x41,                                                  // }
    0x00, 0x14, 0x00, 0x0b,                                                  // REALM attribute header
    0x65, 0x78, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x2e, 0x6f, 0x72, 0x67, 0x00,  // "example.org" and padding
    0x00, 0x08, 0x00, 0x14,                                                  // MESSAGE-INTEGRITY attribute header
    0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8, 0xe0, 0x71,  // } HMAC-SHA1
    0x2e, 0x85, 0xc9, 0xa2, 0x8c, 0xa8, 0x96, 0x66,                          // }
};

std::error_code error_of(byte_view datagram) {
  const auto decoded = decode_stun(datagram);
  return decoded ? std::error_code{} : decoded.error();
}

TEST(stun, decodes_the_sample_request_of_rfc_5769) {
  const auto message = decode_stun(sample_request).value();
  EXPECT_EQ(message.kind, stun_class::request);
  EXPECT_EQ(message.method, stun_binding_method);
  EXPECT_EQ(message.id, test_id);
  EXPECT_TRUE(message.has_fingerprint);
  EXPECT_THAT(message.unknown, ElementsAre(0x0024)) << "PRIORITY is for ICE agents";
}

TEST(stun, decodes_the_sample_ipv4_response_of_rfc_5769) {
  const auto message = decode_stun(sample_ipv4_response).value();
  EXPECT_EQ(message.kind, stun_class::success);
  EXPECT_EQ(message.id, test_id);
  EXPECT_EQ(message.xor_mapped, at("192.0.2.1:32853"));
  EXPECT_TRUE(message.has_fingerprint);
  EXPECT_THAT(message.unknown, ElementsAre());
}

TEST(stun, decodes_the_sample_ipv6_response_of_rfc_5769) {
  const auto message = decode_stun(sample_ipv6_response).value();
  EXPECT_EQ(message.xor_mapped, at("[2001:db8:1234:5678:11:2233:4455:6677]:32853"));
  EXPECT_TRUE(message.has_fingerprint);
}

TEST(stun, decodes_the_sample_request_with_long_term_credentials_of_rfc_5769) {
  const auto message = decode_stun(sample_long_term_request).value();
  EXPECT_EQ(message.kind, stun_class::request);
  EXPECT_FALSE(message.has_fingerprint);
  EXPECT_THAT(message.unknown, ElementsAre()) << "credentials are known attributes";
}

TEST(stun, refuses_a_message_cut_at_any_length) {
  for (const auto& whole : {sample_request, sample_ipv4_response, sample_ipv6_response, sample_long_term_request}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const bytes cut(whole.begin(),
                      whole.begin() + static_cast<std::ptrdiff_t>(size));  // its own heap block
      EXPECT_EQ(error_of(cut), errc::truncated) << size;
    }
  }
}

TEST(stun, refuses_a_cut_message_whose_length_field_was_made_to_fit) {
  for (std::size_t size = 20; size < sample_ipv4_response.size(); ++size) {
    bytes cut(sample_ipv4_response.begin(), sample_ipv4_response.begin() + static_cast<std::ptrdiff_t>(size));
    store_be(&cut[2], static_cast<std::uint16_t>(size - 20));
    const bool at_an_attributes_end = size == 20 || size == 36 || size == 48 || size == 72;
    EXPECT_EQ(decode_stun(cut).has_value(), at_an_attributes_end) << size;
  }
}

TEST(stun, refuses_every_other_length_field) {
  for (unsigned length = 0; length <= 0xffff; ++length) {
    auto forged = sample_ipv4_response;
    store_be(&forged[2], static_cast<std::uint16_t>(length));
    if (length == 0x3c) continue;
    EXPECT_EQ(error_of(forged), length > 0x3c ? errc::truncated : errc::malformed) << length;
  }
}

TEST(stun, refuses_attribute_lengths_that_leave_the_message) {
  for (unsigned length = 5; length <= 0xffff; ++length) {
    auto forged = stun_builder(binding_request_type, test_id).add(0x8000, {1, 2, 3, 4}).bytes();
    store_be(&forged[22], static_cast<std::uint16_t>(length));
    EXPECT_EQ(error_of(forged), errc::malformed) << length;
  }
}

TEST(stun, refuses_what_is_another_protocols) {
  for (const std::size_t byte : {4U, 5U, 6U, 7U}) {
    auto forged = sample_request;
    forged[byte] ^= 1;
    EXPECT_FALSE(looks_like_stun(forged));
    EXPECT_EQ(error_of(forged), errc::not_stun);
  }
  for (const std::uint8_t bit : bytes{0x80, 0x40}) {
    auto forged = sample_request;
    forged[0] |= bit;
    EXPECT_FALSE(looks_like_stun(forged));
    EXPECT_EQ(error_of(forged), errc::not_stun);
  }
  EXPECT_FALSE(looks_like_stun(as_bytes("DATADATA........................")));
  EXPECT_FALSE(looks_like_stun({}));
  EXPECT_TRUE(looks_like_stun(byte_view(sample_request).first(8)));
  EXPECT_FALSE(looks_like_stun(byte_view(sample_request).first(7)));
}

TEST(stun, refuses_a_fingerprint_over_any_flipped_bit) {
  for (std::size_t bit = 0; bit < 8 * sample_ipv4_response.size(); ++bit) {
    auto flipped = sample_ipv4_response;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1U << (bit % 8)));
    const auto decoded = decode_stun(flipped);
    EXPECT_TRUE(!decoded || !decoded->has_fingerprint) << bit;  // its own type may be what was flipped
  }
  auto flipped = sample_ipv4_response;
  flipped[25] ^= 1;
  EXPECT_EQ(error_of(flipped), errc::bad_fingerprint);
}

TEST(stun, refuses_a_fingerprint_that_is_not_the_last_or_has_another_size) {
  EXPECT_EQ(error_of(stun_builder(binding_request_type, test_id).add_fingerprint().add(0x8022, {})), errc::malformed);
  EXPECT_EQ(error_of(stun_builder(binding_request_type, test_id).add(0x8028, {})), errc::malformed);
  EXPECT_EQ(error_of(stun_builder(binding_request_type, test_id).add(0x8028, bytes(8))), errc::malformed);
}

TEST(stun, ignores_attributes_behind_the_integrity) {
  for (const auto integrity : types{0x0008, 0x001C}) {
    auto message = stun_builder(binding_success_type, test_id);
    message.add(integrity, bytes(integrity == 0x0008 ? 20 : 32));
    message.add_address(0x0001, at("1.2.3.4:5")).add(0x7777, {}).add(0x001C, bytes(32)).add_fingerprint();
    const auto decoded = decode_stun(message).value();
    EXPECT_EQ(decoded.mapped, std::nullopt);
    EXPECT_THAT(decoded.unknown, ElementsAre());
    EXPECT_TRUE(decoded.has_fingerprint);
  }
}

TEST(stun, takes_the_first_of_two_equal_attributes) {
  auto message = stun_builder(binding_success_type, test_id);
  message.add_address(0x0001, at("1.2.3.4:5")).add_address(0x0001, at("6.7.8.9:10"));
  EXPECT_EQ(decode_stun(message).value().mapped, at("1.2.3.4:5"));
}

TEST(stun, prefers_the_xored_address) {
  auto message = stun_builder(binding_success_type, test_id);
  message.add_address(0x0001, at("1.2.3.4:5")).add(0x0020, {0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43});
  EXPECT_EQ(decode_stun(message).value().mapped_address(), at("192.0.2.1:32853"));
}

TEST(stun, refuses_addresses_of_a_wrong_family_or_size) {
  for (const auto type : types{0x0001, 0x0020, 0x8023}) {
    for (const bytes& value : {bytes{}, bytes{0, 1}, bytes{0, 1, 0, 5, 1, 2, 3}, bytes{0, 3, 0, 5, 1, 2, 3, 4},
                               bytes{0, 2, 0, 5, 1, 2, 3, 4}, bytes(20), bytes(24)}) {
      EXPECT_EQ(error_of(stun_builder(binding_success_type, test_id).add(type, value)), errc::malformed);
    }
  }
}

TEST(stun, reads_error_codes_and_refuses_impossible_ones) {
  const auto message = stun_builder(binding_error_type, test_id).add(0x0009, {0, 0, 4, 1, 'N', 'o'});
  const auto decoded = decode_stun(message).value();
  EXPECT_EQ(decoded.kind, stun_class::error);
  EXPECT_EQ(decoded.error.value().code, 401);
  EXPECT_EQ(decoded.error.value().reason, "No");
  for (const bytes& value :
       {bytes{}, bytes{0, 0, 4}, bytes{0, 0, 2, 0}, bytes{0, 0, 7, 0}, bytes{0, 0, 4, 100}, bytes(768)}) {
    EXPECT_EQ(error_of(stun_builder(binding_error_type, test_id).add(0x0009, value)), errc::malformed);
  }
}

TEST(stun, lists_each_unknown_type_once_and_sixteen_of_them_at_most) {
  auto message = stun_builder(binding_request_type, test_id);
  message.add(0x0003, bytes(4)).add(0x7fff, {}).add(0x0003, bytes(4)).add(0x8000, {});
  EXPECT_THAT(decode_stun(message).value().unknown, ElementsAre(0x0003, 0x7fff));
  for (std::uint16_t type = 0x1000; type < 0x2000; ++type) message.add(type, {});
  EXPECT_EQ(decode_stun(message).value().unknown.size(), max_stun_unknown);
}

TEST(stun, ignores_in_answers_what_rfc_3489_servers_add) {
  for (const auto type : types{0x0002, 0x0004, 0x0005, 0x000B}) {
    const auto in = [&](std::uint16_t kind) {
      return decode_stun(stun_builder(kind, test_id).add_address(type, at("1.2.3.4:5"))).value().unknown;
    };
    EXPECT_THAT(in(binding_success_type), ElementsAre());
    EXPECT_THAT(in(binding_error_type), ElementsAre());
    EXPECT_THAT(in(binding_request_type), ElementsAre(type));
  }
}

TEST(stun, tells_every_class_and_method_apart) {
  // The type's bits, RFC 8489, 5: M11..M7 C1 M6..M4 C0 M3..M0.
  for (unsigned type = 0; type < 0x4000; ++type) {
    const auto message = decode_stun(stun_builder(static_cast<std::uint16_t>(type), test_id)).value();
    const unsigned kind = static_cast<unsigned>(message.kind);
    const unsigned method = message.method;
    EXPECT_EQ(((method & 0xf80) << 2) | ((method & 0x70) << 1) | (method & 0xf) | ((kind & 2) << 7) | ((kind & 1) << 4),
              type);
  }
  EXPECT_EQ(decode_stun(stun_builder(binding_indication_type, test_id)).value().kind, stun_class::indication);
}

TEST(stun, encodes_a_binding_request) {
  EXPECT_THAT(encode_binding_request(test_id), ElementsAre(0x00, 0x01, 0x00, 0x00,    // Binding request, no attributes
                                                           0x21, 0x12, 0xa4, 0x42,    // Magic cookie
                                                           0xb7, 0xe7, 0xa7, 0x01,    // }
                                                           0xbc, 0x34, 0xd6, 0x86,    // } Transaction ID
                                                           0xfa, 0x87, 0xdf, 0xae));  // }
  EXPECT_TRUE(decode_stun(encode_binding_request(test_id, true)).value().has_fingerprint);
}

TEST(stun, encodes_the_addresses_of_rfc_5769) {
  const auto v4 = encode_binding_success(test_id, at("192.0.2.1:32853"));
  EXPECT_EQ(bytes(v4.begin() + 20, v4.end()),
            bytes(sample_ipv4_response.begin() + 36, sample_ipv4_response.begin() + 48));
  const auto v6 = encode_binding_success(test_id, at("[2001:db8:1234:5678:11:2233:4455:6677]:32853"));
  EXPECT_EQ(bytes(v6.begin() + 20, v6.end()),
            bytes(sample_ipv6_response.begin() + 36, sample_ipv6_response.begin() + 60));
}

TEST(stun, encodes_unknown_attributes) {
  const auto answer = encode_binding_unknown(test_id, {0x0003, 0x0024, 0x7fff}, true);
  EXPECT_EQ(bytes(answer.begin(), answer.begin() + 4), (bytes{0x01, 0x11, 0x00, 0x1c}));     // Binding error, 28 bytes
  EXPECT_EQ(bytes(answer.begin() + 20, answer.end() - 8), (bytes{0x00, 0x09, 0x00, 0x04,     // ERROR-CODE
                                                                 0x00, 0x00, 0x04, 0x14,     // 420, no reason phrase
                                                                 0x00, 0x0a, 0x00, 0x06,     // UNKNOWN-ATTRIBUTES
                                                                 0x00, 0x03, 0x00, 0x24,     // CHANGE-REQUEST, PRIORITY
                                                                 0x7f, 0xff, 0x00, 0x00}));  // another, and padding
  const auto decoded = decode_stun(answer).value();
  EXPECT_EQ(decoded.error.value().code, 420);
  EXPECT_TRUE(decoded.has_fingerprint);
}

TEST(stun, encodes_the_longest_list_within_a_packets_capacity) {
  stun_type_list unknown;
  while (unknown.size() < max_stun_unknown) unknown.push_back(static_cast<std::uint16_t>(0x7000 + unknown.size()));
  EXPECT_EQ(encode_binding_unknown(test_id, unknown, true).size(), max_stun_unknown_answer);
}

TEST(stun, encodes_a_request_for_a_token_and_a_copy) {
  const auto packet = encode_binding_request(test_id, {.token = true, .probe = true});
  bytes expected{0x00, 0x01, 0x00, 0x48,                          // Binding request, 72 bytes
                 0x21, 0x12, 0xa4, 0x42,                          // Magic cookie
                 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,  // } Transaction ID
                 0xfa, 0x87, 0xdf, 0xae,                          // }
                 0xc0, 0xa7, 0x00, 0x18};                         // NATPEER-TOKEN, 24 zeros
  expected.insert(expected.end(), 24, 0);
  expected.insert(expected.end(), {0xc0, 0xa8, 0x00, 0x28});  // NATPEER-PROBE, 40 zeros
  expected.insert(expected.end(), 40, 0);
  EXPECT_EQ(bytes(packet.begin(), packet.end()), expected);
  const auto request = decode_stun(packet).value();
  EXPECT_TRUE(request.wants_token());
  EXPECT_TRUE(request.wants_probe);
  EXPECT_EQ(encode_binding_request(test_id, {true, true, true}).size(), max_stun_packet);
}

TEST(stun, carries_a_token_back) {
  stun_token token;
  for (std::size_t i = 0; i < token.size(); ++i) token[i] = static_cast<std::uint8_t>(i + 1);
  const auto packet = encode_binding_success(test_id, at("192.0.2.1:32853"), true, &token);
  EXPECT_EQ(bytes(packet.begin() + 32, packet.begin() + 37), (bytes{0xc0, 0xa7, 0x00, 0x18, 0x01}));
  const auto answer = decode_stun(packet).value();
  EXPECT_EQ(answer.token, token);
  EXPECT_EQ(answer.mapped_address(), at("192.0.2.1:32853"));
  EXPECT_FALSE(answer.wants_token()) << "an answer asks for nothing";
  EXPECT_TRUE(answer.has_fingerprint);
}

TEST(stun, ignores_tokens_and_probes_of_another_length) {
  for (const std::size_t size : {0, 1, 23, 25, 39, 41, 48}) {
    auto request = stun_builder(binding_request_type, test_id);
    request.add(stun_attribute::natpeer_token, bytes(size)).add(stun_attribute::natpeer_probe, bytes(size));
    const auto message = decode_stun(request).value();
    EXPECT_FALSE(message.wants_token()) << size;
    EXPECT_FALSE(message.wants_probe) << size;
    EXPECT_THAT(message.unknown, ElementsAre()) << size;
  }
}

}  // namespace
}  // namespace nat
