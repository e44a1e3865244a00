#include "stdio_fixture.hpp"

#include <memory>

#include <boost/asio/steady_timer.hpp>

namespace nat::net {
namespace {

/// Whether the file of `ends` came to be full.
bool fills(test_loop& loop, const file_pair& ends) {
  return loop.until([&] {
    pollfd room{ends.ours.fd(), POLLOUT, 0};
    return ::poll(&room, 1, 0) == 0;
  });
}

// More than the kernel's buffers hold.
const std::string large(1U << 20, 'x');

using output_test = stdio_ways_test;
using output_without_thread_test = stdio_test;

INSTANTIATE_TEST_SUITE_P(ways, output_test, testing::Bool(), name_of_way);

TEST_P(output_test, writes_to_every_kind_of_file) {
  for (auto& ends : {pipe_to_write, fifo_to_write, socket_pair, +[] { return terminal(true); }}) {
    const auto [ours, theirs] = ends();
    auto out = open_output(ours.fd());
    EXPECT_EQ(write(out, "hello "), std::error_code{});
    EXPECT_EQ(write(out, ""), std::error_code{});
    EXPECT_EQ(write(out, "world"), std::error_code{});
    EXPECT_EQ(take(theirs, 11), "hello world");
  }
}

TEST_P(output_test, writes_to_a_regular_file) {
  const auto to = regular_file();
  auto out = open_output(to.fd());
  EXPECT_EQ(write(out, large), std::error_code{});
  EXPECT_EQ(write(out, "end"), std::error_code{});
  ::lseek(to.fd(), 0, SEEK_SET);
  EXPECT_TRUE(take(to, large.size() + 4) == large + "end");
}

TEST_P(output_test, tells_why_it_cannot_write) {
  const file full(::open("/dev/full", O_WRONLY));
  auto to_full = open_output(full.fd());
  EXPECT_EQ(write(to_full, "hello"), std::errc::no_space_on_device);
  auto to_closed = open_output(closed_descriptor());
  EXPECT_EQ(write(to_closed, "hello"), std::errc::bad_file_descriptor);
  const file null(::open("/dev/null", O_WRONLY));
  auto to_null = open_output(null.fd());
  EXPECT_EQ(write(to_null, large), std::error_code{});
}

TEST_P(output_test, ten_megabytes_arrive_complete_through_a_slow_reader) {
  std::string bytes(10'000'000, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i ^ i >> 8 ^ i >> 16);
  for (const int flags : {0, O_NONBLOCK}) {  // the latter somebody else's doing
    const auto ends = pipe_to_write();
    ::fcntl(ends.ours.fd(), F_SETFL, ::fcntl(ends.ours.fd(), F_GETFL) | flags);
    auto out = open_output(ends.ours.fd());
    auto written = loop.start(write_all(out, as_bytes(bytes)));
    ASSERT_TRUE(fills(loop, ends));
    auto taken = start_taking(ends.theirs, bytes.size(), 3000);  // a step that no page's end meets
    EXPECT_EQ(loop.finish(std::move(written)), std::error_code{});
    EXPECT_TRUE(taken.get() == bytes);
    EXPECT_EQ(waiting(ends.theirs), 0);
  }
}

TEST_P(output_test, a_large_write_passes_a_terminal_a_fifo_and_a_socket) {
  for (auto& ends : {fifo_to_write, socket_pair, +[] { return terminal(true); }}) {
    const auto [ours, theirs] = ends();
    auto out = open_output(ours.fd());
    auto taken = start_taking(theirs, large.size());
    EXPECT_EQ(write(out, large), std::error_code{});
    EXPECT_TRUE(taken.get() == large);
  }
}

TEST_P(output_test, writing_leaves_the_flags_of_the_shared_file_alone) {
  for (auto& ends : {pipe_to_write, fifo_to_write, socket_pair, +[] { return terminal(true); }}) {
    const auto [ours, theirs] = ends();
    const file shared(::dup(ours.fd()));
    const int before = ::fcntl(shared.fd(), F_GETFL);
    {
      auto out = open_output(ours.fd());
      const auto closed = loop.start(out.closed());
      auto written = loop.start(write_all(out, as_bytes(large)));
      loop.poll();
      EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
      auto taken = start_taking(theirs, large.size());
      EXPECT_EQ(loop.finish(std::move(written)), std::error_code{});
      EXPECT_EQ(taken.get().size(), large.size());
      EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
    }
    EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
  }
}

TEST_P(output_test, tells_that_the_reader_is_gone) {
  for (auto& ends : {pipe_to_write, fifo_to_write, socket_pair}) {
    auto [ours, theirs] = ends();
    theirs.close();
    auto out = open_output(ours.fd());
    EXPECT_EQ(write(out, "hello"), std::errc::broken_pipe);
  }
}

TEST_P(output_test, tells_that_the_reader_went_while_it_waited_for_it) {
  for (auto& ends : {pipe_to_write, fifo_to_write, socket_pair}) {
    auto pair = ends();
    auto out = open_output(pair.ours.fd());
    auto written = loop.start(write_all(out, as_bytes(large)));
    ASSERT_TRUE(fills(loop, pair));
    EXPECT_FALSE(test_loop::has_ended(written));
    pair.theirs.close();
    const auto error = loop.finish(std::move(written));
    // A socket says so where its other end left bytes unread.
    EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset) << error.message();
  }
}

TEST_P(output_test, closed_returns_when_the_reader_closes) {
  for (auto& ends : {pipe_to_write, fifo_to_write, socket_pair, +[] { return terminal(true); }}) {
    auto [ours, theirs] = ends();
    auto out = open_output(ours.fd());
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

TEST_P(output_test, closed_returns_where_the_reader_was_gone_before) {
  auto ends = pipe_to_write();
  ends.theirs.close();
  auto out = open_output(ends.ours.fd());
  loop.finish(out.closed());
}

TEST_P(output_test, a_file_has_no_other_end_that_could_close) {
  const auto to = regular_file();
  auto out = open_output(to.fd());
  const auto closed = loop.start(out.closed());
  EXPECT_EQ(write(out, "hello"), std::error_code{});
  EXPECT_FALSE(test_loop::has_ended(closed));
}

TEST_P(output_test, stop_ends_the_write_that_waits_and_every_later_one) {
  for (auto& ends : {pipe_to_write, fifo_to_write, socket_pair}) {
    const auto pair = ends();
    auto out = open_output(pair.ours.fd());
    auto written = loop.start(write_all(out, as_bytes(large)));
    ASSERT_TRUE(fills(loop, pair));
    out.stop();
    EXPECT_EQ(loop.finish(std::move(written)), std::errc::operation_canceled);
    take(pair.theirs, static_cast<std::size_t>(waiting(pair.theirs)));
    EXPECT_EQ(write(out, "too late"), std::errc::operation_canceled);
  }
}

TEST_P(output_test, can_be_destroyed_while_a_write_waits) {
  for (int i = 0; i < 20; ++i) {
    const auto ends = pipe_to_write();
    auto out = std::make_unique<output_stream>(loop.io, ends.ours.fd(), options);
    const auto written = loop.start(out->write(as_bytes(large)));
    const auto closed = loop.start(out->closed());
    loop.poll();
    EXPECT_TRUE(i % 4 < 2 || fills(loop, ends));
    out.reset();
    if (i % 2 == 0) loop.poll();
  }
}

TEST_P(output_test, progress_is_told_while_the_reader_is_slow) {
  for (auto& make : {pipe_to_write, fifo_to_write, socket_pair}) {
    const auto ends = make();
    auto out = open_output(ends.ours.fd());
    const auto [size, error] = loop.finish(out.write(as_bytes(large)));  // nobody has read anything
    EXPECT_EQ(error, std::error_code{});
    EXPECT_GT(size, 0U);
    EXPECT_LT(size, large.size());
    EXPECT_EQ(take(ends.theirs, size).size(), size);
    EXPECT_EQ(waiting(ends.theirs), 0);
    EXPECT_EQ(write(out, "goes on"), std::error_code{});
    EXPECT_EQ(take(ends.theirs, 7), "goes on");
  }
}

TEST_P(output_test, nothing_is_told_before_there_is_progress) {
  for (auto& make : {pipe_to_write, fifo_to_write, socket_pair}) {
    const auto ends = make();
    auto out = open_output(ends.ours.fd());
    const auto first = loop.finish(out.write(as_bytes(large)));
    auto second = loop.start(out.write(as_bytes(large)));  // finds the file full
    boost::asio::steady_timer later(loop.io, 2 * output_stream::progress_interval);
    loop.finish(later.async_wait(boost::asio::use_future));
    EXPECT_FALSE(test_loop::has_ended(second));
    EXPECT_EQ(take(ends.theirs, first.size).size(), first.size);
    EXPECT_GT(loop.finish(std::move(second)).size, 0U);
  }
}

TEST_P(output_test, who_is_stopped_learns_what_was_written) {
  const auto ends = pipe_to_write();
  auto out = open_output(ends.ours.fd());
  auto written = loop.start(out.write(as_bytes(large)));
  ASSERT_TRUE(fills(loop, ends));
  out.stop();
  const auto [size, error] = loop.finish(std::move(written));
  EXPECT_EQ(size, static_cast<std::size_t>(waiting(ends.theirs)));
}

TEST_P(output_test, a_fast_reader_starves_nobody) {
  for (auto& make : {pipe_to_write, fifo_to_write, socket_pair}) {
    const auto ends = make();
    auto out = open_output(ends.ours.fd());
    constexpr int chunks = 100;
    const int turns = turns_of_others([](output_stream& to, const file& reader) -> boost::asio::awaitable<void> {
      for (int i = 0; i < chunks; ++i) {
        co_await to.write(as_bytes("always room"));
        take(reader, 11);
      }
    }(out, ends.theirs));
    EXPECT_GE(turns, chunks - 1);
  }
}

TEST_F(output_without_thread_test, pipes_fifos_and_sockets_need_no_thread) {
  const auto before = count_threads();
  for (auto& make : {pipe_to_write, fifo_to_write, socket_pair}) {
    const auto ends = make();
    auto out = open_output(ends.ours.fd());
    EXPECT_GT(loop.finish(out.write(as_bytes(large))).size, 0U);
    EXPECT_LE(count_threads(), before);
  }
}

TEST_F(output_without_thread_test, room_that_another_process_took_is_waited_for_again) {
  for (auto& make : {pipe_to_write, fifo_to_write}) {
    const auto ends = make();
    const auto other = shared_with(ends.ours);
    auto out = open_output(ends.ours.fd());
    auto full = loop.finish(out.write(as_bytes(large))).size;
    auto blocked = loop.start(out.write(as_bytes("ours")));
    loop.poll();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(take(ends.theirs, full).size(), full);
      put(other, std::string(full, 'y'));
      loop.poll();
      ASSERT_FALSE(test_loop::has_ended(blocked));
    }
    EXPECT_EQ(take(ends.theirs, full), std::string(full, 'y'));
    EXPECT_EQ(loop.finish(std::move(blocked)).size, 4U);
    EXPECT_EQ(take(ends.theirs, 4), "ours");
  }
}

}  // namespace
}  // namespace nat::net
