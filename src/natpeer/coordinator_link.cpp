#include "coordinator_link.hpp"

#include "nat/join_query.hpp"
#include "nat/net/clock.hpp"
#include "nat/roster.hpp"
#include "nat/v2_messages.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

namespace natpeer {

using boost::asio::awaitable;
using nat::coordinator_command;
namespace events = nat::coordinator_events;

coordinator_link::coordinator_link(boost::asio::io_context& io, const nat::coordinator_url& url,
                                   const std::string& ca_file, nat::peer& engine, std::function<void()> act)
    : io_(io),
      url_(url),
      trust_(std::make_shared<nat::net::tls_trust>(ca_file)),
      engine_(engine),
      act_(std::move(act)),
      connect_wanted_(io),
      join_wanted_(io) {}

awaitable<void> coordinator_link::pump() {
  for (;;) {
    co_await connect_wanted_.wait();
    const auto patience =
        std::chrono::duration_cast<std::chrono::milliseconds>(engine_.coordinator().connect_patience());
    client_ = std::make_shared<nat::net::ws_client>(
        io_, nat::net::ws_client_options{.trust = trust_,
                                         .user_agent = "natpeer/" NATPEER_VERSION,
                                         .max_message = nat::max_roster_bytes,
                                         .on_control = [this](bool pong) { tell(*client_, events::alive{pong}); },
                                         .on_sent = [this] { send_waiting(); },
                                         .connect_timeout = patience,
                                         .handshake_timeout = patience,
                                         .last_known = last_known_});
    co_await converse(client_);
  }
}

/// One connection from its beginning to its end.
awaitable<void> coordinator_link::converse(std::shared_ptr<nat::net::ws_client> client) {
  const auto reached = co_await client->connect(url_);
  if (const auto* failed = std::get_if<nat::net::ws_error>(&reached)) {
    co_return tell(*client, events::failed{failed->reason});
  }
  last_known_ = std::get<nat::endpoint>(reached);
  source_ = nat::net::source_towards(*last_known_);
  tell(*client, events::reached{*last_known_});
  while (!client->is_abandoned() && !join_) co_await join_wanted_.wait();
  if (client->is_abandoned() || !co_await register_with(*client)) co_return;
  for (;;) {
    const auto message = co_await client->next();
    if (const auto* text = std::get_if<nat::net::ws_text>(&message)) {
      tell(*client, events::text{text->message});
    } else if (const auto* binary = std::get_if<nat::net::ws_binary>(&message)) {
      tell(*client, events::binary{binary->message});
    } else {
      const auto& closed = std::get<nat::net::ws_closed>(message);
      co_return tell(*client, events::closed{closed.code, closed.reason});
    }
  }
}

/// Asks for the upgrade; whether we are registered.
awaitable<bool> coordinator_link::register_with(nat::net::ws_client& client) {
  const auto how = *std::exchange(join_, std::nullopt);
  nat::net::ws_join_options offer;
  if (how == coordinator_command::join_v2) offer = {std::string(nat::v2_subprotocol), engine_.coordinator().resume()};
  const auto answer = co_await client.join(nat::encode_join_query(engine_.registration_request(how)), offer);
  if (const auto* refused = std::get_if<nat::net::ws_refused>(&answer)) {
    tell(client, events::refused{refused->status, refused->reason, refused->retry_after});
  } else if (const auto* failed = std::get_if<nat::net::ws_error>(&answer)) {
    tell(client, events::failed{failed->reason});
  } else {
    const auto& joined = std::get<nat::net::ws_client::joined>(answer);
    tell(client, events::joined{joined.remote, !joined.subprotocol.empty()});
    co_return !client.is_abandoned();
  }
  co_return false;
}

void coordinator_link::tell(const nat::net::ws_client& from, const nat::coordinator_event& event) {
  if (from.is_abandoned()) return;  // the engine has turned to something else
  engine_.on_coordinator(nat::net::steady_now(), nat::net::wall_now(), event);
  act_();
}

bool coordinator_link::is_moved_by(const nat::net::interface_change& change) {
  if (!last_known_ || !source_) return change.rerouted || !change.gone.empty();
  const auto before = source_;
  if (const auto now = nat::net::source_towards(*last_known_)) source_ = now;
  return change.rerouted || source_ != before || std::ranges::find(change.gone, *before) != change.gone.end();
}

void coordinator_link::send_waiting() {
  while (auto message = engine_.next_message()) client_->send_text(std::move(*message));
  while (client_ && client_->can_send()) {
    auto frame = engine_.next_relayed(nat::net::steady_now());
    if (!frame) return;
    client_->send_binary(std::move(*frame));
  }
}

void coordinator_link::obey(coordinator_command command) {
  switch (command) {
    case coordinator_command::connect:
      if (client_) client_->abandon();
      join_.reset();
      join_wanted_.notify();  // whoever waits there was abandoned
      return connect_wanted_.notify();
    case coordinator_command::join_v2:
    case coordinator_command::join: join_ = command; return join_wanted_.notify();
    case coordinator_command::ping: return client_->ping();
    case coordinator_command::close:
      // Behind what the engine has said last: a goodbye to peers that only the relay reaches.
      while (auto frame = engine_.next_last_word()) client_->send_binary(std::move(*frame));
      return client_->close_behind();
    case coordinator_command::abandon:
      if (client_) client_->abandon();
      return join_wanted_.notify();
  }
}

}  // namespace natpeer
