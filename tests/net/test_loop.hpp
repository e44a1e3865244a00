// An io_context that runs until something has happened, and fails the test where it does not.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <stdexcept>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

namespace nat::net {

class test_loop {
 public:
  /// How long what must come may take. It says nothing about speed.
  static constexpr auto longest_wait = std::chrono::seconds(10);

  /// Runs until `condition` holds; false: it did not come. It may be about something outside of the loop, a pipe say.
  bool until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + longest_wait;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds(5));
    }
    return true;
  }

  /// Runs what is ready now.
  void poll() {
    io.restart();
    io.poll();
  }

  /// Starts a coroutine. Its outcome can be had from `finish`, and `has_ended` tells whether it is there.
  template <typename Value>
  std::future<Value> start(boost::asio::awaitable<Value> work) {
    return boost::asio::co_spawn(io, std::move(work), boost::asio::use_future);
  }

  template <typename Value>
  static bool has_ended(const std::future<Value>& work) {
    return work.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

  template <typename Value>
  Value finish(std::future<Value> work) {
    if (!until([&] { return has_ended(work); })) throw std::runtime_error("a coroutine did not end");
    return work.get();
  }

  template <typename Value>
  Value finish(boost::asio::awaitable<Value> work) {
    return finish(start(std::move(work)));
  }

  boost::asio::io_context io;
};

}  // namespace nat::net
