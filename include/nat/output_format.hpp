// The forms in which a received record is written to stdout, and what is told of its sender.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include <string_view>

namespace nat {

enum class output_mode {
  raw,    ///< the record's bytes as they came
  lines,  ///< the same, with a newline added where a record lacks one
  text,   ///< `name: line` for each line of the record, control characters made visible
  json,   ///< one object a record: from, ip, port, time (ms since the epoch), text or base64
};

/// Who sent a record, and when it arrived.
struct output_source {
  std::string_view name;  ///< UTF-8
  endpoint address;
  unix_millis time = 0;
};

}  // namespace nat
