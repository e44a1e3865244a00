// Words for what the engine has to tell.
#pragma once

#include "nat/note.hpp"

namespace natpeer {

/// Writes a note to the log. `coordinator` is its URL.
void log_note(const nat::note& note, const std::string& coordinator);

}  // namespace natpeer
