#include "nat/wire.hpp"

#include <cassert>

namespace nat {

result<packet> decode_packet(byte_view datagram) {
  if (datagram.size() < magic_size) return errc::not_a_packet;
  const auto magic = load_be<std::uint64_t>(datagram.data());
  if (magic != data_magic && magic != ping_magic) return errc::not_a_packet;
  if (datagram.size() < header_size) return errc::truncated;
  if (magic == ping_magic) return packet{packet_kind::ping, {}};
  return packet{packet_kind::data, datagram.subspan(header_size)};
}

void encode_header(byte_span out, packet_kind kind, random_source& random) {
  assert(out.size() >= header_size);
  store_be(out.data(), kind == packet_kind::data ? data_magic : ping_magic);
  random.fill(out.subspan(magic_size, header_size - magic_size));
}

}  // namespace nat
