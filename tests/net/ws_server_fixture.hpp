// A ws_server, what it tells, and raw clients, all on one io_context.
#pragma once

#include "nat/net/ws_server.hpp"

#include "raw_ws_client.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nat::net {

/// How long a test waits for what must come. It says nothing about speed.
constexpr auto patience = std::chrono::seconds(60);

/// Writes down what the server tells. `/websocket` becomes a websocket, and speaks "v2" where that is offered; anything
/// else is answered with 404.
class recorder : public ws_server_events {
 public:
  ws_answer on_request(const ws_request& request) override {
    from = request.from;
    offered.assign(request.subprotocols.begin(), request.subprotocols.end());
    bearer = request.bearer;
    note("request " + std::string(request.method) + ' ' + std::string(request.target));
    if (request.target == "/busy") return {503, "come back later", 0, std::chrono::seconds(7)};
    if (request.target != "/websocket") return {404, "not here", 0, std::nullopt};
    if (!request.upgrade) return {426, "a websocket", 0, std::nullopt};
    return {101, "", ++last_id, std::nullopt, request.offers("v2") ? "v2" : ""};
  }
  void on_open(ws_id id) override { note("open " + std::to_string(id)); }
  void on_activity(ws_id id) override { note("activity " + std::to_string(id)); }
  void on_ping(ws_id id) override { note("ping " + std::to_string(id)); }
  void on_closed(ws_id id) override { note("closed " + std::to_string(id)); }
  void on_text(ws_id id, std::string_view text) override { note_message("text", id, text); }
  void on_binary(ws_id id, byte_view message) override { note_message("binary", id, as_text(message)); }
  void on_messages_dropped(ws_id id) override { note("dropped " + std::to_string(id)); }
  void on_exhausted(const std::error_code&) override { note("exhausted"); }

  auto count(const std::string& what) const { return std::ranges::count(notes, what); }
  bool saw(const std::string& what) const { return count(what) != 0; }

  std::vector<std::string> notes;
  ip_address from;
  std::vector<std::string> offered;
  std::string bearer;
  ws_id last_id = 0;

 private:
  void note_message(std::string_view kind, ws_id id, std::string_view what) {
    note(std::string(kind) + ' ' + std::to_string(id) + ' ' + std::string(what));
  }
  void note(std::string what) { notes.push_back(std::move(what)); }
};

class ws_server_test : public testing::Test {
 protected:
  void start() { server = std::make_unique<ws_server>(io, options, events); }

  /// Runs everything until `condition` holds; false: it did not come.
  bool until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      io.restart();
      if (std::chrono::steady_clock::now() > give_up || io.run_one_for(patience) == 0) return condition();
    }
    return true;
  }

  /// A client that has sent `bytes`.
  std::shared_ptr<raw_ws_client> client(std::string_view bytes, bool reads = true) {
    auto out = std::make_shared<raw_ws_client>(io);
    out->connect(server->local().port, reads);
    out->send(bytes);
    return out;
  }

  /// A client whose websocket is open. Its id is `events.last_id`. `fields`: further header fields of its request.
  std::shared_ptr<raw_ws_client> websocket(bool reads = true, std::string_view fields = "") {
    auto out = client(ws_request_text("/websocket", fields), reads);
    const auto opened = "open " + std::to_string(events.last_id + 1);
    EXPECT_TRUE(until([&] { return events.saw(opened) && (!reads || out->status() == 101); }));
    return out;
  }

  /// The status that a request is answered with, read to the connection's proper end.
  int status_of(std::string_view request) {
    const auto asking = client(request);
    EXPECT_TRUE(until([&] { return asking->ended(); })) << request.substr(0, 100);
    EXPECT_FALSE(asking->was_reset()) << request.substr(0, 100);
    return asking->status();
  }

  static std::shared_ptr<const std::string> text(std::string what) {
    return std::make_shared<const std::string>(std::move(what));
  }

  boost::asio::io_context io;
  recorder events;
  ws_server_options options{.listen = ip_address(ip_address::v4_bytes{127, 0, 0, 1})};
  std::unique_ptr<ws_server> server;
};

}  // namespace nat::net
