// Something a coroutine waits for and another notifies it of.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nat::net {

/// One waiter at a time. A notification that nobody waits for is kept for the next `wait`.
class event {
 public:
  explicit event(boost::asio::io_context& io) : timer_(io, boost::asio::steady_timer::time_point::max()) {}

  void notify() {
    notified_ = true;
    timer_.cancel();
  }

  boost::asio::awaitable<void> wait() {
    while (!notified_) co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    notified_ = false;
  }

 private:
  boost::asio::steady_timer timer_;
  bool notified_ = false;
};

}  // namespace nat::net
