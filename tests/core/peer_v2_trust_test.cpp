// What nobody can do to a peer: strangers, members, the coordinator.
#include "seal_fixture.hpp"
#include "v2_fixture.hpp"

namespace nat {
namespace {

using testing::IsEmpty;

std::string seed_packet(std::string_view magic, std::string_view payload = "") {
  return std::string(magic) + std::string(120, '\x5a') + std::string(payload);
}

class peer_v2_trust_test : public v2_network {
 protected:
  void datagram(const std::string& to, const endpoint& from, std::string_view bytes) {
    of(to).engine->on_datagram(now, wall, from, as_bytes(bytes));
    serve_all();
  }
  static peer_config keyed(std::uint8_t first) {
    peer_config config;
    config.key = counting_key(first);
    return config;
  }
};

TEST_F(peer_v2_trust_test, a_seed_peer_beside_hears_and_is_heard) {
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  const auto sid = add_seed("sid", "203.0.113.3:3333").address;
  pass(1s);
  datagram("ann", sid, seed_packet("PINGPING"));
  datagram("ann", sid, seed_packet("DATADATA", "from sid\n"));
  EXPECT_EQ(read("ann"), "from sid\n");
  trace.clear();
  type("ann", "to all\n");
  pass(100ms);
  EXPECT_EQ(read("ben"), "to all\n");
  const auto to_sid = std::ranges::find_if(trace, [&](const auto& each) { return each.is_data() && each.to == sid; });
  ASSERT_NE(to_sid, trace.end());
  EXPECT_EQ(as_text(byte_view(to_sid->bytes).subspan(header_size)), "to all\n") << "an open topic is readable";
}

TEST_F(peer_v2_trust_test, unsealed_packets_from_who_has_proved_to_be_ours_are_dropped) {
  add("ann", "203.0.113.1:1111");
  const auto ben = add("ben", "203.0.113.2:2222").address;
  pass(1s);
  const auto before = of("ann").engine->counters();
  datagram("ann", ben, seed_packet("DATADATA", "forged\n"));
  EXPECT_EQ(read("ann"), "");
  const auto& after = of("ann").engine->counters();
  EXPECT_EQ(after.unsealed + after.data_unlisted, before.unsealed + before.data_unlisted + 1);
}

TEST_F(peer_v2_trust_test,
       a_natpeer_of_another_topic_that_was_listed_as_a_seed_peer_gets_no_more_than_who_never_answered) {
  add("ann", "203.0.113.1:1111");
  const auto sid = add_seed("sid", "203.0.113.3:3333").address;
  pass(1s);
  plain_random random(7);
  packet_sealer elsewhere(topic_keys::open("elsewhere"), 4711, payload_cipher::chacha20_poly1305);
  trace.clear();
  for (std::uint64_t number = 1; number <= 100; ++number) {
    std::vector<std::uint8_t> ping(header_size);
    elsewhere.seal_ping(ping, {.number = number, .body = ping_header::introduction{}}, random);
    datagram("ann", sid, as_text(ping));
    auto data = ping;
    data.resize(header_size + 6);
    elsewhere.seal_data(data, number, 0, 0, random);
    datagram("ann", sid, as_text(data));
    type("ann", std::string(1000, 'x'));
    pass(10ms);
  }
  EXPECT_EQ(read("ann"), "");
  EXPECT_EQ(of("ann").engine->counters().other_topic, 200U);
  std::size_t bytes = 0;
  for (const auto& each : trace) bytes += each.is_data() && each.to == sid ? each.bytes.size() : 0;
  EXPECT_LE(bytes, 65'536U);
  datagram("ann", sid, seed_packet("DATADATA", "from sid\n"));
  EXPECT_EQ(read("ann"), "from sid\n") << "what it sends in the seed protocol counts";
}

TEST_F(peer_v2_trust_test, a_bit_that_flips_anywhere_makes_nothing_of_it_come_out) {
  add("ann", "203.0.113.1:1111");
  const auto ben = add("ben", "203.0.113.2:2222").address;
  pass(1s);
  passes = [](const seen_packet& packet) { return !packet.is_data(); };
  trace.clear();
  type("ben", "true\n");
  const auto sent = std::ranges::find_if(trace, &seen_packet::is_data);
  ASSERT_NE(sent, trace.end());
  const auto packet = sent->bytes;  // the trace goes on: it is sent again
  for (std::size_t bit = 64; bit < packet.size() * 8; ++bit) {
    auto bent = packet;
    bent[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    of("ann").engine->on_datagram(now, wall, ben, bent);
  }
  pass(200ms);
  EXPECT_EQ(read("ann"), "");
  of("ann").engine->on_datagram(now, wall, ben, packet);
  serve_all();
  EXPECT_EQ(read("ann"), "true\n") << "what was forged before does not stand in its way";
}

TEST_F(peer_v2_trust_test, a_packet_that_comes_twice_comes_out_once) {
  add("ann", "203.0.113.1:1111");
  const auto ben = add("ben", "203.0.113.2:2222").address;
  pass(1s);
  trace.clear();
  type("ben", "once\n");
  pass(50ms);
  const auto packet = std::ranges::find_if(trace, &seen_packet::is_data);
  ASSERT_NE(packet, trace.end());
  of("ann").engine->on_datagram(now, wall, ben, packet->bytes);
  std::vector<std::uint8_t> frame;
  append_relay_delivery(frame, of("ben").id, packet->bytes);
  of("ann").engine->on_coordinator(now, wall, events::binary{frame});
  pass(200ms);
  EXPECT_EQ(read("ann"), "once\n");
  EXPECT_EQ(of("ann").engine->counters().data_duplicate, 2U);
}

TEST_F(peer_v2_trust_test, in_a_keyed_topic_unsealed_packets_are_dropped_and_counted) {
  add("ann", "203.0.113.1:1111", keyed(0));
  const auto sid = add_seed("sid", "203.0.113.3:3333").address;
  pass(1s);
  datagram("ann", sid, seed_packet("PINGPING"));
  datagram("ann", sid, seed_packet("DATADATA", "hello\n"));
  EXPECT_EQ(read("ann"), "");
  EXPECT_EQ(of("ann").engine->counters().unsealed, 2U);
  trace.clear();
  type("ann", "secret\n");
  pass(100ms);
  EXPECT_EQ(sent_count([](const auto& each) { return each.is_data(); }), 0U);
}

TEST_F(peer_v2_trust_test, in_a_keyed_topic_peers_with_the_key_hear_each_other_and_nobody_else_reads_it) {
  add("ann", "203.0.113.1:1111", keyed(0));
  add("ben", "203.0.113.2:2222", keyed(0));
  pass(1s);
  trace.clear();
  type("ann", "a secret that nobody reads\n");
  pass(100ms);
  EXPECT_EQ(read("ben"), "a secret that nobody reads\n");
  for (const auto& each : trace) EXPECT_EQ(as_text(each.bytes).find("secret"), std::string_view::npos);
}

TEST_F(peer_v2_trust_test, who_has_another_key_hears_nothing_though_it_is_listed) {
  add("ann", "203.0.113.1:1111", keyed(0));
  add("eve", "203.0.113.2:2222", keyed(7));  // a coordinator that lists her all the same
  pass(1s);
  type("ann", "secret\n");
  pass(1s);
  EXPECT_EQ(read("eve"), "");
  EXPECT_EQ(sent_count([](const auto& each) { return each.is_data(); }), 0U);
  EXPECT_FALSE(session_with("ann", "eve")->is_fresh());
}

TEST_F(peer_v2_trust_test, a_keyed_peer_that_is_alone_says_the_fingerprint_of_its_key) {
  add("ann", "203.0.113.1:1111", keyed(0));
  pass(10s);
  const auto& notes = of("ann").notes;
  const auto said = std::ranges::find(notes, note_kind::alone_with_key, &note::kind);
  ASSERT_NE(said, notes.end());
  EXPECT_EQ(said->text, counting_key(0).fingerprint());
}

TEST_F(peer_v2_trust_test, a_recorded_session_cannot_be_played_to_a_fresh_engine) {
  add("ann", "203.0.113.1:1111", keyed(0));
  const auto ben = add("ben", "203.0.113.2:2222", keyed(0)).address;
  pass(1s);
  type("ben", "attack at dawn\n");
  pass(1s);
  std::vector<std::vector<std::uint8_t>> recorded;
  for (const auto& each : trace) {
    if (each.sender == "ben") recorded.push_back(each.bytes);
  }
  ASSERT_GT(recorded.size(), 3U);
  const auto listed_ben = listed(of("ben"));
  vanish("ann");
  of("ben").id = 0;
  of("ben").engine.reset();
  add("ann", "203.0.113.1:1111", keyed(0));
  tell(of("ann"), v2::delta{version, version + 1, {listed_ben}, {}, {}});
  ++version;
  for (const auto& packet : recorded) {
    of("ann").engine->on_datagram(now, wall, ben, packet);
    std::vector<std::uint8_t> frame;
    append_relay_delivery(frame, listed_ben.id, packet);
    of("ann").engine->on_coordinator(now, wall, events::binary{frame});
  }
  pass(1s);
  EXPECT_EQ(read("ann"), "");
  ASSERT_NE(session_with("ann", "ben"), nullptr);
  EXPECT_FALSE(session_with("ann", "ben")->is_fresh());
  EXPECT_GT(of("ann").engine->counters().data_unexpected, 0U);
}

TEST_F(peer_v2_trust_test, what_a_peer_said_comes_back_to_it_as_nothing) {
  add("ann", "203.0.113.1:1111");
  const auto ben = add("ben", "203.0.113.2:2222").address;
  pass(1s);
  type("ann", "echo\n");
  pass(100ms);
  for (const auto& each : trace) {
    if (each.sender == "ann") of("ann").engine->on_datagram(now, wall, ben, each.bytes);
  }
  serve_all();
  EXPECT_EQ(read("ann"), "");
  EXPECT_GT(of("ann").engine->counters().misdirected, 0U);
}

TEST_F(peer_v2_trust_test, an_address_that_many_peers_offer_gets_no_more_than_the_allowance) {
  const auto victim = at("192.0.2.66:53");
  passes = [&](const seen_packet& packet) { return packet.to != victim; };
  add("ann", "203.0.113.1:1111");
  v2::snapshot all{++version, {}};
  for (peer_id i = 0; i < 1000; ++i) {
    all.peers.push_back(
        {1000 + i, "bot" + std::to_string(i), false, {{victim, candidate_kind::reflexive, false}}, nat_behavior{}});
  }
  tell(of("ann"), all);
  pass(20s);
  const auto to_victim = [&](const auto& each) { return !each.relayed && each.to == victim; };
  EXPECT_LE(sent_count(to_victim), std::size_t{unproven_pings.burst + 2});
  EXPECT_EQ(sent_count([](const auto& each) { return each.is_data(); }), 0U);
}

TEST_F(peer_v2_trust_test, an_address_that_was_offered_gets_no_data_before_it_has_proved_itself) {
  const auto victim = at("192.0.2.66:53");
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  auto ben = listed(of("ben"));
  ben.candidates.push_back({victim, candidate_kind::reflexive, false});
  tell(of("ann"), v2::delta{version, version + 1, {}, {ben}, {}});
  ++version;
  pass(1s);
  for (int i = 0; i < 100; ++i) {
    type("ann", "line\n");
    pass(10ms);
  }
  EXPECT_EQ(sent_count([&](const auto& each) { return each.is_data() && !each.relayed && each.to == victim; }), 0U);
}

TEST_F(peer_v2_trust_test, a_coordinator_elsewhere_has_no_say_about_this_machine) {
  add("ann", "203.0.113.1:1111");
  v2::snapshot all{++version, {}};
  all.peers.push_back({7, "bot", false, {{at("127.0.0.1:25"), candidate_kind::host, false}}, nat_behavior{}});
  tell(of("ann"), all);
  pass(5s);
  EXPECT_EQ(sent_count([](const auto& each) { return !each.relayed; }), 0U);
}

TEST_F(peer_v2_trust_test, one_of_ours_that_the_coordinator_knows_by_section_1_alone_hears_and_is_heard) {
  add("ann", "203.0.113.1:1111");
  add_section_1("ben", "203.0.113.2:2222");
  pass(3s);
  type("ann", "a\n");
  type("ben", "b\n");
  pass(300ms);
  EXPECT_EQ(read("ben"), "a\n");
  EXPECT_EQ(read("ann"), "b\n");
}

TEST_F(peer_v2_trust_test, two_of_ours_at_a_section_1_coordinator_hear_each_other_under_the_seal) {
  add_section_1("ann", "203.0.113.1:1111");
  add_section_1("ben", "203.0.113.2:2222");
  pass(3s);
  type("ann", "a\n");
  type("ben", "b\n");
  pass(300ms);
  EXPECT_EQ(read("ben"), "a\n");
  EXPECT_EQ(read("ann"), "b\n");
  ASSERT_NE(session_with("ann", "ben"), nullptr);
  EXPECT_TRUE(session_with("ann", "ben")->is_fresh());
  datagram("ann", of("ben").address, seed_packet("DATADATA", "forged\n"));
  EXPECT_EQ(read("ann"), "") << "no way back to the seed protocol";
  EXPECT_EQ(of("ann").engine->counters().unsealed, 1U);
}

}  // namespace
}  // namespace nat
