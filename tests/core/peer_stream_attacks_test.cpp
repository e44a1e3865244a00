// What a coordinator that keeps packets back cannot make of a stream's end.
#include "peer_stream_fixture.hpp"
#include "seal_fixture.hpp"

#include <variant>
#include <vector>

namespace nat {
namespace {

using peer_stream_attacks_test = peer_stream_test;

peer_config keyed(peer_config out) {
  out.key = counting_key();
  return out;
}

TEST_F(peer_stream_attacks_test,
       an_acknowledgement_that_comes_after_its_sender_has_left_is_no_proof_that_all_is_written) {
  const auto keys = topic_keys::keyed("T", counting_key());
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111", keyed(with(30s)));
  const auto id = add("ben", "203.0.113.2:2222", keyed({})).id;
  add("cat", "203.0.113.3:3333", keyed(with(30s)));  // keeps ann waiting: its own stdin stays open
  pass(3s);
  unread.insert("ben");
  std::vector<std::uint8_t> kept;
  passes = [&](const seen_packet& each) {
    if (!each.relayed || each.sender != "ben" || !kept.empty()) return each.relayed;
    const auto header = open_header(keys, each.bytes);
    const auto* ping = header ? std::get_if<ping_header>(&*header) : nullptr;
    if (ping == nullptr || !std::holds_alternative<ping_acknowledgement>(ping->body)) return true;
    kept = each.bytes;
    return false;
  };
  type("ann", "precious\n");
  end_input("ann");
  pass(1s);
  ASSERT_FALSE(kept.empty());
  ASSERT_FALSE(is_leaving("ann"));
  of("ben").engine->leave(now);
  serve_all();
  pass(relay_delay + 1ms);
  ASSERT_EQ(read("ben"), "");
  vanish("ben");
  pass(10ms);
  ASSERT_FALSE(is_leaving("ann")) << "hears cat out";
  std::vector<std::uint8_t> frame;
  append_relay_delivery(frame, id, kept);
  of("ann").engine->on_coordinator(now, wall, events::binary{frame});
  serve_all();
  const auto how = ended("ann");
  ASSERT_TRUE(how);
  EXPECT_EQ(how->status, 3);
  EXPECT_EQ(how->reason, "not all of stdin is written there: ben");
}

}  // namespace
}  // namespace nat
