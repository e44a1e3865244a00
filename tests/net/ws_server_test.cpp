#include "nat/net/ws_server.hpp"

#include "ws_server_fixture.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <system_error>
#include <unistd.h>

namespace nat::net {
namespace {

TEST_F(ws_server_test, opens_a_websocket_and_sends_texts_to_it) {
  start();
  const auto peer = websocket();
  server->send_text(1, text("hello"));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].opcode, opcode::text);
  EXPECT_EQ(peer->frames()[0].payload, "hello");
  EXPECT_EQ(events.from, ip_address::parse("127.0.0.1").value());
}

TEST_F(ws_server_test, sends_a_large_text_as_one_frame) {
  start();
  const auto peer = websocket();
  server->send_text(1, text(std::string(100'000, 'x')));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].payload, std::string(100'000, 'x'));
}

TEST_F(ws_server_test, listens_on_every_address_and_sees_ipv4_as_ipv4) {
  options.listen = ip_address{};
  start();
  const auto peer = websocket();
  EXPECT_EQ(events.from, ip_address::parse("127.0.0.1").value());
}

TEST_F(ws_server_test, says_which_address_it_cannot_listen_on) {
  start();
  options.port = server->local().port;
  try {
    const ws_server second(io, options, events);
    FAIL() << "two servers on one port";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.what(), "cannot listen on 127.0.0.1:" + std::to_string(options.port) + ": Address already in use");
  }
}

TEST_F(ws_server_test, answers_with_what_its_events_decide) {
  start();
  const auto lost = client("GET /lost HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return lost->ended(); }));
  EXPECT_EQ(lost->status(), 404);
  EXPECT_EQ(lost->body(), "not here\n");
  const auto busy = client("GET /busy HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(until([&] { return busy->ended(); }));
  EXPECT_EQ(busy->status(), 503);
  EXPECT_NE(busy->received().find("\r\nRetry-After: 7\r\n"), std::string::npos);
  const auto plain = client("GET /websocket HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return plain->ended(); }));
  EXPECT_EQ(plain->status(), 426);
  EXPECT_NE(plain->received().find("\r\nUpgrade: websocket\r\n"), std::string::npos);
}

TEST_F(ws_server_test, answers_head_without_a_body) {
  start();
  const auto asking = client("HEAD /lost HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(until([&] { return asking->ended(); }));
  EXPECT_EQ(asking->status(), 404);
  EXPECT_EQ(asking->body(), "");
}

TEST_F(ws_server_test, refuses_what_is_no_request_without_asking) {
  start();
  EXPECT_EQ(status_of("what is this?\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET  HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nno field\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nX: " + std::string(9'000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status_of("GET /" + std::string(9'000, 'x') + " HTTP/1.1\r\n\r\n"), 431);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 413);
  EXPECT_TRUE(events.notes.empty());
}

TEST_F(ws_server_test, refuses_a_broken_opening_handshake_without_asking) {
  start();
  const auto without = [](std::string_view line, std::string_view instead = "") {
    auto request = ws_request_text("/websocket");
    return request.replace(request.find(line), line.size(), instead);
  };
  EXPECT_EQ(status_of(without("Host: x\r\n")), 400);
  EXPECT_EQ(status_of(without("Connection: Upgrade\r\n")), 400);
  EXPECT_EQ(status_of(without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")), 400);
  EXPECT_EQ(status_of(without("dGhlIHNhbXBsZSBub25jZQ==", "short")), 400);
  EXPECT_EQ(status_of(without("GET", "PUT")), 400);
  EXPECT_EQ(status_of(without("HTTP/1.1", "HTTP/1.0")), 400);
  EXPECT_EQ(status_of(without("Version: 13", "Version: 8")), 426);
  EXPECT_EQ(status_of(ws_request_text("/websocket") + client_frame(opcode::ping, "early")), 400);
  EXPECT_TRUE(events.notes.empty());
}

TEST_F(ws_server_test, lets_a_client_read_the_answer_to_a_request_that_was_not_read_to_its_end) {
  start();
  const auto asking = client("GET / HTTP/1.1\r\nX: " + std::string(40'000, 'x'));
  ASSERT_TRUE(until([&] { return asking->ended(); }));
  EXPECT_EQ(asking->status(), 431);
  EXPECT_FALSE(asking->was_reset());
}

TEST_F(ws_server_test, does_not_linger_for_a_client_that_never_closes) {
  options.linger_timeout = std::chrono::milliseconds(20);
  start();
  const auto asking = client("GET /lost HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(until([&] { return asking->ended() && server->size() == 0; }));
}

TEST_F(ws_server_test, cuts_a_client_that_does_not_finish_its_request) {
  options.handshake_timeout = std::chrono::milliseconds(20);
  start();
  const auto silent = client("");
  const auto slow = client("GET / HTTP/1.1\r\nX: ");
  ASSERT_TRUE(until([&] { return silent->ended() && slow->ended(); }));
  EXPECT_EQ(slow->received(), "");
  EXPECT_EQ(server->size(), 0U);
}

TEST_F(ws_server_test, keeps_an_open_websocket_beyond_the_deadlines_of_its_beginning) {
  options.handshake_timeout = std::chrono::milliseconds(200);
  start();
  const auto peer = websocket();
  const auto silent = client("");
  ASSERT_TRUE(until([&] { return silent->ended(); }));  // the deadline of `peer`, had it one still, came before
  EXPECT_FALSE(peer->ended());
  EXPECT_EQ(server->size(), 1U);
}

TEST_F(ws_server_test, answers_a_ping_with_a_pong_and_tells) {
  start();
  const auto peer = websocket();
  peer->send(client_frame(opcode::ping, "are you there"));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].opcode, opcode::pong);
  EXPECT_EQ(peer->frames()[0].payload, "are you there");
  EXPECT_EQ(events.count("ping 1"), 1);
  EXPECT_FALSE(events.saw("activity 1"));
}

TEST_F(ws_server_test, pings_and_takes_pongs_and_messages_as_activity) {
  start();
  const auto peer = websocket();
  server->ping(1);
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].opcode, opcode::ping);
  EXPECT_FALSE(events.saw("activity 1"));
  peer->send(client_frame(opcode::pong, ""));
  ASSERT_TRUE(until([&] { return events.count("activity 1") == 1; }));
  peer->send(client_frame(opcode::text, "hello"));
  ASSERT_TRUE(until([&] { return events.count("activity 1") == 2; }));
}

TEST_F(ws_server_test, drops_messages_of_4_kib_and_closes_on_longer_ones) {
  start();
  const auto peer = websocket();
  peer->send(client_frame(opcode::text, std::string(4096, 'x')));
  peer->send(client_frame(opcode::ping, "still here"));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].opcode, opcode::pong);
  peer->send(client_frame(opcode::text, std::string(5 * 1024, 'x')));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 2; }));
  EXPECT_EQ(peer->frames()[1].opcode, opcode::close);
  EXPECT_EQ(peer->frames()[1].payload, close_payload(1009));
}

TEST_F(ws_server_test, counts_all_fragments_of_a_message) {
  start();
  const auto peer = websocket();
  peer->send(client_frame(opcode::text, std::string(3'000, 'x'), more));
  peer->send(client_frame(opcode::continuation, std::string(3'000, 'x'), final));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].payload, close_payload(1009));
}

TEST_F(ws_server_test, closes_on_frames_that_break_the_protocol) {
  start();
  const auto peer = websocket();
  peer->send(std::string{'\x81', '\x01', 'x'});  // not masked
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].payload, close_payload(1002));
}

TEST_F(ws_server_test, gives_a_slow_client_only_the_newest_text_and_lets_nobody_wait) {
  start();
  const std::string large(64 << 20, 'x');  // more than the kernel buffers between two sockets
  const auto slow = websocket(false);
  const auto quick = websocket();
  server->send_text(1, text(large));
  for (const auto* list : {"second", "third", "fourth"}) server->send_text(1, text(list));
  server->send_text(2, text("quick"));
  ASSERT_TRUE(until([&] { return quick->frames().size() == 1; }));
  slow->read();
  ASSERT_TRUE(until([&] { return slow->received().size() > large.size() && slow->received().ends_with("fourth"); }));
  const auto frames = slow->frames();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].payload.size(), large.size());
  EXPECT_EQ(frames[1].payload, "fourth");
}

TEST_F(ws_server_test, closes_with_the_code_and_reason_it_is_given) {
  start();
  const auto peer = websocket();
  server->close(1, 1008, "replaced");
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].opcode, opcode::close);
  EXPECT_EQ(peer->frames()[0].payload, close_payload(1008, "replaced"));
  peer->send(client_frame(opcode::close, close_payload(1008)));
  ASSERT_TRUE(until([&] { return peer->ended(); }));
  EXPECT_FALSE(peer->was_reset());
  peer->end();
  ASSERT_TRUE(until([&] { return server->size() == 0; }));
  EXPECT_EQ(events.count("closed 1"), 1);
}

TEST_F(ws_server_test, cuts_a_client_that_does_not_answer_the_close) {
  options.close_timeout = std::chrono::milliseconds(20);
  start();
  const auto peer = websocket();
  server->close(1, 1001, "");
  ASSERT_TRUE(until([&] { return peer->ended(); }));
  EXPECT_EQ(server->size(), 0U);
  EXPECT_EQ(events.count("closed 1"), 1);
}

TEST_F(ws_server_test, cuts_a_client_that_reads_nothing_though_a_text_is_on_its_way) {
  options.close_timeout = std::chrono::milliseconds(20);
  start();
  const auto peer = websocket(false);
  server->send_text(1, text(std::string(64 << 20, 'x')));
  server->close(1, 1001, "");
  ASSERT_TRUE(until([&] { return server->size() == 0; }));
  EXPECT_EQ(events.count("closed 1"), 1);
}

TEST_F(ws_server_test, tells_at_once_that_a_client_closes_though_it_keeps_its_socket) {
  start();
  const auto peer = websocket();
  peer->send(client_frame(opcode::close, close_payload(1000)));
  ASSERT_TRUE(until([&] { return events.saw("closed 1"); }));
  EXPECT_FALSE(peer->ended());
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].payload, close_payload(1000));
  peer->end();
  ASSERT_TRUE(until([&] { return server->size() == 0; }));
  EXPECT_EQ(events.count("closed 1"), 1);
}

TEST_F(ws_server_test, tells_that_a_client_ended_without_a_close) {
  start();
  websocket()->end();
  ASSERT_TRUE(until([&] { return events.saw("closed 1"); }));
  websocket()->reset();
  ASSERT_TRUE(until([&] { return events.saw("closed 2"); }));
  EXPECT_EQ(server->size(), 0U);
}

TEST_F(ws_server_test, ignores_ids_it_does_not_know) {
  start();
  const auto peer = websocket();
  peer->end();
  ASSERT_TRUE(until([&] { return events.saw("closed 1"); }));
  server->send_text(1, text("late"));
  server->ping(1);
  server->close(1, 1000, "");
  server->close(77, 1000, "");
  EXPECT_EQ(events.count("closed 1"), 1);
}

TEST_F(ws_server_test, holds_at_most_so_many_sockets_and_lets_the_others_wait) {
  options.max_sockets = 2;
  start();
  const auto first = websocket();
  const auto second = client("");
  ASSERT_TRUE(until([&] { return server->size() == 2; }));
  const auto third = client("GET /lost HTTP/1.1\r\n\r\n");
  io.restart();
  io.poll();
  EXPECT_EQ(server->size(), 2U);
  second->end();
  ASSERT_TRUE(until([&] { return third->status() == 404; }));
}

TEST_F(ws_server_test, accepts_again_when_files_are_free_again) {
  start();
  const auto peer = std::make_shared<raw_ws_client>(io);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int lowest_free = ::open("/dev/null", O_RDONLY);
  ::close(lowest_free);
  const rlimit none{static_cast<rlim_t>(lowest_free), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  peer->connect(server->local().port);
  const bool told = until([&] { return events.saw("exhausted"); });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(told);
  peer->send(ws_request_text("/websocket"));
  EXPECT_TRUE(until([&] { return peer->status() == 101; }));
}

TEST_F(ws_server_test, forgets_a_client_that_breaks_the_protocol_while_it_is_being_closed) {
  options.close_timeout = std::chrono::milliseconds(20);
  start();
  const auto peer = websocket();
  const auto message = client_frame(opcode::text, "abc\xff");  // not UTF-8, but only the last byte says so
  peer->send(message.substr(0, message.size() - 1));
  ASSERT_TRUE(until([&] { return events.saw("activity 1"); }));
  server->close(1, 1001, "");
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  peer->send("\xff");
  ASSERT_TRUE(until([&] { return peer->ended(); }));
  server->stop();
  io.restart();
  io.run_for(patience);
  EXPECT_TRUE(io.stopped());  // an operation that hangs would be work for ever
}

TEST_F(ws_server_test, stops_and_leaves_nothing_to_wait_for) {
  start();
  const auto peer = websocket();
  const auto unfinished = client("GET ");
  ASSERT_TRUE(until([&] { return server->size() == 2; }));
  server->stop();
  ASSERT_TRUE(until([&] { return unfinished->ended(); }));
  EXPECT_FALSE(peer->ended());
  server->close(1, 1001, "going away");
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].payload, close_payload(1001, "going away"));
  peer->send(client_frame(opcode::close, close_payload(1001)));
  ASSERT_TRUE(until([&] { return peer->ended(); }));
  peer->end();
  io.restart();
  io.run_for(patience);
  EXPECT_TRUE(io.stopped());
  EXPECT_EQ(server->size(), 0U);
}

}  // namespace
}  // namespace nat::net
