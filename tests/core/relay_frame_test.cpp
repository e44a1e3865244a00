#include "nat/relay_frame.hpp"

#include <cstdint>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using bytes = std::vector<std::uint8_t>;

const bytes packet{0x50, 0x49, 0x4e, 0x47};

std::error_code upload_error(const bytes& frame) {
  const auto decoded = decode_relay_upload(frame);
  return decoded ? std::error_code() : decoded.error();
}
std::error_code delivery_error(const bytes& frame) {
  const auto decoded = decode_relay_delivery(frame);
  return decoded ? std::error_code() : decoded.error();
}

TEST(relay_frame, names_those_whom_a_packet_is_for) {
  const bytes expected{
      2,                                               // recipients
      0,    0,    0,    0,    0,    0,    0,    7,     // the first
      0x00, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // the largest id there is
      0x50, 0x49, 0x4e, 0x47,                          // the packet
  };
  bytes frame;
  append_relay_upload(frame, std::vector<peer_id>{7, max_peer_id}, packet);
  EXPECT_EQ(frame, expected);
  const auto upload = decode_relay_upload(frame).value();
  ASSERT_EQ(upload.to.size(), 2U);
  EXPECT_EQ(upload.to[0], 7U);
  EXPECT_EQ(upload.to[1], max_peer_id);
  EXPECT_THAT(upload.packet, ElementsAreArray(packet));
}

TEST(relay_frame, names_nobody_where_it_is_for_everyone) {
  bytes frame;
  append_relay_upload(frame, {}, packet);
  EXPECT_THAT(frame, ElementsAre(0, 0x50, 0x49, 0x4e, 0x47));
  const auto upload = decode_relay_upload(frame).value();
  EXPECT_EQ(upload.to.size(), 0U);
  EXPECT_THAT(upload.packet, ElementsAreArray(packet));
}

TEST(relay_frame, says_who_sent_a_packet) {
  bytes frame;
  append_relay_delivery(frame, 0x0102, packet);
  EXPECT_THAT(frame, ElementsAre(0, 0, 0, 0, 0, 0, 1, 2, 0x50, 0x49, 0x4e, 0x47));
  const auto delivery = decode_relay_delivery(frame).value();
  EXPECT_EQ(delivery.from, 0x0102U);
  EXPECT_THAT(delivery.packet, ElementsAreArray(packet));
}

TEST(relay_frame, is_refused_where_ids_or_packet_are_cut) {
  bytes upload;
  append_relay_upload(upload, std::vector<peer_id>{1, 2, 3}, packet);
  for (std::size_t size = 0; size <= upload.size() - packet.size(); ++size) {
    EXPECT_EQ(upload_error({upload.data(), upload.data() + size}), errc::truncated) << size;
  }
  bytes delivery;
  append_relay_delivery(delivery, 1, packet);
  for (std::size_t size = 0; size <= 8; ++size) {
    EXPECT_EQ(delivery_error({delivery.data(), delivery.data() + size}), errc::truncated) << size;
  }
}

TEST(relay_frame, carries_1500_bytes_at_most) {
  const auto upload = [](std::size_t size) {
    bytes frame;
    append_relay_upload(frame, std::vector<peer_id>(255, 1), bytes(size));
    return frame;
  };
  EXPECT_EQ(upload(1500).size(), max_relay_upload);
  EXPECT_EQ(upload_error(upload(1500)), std::error_code());
  EXPECT_EQ(upload_error(upload(1501)), errc::too_large);
  EXPECT_EQ(delivery_error(bytes(8 + 1500)), std::error_code());
  EXPECT_EQ(delivery_error(bytes(8 + 1501)), errc::too_large);
}

}  // namespace
}  // namespace nat
