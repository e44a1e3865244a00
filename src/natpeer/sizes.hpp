// Sizes as people read them.
#pragma once

#include <string>

namespace natpeer {

/// `999 B`, `1.2 MB`: in powers of 1000, with three digits or so.
std::string bytes_text(double bytes);

}  // namespace natpeer
