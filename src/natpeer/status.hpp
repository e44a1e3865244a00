// What a running natpeer says of itself: as JSON to who asks at its socket, as a table to people.
#pragma once

#include "nat/status_report.hpp"
#include "nat/time.hpp"

#include "options.hpp"

#include <string>
#include <string_view>

namespace natpeer {

/// What is known beside the engine's report.
struct status_context {
  nat::time_point now;
  nat::unix_millis wall = 0;
  nat::unix_millis started_at = 0;
  const options& config;
};

/// One JSON object, as the README describes it.
std::string encode_status(const nat::status_report& report, const status_context& around);

/// The same as lines for people, from the JSON. Throws std::runtime_error if it is none of ours.
std::string status_table(std::string_view json);

/// `natpeer status`: asks the natpeer that has this socket; its exit status.
int run_status(const std::string& socket, bool as_json);

}  // namespace natpeer
