#include "nat/net/ws_server.hpp"

#include "ws_client_fixture.hpp"

namespace nat::net {
namespace {

namespace asio = boost::asio;

TEST_F(ws_client_test, asks_for_the_url_and_query_it_was_given) {
  hand_made_server server(loop.io);
  const auto client = make_client();
  auto accepted = loop.start(server.next_connection());
  const auto reached = loop.finish(client->connect(url("http://" + server.address() + "/base/")));
  EXPECT_EQ(std::get<endpoint>(reached), endpoint::parse(server.address()).value());
  const auto peer = loop.finish(std::move(accepted));
  auto request = loop.start(peer->read_request());
  auto answer = loop.start(client->join("topic=a%20b&name=c"));
  const auto text = loop.finish(std::move(request));
  EXPECT_TRUE(text.starts_with("GET /base/websocket?topic=a%20b&name=c HTTP/1.1\r\n")) << text;
  EXPECT_NE(text.find("\r\nHost: " + server.address() + "\r\n"), text.npos) << text;
  EXPECT_NE(text.find("\r\nUser-Agent: natpeer/test\r\n"), text.npos) << text;
  EXPECT_EQ(text.find("Sec-WebSocket-Extensions"), text.npos) << text;
  loop.finish(peer->write(accept_upgrade(text)));
  EXPECT_TRUE(std::holds_alternative<ws_client::joined>(loop.finish(std::move(answer))));
}

TEST_F(ws_client_test, finds_a_server_by_its_name) {
  hand_made_server server(loop.io);
  const auto client = make_client();
  auto accepted = loop.start(server.next_connection());
  const auto reached = loop.finish(client->connect(url("ws://localhost:" + std::to_string(server.port()))));
  EXPECT_EQ(std::get<endpoint>(reached).port, server.port());
  EXPECT_TRUE(std::get<endpoint>(reached).ip.is_loopback());
  loop.finish(std::move(accepted));
}

TEST_F(ws_client_test, gives_texts_and_binary_messages) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  loop.finish(peer->write(server_frame(opcodes::text, "one") + server_frame(opcodes::binary, "two") +
                          server_frame(opcodes::text, "") + server_frame(opcodes::text, std::string(60'000, 'x'))));
  EXPECT_EQ(loop.finish(next(*client)), "text one");
  EXPECT_EQ(loop.finish(next(*client)), "binary two");
  EXPECT_EQ(loop.finish(next(*client)), "text ");
  EXPECT_EQ(loop.finish(next(*client)), "text " + std::string(60'000, 'x'));
}

TEST_F(ws_client_test, puts_a_fragmented_message_together) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  auto first = server_frame(opcodes::text, "in two ");
  first[0] = opcodes::text;  // not final
  loop.finish(peer->write(first + server_frame(opcodes::ping, "between") + server_frame(0, "pieces")));
  EXPECT_EQ(loop.finish(next(*client)), "text in two pieces");
  EXPECT_EQ(controls, std::vector<std::string>{"ping"});
}

TEST_F(ws_client_test, pings_and_reports_the_pong) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  const auto waiting = loop.start(next(*client));
  client->ping();
  const auto [opcode, payload] = loop.finish(peer->read_frame());
  EXPECT_EQ(opcode, opcodes::ping);
  EXPECT_EQ(controls, std::vector<std::string>{});
  loop.finish(peer->write(server_frame(opcodes::pong, payload)));
  EXPECT_TRUE(loop.until([&] { return !controls.empty(); }));
  EXPECT_EQ(controls, std::vector<std::string>{"pong"});
  EXPECT_FALSE(test_loop::has_ended(waiting));
}

TEST_F(ws_client_test, answers_a_ping_and_reports_it) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  const auto waiting = loop.start(next(*client));
  loop.finish(peer->write(server_frame(opcodes::ping, "are you there?")));
  const auto [opcode, payload] = loop.finish(peer->read_frame());
  EXPECT_EQ(opcode, opcodes::pong);
  EXPECT_EQ(payload, "are you there?");
  EXPECT_EQ(controls, std::vector<std::string>{"ping"});
}

TEST_F(ws_client_test, closes_with_1000_and_ends_with_the_answer) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  auto end = loop.start(next(*client));
  client->close();
  client->close();  // once is enough
  client->ping();   // too late
  const auto [opcode, payload] = loop.finish(peer->read_frame());
  EXPECT_EQ(opcode, opcodes::close);
  EXPECT_EQ(payload, "\x03\xe8");  // 1000
  loop.finish(peer->write(server_frame(opcodes::close, payload)));
  peer.reset();
  EXPECT_EQ(loop.finish(std::move(end)), "closed 1000 ");
}

TEST_F(ws_client_test, takes_no_message_for_one_of_another_kind_while_it_closes) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  loop.finish(peer->write(server_frame(opcodes::text, "one") + server_frame(opcodes::binary, "two") +
                          server_frame(opcodes::text, "three") +
                          server_frame(opcodes::close,
                                       "\x03\xe8"
                                       "bye")));
  EXPECT_EQ(loop.finish(next(*client)), "text one");
  const auto close_and_read = [&]() -> asio::awaitable<std::string> {
    client->close();
    co_return co_await next(*client);
  };
  auto waiting = loop.start(close_and_read());
  EXPECT_EQ(loop.finish(peer->read_frame()).first, opcodes::close);
  peer.reset();
  EXPECT_EQ(loop.finish(std::move(waiting)), "closed 1000 bye");
}

TEST_F(ws_client_test, tells_why_the_server_closed) {
  const std::vector<std::pair<std::string, std::string>> closes = {
      {std::string("\x03\xf0", 2) + "replaced", "closed 1008 replaced"},
      {std::string("\x03\xe9", 2), "closed 1001 "},
      {"", "closed 1005 "},
  };
  for (const auto& [payload, told] : closes) {
    hand_made_server server(loop.io);
    std::shared_ptr<ws_peer> peer;
    const auto client = joined_client(server, peer);
    loop.finish(peer->write(server_frame(opcodes::close, payload)));
    auto end = loop.start(next(*client));
    EXPECT_EQ(loop.finish(peer->read_frame()).first, opcodes::close);
    peer.reset();
    EXPECT_EQ(loop.finish(std::move(end)), told);
  }
}

TEST_F(ws_client_test, a_lost_connection_is_closed_with_1006) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  peer.reset();
  EXPECT_EQ(loop.finish(next(*client)), "closed 1006 the connection was closed");
}

TEST_F(ws_client_test, what_breaks_the_protocol_ends_the_connection) {
  options.max_message = 1000;
  for (const auto& broken : {server_frame(opcodes::text, std::string(1001, 'x')),  // over the limit
                             server_frame(opcodes::text, "\xff is not UTF-8"), server_frame(5, "reserved"),
                             std::string("HTTP/1.1 200 OK\r\n\r\n")}) {
    hand_made_server server(loop.io);
    std::shared_ptr<ws_peer> peer;
    const auto client = joined_client(server, peer);
    auto end = loop.start(next(*client));
    loop.finish(peer->write(broken));
    EXPECT_EQ(loop.finish(peer->read_frame()).first, opcodes::close);
    peer.reset();
    const auto told = loop.finish(std::move(end));
    EXPECT_TRUE(told.starts_with("closed 1006 ")) << told;
    EXPECT_GT(told.size(), std::string("closed 1006 ").size());
  }
}

TEST_F(ws_client_test, a_message_at_the_limit_passes) {
  options.max_message = 1000;
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  loop.finish(peer->write(server_frame(opcodes::text, std::string(1000, 'x'))));
  EXPECT_EQ(loop.finish(next(*client)), "text " + std::string(1000, 'x'));
}

TEST_F(ws_client_test, says_that_nobody_listens) {
  hand_made_server server(loop.io);
  server.stop();
  const auto port = [&] {
    asio::ip::tcp::acceptor taken(loop.io, {asio::ip::address_v4::loopback(), 0});
    return std::to_string(taken.local_endpoint().port());
  }();
  const auto reached = loop.finish(make_client()->connect(url("ws://127.0.0.1:" + port)));
  EXPECT_EQ(std::get<ws_error>(reached).reason, "cannot connect to 127.0.0.1:" + port + ": Connection refused");
}

TEST_F(ws_client_test, says_that_a_name_does_not_exist) {
  const auto name = std::string(64, 'x') + ".invalid";  // no label is so long: nobody needs to be asked
  const auto reached = loop.finish(make_client()->connect(url("ws://" + name)));
  EXPECT_TRUE(std::get<ws_error>(reached).reason.starts_with("cannot resolve " + name))
      << std::get<ws_error>(reached).reason;
}

TEST_F(ws_client_test, looks_where_the_server_was_while_its_name_does_not_resolve) {
  hand_made_server server(loop.io);
  const auto name = "ws://" + std::string(64, 'x') + ".invalid:" + std::to_string(server.port());
  options.last_known = endpoint::parse(server.address()).value();
  auto accepted = loop.start(server.next_connection());
  const auto reached = loop.finish(make_client()->connect(url(name)));
  EXPECT_EQ(std::get<endpoint>(reached), options.last_known);
  loop.finish(std::move(accepted));
  server.stop();
  const auto missed = loop.finish(make_client()->connect(url(name)));
  EXPECT_TRUE(std::get<ws_error>(missed).reason.starts_with("cannot resolve ")) << std::get<ws_error>(missed).reason;
}

TEST_F(ws_client_test, a_name_that_resolves_counts_more_than_where_the_server_was) {
  hand_made_server before(loop.io);
  hand_made_server server(loop.io);
  options.last_known = endpoint::parse(before.address()).value();
  auto accepted = loop.start(server.next_connection());
  const auto reached = loop.finish(make_client()->connect(url("ws://" + server.address())));
  EXPECT_EQ(std::get<endpoint>(reached), endpoint::parse(server.address()).value());
  loop.finish(std::move(accepted));
}

TEST_F(ws_client_test, abandon_ends_a_connect_whose_name_is_being_resolved) {
  hand_made_server server(loop.io);
  const auto client = make_client();
  auto connecting = loop.start(client->connect(url("ws://localhost:" + std::to_string(server.port()))));
  ASSERT_TRUE(loop.until([&] { return client->is_resolving(); }));
  client->abandon();
  EXPECT_TRUE(std::holds_alternative<ws_error>(loop.finish(std::move(connecting))));
  EXPECT_TRUE(client->is_abandoned());
}

TEST_F(ws_client_test, abandon_ends_the_wait_for_a_server_that_never_answers) {
  hand_made_server server(loop.io);
  const auto client = make_client();
  auto accepted = loop.start(server.next_connection());
  loop.finish(client->connect(url("ws://" + server.address())));
  const auto peer = loop.finish(std::move(accepted));
  auto answer = loop.start(client->join("topic=t"));
  loop.finish(peer->read_request());
  EXPECT_FALSE(test_loop::has_ended(answer));
  client->abandon();
  EXPECT_TRUE(std::holds_alternative<ws_error>(loop.finish(std::move(answer))));
  loop.finish(peer->gone());
}

TEST_F(ws_client_test, abandon_ends_the_wait_for_a_tls_server_that_never_answers) {
  hand_made_server server(loop.io);  // has no TLS, and says nothing
  const auto client = make_client();
  auto accepted = loop.start(server.next_connection());
  auto connecting = loop.start(client->connect(url("wss://" + server.address())));
  const auto peer = loop.finish(std::move(accepted));
  loop.finish(peer->read_until("\x01"));  // its hello has come
  EXPECT_FALSE(test_loop::has_ended(connecting));
  client->abandon();
  EXPECT_TRUE(std::holds_alternative<ws_error>(loop.finish(std::move(connecting))));
}

TEST_F(ws_client_test, abandon_ends_the_wait_for_a_message) {
  hand_made_server server(loop.io);
  std::shared_ptr<ws_peer> peer;
  const auto client = joined_client(server, peer);
  auto end = loop.start(next(*client));
  loop.poll();
  client->abandon();
  EXPECT_TRUE(loop.finish(std::move(end)).starts_with("closed 1006 "));
  loop.finish(peer->gone());
  client->ping();  // of no effect, and harmless
  client->close();
  client->abandon();
  loop.poll();
}

/// Lets everybody in but "taken", and sends each a greeting.
class greeter : public ws_server_events {
 public:
  ws_answer on_request(const ws_request& request) override {
    if (request.target.find("taken") != request.target.npos) {
      return {409, "the name is taken", 0, std::chrono::seconds(7)};
    }
    return {101, "", 1, {}};
  }
  void on_open(ws_id id) override { server->send_text(id, std::make_shared<const std::string>("welcome")); }
  void on_activity(ws_id) override {}
  void on_ping(ws_id) override { ++pings; }
  void on_closed(ws_id) override { ++closed; }
  void on_exhausted(const std::error_code&) override {}

  ws_server* server = nullptr;
  int pings = 0;
  int closed = 0;
};

TEST_F(ws_client_test, speaks_with_the_server_of_this_project) {
  greeter events;
  ws_server server(loop.io, {.listen = ip_address(ip_address::v4_bytes{127, 0, 0, 1})}, events);
  events.server = &server;
  const auto address = url("ws://" + server.local().to_string());
  {
    const auto refused = make_client();
    loop.finish(refused->connect(address));
    const auto answer = std::get<ws_refused>(loop.finish(refused->join("name=taken")));
    EXPECT_EQ(answer.status, 409U);
    EXPECT_EQ(answer.reason, "the name is taken");
    EXPECT_EQ(answer.retry_after, std::chrono::seconds(7));
  }
  const auto client = make_client();
  loop.finish(client->connect(address));
  ASSERT_TRUE(std::holds_alternative<ws_client::joined>(loop.finish(client->join("name=free"))));
  EXPECT_EQ(loop.finish(next(*client)), "text welcome");
  auto end = loop.start(next(*client));
  client->ping();
  EXPECT_TRUE(loop.until([&] { return !controls.empty(); }));
  EXPECT_EQ(events.pings, 1);
  EXPECT_EQ(controls, std::vector<std::string>{"pong"});
  client->close();
  EXPECT_EQ(loop.finish(std::move(end)), "closed 1000 ");
  EXPECT_TRUE(loop.until([&] { return events.closed == 1; }));
  server.stop();
}

}  // namespace
}  // namespace nat::net
