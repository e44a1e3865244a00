#include "stdio_fixture.hpp"

#include <memory>

namespace nat::net {
namespace {

class output_test : public stdio_test {
 protected:
  /// Whether the pipe behind `ends` came to be full.
  bool fills(const file_pair& ends) {
    return loop.until([&] {
      pollfd room{ends.ours.fd(), POLLOUT, 0};
      return ::poll(&room, 1, 0) == 0;
    });
  }

  // More than the kernel's buffers hold.
  const std::string large = std::string(1U << 20, 'x');
};

TEST_F(output_test, writes_to_every_kind_of_file) {
  for (auto& ends : {pipe_to_write, socket_pair, +[] { return terminal(true); }}) {
    const auto [ours, theirs] = ends();
    output_stream out(loop.io, ours.fd());
    EXPECT_EQ(write(out, "hello "), std::error_code{});
    EXPECT_EQ(write(out, ""), std::error_code{});
    EXPECT_EQ(write(out, "world"), std::error_code{});
    EXPECT_EQ(take(theirs, 11), "hello world");
  }
}

TEST_F(output_test, writes_to_a_regular_file) {
  const auto to = regular_file();
  output_stream out(loop.io, to.fd());
  EXPECT_EQ(write(out, large), std::error_code{});
  EXPECT_EQ(write(out, "end"), std::error_code{});
  ::lseek(to.fd(), 0, SEEK_SET);
  EXPECT_TRUE(take(to, large.size() + 4) == large + "end");
}

TEST_F(output_test, tells_why_it_cannot_write) {
  const file full(::open("/dev/full", O_WRONLY));
  output_stream to_full(loop.io, full.fd());
  EXPECT_EQ(write(to_full, "hello"), std::errc::no_space_on_device);
  output_stream to_closed(loop.io, closed_descriptor());
  EXPECT_EQ(write(to_closed, "hello"), std::errc::bad_file_descriptor);
  const file null(::open("/dev/null", O_WRONLY));
  output_stream to_null(loop.io, null.fd());
  EXPECT_EQ(write(to_null, large), std::error_code{});
}

TEST_F(output_test, ten_megabytes_arrive_complete_through_a_slow_reader) {
  std::string bytes(10'000'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i ^ i >> 8 ^ i >> 16);
  for (const int flags : {0, O_NONBLOCK}) {  // the latter somebody else's doing
    const auto ends = pipe_to_write();
    ::fcntl(ends.ours.fd(), F_SETFL, ::fcntl(ends.ours.fd(), F_GETFL) | flags);
    output_stream out(loop.io, ends.ours.fd());
    auto written = loop.start(out.write(as_bytes(bytes)));
    ASSERT_TRUE(fills(ends));
    EXPECT_TRUE(take(ends.theirs, bytes.size(), 3000) == bytes);  // a step that no page's end meets
    EXPECT_EQ(loop.finish(std::move(written)), std::error_code{});
    EXPECT_EQ(waiting(ends.theirs), 0);
  }
}

TEST_F(output_test, a_large_write_passes_a_terminal_and_a_socket) {
  for (auto& ends : {socket_pair, +[] { return terminal(true); }}) {
    const auto [ours, theirs] = ends();
    output_stream out(loop.io, ours.fd());
    auto written = loop.start(out.write(as_bytes(large)));
    loop.poll();
    EXPECT_TRUE(take(theirs, large.size()) == large);
    EXPECT_EQ(loop.finish(std::move(written)), std::error_code{});
  }
}

TEST_F(output_test, writing_leaves_the_flags_of_the_shared_file_alone) {
  for (auto& ends : {pipe_to_write, socket_pair, +[] { return terminal(true); }}) {
    const auto [ours, theirs] = ends();
    const file shared(::dup(ours.fd()));
    const int before = ::fcntl(shared.fd(), F_GETFL);
    {
      output_stream out(loop.io, ours.fd());
      const auto closed = loop.start(out.closed());
      auto written = loop.start(out.write(as_bytes(large)));
      loop.poll();
      EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
      EXPECT_EQ(take(theirs, large.size()).size(), large.size());
      EXPECT_EQ(loop.finish(std::move(written)), std::error_code{});
      EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
    }
    EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
  }
}

TEST_F(output_test, tells_that_the_reader_is_gone) {
  for (auto& ends : {pipe_to_write, socket_pair}) {
    auto [ours, theirs] = ends();
    theirs.close();
    output_stream out(loop.io, ours.fd());
    EXPECT_EQ(write(out, "hello"), std::errc::broken_pipe);
  }
}

TEST_F(output_test, tells_that_the_reader_went_while_it_waited_for_it) {
  for (auto& ends : {pipe_to_write, socket_pair}) {
    auto pair = ends();
    output_stream out(loop.io, pair.ours.fd());
    auto written = loop.start(out.write(as_bytes(large)));
    ASSERT_TRUE(fills(pair));
    EXPECT_FALSE(test_loop::has_ended(written));
    pair.theirs.close();
    const auto error = loop.finish(std::move(written));
    // A socket says so where its other end left bytes unread.
    EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset) << error.message();
  }
}

TEST_F(output_test, closed_returns_when_the_reader_closes) {
  for (auto& ends : {pipe_to_write, socket_pair, +[] { return terminal(true); }}) {
    auto [ours, theirs] = ends();
    output_stream out(loop.io, ours.fd());
    auto closed = loop.start(out.closed());
    EXPECT_EQ(write(out, "hello"), std::error_code{});
    EXPECT_EQ(take(theirs, 5), "hello");
    EXPECT_EQ(write(out, "again"), std::error_code{});
    EXPECT_FALSE(test_loop::has_ended(closed));
    theirs.close();
    loop.finish(std::move(closed));
    loop.finish(out.closed());  // and still is
  }
}

TEST_F(output_test, closed_returns_where_the_reader_was_gone_before) {
  auto ends = pipe_to_write();
  ends.theirs.close();
  output_stream out(loop.io, ends.ours.fd());
  loop.finish(out.closed());
}

TEST_F(output_test, a_file_has_no_other_end_that_could_close) {
  const auto to = regular_file();
  output_stream out(loop.io, to.fd());
  const auto closed = loop.start(out.closed());
  EXPECT_EQ(write(out, "hello"), std::error_code{});
  EXPECT_FALSE(test_loop::has_ended(closed));
}

TEST_F(output_test, stop_ends_the_write_that_waits_and_every_later_one) {
  for (auto& ends : {pipe_to_write, socket_pair}) {
    const auto pair = ends();
    output_stream out(loop.io, pair.ours.fd());
    auto written = loop.start(out.write(as_bytes(large)));
    ASSERT_TRUE(fills(pair));
    out.stop();
    EXPECT_EQ(loop.finish(std::move(written)), std::errc::operation_canceled);
    take(pair.theirs, static_cast<std::size_t>(waiting(pair.theirs)));
    EXPECT_EQ(write(out, "too late"), std::errc::operation_canceled);
  }
}

TEST_F(output_test, can_be_destroyed_while_a_write_waits) {
  for (int i = 0; i < 20; ++i) {
    const auto ends = pipe_to_write();
    auto out = std::make_unique<output_stream>(loop.io, ends.ours.fd());
    const auto written = loop.start(out->write(as_bytes(large)));
    const auto closed = loop.start(out->closed());
    loop.poll();
    EXPECT_TRUE(i % 4 < 2 || fills(ends));
    out.reset();
    if (i % 2 == 0) loop.poll();
  }
}

}  // namespace
}  // namespace nat::net
