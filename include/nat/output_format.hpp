// How a received payload is written to stdout.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace nat {

enum class output_mode {
  raw,    ///< the payload's bytes as they came
  lines,  ///< the same, with a newline added where a payload lacks one
  text,   ///< `name: line` for each line of the payload, control characters made visible
  json,   ///< one object a packet: from, ip, port, time (ms since the epoch), text or base64
};

/// Who sent a payload, and when it arrived.
struct output_source {
  std::string_view name;  ///< UTF-8
  endpoint address;
  unix_millis time = 0;
};

void append_output(std::vector<std::uint8_t>& out, output_mode mode, const output_source& source, byte_view payload);

}  // namespace nat
