// The query a peer registers with: `topic=T&name=N&ip=I&port=P`, values percent-encoded (design, section 1,
// step 2).
#pragma once

#include "nat/endpoint.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

namespace nat {

constexpr std::size_t max_topic_bytes = 255;
constexpr std::size_t max_name_bytes = 128;
constexpr std::size_t max_join_query_bytes = 8192;  // as much as the whole request's headers may take
constexpr std::size_t max_join_parameters = 64;     // known or unknown

struct join_request {
  std::string topic;
  std::string name;
  std::optional<endpoint> address;  ///< where the peer says it can be reached; none: it tells later (natcoord.v2)
};

/// Why a query is refused, in one line for the client: which parameter, and what is wrong with it.
struct join_refusal {
  std::string reason;
};

using join_result = boost::system::result<join_request, join_refusal>;

/// What `join_result::value()` does without a value: throws a std::runtime_error with the reason.
[[noreturn]] void throw_exception_from_error(const join_refusal& refusal, const boost::source_location& where);

/// Decodes and checks a query (what stands behind the `?`). `+` is read as a space, as HTML forms and Go
/// write it. Unknown parameters are ignored. `topic` and `name` are 1..255 and 1..128 bytes of UTF-8 without
/// control characters. `ip` and `port` may both be missing where `needs_address` is false.
join_result decode_join_query(std::string_view query, bool needs_address = true);

/// Encodes what `decode_join_query` reads, without `ip` and `port` where there is no address; every byte outside RFC 3986's unreserved set is percent-encoded.
std::string encode_join_query(const join_request& request);

}  // namespace nat
