// Websockets that speak a subprotocol: messages both ways, and relayed frames behind them.
#include "nat/net/ws_server.hpp"
#include "nat/relay_frame.hpp"
#include "nat/v2_messages.hpp"

#include "ws_server_fixture.hpp"

namespace nat::net {
namespace {

constexpr std::string_view offer = "Sec-WebSocket-Protocol: v2\r\n";

class ws_server_v2_test : public ws_server_test {
 protected:
  std::shared_ptr<raw_ws_client> talking(bool reads = true) { return websocket(reads, offer); }

  static std::shared_ptr<const std::vector<std::uint8_t>> frame(std::size_t size, std::uint8_t fill = 'f') {
    return std::make_shared<const std::vector<std::uint8_t>>(size, fill);
  }

  /// Relays frames to a client that reads nothing, until its queue is full and so is all before it.
  void fill(ws_id id) {
    const auto some = frame(1300);
    const auto& counters = server->counters();
    for (bool full = false; !full;) {
      const auto taken = counters.relayed_frames, dropped = counters.relay_dropped;
      for (int i = 0; i < 100; ++i) server->send_relayed(id, some);
      turn();
      full = counters.relayed_frames == taken && counters.relay_dropped >= dropped + 100;
    }
  }

  void turn() {
    io.restart();
    io.poll();
  }

  static std::size_t first_of(const std::vector<ws_frame>& frames, std::uint8_t op) {
    const auto found = std::ranges::find(frames, op, &ws_frame::opcode);
    return static_cast<std::size_t>(found - frames.begin());
  }
};

TEST_F(ws_server_v2_test, selects_a_subprotocol_that_was_offered) {
  start();
  const auto peer = talking();
  EXPECT_NE(peer->received().find("\r\nSec-WebSocket-Protocol: v2\r\n"), std::string::npos) << peer->received();
}

TEST_F(ws_server_v2_test, selects_none_where_none_was_offered_or_wanted) {
  start();
  const auto plain = websocket();
  const auto other = websocket(true, "Sec-WebSocket-Protocol: v3, V2\r\n");
  for (const auto& peer : {plain, other}) {
    EXPECT_EQ(peer->received().find("Protocol:"), std::string::npos) << peer->received();
  }
}

TEST_F(ws_server_v2_test, tells_every_offer_of_all_fields_in_order) {
  start();
  websocket(true, "Sec-WebSocket-Protocol: chat,  v3\r\nSec-WebSocket-Protocol: v2\r\n");
  EXPECT_EQ(events.offered, (std::vector<std::string>{"chat", "v3", "v2"}));
}

TEST_F(ws_server_v2_test, reads_sixteen_offers_and_no_more) {
  start();
  std::string many = "Sec-WebSocket-Protocol: p0";
  for (int i = 1; i < 100; ++i) many += ", p" + std::to_string(i);
  websocket(true, many + "\r\n");
  EXPECT_EQ(events.offered.size(), 16U);
}

TEST_F(ws_server_v2_test, tells_the_bearer_token_and_no_other_credentials) {
  start();
  websocket(true, "Authorization: bearer abc==\r\n");
  EXPECT_EQ(events.bearer, "abc==");
  for (const auto* other : {"Authorization: Basic abc==\r\n", "Authorization: Bearer\r\n", ""}) {
    websocket(true, other);
    EXPECT_EQ(events.bearer, "") << other;
  }
}

TEST_F(ws_server_v2_test, tells_whole_messages) {
  start();
  const auto peer = talking();
  peer->send(client_frame(opcode::text, "hello") + client_frame(opcode::binary, "\x01\x02"));
  ASSERT_TRUE(until([&] { return events.saw("binary 1 \x01\x02"); }));
  EXPECT_EQ(events.count("text 1 hello"), 1);
  EXPECT_FALSE(events.saw("activity 1"));
}

TEST_F(ws_server_v2_test, puts_messages_together_from_their_fragments) {
  start();
  const auto peer = talking();
  const std::string part(1'000, 'x');
  peer->send(client_frame(opcode::text, part, more));
  ASSERT_TRUE(until([&] { return events.saw("activity 1"); }));
  peer->send(client_frame(opcode::ping, "") + client_frame(opcode::continuation, part, more) +
             client_frame(opcode::continuation, "", final) + client_frame(opcode::text, "next"));
  ASSERT_TRUE(until([&] { return events.saw("text 1 next"); }));
  EXPECT_EQ(events.count("text 1 " + part + part), 1);
}

TEST_F(ws_server_v2_test, takes_messages_up_to_their_limits) {
  start();
  const auto peer = talking();
  const std::string longest_text(max_v2_client_message, 'x'), longest_binary(max_relay_upload, 'y');
  peer->send(client_frame(opcode::text, longest_text, more) + client_frame(opcode::continuation, "", final));
  peer->send(client_frame(opcode::binary, longest_binary) + client_frame(opcode::text, "next"));
  ASSERT_TRUE(until([&] { return events.saw("text 1 next"); }));
  EXPECT_EQ(events.count("text 1 " + longest_text), 1);
  EXPECT_EQ(events.count("binary 1 " + longest_binary), 1);
}

TEST_F(ws_server_v2_test, closes_with_1009_on_longer_messages) {
  start();
  for (const auto& [op, limit] : {std::pair{opcode::text, max_v2_client_message}, {opcode::binary, max_relay_upload}}) {
    const auto peer = talking();
    peer->send(client_frame(op, std::string(limit + 1, 'x')));
    ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
    EXPECT_EQ(peer->frames()[0].payload, close_payload(1009));
    EXPECT_TRUE(std::ranges::none_of(events.notes, [](const auto& note) { return note.find("xxx") != note.npos; }));
  }
}

TEST_F(ws_server_v2_test, drops_what_clients_without_a_subprotocol_say) {
  start();
  const auto peer = websocket();
  peer->send(client_frame(opcode::text, "hello") + client_frame(opcode::binary, "hello"));
  ASSERT_TRUE(until([&] { return events.count("activity 1") == 2; }));
  server->send_message(1, text("no"));
  server->send_relayed(1, frame(10));
  server->ping(1);
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].opcode, opcode::ping);
}

TEST_F(ws_server_v2_test, sends_every_message_in_order_and_frames_behind_them) {
  start();
  const auto peer = talking();
  server->send_message(1, text("first"));  // on its way at once
  server->send_relayed(1, frame(3));
  server->send_message(1, text("second"));
  server->send_text(1, text("list"));
  server->send_message(1, text("third"));
  server->ping(1);
  ASSERT_TRUE(until([&] { return peer->frames().size() == 6; }));
  std::vector<std::string> said;
  for (const auto& got : peer->frames()) said.push_back(got.payload);
  EXPECT_EQ(said, (std::vector<std::string>{"first", "", "list", "second", "third", "fff"}));
  EXPECT_EQ(peer->frames()[1].opcode, opcode::ping);
  EXPECT_EQ(peer->frames()[4].opcode, opcode::text);
  EXPECT_EQ(peer->frames()[5].opcode, opcode::binary);
  ASSERT_TRUE(until([&] { return server->counters().relayed_frames == 1; }));
  EXPECT_EQ(server->counters().relayed_bytes, 3U);
}

TEST_F(ws_server_v2_test, drops_the_oldest_frames_of_a_client_that_does_not_take_them) {
  options.max_relay_queue = 10 * (1000 + 80);
  start();
  const auto slow = talking(false);
  fill(1);
  const auto before = server->counters().relay_dropped;
  for (std::uint8_t i = 0; i < 30; ++i) server->send_relayed(1, frame(1000, static_cast<std::uint8_t>('A' + i)));
  EXPECT_GT(server->counters().relay_dropped, before + 20);
  slow->read();
  const std::string last(1000, 'A' + 29), lost(1000, 'A' + 19);
  ASSERT_TRUE(until([&] { return slow->received().ends_with(last); }));
  EXPECT_NE(slow->received().find(std::string(1000, 'A' + 20)), std::string::npos);
  EXPECT_EQ(slow->received().find(lost), std::string::npos);
}

TEST_F(ws_server_v2_test, drops_a_frame_that_is_larger_than_the_queue) {
  options.max_relay_queue = 1000;
  start();
  const auto peer = talking();
  server->send_relayed(1, frame(1000));
  server->send_relayed(1, frame(5));
  ASSERT_TRUE(until([&] { return peer->frames().size() == 1; }));
  EXPECT_EQ(peer->frames()[0].payload, "fffff");
  EXPECT_EQ(server->counters().relay_dropped, 1U);
}

TEST_F(ws_server_v2_test, lets_nobody_wait_for_a_client_that_takes_no_frames) {
  start();
  const auto slow = talking(false);
  const auto quick = talking();
  fill(1);
  server->send_relayed(2, frame(4));
  server->send_message(2, text("quick"));
  ASSERT_TRUE(until([&] { return quick->frames().size() == 2; }));
}

TEST_F(ws_server_v2_test, lets_a_message_wait_behind_64_kib_of_frames_at_most) {
  options.max_relay_queue = 4 << 20;
  start();
  const auto slow = std::make_shared<raw_ws_client>(io);
  slow->set_receive_buffer(4096);  // nearly all that the kernel holds is unsent
  slow->connect(server->local().port, false);
  slow->send(ws_request_text("/websocket", offer));
  ASSERT_TRUE(until([&] { return events.saw("open 1"); }));
  fill(1);
  server->send_message(1, text("important"));
  slow->read();
  ASSERT_TRUE(until([&] { return slow->received().size() > 3'500'000; }));
  const auto frames = slow->frames();
  const auto ahead = first_of(frames, opcode::text) * 1300;
  // 64 KiB, the frame that is written when it is nearly reached, and what the client's kernel held; none of the 4 MiB
  // that the queue held.
  EXPECT_GT(ahead, 32U * 1024);
  EXPECT_LT(ahead, 64U * 1024 + 16U * 1024);
  EXPECT_GT(frames.size() * 1300, 3U << 20) << "nor are they lost for that";
}

TEST_F(ws_server_v2_test, drops_all_waiting_messages_but_the_newest_of_a_client_that_does_not_take_them) {
  start();
  const auto slow = talking(false);
  const std::string large(64 << 20, 'x');  // more than the kernel buffers between two sockets
  server->send_message(1, text(large));
  for (int i = 0; i < 64; ++i) server->send_message(1, text("old"));
  EXPECT_FALSE(events.saw("dropped 1"));
  server->send_message(1, text("new"));
  EXPECT_EQ(events.count("dropped 1"), 1);
  EXPECT_EQ(server->counters().messages_dropped, 64U);
  server->send_message(1, text("newer"));
  slow->read();
  ASSERT_TRUE(until([&] { return slow->received().ends_with("newer"); }));
  ASSERT_EQ(slow->frames().size(), 3U);
  EXPECT_EQ(slow->frames()[1].payload, "new");
}

TEST_F(ws_server_v2_test, bounds_the_bytes_of_waiting_messages_but_takes_one_that_is_larger) {
  start();
  const auto slow = talking(false);
  server->send_message(1, text(std::string(64 << 20, 'x')));
  server->send_message(1, text(std::string(1 << 20, 'y')));
  EXPECT_FALSE(events.saw("dropped 1"));
  server->send_message(1, text("one more byte"));
  EXPECT_EQ(events.count("dropped 1"), 1);
  server->send_message(1, text(std::string(2 << 20, 'z')));
  slow->read();
  ASSERT_TRUE(until([&] { return slow->received().size() > (66 << 20); }));
  EXPECT_EQ(server->counters().messages_dropped, 2U);
}

TEST_F(ws_server_v2_test, cuts_a_client_that_takes_nothing) {
  options.write_timeout = std::chrono::milliseconds(50);
  start();
  const auto slow = talking(false);
  const auto quick = talking();
  fill(1);
  ASSERT_TRUE(until([&] { return events.saw("closed 1"); }));
  EXPECT_FALSE(events.saw("closed 2"));
}

TEST_F(ws_server_v2_test, keeps_a_client_that_goes_on_taking_frames) {
  options.write_timeout = std::chrono::milliseconds(100);
  start();
  const auto peer = talking();
  const auto since = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - since < 3 * options.write_timeout) {
    const auto count = peer->frames().size();
    server->send_relayed(1, frame(10));
    ASSERT_TRUE(until([&] { return peer->frames().size() > count; }));
  }
  EXPECT_FALSE(events.saw("closed 1"));
}

TEST_F(ws_server_v2_test, closes_a_client_whose_queues_are_full) {
  options.close_timeout = std::chrono::milliseconds(20);
  start();
  const auto slow = talking(false);
  fill(1);
  server->send_message(1, text("late"));
  server->close(1, 1001, "going away");
  ASSERT_TRUE(until([&] { return server->size() == 0; }));
  EXPECT_EQ(events.count("closed 1"), 1);
  server->stop();
  io.restart();
  io.run_for(patience);
  EXPECT_TRUE(io.stopped());  // an operation that hangs would be work for ever
}

}  // namespace
}  // namespace nat::net
