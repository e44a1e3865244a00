// What can be wrong with bytes from outside. Untrusted input is answered with a `result<T>`, never with a throw.
#pragma once

#include <string>

#include <boost/system/result.hpp>

#include <system_error>

namespace nat {

enum class errc {
  truncated = 1,       ///< the bytes end before the value does
  too_large,           ///< a size is over the stated limit
  not_a_packet,        ///< neither magic of ours stands at the front
  not_stun,            ///< the first bits or the magic cookie are not STUN's
  malformed,           ///< the structure contradicts itself or its grammar
  bad_fingerprint,     ///< a FINGERPRINT attribute does not match the message
  bad_address,         ///< no literal IP address, or one that cannot be used here
  bad_port,            ///< no decimal number in 1..65535
  bad_url,             ///< no URL, or one of a scheme we do not speak
  bad_json,            ///< no JSON, or not of the expected shape
  bad_utf8,            ///< text that is not UTF-8, or has control characters
  missing_parameter,   ///< a query parameter is absent or empty
  repeated_parameter,  ///< a query parameter is given twice
  not_sealed,          ///< the seal does not open: a packet of the seed protocol, or a forgery
  other_topic,         ///< sealed, but not with this key: it is for another topic, or damaged
  unknown_version,     ///< sealed by a later version than this
  bad_key,             ///< not 32 bytes in base64
  no_memory,           ///< the system has not enough of it
  unknown_type,        ///< a message of a type this version does not know
};

const std::error_category& nat_category();
std::error_code make_error_code(errc code);

template <typename T>
using result = boost::system::result<T, std::error_code>;

}  // namespace nat

template <>
struct std::is_error_code_enum<nat::errc> : std::true_type {};
