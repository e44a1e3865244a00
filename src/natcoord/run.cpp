// START READING HERE: natcoord's whole route.
//
//   a request, a ping, a closed socket     ws_server  ->  on_*  ->  coordinator
//   its answer: lists, pings, closes       coordinator::next_action  ->  act  ->  ws_server
//   a deadline of the coordinator          wake  ->  coordinator::on_time  ->  act
//   a STUN request                         udp_link  ->  answer_stun  ->  udp_link
//   SIGTERM, SIGINT                        stop  ->  coordinator::shut_down  ->  act
//
// Time is read here and nowhere else.
#include "run.hpp"

#include "nat/coordinator.hpp"
#include "nat/join_query.hpp"
#include "nat/net/process.hpp"
#include "nat/net/udp_link.hpp"
#include "nat/net/ws_server.hpp"
#include "nat/stun_server.hpp"
#include "nat/text.hpp"

#include <chrono>
#include <csignal>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
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

nat::time_point to_engine(std::chrono::steady_clock::time_point at) { return nat::time_point(at.time_since_epoch()); }

std::chrono::steady_clock::time_point from_engine(nat::time_point at) {
  return std::chrono::steady_clock::time_point(at.time_since_epoch());
}

instant now() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {to_engine(std::chrono::steady_clock::now()),
          std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
}

ws_answer refuse(unsigned status, std::string reason) { return {status, std::move(reason), 0, std::nullopt}; }

class service final : nat::net::ws_server_events {
 public:
  explicit service(const options& options);

  void run();

 private:
  ws_answer on_request(const ws_request& request) override;
  ws_answer on_join(const ws_request& request, std::string_view query);
  void on_open(ws_id id) override;
  void on_activity(ws_id id) override;
  void on_ping(ws_id id) override;
  void on_closed(ws_id id) override;
  void on_exhausted(const std::error_code& error) override;

  void act();
  void act(const nat::send_list& list);
  void act(const nat::send_ping& ping) { server_.ping(ping.to); }
  void act(const nat::close_client& close) { server_.close(close.who, close.code, close.reason); }
  void wake_at_deadline();

  asio::awaitable<void> pump_stun();
  void stop(int signal);

  asio::io_context io_{1};  // one thread
  nat::coordinator engine_;
  nat::net::ws_server server_;
  std::optional<nat::net::udp_link> stun_;
  nat::net::tcp_timer wake_{io_.get_executor()};
  deadline waking_at_;
  asio::signal_set signals_{io_, SIGTERM, SIGINT};
  deadline warned_at_;
  bool stopping_ = false;
};

service::service(const options& options)
    : engine_(options.limits),
      server_(io_,
              {.listen = options.listen, .port = options.port, .max_sockets = options.limits.max_connections + lobby},
              *this) {
  if (options.stun_port) {
    stun_.emplace(io_,
                  nat::net::udp_options{.bind = options.listen, .port = *options.stun_port, .tell_destination = true});
  }
}

void service::run() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (!error) stop(signal);
  });
  if (stun_) {
    asio::co_spawn(io_, pump_stun(), [this](const std::exception_ptr& error) {
      if (error && !stopping_) std::rethrow_exception(error);
    });
  }
  // Tests and scripts read the ports from this line, so it comes when everything listens.
  const auto stun = stun_ ? " and " + stun_->local().to_string() + "/udp (STUN)" : std::string();
  spdlog::info("natcoord {} listens on {} (websocket){}", NATPEER_VERSION, server_.local().to_string(), stun);
  io_.run();
  spdlog::debug("natcoord ends");
}

// Events from the websockets.

ws_answer service::on_request(const ws_request& request) {
  const auto mark = request.target.find('?');
  const auto path = request.target.substr(0, mark);
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (path == "/healthz" && reads) return {200, "ok", 0, std::nullopt};
  if (path != "/websocket" || request.method != "GET") return refuse(404, "there is /websocket and /healthz here");
  auto answer = on_join(request, mark == std::string_view::npos ? "" : request.target.substr(mark + 1));
  if (answer.status != 101)
    spdlog::debug("refused {}: {} {}", request.from.to_string(), answer.status, nat::visible(answer.text));
  return answer;
}

ws_answer service::on_join(const ws_request& request, std::string_view query) {
  const auto join = nat::decode_join_query(query);
  if (!join) return refuse(400, join.error().reason);
  if (!request.upgrade) return refuse(426, "this is a websocket; ask with Upgrade: websocket");
  auto admission = engine_.admit(now(), *join, request.from);
  act();
  if (admission.admitted()) {
    spdlog::debug("{}: {} asks for topic {} as {} at {}", admission.id, request.from.to_string(),
                  nat::visible(join->topic), nat::visible(join->name), join->address.to_string());
  }
  return {admission.status, std::move(admission.reason), admission.id, admission.retry_after};
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
    if (list == nullptr) continue;
    const auto cost = nat::net::thread_cpu_time() - before;
    engine_.on_list_cost(now(), cost);
    spdlog::trace("a list of {} bytes to {} peers took {} us", list->text->size(), list->to.size(),
                  cost.count() / 1000);
  }
  wake_at_deadline();
}

void service::act(const nat::send_list& list) {
  for (const auto id : list.to) server_.send_text(id, list.text);
}

void service::wake_at_deadline() {
  const auto next = engine_.next_deadline();
  // Waking early does no harm, and spares a timer's change for most events.
  if (stopping_ || !next || (waking_at_ && *waking_at_ <= *next)) return;
  waking_at_ = next;
  wake_.expires_at(from_engine(*next));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    waking_at_.reset();
    engine_.on_time(now());
    act();
  });
}

asio::awaitable<void> service::pump_stun() {
  std::vector<nat::stun_packet> answers;
  std::vector<nat::net::datagram_out> out;
  for (;;) {
    const auto requests = co_await stun_->receive();
    answers.clear();
    answers.reserve(requests.size());  // `out` views them
    out.clear();
    for (const auto& request : requests) {
      auto answer = nat::answer_stun(request.bytes, request.from);
      if (answer) out.push_back({answers.emplace_back(*answer), request.from, request.to});
    }
    stun_->send(out);  // what the kernel does not take now is lost: who asked asks again (RFC 8489, 6.2.1)
  }
}

void service::stop(int signal) {
  spdlog::info("signal {}: closing {} connections", signal, server_.size());
  stopping_ = true;
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
