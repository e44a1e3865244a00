#include "nat/net/terminal.hpp"

#include <cerrno>
#include <cstdlib>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace nat::net {

bool is_terminal(int fd) {
  if (::isatty(fd) != 1) return false;
  const char* kind = std::getenv("TERM");
  return kind == nullptr || std::string_view(kind) != "dumb";
}

terminal_size size_of_terminal(int fd) {
  terminal_size out;
#if defined(TIOCGWINSZ)
  winsize told{};
  if (::ioctl(fd, TIOCGWINSZ, &told) != 0) return out;
  if (told.ws_col != 0) out.columns = told.ws_col;
  if (told.ws_row != 0) out.rows = told.ws_row;
#endif
  return out;
}

bool takes_output(int fd) {
  pollfd at{fd, POLLOUT, 0};
  return ::poll(&at, 1, 0) == 1 && (at.revents & POLLOUT) != 0;
}

void write_to_terminal(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written == 0) {
      return;
    } else if (errno == EAGAIN) {  // another program has made it so for all
      pollfd at{fd, POLLOUT, 0};
      ::poll(&at, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

}  // namespace nat::net
