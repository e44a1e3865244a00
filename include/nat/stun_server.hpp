// The STUN server's whole mind: it tells whoever asks which address the question came from (RFC 8489, 6.3.1).
#pragma once

#include "nat/address_tokens.hpp"
#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/stun.hpp"
#include "nat/time.hpp"

#include <optional>

namespace nat {

/// What to send to the one who asked: the answer from the socket that the request came in on, and before it, if there
/// is one, the copy from the third port. Nobody has sent anything to that port yet, so the copy reaches a router as a
/// packet that comes unasked: what the router then does is what the client wants to learn.
struct stun_reply {
  stun_packet answer;
  std::optional<stun_packet> copy;  ///< without a token
};

/// The answer to a datagram; none for whatever is not a proper Binding request of RFC 8489 (other methods, indications,
/// responses, RFC 3489 without the cookie, a bad FINGERPRINT), or for a source that nobody can have. There is no state
/// and no authentication; credentials in a request are read over. Without `tokens` nobody gets a token.
///
/// The size rule, since a source address may be forged: an answer, with its copy, is never larger than its request
/// except for the attribute that it must have. That is XOR-MAPPED-ADDRESS in a success, 12 bytes (24 over IPv6), in the
/// copy as well, and in a 420 the 12 bytes of ERROR-CODE and of UNKNOWN-ATTRIBUTES' own header: each type in its list
/// takes 2 bytes and stood in the request with at least 4, and padding adds 2 only to an odd list. No SOFTWARE, no
/// reason phrase, and a FINGERPRINT only where the request had one. NATPEER-TOKEN is as long in the request, and
/// NATPEER-PROBE is as long as the copy.
std::optional<stun_reply> answer_stun(time_point now, byte_view datagram, const endpoint& from,
                                      const address_tokens* tokens);
/// The answer of a server on one port that gives no tokens.
std::optional<stun_packet> answer_stun(byte_view datagram, const endpoint& from);

}  // namespace nat
