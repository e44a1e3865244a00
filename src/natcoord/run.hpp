// natcoord from its start to its end.
#pragma once

#include "options.hpp"

namespace natcoord {

/// Serves until SIGTERM or SIGINT, and returns when every connection is closed. Throws when it cannot listen.
void run(const options& options);

}  // namespace natcoord
