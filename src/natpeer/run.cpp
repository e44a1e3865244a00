// START READING HERE: natpeer's whole route. Each pump awaits one thing, tells the engine, and does what the engine
// says.
//
//   stdin        pump_input       ->  peer::on_input        :
//   the network  pump_network     ->  peer::on_datagrams    :  act():  datagrams             -> udp_link
//   coordinator  coordinator_link ->  peer::on_coordinator  :          commands, messages,
//                                                           :          relayed packets       -> coordinator_link
//   interfaces   pump_interfaces  ->  peer::on_interfaces   :          output, pump_output   -> stdout
//   the clock    wake             ->  peer::on_time         :          notes                 -> the log
//   signals      on_signal        ->  peer::leave           :
//   who asks     status_          ->  peer::status          :
//   who watches  progress_        ->  peer::progress        :
//
// A byte from stdin goes pump_input, peer::on_input, sender::pump, send_log, outbox, send_datagrams (or relay_queue,
// coordinator_link::send_waiting); on the other side pump_network (or coordinator_link::converse), peer::on_datagrams,
// session, stream_inbox, receiver, write_output. Time is read here and in coordinator_link, nowhere else.
#include "run.hpp"

#include "nat/net/clock.hpp"
#include "nat/net/event.hpp"
#include "nat/net/interfaces.hpp"
#include "nat/net/process.hpp"
#include "nat/net/random_pool.hpp"
#include "nat/net/resolver.hpp"
#include "nat/net/status_socket.hpp"
#include "nat/net/stdio.hpp"
#include "nat/net/udp_link.hpp"
#include "nat/peer.hpp"
#include "nat/text.hpp"

#include "coordinator_link.hpp"
#include "notes.hpp"
#include "progress_display.hpp"
#include "status.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <unistd.h>

namespace natpeer {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using nat::net::steady_now;
using nat::net::wall_now;

// After the last goodbye, whoever reads stdout may take so long to read what is left.
constexpr auto drain_timeout = std::chrono::seconds(1);

nat::net::fragments fragments_of(nat::fragmenting pieces) {
  switch (pieces) {
    case nat::fragmenting::never: return nat::net::fragments::never;
    case nat::fragmenting::allowed: return nat::net::fragments::allowed;
    case nat::fragmenting::as_usual: break;
  }
  return nat::net::fragments::as_usual;
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
  awaitable<void> pump_lookups();
  awaitable<void> pump_interfaces();
  awaitable<void> pump_aside();

  void take(std::span<const nat::net::datagram_in> batch);
  void act();
  bool write_output();
  bool on_output_written(std::size_t size);
  void send_datagrams();
  void send_aside(const nat::nat_probe_request& request);
  void wake_at_deadline();
  void end_when_drained();
  void await_signal();
  void on_signal(int signal);
  std::string status() const;

  const options& options_;
  asio::io_context io_{1};  // one thread; stdin and stdout may have their own
  nat::net::random_pool random_;
  nat::peer engine_;
  nat::net::udp_link link_;
  std::optional<nat::net::udp_link> aside_;  ///< for the tests of our NAT that may move a mapping
  asio::thread_pool lookups_{1};             // of its own: a dead STUN name must not delay the coordinator's
  nat::net::resolver names_{lookups_};
  coordinator_link coordinator_{io_, options_.coordinator, options_.ca_file, engine_, [this] { act(); }};
  std::optional<nat::net::status_socket> status_;
  std::optional<progress_display> progress_;
  asio::signal_set signals_{io_, SIGINT, SIGTERM, SIGUSR1};
  asio::steady_timer wake_{io_};
  nat::deadline waking_at_;
  asio::steady_timer drain_{io_};
  bool ending_ = false;
  bool output_gone_ = false;                       ///< nobody reads stdout any more
  bool blocked_ = false;                           ///< the kernel's send buffer is full
  std::array<nat::net::datagram_out, 256> batch_;  // kept: to make it anew clears it, and the processor's cache
  std::vector<std::uint8_t> writing_;              ///< what the engine has handed out for stdout
  std::size_t written_ = 0;                        ///< of it
  nat::unix_millis started_at_;

  nat::net::event input_wanted_{io_};
  nat::net::event output_ready_{io_};
  nat::net::event lookup_wanted_{io_};
  nat::net::event became_blocked_{io_};
  nat::net::interface_watch interfaces_{io_};
  nat::net::input_stream input_{io_, STDIN_FILENO};
  nat::net::output_stream output_{io_, STDOUT_FILENO};
};

program::program(const options& options)
    : options_(options),
      engine_(options.engine, random_),
      link_(io_, {.bind = options.bind,
                  .port = options.bind_port,
                  .on_unreachable =
                      [this](const nat::endpoint& at) {
                        engine_.on_unreachable(steady_now(), at);
                        act();
                      },
                  .on_too_large =
                      [this](const nat::ip_address& to, std::size_t mtu) {
                        engine_.on_too_large(steady_now(), to, mtu);
                        act();
                      }}),
      started_at_(wall_now()) {
  if (!options.status_socket.empty()) status_.emplace(io_, options.status_socket, [this] { return status() + '\n'; });
  if (options.progress && progress_display::is_possible()) {
    progress_.emplace(io_, [this] { return engine_.progress(steady_now()); });
  }
}

int program::run() {
  spdlog::debug("natpeer {} on {}", NATPEER_VERSION, link_.local().to_string());
  await_signal();
  if (status_) launch(status_->serve());
  launch(pump_network());
  launch(pump_blocked());
  launch(coordinator_.pump());
  launch(pump_lookups());
  launch(pump_interfaces());
  launch(pump_output());
  launch(watch_output());
  if (engine_.reads_input()) launch(pump_input());
  if (options_.bind.is_unspecified()) {
    engine_.on_interfaces(steady_now(), nat::net::interface_addresses(), link_.local().port, false);
  } else {
    engine_.on_interfaces(steady_now(), {options_.bind}, link_.local().port, false);
  }
  engine_.start(steady_now());
  act();
  if (progress_) progress_->start();
  io_.run();
  const auto& counters = engine_.counters();
  spdlog::debug(
      "sent {} DATA; received {} DATA ({} from strangers and {} for lack of room dropped), {} PING; "
      "dropped {} malformed, {} unsealed, {} forged, {} of other topics",
      engine_.packets_sent(), counters.data_received, counters.data_unlisted, counters.data_overflow,
      counters.pings_received, counters.malformed, counters.unsealed, counters.forged, counters.other_topic);
  if (progress_) progress_->finish();
  const auto& ended = *engine_.ended();
  if (!ended.reason.empty()) std::fprintf(stderr, "natpeer: %s\n", nat::visible(ended.reason).c_str());
  // A lookup cannot be interrupted, nor a write to a stopped terminal, nor a read that somebody else has emptied the
  // pipe for; and an ordinary end would wait for them.
  const bool stuck = !input_.stop() || !output_.stop() || names_.busy() || coordinator_.is_resolving();
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
    while (!engine_.wants_input()) {
      input_.rest();
      co_await input_wanted_.wait();
    }
    const auto chunk = co_await input_.next();
    if (ending_) co_return;
    if (chunk.empty()) {
      engine_.on_input_end(steady_now());
      act();
      co_return;
    }
    engine_.on_input(steady_now(), chunk);
    act();
  }
}

/// What `write_output` leaves: what stdout does not take at once, and what is more than a batch.
awaitable<void> program::pump_output() {
  for (;;) {
    co_await output_ready_.wait();
    if (written_ == writing_.size()) {
      co_await asio::post(io_, asio::use_awaitable);  // behind everybody else's turn
    } else {
      const auto [size, error] = co_await output_.write(nat::byte_view(writing_).subspan(written_));
      on_output_written(size);
      if (error) {
        output_gone_ = true;
        const bool quiet = error == std::errc::broken_pipe || error == std::errc::operation_canceled;
        engine_.on_output_closed(steady_now(), quiet ? "" : "cannot write to stdout: " + error.message());
        act();
        co_return;
      }
    }
    act();
  }
}

/// Ends the program when the reader of an idle pipe goes away, before anything is written to it.
awaitable<void> program::watch_output() {
  co_await output_.closed();
  output_gone_ = true;
  engine_.on_output_closed(steady_now(), "");
  act();
}

void program::take(std::span<const nat::net::datagram_in> batch) {
  const auto now = steady_now();
  const auto wall = wall_now();
  std::array<nat::peer::incoming, nat::peer::together> some;
  while (!batch.empty()) {
    const auto count = std::min(batch.size(), some.size());
    for (std::size_t i = 0; i < count; ++i) some[i] = {batch[i].from, batch[i].bytes};
    engine_.on_datagrams(now, wall, std::span(some).first(count));
    batch = batch.subspan(count);
  }
}

awaitable<void> program::pump_network() {
  for (;;) {
    const auto batch = co_await link_.receive();
    take(batch);
    // Whoever reads stdout is not to wait for what is sent back, which then tells what is written, too.
    if (!write_output()) engine_.flush(steady_now());
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
      engine_.on_stun_servers(steady_now(), servers, found.error);
      act();
    }
  }
}

awaitable<void> program::pump_interfaces() {
  for (;;) {
    auto change = co_await interfaces_.next();
    if (!options_.bind.is_unspecified()) change.addresses = {options_.bind};
    engine_.on_interfaces(steady_now(), change.addresses, link_.local().port, coordinator_.is_moved_by(change));
    act();
  }
}

awaitable<void> program::pump_aside() {
  for (;;) {
    const auto batch = co_await aside_->receive();
    for (const auto& datagram : batch) engine_.on_aside(steady_now(), datagram.from, datagram.bytes);
    act();
  }
}

// ---- what the engine wants done

void program::act() {
  write_output();
  while (const auto command = engine_.next_command()) coordinator_.obey(*command);
  send_datagrams();
  if (const auto request = engine_.next_aside()) send_aside(*request);
  coordinator_.send_waiting();  // behind the datagrams: a punch says that the PINGs are out
  send_datagrams();             // the connection has taken what others waited behind
  while (const auto note = engine_.next_note()) log_note(*note, options_.coordinator.to_string());
  if (engine_.take_stun_lookup()) lookup_wanted_.notify();
  if (engine_.wants_input()) input_wanted_.notify();
  if (!output_gone_ && (engine_.has_output() || written_ < writing_.size())) output_ready_.notify();
  wake_at_deadline();
  if (engine_.ended()) end_when_drained();
}

/// A batch at most, as far as stdout takes it at once; whether it took any.
bool program::write_output() {
  if (written_ < writing_.size() || output_gone_ || !engine_.has_output()) return false;
  writing_.clear();
  written_ = 0;
  engine_.next_output(writing_);
  return on_output_written(output_.try_write(writing_));
}

bool program::on_output_written(std::size_t size) {
  if (size == 0) return false;
  written_ += size;
  engine_.on_output_written(steady_now(), size);
  return true;
}

void program::send_datagrams() {
  while (!blocked_ && !engine_.datagrams().empty()) {
    const auto& waiting = engine_.datagrams();
    const auto count = std::min(batch_.size(), waiting.size());
    for (std::size_t i = 0; i < count; ++i) {
      const auto& next = waiting.at(i);
      batch_[i] = {waiting.bytes(next), next.to, {}, fragments_of(next.pieces)};
    }
    const auto sent = link_.send(std::span(batch_).first(count));
    engine_.on_sent(steady_now(), sent);
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

void program::wake_at_deadline() {
  const auto next = engine_.next_deadline();
  // Waking early does no harm, and spares a timer's change for most events.
  if (!next || (waking_at_ && *waking_at_ <= *next)) return;
  waking_at_ = next;
  wake_.expires_at(nat::net::to_steady(*next));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    waking_at_.reset();
    engine_.on_time(steady_now());
    act();
  });
}

void program::end_when_drained() {
  if (engine_.output_drained() || output_gone_) return io_.stop();
  if (std::exchange(ending_, true)) return;
  drain_.expires_after(drain_timeout);
  drain_.async_wait([this](const boost::system::error_code&) { io_.stop(); });
}

// ---- for the user

void program::await_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (!error) on_signal(signal);
  });
}

void program::on_signal(int signal) {
  if (signal == SIGUSR1) {
    if (progress_) progress_->hide();
    std::fputs(status_table(status()).c_str(), stderr);
    return await_signal();
  }
  spdlog::debug("signal {}: leaving", signal);
  signals_.clear();  // a second one ends the program the ordinary way
  engine_.leave(steady_now());
  act();
}

std::string program::status() const {
  const auto now = steady_now();
  return encode_status(engine_.status(now),
                       {.now = now, .wall = wall_now(), .started_at = started_at_, .config = options_});
}

}  // namespace

int run(const options& options) {
  spdlog::set_default_logger(spdlog::stderr_color_st("natpeer"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  nat::net::ignore_broken_pipes();
  nat::net::let_closed_stdout_discard();
  return program(options).run();
}

}  // namespace natpeer
