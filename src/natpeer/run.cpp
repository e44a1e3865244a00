// START READING HERE: natpeer's whole route. Each pump awaits one thing, tells the engine, and does what the engine
// says.
//
//   stdin        pump_input    ->  peer::on_input        :
//   the network  pump_network  ->  peer::on_datagram     :  act():  datagrams -> udp_link
//   coordinator  converse      ->  peer::on_coordinator  :          commands  -> ws_client
//   interfaces   pump_interfaces -> peer::on_interfaces  :          messages, relayed packets -> ws_client
//   the clock    wake          ->  peer::on_time         :          output    -> pump_output -> stdout
//   signals      signals_      ->  peer::leave           :          notes     -> the log
//
// A byte from stdin goes pump_input, peer::on_input, sender::pump, outbox, send_datagrams (or relay_queue,
// send_messages); on the other side pump_network (or converse), peer::on_datagram, session, receiver, pump_output. Time is
// read here and nowhere else.
#include "run.hpp"

#include "nat/join_query.hpp"
#include "nat/net/event.hpp"
#include "nat/net/interfaces.hpp"
#include "nat/net/process.hpp"
#include "nat/net/random_pool.hpp"
#include "nat/net/resolver.hpp"
#include "nat/net/stdio.hpp"
#include "nat/net/udp_link.hpp"
#include "nat/net/ws_client.hpp"
#include "nat/peer.hpp"
#include "nat/text.hpp"
#include "nat/v2_messages.hpp"

#include "notes.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

namespace natpeer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using nat::coordinator_command;

// After the last goodbye, whoever reads stdout may take so long to read what is left.
constexpr auto drain_timeout = std::chrono::seconds(1);

nat::time_point now() { return nat::time_point(std::chrono::steady_clock::now().time_since_epoch()); }

nat::unix_millis wall_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class program {
 public:
  explicit program(const options& options);

  int run();

 private:
  void launch(awaitable<void> pump);
  awaitable<void> pump_input();
  awaitable<void> pump_output();
  awaitable<void> watch_output();
  awaitable<void> pump_network();
  awaitable<void> pump_blocked();
  awaitable<void> pump_coordinator();
  awaitable<void> converse(std::shared_ptr<nat::net::ws_client> client);
  awaitable<bool> register_with(nat::net::ws_client& client);
  awaitable<void> pump_lookups();
  awaitable<void> pump_interfaces();
  awaitable<void> pump_aside();

  void act();
  void send_datagrams();
  void send_messages();
  void send_aside(const nat::nat_probe_request& request);
  void obey(coordinator_command command);
  void wake_at_deadline();
  void end_when_drained();
  void tell_coordinator(const nat::net::ws_client& from, const nat::coordinator_event& event);

  const options& options_;
  asio::io_context io_{1};  // one thread; stdin and stdout have their own
  nat::net::random_pool random_;
  nat::peer engine_;
  nat::net::udp_link link_;
  std::optional<nat::net::udp_link> aside_;  ///< for the tests of our NAT that may move a mapping
  asio::thread_pool lookups_{1};  // of its own: a dead STUN name must not delay the coordinator's
  nat::net::resolver names_{lookups_};
  std::shared_ptr<nat::net::tls_trust> trust_;
  std::shared_ptr<nat::net::ws_client> client_;
  asio::signal_set signals_{io_, SIGINT, SIGTERM};
  asio::steady_timer wake_{io_};
  nat::deadline waking_at_;
  asio::steady_timer drain_{io_};
  bool ending_ = false;
  bool output_gone_ = false;   ///< nobody reads stdout any more
  std::optional<coordinator_command> join_;  ///< how the engine wants to register, once it does
  bool blocked_ = false;       ///< the kernel's send buffer is full

  nat::net::event input_wanted_{io_};
  nat::net::event output_ready_{io_};
  nat::net::event connect_wanted_{io_};
  nat::net::event join_wanted_{io_};
  nat::net::event lookup_wanted_{io_};
  nat::net::event became_blocked_{io_};
  nat::net::interface_watch interfaces_{io_};
  nat::net::input_stream input_{STDIN_FILENO};
  nat::net::output_stream output_{io_, STDOUT_FILENO};
};

program::program(const options& options)
    : options_(options),
      engine_(options.engine, random_),
      link_(io_, {.bind = options.bind, .port = options.bind_port}),
      trust_(std::make_shared<nat::net::tls_trust>(options.ca_file)) {}

int program::run() {
  spdlog::debug("natpeer {} on {}", NATPEER_VERSION, link_.local().to_string());
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::debug("signal {}: leaving", signal);
    signals_.clear();  // a second one ends the program the ordinary way
    engine_.leave(now());
    act();
  });
  launch(pump_network());
  launch(pump_blocked());
  launch(pump_coordinator());
  launch(pump_lookups());
  launch(pump_interfaces());
  launch(pump_output());
  launch(watch_output());
  launch(pump_input());
  if (options_.bind.is_unspecified()) {
    engine_.on_interfaces(now(), nat::net::interface_addresses(), link_.local().port, false);
  } else {
    engine_.on_interfaces(now(), {options_.bind}, link_.local().port, false);
  }
  engine_.start(now());
  act();
  io_.run();
  const auto& counters = engine_.counters();
  spdlog::debug(
      "sent {} DATA; received {} DATA ({} from strangers and {} for lack of room dropped), {} PING, {} malformed",
      engine_.packets_sent(), counters.data_received, counters.data_unlisted, counters.data_overflow,
      counters.pings_received, counters.malformed);
  const auto& ended = *engine_.ended();
  if (!ended.reason.empty()) std::fprintf(stderr, "natpeer: %s\n", nat::visible(ended.reason).c_str());
  // A lookup cannot be interrupted, nor a write to a stopped terminal, nor a read that somebody else has emptied the
  // pipe for; and an ordinary end would wait for them.
  const bool stuck = !input_.stop() || !output_.stop() || names_.busy() || (client_ && client_->is_resolving());
  if (stuck) std::_Exit(ended.status);
  return ended.status;
}

/// Starts a pump; what it throws ends the program through `main`'s catch.
void program::launch(awaitable<void> pump) {
  asio::co_spawn(io_, std::move(pump), [](const std::exception_ptr& error) {
    if (error) std::rethrow_exception(error);
  });
}

// ---- the pumps

awaitable<void> program::pump_input() {
  static_assert(nat::net::input_stream::max_chunk <= nat::input_splitter::max_chunk);
  for (;;) {
    while (!engine_.wants_input()) co_await input_wanted_.wait();
    const auto chunk = co_await input_.next();
    if (ending_) co_return;
    if (chunk.empty()) {
      engine_.on_input_end(now());
      act();
      co_return;
    }
    engine_.on_input(now(), chunk);
    act();
  }
}

awaitable<void> program::pump_output() {
  std::vector<std::uint8_t> bytes;
  for (;;) {
    while (!engine_.has_output()) co_await output_ready_.wait();
    bytes.clear();
    engine_.swap_output(bytes);
    if (const auto error = co_await output_.write(bytes)) {
      output_gone_ = true;
      const bool quiet = error == std::errc::broken_pipe || error == std::errc::operation_canceled;
      engine_.on_output_closed(now(), quiet ? "" : "cannot write to stdout: " + error.message());
      act();
      co_return;
    }
    engine_.on_output_written(now(), bytes.size());
    act();
  }
}

/// Ends the program when the reader of an idle pipe goes away, before anything is written to it.
awaitable<void> program::watch_output() {
  co_await output_.closed();
  output_gone_ = true;
  engine_.on_output_closed(now(), "");
  act();
}

awaitable<void> program::pump_network() {
  for (;;) {
    const auto batch = co_await link_.receive();
    for (const auto& datagram : batch) engine_.on_datagram(now(), wall_now(), datagram.from, datagram.bytes);
    act();
  }
}

awaitable<void> program::pump_blocked() {
  for (;;) {
    co_await became_blocked_.wait();
    co_await link_.writable();
    blocked_ = false;
    act();
  }
}

/// Each name that resolves joins the race at once; literal addresses do not wait for names.
awaitable<void> program::pump_lookups() {
  auto hosts = options_.stun;
  std::ranges::stable_partition(hosts, [](const host_port& at) { return nat::ip_address::parse(at.host).has_value(); });
  for (;;) {
    co_await lookup_wanted_.wait();
    std::vector<nat::endpoint> servers;
    for (const auto& [host, port] : hosts) {
      const auto found = co_await names_.resolve(host, port);
      servers.insert(servers.end(), found.endpoints.begin(), found.endpoints.end());
      engine_.on_stun_servers(now(), servers, found.error);
      act();
    }
  }
}

awaitable<void> program::pump_interfaces() {
  for (;;) {
    auto change = co_await interfaces_.next();
    if (!options_.bind.is_unspecified()) change.addresses = {options_.bind};
    engine_.on_interfaces(now(), change.addresses, link_.local().port, change.moved);
    act();
  }
}

awaitable<void> program::pump_aside() {
  for (;;) {
    const auto batch = co_await aside_->receive();
    for (const auto& datagram : batch) engine_.on_aside(now(), datagram.from, datagram.bytes);
    act();
  }
}

awaitable<void> program::pump_coordinator() {
  for (;;) {
    co_await connect_wanted_.wait();
    const auto patience =
        std::chrono::duration_cast<std::chrono::milliseconds>(engine_.coordinator().connect_patience());
    client_ = std::make_shared<nat::net::ws_client>(
        io_, nat::net::ws_client_options{.trust = trust_,
                                         .user_agent = "natpeer/" NATPEER_VERSION,
                                         .max_message = nat::max_roster_bytes,
                                         .on_control =
                                             [this](bool pong) {
                                               tell_coordinator(*client_, nat::coordinator_events::alive{pong});
                                             },
                                         .on_sent = [this] { send_messages(); },
                                         .connect_timeout = patience,
                                         .handshake_timeout = patience});
    co_await converse(client_);
  }
}

/// One connection from its beginning to its end.
awaitable<void> program::converse(std::shared_ptr<nat::net::ws_client> client) {
  namespace events = nat::coordinator_events;
  const auto reached = co_await client->connect(options_.coordinator);
  if (const auto* failed = std::get_if<nat::net::ws_error>(&reached)) {
    co_return tell_coordinator(*client, events::failed{failed->reason});
  }
  tell_coordinator(*client, events::reached{std::get<nat::endpoint>(reached)});
  while (!client->is_abandoned() && !join_) co_await join_wanted_.wait();
  if (client->is_abandoned() || !co_await register_with(*client)) co_return;
  for (;;) {
    const auto message = co_await client->next();
    if (const auto* text = std::get_if<nat::net::ws_text>(&message)) {
      tell_coordinator(*client, events::text{text->message});
    } else if (const auto* binary = std::get_if<nat::net::ws_binary>(&message)) {
      tell_coordinator(*client, events::binary{binary->message});
    } else {
      const auto& closed = std::get<nat::net::ws_closed>(message);
      co_return tell_coordinator(*client, events::closed{closed.code, closed.reason});
    }
  }
}

/// Asks for the upgrade; whether we are registered.
awaitable<bool> program::register_with(nat::net::ws_client& client) {
  namespace events = nat::coordinator_events;
  const auto how = *std::exchange(join_, std::nullopt);
  nat::net::ws_join_options offer;
  if (how == coordinator_command::join_v2) offer = {std::string(nat::v2_subprotocol), engine_.coordinator().resume()};
  const auto answer = co_await client.join(nat::encode_join_query(engine_.registration_request(how)), offer);
  if (const auto* refused = std::get_if<nat::net::ws_refused>(&answer)) {
    tell_coordinator(client, events::refused{refused->status, refused->reason, refused->retry_after});
  } else if (const auto* failed = std::get_if<nat::net::ws_error>(&answer)) {
    tell_coordinator(client, events::failed{failed->reason});
  } else {
    const auto& joined = std::get<nat::net::ws_client::joined>(answer);
    tell_coordinator(client, events::joined{joined.remote, !joined.subprotocol.empty()});
    co_return !client.is_abandoned();
  }
  co_return false;
}

void program::tell_coordinator(const nat::net::ws_client& from, const nat::coordinator_event& event) {
  if (from.is_abandoned()) return;  // the engine has turned to something else
  engine_.on_coordinator(now(), wall_now(), event);
  act();
}

// ---- what the engine wants done

void program::act() {
  while (const auto command = engine_.next_command()) obey(*command);
  send_datagrams();
  if (const auto request = engine_.next_aside()) send_aside(*request);
  send_messages();
  while (const auto note = engine_.next_note()) log_note(*note, options_.coordinator.to_string());
  if (engine_.take_stun_lookup()) lookup_wanted_.notify();
  if (engine_.wants_input()) input_wanted_.notify();
  if (engine_.has_output()) output_ready_.notify();
  wake_at_deadline();
  if (engine_.ended()) end_when_drained();
}

void program::send_datagrams() {
  constexpr std::size_t batch_size = 256;
  std::array<nat::net::datagram_out, batch_size> batch;
  while (!blocked_ && !engine_.datagrams().empty()) {
    const auto& waiting = engine_.datagrams();
    const auto count = std::min(batch_size, waiting.size());
    for (std::size_t i = 0; i < count; ++i) batch[i] = {waiting.bytes(waiting.at(i)), waiting.at(i).to, {}};
    const auto sent = link_.send(std::span(batch).first(count));
    engine_.on_sent(now(), sent);
    blocked_ = sent < count;
  }
  if (blocked_) became_blocked_.notify();
}

void program::send_aside(const nat::nat_probe_request& request) {
  if (!aside_) {
    aside_.emplace(io_, nat::net::udp_options{.bind = options_.bind, .portable = true});
    launch(pump_aside());
  }
  const nat::net::datagram_out out{request.bytes, request.to, {}};
  aside_->send({&out, 1});
}

/// Behind the datagrams: a punch says that the PINGs are out.
void program::send_messages() {
  while (auto message = engine_.next_message()) client_->send_text(std::move(*message));
  while (client_ && client_->can_send()) {
    auto frame = engine_.next_relayed(now());
    if (!frame) return;
    client_->send_binary(std::move(*frame));
  }
}

void program::obey(coordinator_command command) {
  switch (command) {
    case coordinator_command::connect:
      if (client_) client_->abandon();
      join_.reset();
      join_wanted_.notify();  // whoever waits there was abandoned
      return connect_wanted_.notify();
    case coordinator_command::join_v2:
    case coordinator_command::join: join_ = command; return join_wanted_.notify();
    case coordinator_command::ping: return client_->ping();
    case coordinator_command::close: return client_->close();
    case coordinator_command::abandon:
      if (client_) client_->abandon();
      return join_wanted_.notify();
  }
}

void program::wake_at_deadline() {
  const auto next = engine_.next_deadline();
  // Waking early does no harm, and spares a timer's change for most events.
  if (!next || (waking_at_ && *waking_at_ <= *next)) return;
  waking_at_ = next;
  wake_.expires_at(std::chrono::steady_clock::time_point(next->time_since_epoch()));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    waking_at_.reset();
    engine_.on_time(now());
    act();
  });
}

void program::end_when_drained() {
  if (engine_.output_drained() || output_gone_) return io_.stop();
  if (std::exchange(ending_, true)) return;
  drain_.expires_after(drain_timeout);
  drain_.async_wait([this](const boost::system::error_code&) { io_.stop(); });
}

}  // namespace

int run(const options& options) {
  spdlog::set_default_logger(spdlog::stderr_color_st("natpeer"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  nat::net::ignore_broken_pipes();
  return program(options).run();
}

}  // namespace natpeer
