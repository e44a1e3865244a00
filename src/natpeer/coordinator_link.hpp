// The connection to the coordinator, one at a time, as the engine wants it.
#pragma once

#include "nat/coordinator_url.hpp"
#include "nat/net/event.hpp"
#include "nat/net/interfaces.hpp"
#include "nat/net/tls_trust.hpp"
#include "nat/net/ws_client.hpp"
#include "nat/peer.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace natpeer {

class coordinator_link {
 public:
  /// All of these live longer than this. `act` does what the engine wants after an event.
  coordinator_link(boost::asio::io_context& io, const nat::coordinator_url& url, const std::string& ca_file,
                   nat::peer& engine, std::function<void()> act);

  /// Connects whenever the engine wants to, and tells it what comes.
  boost::asio::awaitable<void> pump();
  void obey(nat::coordinator_command command);
  /// Takes from the engine what the connection has room for.
  void send_waiting();
  /// Whether what hangs on the way to the coordinator may be dead: its source is gone, or another now.
  bool is_moved_by(const nat::net::interface_change& change);
  /// A lookup of the coordinator's name cannot be interrupted.
  bool is_resolving() const { return client_ && client_->is_resolving(); }

 private:
  boost::asio::awaitable<void> converse(std::shared_ptr<nat::net::ws_client> client);
  boost::asio::awaitable<bool> register_with(nat::net::ws_client& client);
  void tell(const nat::net::ws_client& from, const nat::coordinator_event& event);

  boost::asio::io_context& io_;
  const nat::coordinator_url& url_;
  std::shared_ptr<nat::net::tls_trust> trust_;
  nat::peer& engine_;
  std::function<void()> act_;
  std::shared_ptr<nat::net::ws_client> client_;
  std::optional<nat::coordinator_command> join_;  ///< how the engine wants to register, once it does
  std::optional<nat::endpoint> last_known_;       ///< where it was reached
  std::optional<nat::ip_address> source_;         ///< and from where
  nat::net::event connect_wanted_;
  nat::net::event join_wanted_;
};

}  // namespace natpeer
