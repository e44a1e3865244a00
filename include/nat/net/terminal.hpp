// A terminal that somebody looks at.
#pragma once

#include <cstddef>
#include <string_view>

namespace nat::net {

struct terminal_size {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

/// Whether `fd` is a terminal, and one that can move its cursor (TERM is not `dumb`).
bool is_terminal(int fd);

/// Of the terminal `fd`, now; 80 x 24 where nobody has told it.
terminal_size size_of_terminal(int fd);

/// Whether the terminal `fd` takes something at once: not while it is stopped (Ctrl-S), or slower than we are.
bool takes_output(int fd);

/// Writes all of it, however long that takes, unless the terminal is gone.
void write_to_terminal(int fd, std::string_view text);

}  // namespace nat::net
