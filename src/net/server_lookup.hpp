// A lookup of a server's name that nobody has to wait for: it cannot be interrupted, and without a network it may take
// the system's resolver half a minute.
#pragma once

#include "nat/net/resolver.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace nat::net {

class server_lookup {
 public:
  static std::shared_ptr<server_lookup> start(boost::asio::io_context& io, std::shared_ptr<resolver> names,
                                              std::string host, std::uint16_t port) {
    auto out = std::make_shared<server_lookup>(io);
    boost::asio::co_spawn(io, look_up(out, std::move(names), std::move(host), port),
                          [](const std::exception_ptr& error) {
                            if (error) std::rethrow_exception(error);
                          });
    return out;
  }
  explicit server_lookup(boost::asio::io_context& io) : timer_(io) {}

  const std::optional<resolved>& result() const { return result_; }

  /// Until the result is there, somebody calls `wake`, or the time is over (none: never).
  boost::asio::awaitable<void> wait(std::optional<std::chrono::milliseconds> time) {
    if (result_) co_return;
    timer_.expires_at(boost::asio::steady_timer::time_point::max());
    if (time) timer_.expires_after(*time);
    co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  }
  void wake() { timer_.cancel(); }

 private:
  // It keeps what it uses: whoever asked may be gone when the answer comes.
  static boost::asio::awaitable<void> look_up(std::shared_ptr<server_lookup> self, std::shared_ptr<resolver> names,
                                              std::string host, std::uint16_t port) {
    self->result_ = co_await names->resolve(std::move(host), port);
    self->wake();
  }

  boost::asio::steady_timer timer_;
  std::optional<resolved> result_;
};

}  // namespace nat::net
