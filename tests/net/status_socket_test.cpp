#include "nat/net/status_socket.hpp"

#include "test_loop.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <system_error>

namespace nat::net {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;

class status_socket_test : public testing::Test {
 protected:
  status_socket_test() {
    char name[] = "/tmp/natpeer-status-XXXXXX";
    folder = ::mkdtemp(name);
    path = folder + "/status";
  }
  ~status_socket_test() override {
    served.reset();
    loop.poll();
    std::filesystem::remove_all(folder);
  }

  void listen(std::string text = "all is well\n") {
    served = std::make_unique<status_socket>(loop.io, path, [this, text] {
      ++asked;
      return text + std::to_string(asked);
    });
    serving = loop.start(served->serve());
  }
  std::string ask() {
    auto answer = std::async(std::launch::async, [this] { return ask_status(path); });
    return loop.finish(std::move(answer));
  }
  /// A client that connects and reads nothing.
  std::unique_ptr<stream_protocol::socket> mute() {
    auto out = std::make_unique<stream_protocol::socket>(loop.io);
    out->connect(stream_protocol::endpoint(path));
    return out;
  }
  /// Why one cannot listen there.
  std::error_code refusal() {
    try {
      const status_socket second(loop.io, path, [] { return ""; });
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      return error.code();
    }
    return {};
  }

  test_loop loop;
  std::string folder;
  std::string path;
  std::unique_ptr<status_socket> served;
  std::future<void> serving;
  int asked = 0;
};

TEST_F(status_socket_test, each_client_gets_the_text_made_anew_and_the_end) {
  listen();
  EXPECT_EQ(ask(), "all is well\n1");
  EXPECT_EQ(ask(), "all is well\n2");
}

TEST_F(status_socket_test, a_long_text_comes_whole) {
  listen(std::string(3'000'000, 'x'));
  EXPECT_EQ(ask(), std::string(3'000'000, 'x') + '1');
}

TEST_F(status_socket_test, is_for_this_user_only) {
  const auto before = ::umask(0);
  listen();
  ::umask(before);
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(status_socket_test, the_socket_is_removed_at_the_end) {
  listen();
  ask();
  served.reset();
  loop.finish(std::move(serving));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(status_socket_test, a_dead_programs_socket_is_replaced) {
  { stream_protocol::acceptor dead(loop.io, stream_protocol::endpoint(path)); }
  ASSERT_TRUE(std::filesystem::is_socket(path));
  listen();
  EXPECT_EQ(ask(), "all is well\n1");
}

TEST_F(status_socket_test, a_living_programs_socket_is_not) {
  listen();
  EXPECT_EQ(refusal(), std::errc::address_in_use);
  EXPECT_TRUE(ask().starts_with("all is well")) << "and the attempt was no harm";
}

TEST_F(status_socket_test, a_file_is_not_replaced) {
  std::ofstream(path) << "precious";
  EXPECT_EQ(refusal(), std::errc::address_in_use);
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

TEST_F(status_socket_test, a_path_that_cannot_be_is_an_error) {
  path = folder + "/none/status";
  EXPECT_EQ(refusal(), std::errc::no_such_file_or_directory);
  path = folder + '/' + std::string(108, 'x');
  EXPECT_EQ(refusal(), std::errc::filename_too_long);
  path = "";
  EXPECT_EQ(refusal(), std::errc::invalid_argument);
}

TEST_F(status_socket_test, what_somebody_has_put_in_its_place_stays) {
  listen();
  std::filesystem::remove(path);
  std::ofstream(path) << "another's";
  served.reset();
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(status_socket_test, clients_that_read_nothing_are_bounded_and_do_not_stay) {
  listen(std::string(3'000'000, 'x'));  // more than the kernel takes for a client
  std::vector<std::unique_ptr<stream_protocol::socket>> clients;
  for (std::size_t i = 0; i < status_socket::max_clients + 1; ++i) clients.push_back(mute());
  ASSERT_TRUE(loop.until([&] { return asked == static_cast<int>(status_socket::max_clients); }));
  loop.poll();
  EXPECT_EQ(asked, static_cast<int>(status_socket::max_clients)) << "one waits";
  EXPECT_TRUE(loop.until([&] { return asked == static_cast<int>(status_socket::max_clients) + 1; }))
      << "its turn comes when the others' time is over";
}

TEST_F(status_socket_test, a_client_that_hangs_up_harms_nobody) {
  listen(std::string(3'000'000, 'x'));
  for (int i = 0; i < 20; ++i) mute();
  EXPECT_TRUE(loop.until([&] { return asked == 20; }));
  EXPECT_EQ(ask().size(), 3'000'002U);
}

TEST_F(status_socket_test, may_end_while_clients_are_served) {
  listen(std::string(3'000'000, 'x'));
  const auto client = mute();
  ASSERT_TRUE(loop.until([&] { return asked == 1; }));
  served.reset();
  loop.finish(std::move(serving));
}

TEST_F(status_socket_test, asking_where_nobody_listens_is_an_error) {
  EXPECT_THROW(ask_status(path), std::system_error);
}

}  // namespace
}  // namespace nat::net
