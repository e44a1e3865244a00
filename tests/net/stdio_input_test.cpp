#include "nat/net/process.hpp"

#include "stdio_fixture.hpp"

#include <memory>
#include <numeric>

namespace nat::net {
namespace {

class input_test : public stdio_ways_test {};
using input_without_thread_test = stdio_test;

INSTANTIATE_TEST_SUITE_P(ways, input_test, testing::Bool(), name_of_way);

TEST_P(input_test, a_pipe_gives_what_arrives_as_it_arrives) {
  auto ends = pipe_to_read();
  auto in = open_input(ends.ours.fd());
  auto first = start_next(in);
  loop.poll();
  EXPECT_FALSE(test_loop::has_ended(first));
  put(ends.theirs, "no newline");
  EXPECT_EQ(loop.finish(std::move(first)), "no newline");
  put(ends.theirs, "more\n");
  EXPECT_EQ(next(in), "more\n");
  put(ends.theirs, "the last");
  ends.theirs.close();
  EXPECT_EQ(next(in), "the last");
  EXPECT_EQ(next(in), "");
  EXPECT_EQ(next(in), "");  // and so it stays
}

TEST_P(input_test, a_socket_gives_what_arrives_as_it_arrives) {
  auto ends = socket_pair();
  auto in = open_input(ends.ours.fd());
  put(ends.theirs, "hello");
  EXPECT_EQ(next(in), "hello");
  ends.theirs.close();
  EXPECT_EQ(next(in), "");
}

TEST_P(input_test, a_terminal_gives_lines_until_control_d) {
  auto ends = terminal(false);
  auto in = open_input(ends.ours.fd());
  put(ends.theirs, "typed");
  auto line = start_next(in);
  put(ends.theirs, " slowly\n");
  EXPECT_EQ(loop.finish(std::move(line)), "typed slowly\n");
  put(ends.theirs, "\x04");
  EXPECT_EQ(next(in), "");
}

TEST_P(input_test, a_terminal_that_goes_away_is_the_end) {
  auto ends = terminal(true);
  auto in = open_input(ends.ours.fd());
  put(ends.theirs, "raw");
  EXPECT_EQ(next(in), "raw");
  auto rest = start_next(in);
  ends.theirs.close();
  EXPECT_EQ(loop.finish(std::move(rest)), "");
}

TEST_P(input_test, a_regular_file_comes_in_chunks_of_bounded_size) {
  const auto from = regular_file();
  std::string content(200'001, '\0');
  std::iota(content.begin(), content.end(), '\0');
  put(from, content);
  ::lseek(from.fd(), 0, SEEK_SET);
  auto in = open_input(from.fd());
  std::string all;
  for (auto chunk = next(in); !chunk.empty(); chunk = next(in)) {
    EXPECT_LE(chunk.size(), input_stream::max_chunk);
    all += chunk;
  }
  EXPECT_TRUE(all == content);
}

TEST_P(input_test, what_holds_nothing_or_cannot_be_read_is_the_end) {
  const file null(::open("/dev/null", O_RDONLY));
  const file directory(::open("/", O_RDONLY));
  const auto empty = regular_file();
  for (const int fd : {null.fd(), directory.fd(), empty.fd(), closed_descriptor()}) {
    auto in = open_input(fd);
    EXPECT_EQ(next(in), "") << fd;
  }
}

TEST_P(input_test, reading_waits_even_where_somebody_made_the_file_non_blocking) {
  auto ends = pipe_to_read();
  ::fcntl(ends.ours.fd(), F_SETFL, O_NONBLOCK);
  auto in = open_input(ends.ours.fd());
  auto first = start_next(in);
  loop.poll();
  put(ends.theirs, "hello");
  EXPECT_EQ(loop.finish(std::move(first)), "hello");
  EXPECT_NE(::fcntl(ends.ours.fd(), F_GETFL) & O_NONBLOCK, 0);
}

TEST_P(input_test, reading_leaves_the_flags_of_the_shared_file_alone) {
  for (auto& ends : {pipe_to_read, fifo_to_read, socket_pair, +[] { return terminal(true); }}) {
    auto [ours, theirs] = ends();
    const file shared(::dup(ours.fd()));
    const int before = ::fcntl(shared.fd(), F_GETFL);
    {
      auto in = open_input(ours.fd());
      auto first = start_next(in);
      loop.poll();
      EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
      put(theirs, "hello");
      EXPECT_EQ(loop.finish(std::move(first)), "hello");
      EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
    }
    EXPECT_EQ(::fcntl(shared.fd(), F_GETFL), before);
  }
}

TEST_P(input_test, stop_ends_the_next_that_waits_and_every_later_one) {
  auto ends = pipe_to_read();
  auto in = open_input(ends.ours.fd());
  auto first = start_next(in);
  loop.poll();
  in.stop();
  EXPECT_EQ(loop.finish(std::move(first)), "");
  put(ends.theirs, "too late");
  EXPECT_EQ(next(in), "");
  EXPECT_EQ(waiting(ends.ours), 8);  // left to whoever reads this file after us
}

TEST_P(input_test, stop_ends_a_next_behind_a_short_chunk) {
  auto ends = pipe_to_read();
  auto in = open_input(ends.ours.fd());
  put(ends.theirs, "short");
  EXPECT_EQ(next(in), "short");
  in.stop();
  EXPECT_EQ(next(in), "");
}

TEST_P(input_test, an_input_can_be_destroyed_while_a_next_waits) {
  const auto ends = pipe_to_read();
  for (int i = 0; i < 20; ++i) {
    auto in = std::make_unique<input_stream>(loop.io, ends.ours.fd(), options);
    const auto first = start_next(*in);
    loop.poll();
    in.reset();
    if (i % 2 == 0) loop.poll();
  }
}

TEST_P(input_test, who_shares_the_pipe_may_take_from_it) {
  auto ends = pipe_to_read();
  auto result = pipe_to_read();
  const auto child = ::fork();
  if (child == 0) {
    ends.theirs.close();
    std::size_t got = 0;
    char byte;
    while (::read(ends.ours.fd(), &byte, 1) == 1) ++got;
    ::_exit(::write(result.theirs.fd(), &got, sizeof got) == sizeof got ? 0 : 1);
  }
  auto in = open_input(ends.ours.fd());
  constexpr std::size_t all = 20'000;
  auto written = std::async(std::launch::async, [&] {
    for (std::size_t i = 0; i < all / 10; ++i) put(ends.theirs, "ten bytes.");
    ends.theirs.close();
  });
  std::size_t ours = 0;
  for (auto chunk = next(in); !chunk.empty(); chunk = next(in)) ours += chunk.size();
  written.get();
  std::size_t of_child = 0;
  ASSERT_EQ(::read(result.ours.fd(), &of_child, sizeof of_child), static_cast<ssize_t>(sizeof of_child));
  EXPECT_EQ(ours + of_child, all);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_P(input_test, a_fast_writer_starves_nobody) {
  for (auto& make : {pipe_to_read, fifo_to_read, socket_pair}) {
    const auto ends = make();
    auto in = open_input(ends.ours.fd());
    constexpr int chunks = 100;
    const int turns = turns_of_others([](input_stream& from, const file& writer) -> boost::asio::awaitable<void> {
      for (int i = 0; i < chunks; ++i) {
        put(writer, "always something");
        co_await from.next();
      }
    }(in, ends.theirs));
    EXPECT_GE(turns, chunks - 1);
  }
}

TEST_F(input_without_thread_test, pipes_fifos_and_sockets_need_no_thread) {
  const auto before = count_threads();
  for (auto& make : {pipe_to_read, fifo_to_read, socket_pair}) {
    const auto ends = make();
    auto in = open_input(ends.ours.fd());
    auto first = start_next(in);
    loop.poll();
    put(ends.theirs, "hello");
    EXPECT_EQ(loop.finish(std::move(first)), "hello");
    EXPECT_LE(count_threads(), before);
  }
}

TEST_F(input_without_thread_test, what_another_process_took_is_waited_for_again) {
  for (auto& make : {pipe_to_read, fifo_to_read, socket_pair}) {
    auto ends = make();
    const auto thief = shared_with(ends.ours);
    auto in = open_input(ends.ours.fd());
    auto first = start_next(in);
    loop.poll();
    for (int i = 0; i < 3; ++i) {
      put(ends.theirs, "stolen");
      EXPECT_EQ(take(thief, 6), "stolen");
      loop.poll();
      ASSERT_FALSE(test_loop::has_ended(first));
    }
    put(ends.theirs, "ours");
    EXPECT_EQ(loop.finish(std::move(first)), "ours");
    auto end = start_next(in);
    loop.poll();
    ends.theirs.close();
    EXPECT_EQ(loop.finish(std::move(end)), "");
  }
}

TEST_P(input_test, a_fifo_that_nobody_writes_to_yet_has_not_ended) {
  char folder[] = "/tmp/natpeer-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const auto path = std::string(folder) + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const file ours(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
  auto in = open_input(ours.fd());
  auto first = start_next(in);
  loop.poll();
  EXPECT_FALSE(test_loop::has_ended(first));
  file writer(::open(path.c_str(), O_WRONLY));
  put(writer, "hello");
  EXPECT_EQ(loop.finish(std::move(first)), "hello");
  writer.close();
  EXPECT_EQ(next(in), "");
  std::filesystem::remove_all(folder);
}

TEST(standard_descriptors, closed_ones_become_dev_null) {
  const auto child = ::fork();
  if (child == 0) {
    for (const int fd : {0, 1, 2}) ::close(fd);
    open_standard_descriptors();
    char byte = 'x';
    const bool silent = ::read(0, &byte, 1) == 0 && ::write(2, &byte, 1) == 1;
    const bool refuses = ::write(1, &byte, 1) == -1;  // whoever prints there is told
    let_closed_stdout_discard();
    const bool discards = ::write(1, &byte, 1) == 1;
    ::_exit(silent && refuses && discards ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(standard_descriptors, open_ones_stay_what_they_are) {
  const auto ends = pipe_to_write();
  const auto child = ::fork();
  if (child == 0) {
    ::dup2(ends.ours.fd(), 1);
    ::close(0);
    open_standard_descriptors();
    let_closed_stdout_discard();
    char byte = 'x';
    ::_exit(::read(0, &byte, 1) == 0 && ::write(1, "still a pipe", 12) == 12 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(take(ends.theirs, 12), "still a pipe");
}

}  // namespace
}  // namespace nat::net
