// The STUN server's whole mind: it tells whoever asks which address the question came from (RFC 8489, 6.3.1).
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/stun.hpp"

#include <optional>

namespace nat {

/// The answer to a datagram, to be sent to `from` from the socket it came in on; none for whatever is not a
/// proper Binding request of RFC 8489 (other methods, indications, responses, RFC 3489 without the cookie, a
/// bad FINGERPRINT), or for a source that nobody can have. There is no state and no authentication;
/// credentials in a request are read over.
///
/// The size rule, since a source address may be forged: an answer is never larger than its request except for
/// the attribute that it must have. That is XOR-MAPPED-ADDRESS in a success, 12 bytes (24 over IPv6), and in
/// a 420 the 12 bytes of ERROR-CODE and of UNKNOWN-ATTRIBUTES' own header: each type in its list takes 2
/// bytes and stood in the request with at least 4, and padding adds 2 only to an odd list. No SOFTWARE, no
/// reason phrase, and a FINGERPRINT only where the request had one.
std::optional<stun_packet> answer_stun(byte_view datagram, const endpoint& from);

}  // namespace nat
