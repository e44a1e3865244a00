// START READING HERE: natcoord's whole route.
//
//   a request, a ping, a closed socket     ws_server  ->  on_*  ->  coordinator
//   its answer: lists, pings, closes       coordinator::next_action  ->  act  ->  ws_server
//   a deadline of the coordinator          wake  ->  coordinator::on_time  ->  act
//   a message, a packet to relay           ws_server  ->  on_message, on_relay  ->  coordinator  ->  act
//   a STUN request                         stun_ports
//   SIGUSR1                                report
//   SIGTERM, SIGINT                        stop  ->  coordinator::shut_down  ->  act
//
// Time is read here and in stun_ports, nowhere else.
#include "run.hpp"

#include "nat/address_tokens.hpp"
#include "nat/coordinator.hpp"
#include "nat/join_query.hpp"
#include "nat/net/clock.hpp"
#include "nat/net/process.hpp"
#include "nat/net/random_pool.hpp"
#include "nat/net/ws_server.hpp"
#include "nat/text.hpp"
#include "nat/v2_messages.hpp"

#include "stun_ports.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace natcoord {
namespace {

namespace asio = boost::asio;
using nat::deadline;
using nat::instant;
using nat::net::ws_answer;
using nat::net::ws_id;
using nat::net::ws_request;

constexpr std::size_t lobby = 128;       // sockets beyond the registered ones, for requests that are being answered
constexpr std::size_t other_files = 16;  // stderr, epoll, the listening sockets, with room to spare
constexpr auto warning_spacing = std::chrono::minutes(1);  // between two warnings of one kind

instant now() { return {nat::net::steady_now(), nat::net::wall_now()}; }

ws_answer answer(unsigned status, std::string reason) {
  return {.status = status, .text = std::move(reason), .id = 0, .retry_after = std::nullopt, .subprotocol = {}};
}

class service final : nat::net::ws_server_events {
 public:
  explicit service(const options& options);

  void run();

 private:
  ws_answer on_request(const ws_request& request) override;
  ws_answer on_join(const ws_request& request, std::string_view query);
  void on_open(ws_id id) override;
  void on_activity(ws_id id) override;
  void on_text(ws_id id, std::string_view text) override;
  void on_binary(ws_id id, nat::byte_view message) override;
  void on_messages_dropped(ws_id id) override;
  void on_ping(ws_id id) override;
  void on_closed(ws_id id) override;
  void on_exhausted(const std::error_code& error) override;

  void act();
  void act(const nat::send_list& list);
  void act(const nat::send_message& message);
  void act(const nat::send_relayed& relayed);
  void act(const nat::send_ping& ping) { server_.ping(ping.to); }
  void act(const nat::close_client& close) { server_.close(close.who, close.code, close.reason); }
  void wake_at_deadline();

  void await_report();
  std::string report() const;
  void stop(int signal);

  asio::io_context io_{1};  // one thread
  nat::net::random_pool random_;
  nat::address_tokens tokens_{random_};
  nat::coordinator engine_;
  nat::net::ws_server server_;
  std::optional<stun_ports> stun_;
  nat::net::tcp_timer wake_{io_.get_executor()};
  deadline waking_at_;
  asio::signal_set signals_{io_, SIGTERM, SIGINT};
  asio::signal_set reports_{io_, SIGUSR1};
  deadline warned_at_;
  bool stopping_ = false;
};

service::service(const options& options)
    : engine_(random_, tokens_, options.limits),
      server_(io_,
              {.listen = options.listen,
               .port = options.port,
               .max_sockets = options.limits.max_connections + lobby,
               .max_relay_queue = options.relay_queue},
              *this) {
  if (!options.stun_port) return;
  stun_.emplace(io_, options.listen, *options.stun_port, tokens_);
  engine_.set_stun_ports(stun_->ports());
}

void service::run() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (!error) stop(signal);
  });
  await_report();
  if (stun_) stun_->start();
  // Tests and scripts read the ports from this line, so it comes when everything listens.
  const auto stun = stun_ ? " and " + stun_->local().to_string() + "/udp (STUN)" : std::string();
  spdlog::info("natcoord {} listens on {} (websocket){}", NATPEER_VERSION, server_.local().to_string(), stun);
  io_.run();
  spdlog::debug("{}", report());
  spdlog::debug("natcoord ends");
}

// Events from the websockets.

ws_answer service::on_request(const ws_request& request) {
  const auto mark = request.target.find('?');
  const auto path = request.target.substr(0, mark);
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (path == "/healthz" && reads) return answer(200, "ok");
  if (path != "/websocket" || request.method != "GET") return answer(404, "there is /websocket and /healthz here");
  auto decision = on_join(request, mark == std::string_view::npos ? "" : request.target.substr(mark + 1));
  if (decision.status != 101)
    spdlog::debug("refused {}: {} {}", request.from.to_string(), decision.status, nat::visible(decision.text));
  return decision;
}

ws_answer service::on_join(const ws_request& request, std::string_view query) {
  const bool v2 = request.offers(nat::v2_subprotocol);
  const auto join = nat::decode_join_query(query, !v2);
  if (!join) return answer(400, join.error().reason);
  if (!request.upgrade) return answer(426, "this is a websocket; ask with Upgrade: websocket");
  const nat::v2_offer offer{std::string(request.bearer)};
  auto admission = engine_.admit(now(), *join, request.from, v2 ? &offer : nullptr);
  act();
  if (admission.admitted()) {
    spdlog::debug("{}: {} asks for topic {} as {} at {}", admission.id, request.from.to_string(),
                  nat::visible(join->topic), nat::visible(join->name),
                  join->address ? join->address->to_string() : "an address to be told");
  }
  return {.status = admission.status,
          .text = std::move(admission.reason),
          .id = admission.id,
          .retry_after = admission.retry_after,
          .subprotocol = std::string(admission.v2 ? nat::v2_subprotocol : "")};
}

void service::on_open(ws_id id) {
  engine_.on_open(now(), id);
  spdlog::debug("{}: joined; {} peers in {} topics", id, engine_.listed(), engine_.topics());
  act();
}

void service::on_activity(ws_id id) {
  engine_.on_activity(now(), id);
  act();
}

void service::on_text(ws_id id, std::string_view text) {
  engine_.on_message(now(), id, text);
  act();
}

void service::on_binary(ws_id id, nat::byte_view message) {
  engine_.on_relay(now(), id, message);
  act();
}

// It would see the gap in the versions only with the next change, so it is told everything anew without asking. Comes
// from within `act`, so it waits its turn.
void service::on_messages_dropped(ws_id id) {
  asio::post(io_, [this, id] {
    engine_.on_messages_dropped(now(), id);
    act();
  });
}

void service::on_ping(ws_id id) {
  engine_.on_ping(now(), id);
  act();
}

void service::on_closed(ws_id id) {
  engine_.on_closed(now(), id);
  spdlog::debug("{}: left; {} peers in {} topics", id, engine_.listed(), engine_.topics());
  act();
}

void service::on_exhausted(const std::error_code& error) {
  const auto at = now().steady;
  if (warned_at_ && at - *warned_at_ < warning_spacing) return;
  warned_at_ = at;
  spdlog::warn("accepting pauses with {} sockets open: {}", server_.size(), error.message());
}

// What the coordinator wants done.

void service::act() {
  for (;;) {
    const auto before = nat::net::thread_cpu_time();  // making a list costs, too
    const auto action = engine_.next_action();
    if (!action) break;
    std::visit([this](const auto& what) { act(what); }, *action);
    const auto* list = std::get_if<nat::send_list>(&*action);
    const auto* message = std::get_if<nat::send_message>(&*action);
    if (list == nullptr && message == nullptr) continue;
    const auto cost = nat::net::thread_cpu_time() - before;
    engine_.on_list_cost(now(), cost);
    spdlog::trace("a text of {} bytes to {} peers took {} us", (list ? list->text : message->text)->size(),
                  (list ? list->to : message->to).size(), cost.count() / 1000);
  }
  wake_at_deadline();
}

void service::act(const nat::send_list& list) {
  for (const auto id : list.to) server_.send_text(id, list.text);
}

void service::act(const nat::send_message& message) {
  for (const auto id : message.to) server_.send_message(id, message.text);
}

void service::act(const nat::send_relayed& relayed) {
  for (const auto id : relayed.to) server_.send_relayed(id, relayed.frame);
}

void service::wake_at_deadline() {
  const auto next = engine_.next_deadline();
  // Waking early does no harm, and spares a timer's change for most events.
  if (stopping_ || !next || (waking_at_ && *waking_at_ <= *next)) return;
  waking_at_ = next;
  wake_.expires_at(nat::net::to_steady(*next));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    waking_at_.reset();
    engine_.on_time(now());
    act();
  });
}

void service::await_report() {
  reports_.async_wait([this](const boost::system::error_code& error, int) {
    if (error) return;
    std::fprintf(stderr, "%s\n", report().c_str());  // who asks is told, whatever the log's level
    await_report();
  });
}

std::string service::report() const {
  const auto& seen = engine_.counters();
  const auto& sent = server_.counters();
  return spdlog::fmt_lib::format(
      "counters: clients={} clients_v2={} topics={} sockets={} joined={} joined_v2={} resumed={} refused={} "
      "replaced={} timed_out={} lists={} snapshots={} deltas={} resyncs={} messages_dropped={} bad_messages={} "
      "punches={} punches_dropped={} proven={} unproven_dropped={} relayed_packets={} relayed_bytes={} "
      "relay_slow_receiver={} "
      "relay_over_rate={} relay_over_total_rate={} relay_over_quota={} relay_for_nobody={} relay_off={}",
      engine_.listed(), engine_.listed_v2(), engine_.topics(), server_.size(), seen.joined, seen.joined_v2,
      seen.resumed, seen.refused, seen.replaced, seen.timed_out, seen.lists, seen.snapshots, seen.deltas, seen.resyncs,
      sent.messages_dropped, seen.bad_messages, seen.punches, seen.punches_dropped, seen.proven, seen.unproven_dropped,
      seen.relayed_packets, seen.relayed_bytes, sent.relay_dropped, seen.relay_over_rate, seen.relay_over_total_rate,
      seen.relay_over_quota, seen.relay_for_nobody, seen.relay_off);
}

void service::stop(int signal) {
  spdlog::info("signal {}: closing {} connections", signal, server_.size());
  stopping_ = true;
  reports_.cancel();
  signals_.clear();  // a second signal ends the program the ordinary way
  engine_.shut_down(now());
  act();
  server_.stop();
  if (stun_) stun_->close();
  wake_.cancel();
  // Nothing is awaited now but the closing handshakes, which the server bounds; then `io_` runs out of work.
}

void warn_of_few_files(const options& options) {
  const auto files = nat::net::raise_file_limit();
  const auto needed = options.limits.max_connections + lobby + other_files;
  if (files < needed) {
    spdlog::warn(
        "{} open files are allowed, {} connections need {}: raise the limit (ulimit -n) or lower "
        "--max-connections",
        files, options.limits.max_connections, needed);
  }
}

}  // namespace

void run(const options& options) {
  spdlog::set_default_logger(spdlog::stderr_color_st("natcoord"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  nat::net::ignore_broken_pipes();
  warn_of_few_files(options);
  service(options).run();
}

}  // namespace natcoord
