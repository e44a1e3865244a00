// Answers whoever connects to a Unix socket with a text about the program, and hangs up.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace nat::net {

class status_socket {
 public:
  // More wait in the kernel's queue until one of these is served.
  static constexpr std::size_t max_clients = 8;
  static constexpr std::chrono::seconds client_timeout{2};

  /// Listens at `path`, which only this user may connect to. A socket that a dead program left there is replaced.
  /// Throws std::system_error where the path is too long, or somebody else listens there, or something else stands
  /// there. `text` makes the answer, anew for each client; it is called on the loop.
  status_socket(boost::asio::io_context& io, std::string path, std::function<std::string()> text);
  /// Hangs up, and removes the socket unless somebody has put another one in its place.
  ~status_socket();

  /// Serves clients as long as this exists.
  boost::asio::awaitable<void> serve();

 private:
  struct server;
  std::shared_ptr<server> server_;
};

/// What the program that listens at `path` says; throws std::system_error if nobody does, or it takes longer than
/// `status_socket::client_timeout`, or has more to say than 16 MiB. It blocks: for a program that does nothing else.
std::string ask_status(const std::string& path);

}  // namespace nat::net
