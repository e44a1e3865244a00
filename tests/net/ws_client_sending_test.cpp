// What a client sends: the offer it makes, then texts, binary messages, pings and the close, in their order.
#include "ws_client_fixture.hpp"

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace nat::net {
namespace {

using frame = std::pair<std::uint8_t, std::string>;

std::shared_ptr<const std::vector<std::uint8_t>> binary(const std::string& text) {
  const auto bytes = as_bytes(text);
  return std::make_shared<const std::vector<std::uint8_t>>(bytes.begin(), bytes.end());
}

class ws_client_sending_test : public ws_client_test {
 protected:
  /// Joins with these options a server that answers with these header lines.
  join_result join(const ws_join_options& what, const std::string& answer) {
    client = make_client();
    auto accepted = loop.start(server.next_connection());
    loop.finish(client->connect(url("ws://" + server.address())));
    peer = loop.finish(std::move(accepted));
    auto joining = loop.start(client->join("q=1", what));
    request = loop.finish(peer->read_request());
    loop.finish(peer->write(accept_upgrade(request, answer)));
    return loop.finish(std::move(joining));
  }
  bool asked(const std::string& line) const { return request.find("\r\n" + line + "\r\n") != request.npos; }

  /// Sends binary messages until the client takes no more: the socket is full, and so is its queue.
  void fill() {
    const auto large = binary(std::string(32'000, 'x'));
    const auto& self = *client;
    auto taken = true;
    ASSERT_TRUE(loop.until([&] {
      taken = client->send_binary(large);
      loop.poll();
      return !taken && self.bytes_waiting() > ws_client::high_water - 32'000 && !client->send_binary(large);
    }));
  }

  hand_made_server server{loop.io};
  std::shared_ptr<ws_client> client;
  std::shared_ptr<ws_peer> peer;
  std::string request;
};

TEST_F(ws_client_sending_test, offers_a_subprotocol_and_tells_that_it_was_selected) {
  const auto joined = join({.subprotocol = "natcoord.v2"}, "Sec-WebSocket-Protocol: natcoord.v2\r\n");
  EXPECT_TRUE(asked("Sec-WebSocket-Protocol: natcoord.v2")) << request;
  EXPECT_EQ(request.find("Authorization"), request.npos);
  EXPECT_EQ(std::get<ws_client::joined>(joined).subprotocol, "natcoord.v2");
}

TEST_F(ws_client_sending_test, tells_that_no_subprotocol_was_selected) {
  EXPECT_EQ(std::get<ws_client::joined>(join({.subprotocol = "natcoord.v2"}, "")).subprotocol, "");
}

TEST_F(ws_client_sending_test, offers_nothing_unless_it_is_told_to) {
  EXPECT_EQ(std::get<ws_client::joined>(join({}, "")).subprotocol, "");
  EXPECT_EQ(request.find("Sec-WebSocket-Protocol"), request.npos);
  EXPECT_EQ(request.find("Authorization"), request.npos);
}

TEST_F(ws_client_sending_test, a_subprotocol_that_was_not_offered_is_an_error) {
  for (const auto* offered : {"", "natcoord.v2"}) {
    const auto answer = join({.subprotocol = offered}, "Sec-WebSocket-Protocol: natcoord.v3\r\n");
    ASSERT_TRUE(std::holds_alternative<ws_error>(answer)) << offered;
    EXPECT_EQ(std::get<ws_error>(answer).reason, server.address() + " speaks a subprotocol that it was not asked for");
    loop.finish(peer->gone());
  }
}

TEST_F(ws_client_sending_test, shows_its_token) {
  join({.subprotocol = "natcoord.v2", .bearer = "abc-_123=="}, "");
  EXPECT_TRUE(asked("Authorization: Bearer abc-_123==")) << request;
}

TEST_F(ws_client_sending_test, a_token_cannot_become_another_header) {
  for (const auto& bad : {std::string("a\r\nCookie: b"), std::string("a b"), std::string(513, 'a')}) {
    join({.bearer = bad}, "");
    EXPECT_EQ(request.find("Authorization"), request.npos) << bad;
    EXPECT_EQ(request.find("Cookie"), request.npos);
  }
}

TEST_F(ws_client_sending_test, a_token_is_not_told_to_where_a_redirect_leads) {
  hand_made_server other(loop.io);
  client = make_client();
  auto accepted = loop.start(server.next_connection());
  loop.finish(client->connect(url("ws://" + server.address())));
  peer = loop.finish(std::move(accepted));
  auto joining = loop.start(client->join("q=1", {.subprotocol = "natcoord.v2", .bearer = "secret"}));
  request = loop.finish(peer->read_request());
  EXPECT_TRUE(asked("Authorization: Bearer secret"));
  auto led = loop.start(other.next_connection());
  loop.finish(peer->write("HTTP/1.1 302 Found\r\nLocation: ws://" + other.address() +
                          "/websocket\r\nContent-Length: 0\r\n\r\n"));
  const auto second = loop.finish(std::move(led));
  request = loop.finish(second->read_request());
  EXPECT_TRUE(asked("Sec-WebSocket-Protocol: natcoord.v2")) << request;
  EXPECT_EQ(request.find("secret"), request.npos) << request;
  loop.finish(second->write(accept_upgrade(request)));
  EXPECT_TRUE(std::holds_alternative<ws_client::joined>(loop.finish(std::move(joining))));
}

TEST_F(ws_client_sending_test, sends_texts_and_binary_messages) {
  join({}, "");
  client->send_text("one");
  EXPECT_EQ(loop.finish(peer->read_frame()), frame(opcodes::text, "one"));
  EXPECT_TRUE(client->send_binary(binary(std::string(60'000, 'x'))));
  EXPECT_EQ(loop.finish(peer->read_frame()), frame(opcodes::binary, std::string(60'000, 'x')));
  EXPECT_TRUE(loop.until([&] { return client->bytes_waiting() == 0; }));
}

TEST_F(ws_client_sending_test, a_ping_goes_before_texts_and_texts_before_binary_messages) {
  join({}, "");
  client->send_binary(binary("first"));  // on its way at once: the rest waits for it
  client->send_binary(binary("b1"));
  client->send_text("t1");
  client->send_binary(binary("b2"));
  client->send_text("t2");
  client->ping();
  client->ping();
  std::vector<frame> got;
  for (int i = 0; i < 6; ++i) got.push_back(loop.finish(peer->read_frame()));
  const std::vector<frame> expected = {{opcodes::binary, "first"}, {opcodes::ping, ""},     {opcodes::text, "t1"},
                                       {opcodes::text, "t2"},      {opcodes::binary, "b1"}, {opcodes::binary, "b2"}};
  EXPECT_EQ(got, expected);
}

TEST_F(ws_client_sending_test, a_close_goes_before_everything_that_waits) {
  join({}, "");
  auto end = loop.start(next(*client));
  client->send_text("on its way");
  client->send_text("waits");
  client->send_binary(binary("waits"));
  client->ping();
  client->close();
  client->send_text("too late");
  EXPECT_FALSE(client->send_binary(binary("too late")));
  EXPECT_EQ(loop.finish(peer->read_frame()), frame(opcodes::text, "on its way"));
  EXPECT_EQ(loop.finish(peer->read_frame()), frame(opcodes::close, "\x03\xe8"));
  loop.finish(peer->write(server_frame(opcodes::close, "\x03\xe8")));
  peer.reset();
  EXPECT_EQ(loop.finish(std::move(end)), "closed 1000 ");
}

TEST_F(ws_client_sending_test, a_close_behind_everything_comes_last_and_nothing_more_is_taken) {
  for (const bool waits : {true, false}) {
    SCOPED_TRACE(waits);
    join({}, "");
    auto end = loop.start(next(*client));
    std::vector<frame> expected;
    if (waits) {
      client->send_text("t1");
      client->send_text("t2");
      client->send_binary(binary("b1"));
      client->send_binary(binary("b2"));
      expected = {{opcodes::text, "t1"}, {opcodes::text, "t2"}, {opcodes::binary, "b1"}, {opcodes::binary, "b2"}};
    }
    expected.emplace_back(opcodes::close, "\x03\xe8");
    client->close_behind();
    client->send_text("too late");
    EXPECT_FALSE(client->send_binary(binary("too late")));
    EXPECT_FALSE(client->can_send());
    for (const auto& each : expected) EXPECT_EQ(loop.finish(peer->read_frame()), each);
    loop.finish(peer->write(server_frame(opcodes::close, "\x03\xe8")));
    peer.reset();
    EXPECT_EQ(loop.finish(std::move(end)), "closed 1000 ");
  }
}

TEST_F(ws_client_sending_test, nothing_is_taken_before_the_upgrade) {
  client = make_client();
  client->send_text("early");
  EXPECT_FALSE(client->send_binary(binary("early")));
  client->ping();
  client->close();
  EXPECT_EQ(client->bytes_waiting(), 0U);
}

TEST_F(ws_client_sending_test, a_server_that_takes_nothing_does_not_make_it_grow) {
  join({}, "");
  fill();
  EXPECT_FALSE(client->can_send());
  EXPECT_LE(client->bytes_waiting(), ws_client::high_water);
}

TEST_F(ws_client_sending_test, tells_when_there_is_room_again) {
  int told = 0;
  options.on_sent = [&] {
    ++told;
    EXPECT_TRUE(client->can_send());
  };
  join({}, "");
  client->send_text("below the mark");
  EXPECT_EQ(loop.finish(peer->read_frame()).second, "below the mark");
  EXPECT_TRUE(loop.until([&] { return client->bytes_waiting() == 0; }));
  EXPECT_EQ(told, 0);
  fill();
  told = 0;  // before the socket was full, it may have been so once or twice
  while (!client->can_send()) loop.finish(peer->read_frame());
  EXPECT_TRUE(loop.until([&] { return told > 0; }));
  EXPECT_EQ(told, 1);
}

TEST_F(ws_client_sending_test, a_text_waits_behind_little_of_what_the_kernel_holds) {
  join({}, "");
  fill();
  client->send_text("now");
  std::size_t before = 0;
  for (;;) {
    const auto [opcode, payload] = loop.finish(peer->read_frame());
    if (opcode == opcodes::text) break;
    before += payload.size();
  }
  // What was under way to the server before it stopped reading, its receive buffer, does not count; it and our own send
  // buffer together would be several megabytes.
  EXPECT_LT(before, 1'000'000U);
}

TEST_F(ws_client_sending_test, texts_that_nobody_takes_end_the_connection) {
  join({}, "");
  fill();
  auto end = loop.start(next(*client));
  for (std::size_t i = 0; i < ws_client::max_texts; ++i) client->send_text("patience");
  loop.poll();
  EXPECT_FALSE(test_loop::has_ended(end));
  client->send_text("one too many");
  EXPECT_TRUE(loop.finish(std::move(end)).starts_with("closed 1006 "));
  EXPECT_FALSE(client->is_abandoned()) << "that is for the owner to say: it hears of the end";
  EXPECT_FALSE(client->send_binary(binary("late")));
}

TEST_F(ws_client_sending_test, abandon_while_something_is_being_sent_is_harmless) {
  join({}, "");
  fill();
  auto end = loop.start(next(*client));
  client->abandon();
  EXPECT_TRUE(loop.finish(std::move(end)).starts_with("closed 1006 "));
  client.reset();
  loop.poll();
}

TEST_F(ws_client_sending_test, gives_up_connecting_after_the_time_it_was_given) {
  struct attempt {
    std::shared_ptr<ws_client> client;
    std::shared_ptr<ws_peer> silent;
    std::future<join_result> joining;
  };
  const auto begin = [this](std::chrono::milliseconds patience) {
    options.handshake_timeout = patience;
    attempt made{make_client(), {}, {}};
    auto accepted = loop.start(server.next_connection());
    loop.finish(made.client->connect(url("ws://" + server.address())));
    made.silent = loop.finish(std::move(accepted));
    made.joining = loop.start(made.client->join("q=1"));
    return made;
  };
  auto patient = begin(std::chrono::hours(1));
  auto impatient = begin(std::chrono::milliseconds(50));
  EXPECT_TRUE(std::holds_alternative<ws_error>(loop.finish(std::move(impatient.joining))));
  EXPECT_FALSE(test_loop::has_ended(patient.joining)) << "it began earlier, and has more time";
  patient.silent.reset();  // closes the connection
  EXPECT_TRUE(std::holds_alternative<ws_error>(loop.finish(std::move(patient.joining))));
}

}  // namespace
}  // namespace nat::net
