#include "nat/relay_frame.hpp"

#include <array>
#include <cassert>

namespace nat {
namespace {

constexpr std::size_t count_size = 1;
constexpr std::size_t id_size = 8;

void append_id(std::vector<std::uint8_t>& out, peer_id id) {
  std::array<std::uint8_t, id_size> bytes;
  store_be(bytes.data(), id);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// An empty packet is none.
errc check_packet(byte_view packet) {
  if (packet.empty()) return errc::truncated;
  return packet.size() > max_relayed_packet ? errc::too_large : errc{};
}

}  // namespace

result<relay_upload> decode_relay_upload(byte_view frame) {
  if (frame.empty()) return errc::truncated;
  const std::size_t ids = id_size * frame[0];
  if (frame.size() < count_size + ids) return errc::truncated;
  const relay_upload upload{relay_recipients(frame.subspan(count_size, ids)), frame.subspan(count_size + ids)};
  if (const auto bad = check_packet(upload.packet); bad != errc{}) return bad;
  return upload;
}

result<relay_delivery> decode_relay_delivery(byte_view frame) {
  if (frame.size() < id_size) return errc::truncated;
  const relay_delivery delivery{load_be<peer_id>(frame.data()), frame.subspan(id_size)};
  if (const auto bad = check_packet(delivery.packet); bad != errc{}) return bad;
  return delivery;
}

void append_relay_upload(std::vector<std::uint8_t>& out, std::span<const peer_id> to, byte_view packet) {
  assert(to.size() <= max_relay_recipients);
  out.reserve(out.size() + count_size + id_size * to.size() + packet.size());
  out.push_back(static_cast<std::uint8_t>(to.size()));
  for (const auto id : to) append_id(out, id);
  out.insert(out.end(), packet.begin(), packet.end());
}

void append_relay_delivery(std::vector<std::uint8_t>& out, peer_id from, byte_view packet) {
  out.reserve(out.size() + id_size + packet.size());
  append_id(out, from);
  out.insert(out.end(), packet.begin(), packet.end());
}

}  // namespace nat
