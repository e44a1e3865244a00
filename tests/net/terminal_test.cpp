// What natpeer asks of a terminal that it draws on.
#include "nat/net/terminal.hpp"

#include "stdio_fixture.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <sys/ioctl.h>

namespace nat::net {
namespace {

class terminal_test : public testing::Test {
 protected:
  void SetUp() override { ::setenv("TERM", "xterm", 1); }

  file_pair ends_ = terminal(false);
  int fd_ = ends_.ours.fd();
};

TEST_F(terminal_test, one_that_is_dumb_and_what_is_none_are_nothing_to_draw_on) {
  EXPECT_TRUE(is_terminal(fd_));
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(is_terminal(fd_));
  ::setenv("TERM", "xterm", 1);
  EXPECT_FALSE(is_terminal(pipe_to_write().ours.fd()));
  EXPECT_FALSE(is_terminal(regular_file().fd()));
  EXPECT_FALSE(is_terminal(-1));
}

TEST_F(terminal_test, its_size_is_what_it_has_been_told_last) {
  for (const std::uint16_t columns : {std::uint16_t{100}, std::uint16_t{40}}) {
    const winsize told{.ws_row = 7, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(ends_.theirs.fd(), TIOCSWINSZ, &told), 0);
    EXPECT_EQ(size_of_terminal(fd_).columns, columns);
    EXPECT_EQ(size_of_terminal(fd_).rows, 7U);
  }
}

TEST_F(terminal_test, an_unknown_size_is_80_columns_and_24_rows) {
  EXPECT_EQ(size_of_terminal(fd_).columns, 80U) << "nobody has told it";
  EXPECT_EQ(size_of_terminal(fd_).rows, 24U);
  EXPECT_EQ(size_of_terminal(pipe_to_write().ours.fd()).columns, 80U);
}

TEST_F(terminal_test, a_stopped_one_takes_nothing_until_it_goes_on) {
  EXPECT_TRUE(takes_output(fd_));
  ASSERT_EQ(::tcflow(fd_, TCOOFF), 0);
  EXPECT_FALSE(takes_output(fd_));
  ASSERT_EQ(::tcflow(fd_, TCOON), 0);
  EXPECT_TRUE(takes_output(fd_));
}

TEST_F(terminal_test, gets_all_that_is_written_also_where_somebody_made_it_non_blocking) {
  ASSERT_EQ(::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK), 0);
  const std::string text(1 << 20, 'x');  // far more than it holds
  auto writing = std::async(std::launch::async, [&] { write_to_terminal(fd_, text); });
  std::string got(text.size(), ' ');
  for (std::size_t size = 0; size < got.size();) {
    const auto more = ::read(ends_.theirs.fd(), got.data() + size, got.size() - size);
    ASSERT_GT(more, 0);
    size += static_cast<std::size_t>(more);
  }
  EXPECT_EQ(got, text);
}

TEST_F(terminal_test, one_that_is_gone_ends_the_writing) {
  ends_.theirs.close();
  write_to_terminal(fd_, "x");
}

}  // namespace
}  // namespace nat::net
