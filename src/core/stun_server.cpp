#include "nat/stun_server.hpp"

namespace nat {

std::optional<stun_packet> answer_stun(byte_view datagram, const endpoint& from) {
  if (from.port == 0 || !from.ip.is_unicast()) return std::nullopt;
  const auto request = decode_stun(datagram);
  if (!request || request->kind != stun_class::request || request->method != stun_binding_method) return std::nullopt;
  if (!request->unknown.empty()) {
    return encode_binding_unknown(request->id, request->unknown, request->has_fingerprint);
  }
  return encode_binding_success(request->id, from, request->has_fingerprint);
}

}  // namespace nat
