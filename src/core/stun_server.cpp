#include "nat/stun_server.hpp"

#include <type_traits>

namespace nat {

static_assert(std::is_same_v<stun_token, address_tokens::token>);

std::optional<stun_reply> answer_stun(time_point now, byte_view datagram, const endpoint& from,
                                      const address_tokens* tokens) {
  if (from.port == 0 || !from.ip.is_unicast()) return std::nullopt;
  const auto request = decode_stun(datagram);
  if (!request || request->kind != stun_class::request || request->method != stun_binding_method) return std::nullopt;
  const bool fingerprint = request->has_fingerprint;
  if (!request->unknown.empty()) {
    return stun_reply{encode_binding_unknown(request->id, request->unknown, fingerprint), std::nullopt};
  }
  std::optional<stun_token> token;
  if (tokens != nullptr && request->wants_token()) token = tokens->make(now, from);
  stun_reply reply;
  reply.answer = encode_binding_success(request->id, from, fingerprint, token ? &*token : nullptr);
  if (request->wants_probe) reply.copy = encode_binding_success(request->id, from, fingerprint);
  return reply;
}

std::optional<stun_packet> answer_stun(byte_view datagram, const endpoint& from) {
  const auto reply = answer_stun(time_point{}, datagram, from, nullptr);
  return reply ? std::optional(reply->answer) : std::nullopt;
}

}  // namespace nat
