// natpeer from its start to its end.
#pragma once

#include "options.hpp"

namespace natpeer {

/// Runs until it is told to end; returns the exit status. Throws where it cannot begin.
int run(const options& options);

}  // namespace natpeer
