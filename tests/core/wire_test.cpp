#include "nat/wire.hpp"

#include "plain_random.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat {
namespace {

std::vector<std::uint8_t> datagram(std::string_view magic, std::size_t noise, std::string_view payload = "") {
  std::vector<std::uint8_t> out(magic.begin(), magic.end());
  out.insert(out.end(), noise, 0xaa);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

TEST(wire, a_packet_begins_with_its_magic_in_network_byte_order) {
  plain_random random;
  std::array<std::uint8_t, header_size> header;
  encode_header(header, packet_kind::ping, random);
  // 0x50494e4750494e47
  EXPECT_EQ(as_text(header).substr(0, 8), "PINGPING");
  encode_header(header, packet_kind::data, random);
  // 0x4441544144415441
  EXPECT_EQ(as_text(header).substr(0, 8), "DATADATA");
}

TEST(wire, the_noise_fills_the_header_and_is_new_each_time) {
  plain_random random;
  std::array<std::uint8_t, header_size + 1> first{};
  std::array<std::uint8_t, header_size + 1> second{};
  encode_header(first, packet_kind::ping, random);
  encode_header(second, packet_kind::ping, random);
  EXPECT_FALSE(std::equal(first.begin() + 8, first.begin() + header_size, second.begin() + 8));
  EXPECT_GT(std::ranges::count_if(first, [](auto byte) { return byte != 0; }), 100);
  EXPECT_EQ(first.back(), 0) << "only 128 bytes are the header's";
}

TEST(wire, decodes_a_ping_and_ignores_what_follows_its_header) {
  const auto exact = datagram("PINGPING", 120);
  const auto longer = datagram("PINGPING", 120, "padding");
  for (const auto* bytes : {&exact, &longer}) {
    const auto decoded = decode_packet(*bytes).value();
    EXPECT_EQ(decoded.kind, packet_kind::ping);
    EXPECT_TRUE(decoded.payload.empty());
  }
}

TEST(wire, decodes_data_and_its_payload) {
  const auto bytes = datagram("DATADATA", 120, "hello");
  const auto decoded = decode_packet(bytes).value();
  EXPECT_EQ(decoded.kind, packet_kind::data);
  EXPECT_EQ(as_text(decoded.payload), "hello");
}

TEST(wire, takes_the_largest_datagram_there_is) {
  const auto bytes = datagram("DATADATA", 120, std::string(65507 - 128, 'x'));
  EXPECT_EQ(decode_packet(bytes).value().payload.size(), 65507U - 128);
}

TEST(wire, data_without_a_payload_is_data) {
  EXPECT_TRUE(decode_packet(datagram("DATADATA", 120)).value().payload.empty());
}

TEST(wire, refuses_every_length_below_128_with_each_magic) {
  for (const auto* magic : {"DATADATA", "PINGPING"}) {
    const auto whole = datagram(magic, 120);
    for (std::size_t size = 0; size < header_size; ++size) {
      const auto decoded = decode_packet(byte_view(whole).first(size));
      ASSERT_FALSE(decoded) << magic << ' ' << size;
      EXPECT_EQ(decoded.error(), size < magic_size ? errc::not_a_packet : errc::truncated);
    }
  }
}

TEST(wire, refuses_any_other_magic) {
  for (const auto* magic : {"DATAPING", "PINGDATA", "datadata", "\0\1\0\0\x21\x12\xa4\x42", "GET / HT"}) {
    EXPECT_EQ(decode_packet(datagram(std::string_view(magic, 8), 120)).error(), errc::not_a_packet);
  }
}

}  // namespace
}  // namespace nat
