// What a member that makes up its packets, and a coordinator that lies, cannot do to whole engines.
#include "seal_fixture.hpp"
#include "v2_fixture.hpp"

namespace nat {
namespace {

/// Seals with the topic's key, and says what it likes.
class made_up_member {
 public:
  made_up_member(const topic_keys& keys, std::string name, sender_id id)
      : keys_(keys), name_(std::move(name)), sealer_(keys, id, payload_cipher::chacha20_poly1305) {}

  std::vector<std::uint8_t> introduction(std::uint64_t echo = 0, sender_id to = 0, std::uint8_t flags = 0) {
    ping_header ping{.number = ++number_, .recipient = to, .challenge = 7, .echo = echo, .flags = flags};
    ping.body = ping_header::introduction{keys_.tag_of(name_)};
    std::vector<std::uint8_t> out(header_size);
    sealer_.seal_ping(out, ping, random_);
    return out;
  }

 private:
  topic_keys keys_;
  std::string name_;
  plain_random random_{99};
  packet_sealer sealer_;
  std::uint64_t number_ = 0;
};

class peer_v2_attacks_test : public v2_network {
 protected:
  static peer_config keyed() {
    peer_config out;
    out.key = counting_key();
    return out;
  }
  std::optional<ping_header> last_ping(const std::string& from, const endpoint& to, const topic_keys& keys) {
    for (auto packet = trace.rbegin(); packet != trace.rend(); ++packet) {
      if (packet->sender != from || packet->relayed || packet->to != to) continue;
      const auto header = open_header(keys, packet->bytes);
      if (header && std::holds_alternative<ping_header>(*header)) return std::get<ping_header>(*header);
    }
    return std::nullopt;
  }
  void receive(const std::string& who, const endpoint& from, byte_view datagram) {
    of(who).engine->on_datagram(now, wall, from, datagram);
    serve_all();
  }
  void list_left(v2_host& reader, std::vector<peer_id> ids) {
    v2::delta change{.from = version, .to = version + 1, .left = std::move(ids)};
    ++version;
    tell(reader, change);
  }
  void list_joined(v2_host& reader, const v2_host& who) {
    v2::delta change{.from = version, .to = version + 1, .joined = {listed(who)}};
    ++version;
    tell(reader, change);
  }
};

TEST_F(peer_v2_attacks_test, a_name_that_is_proved_elsewhere_buys_a_strangers_address_no_pings) {
  const auto keys = topic_keys::open("T");
  const auto victim = ip("198.18.0.66");
  add("ann", "203.0.113.1:1111");
  for (int i = 0; i < 50; ++i) add_seed("x" + std::to_string(i), "198.18.0.66:" + std::to_string(1000 + i));
  pass(2s);
  for (std::uint16_t i = 0; i < 50; ++i) {
    made_up_member member(keys, "x" + std::to_string(i), 1000U + i);
    const endpoint from{ip("203.0.113.200"), static_cast<std::uint16_t>(5000 + i)};
    receive("ann", from, member.introduction(0, 0, ping_header::wants_answer));
    const auto asked = last_ping("ann", from, keys);
    ASSERT_TRUE(asked);
    receive("ann", from, member.introduction(asked->challenge, asked->sender));
    pass(10ms);
  }
  pass(600s);
  const auto pings = sent_count([&](const seen_packet& each) { return !each.relayed && each.to.ip == victim; });
  EXPECT_LE(pings, 400U + 605U) << "the allowance of a host";
  EXPECT_GT(pings, 400U);
}

TEST_F(peer_v2_attacks_test, a_peer_that_was_forgotten_among_many_cannot_be_replayed) {
  passes = no_datagrams();
  add("ann", "203.0.113.1:1111", keyed());
  add("ben", "203.0.113.2:2222", keyed());
  pass(3s);
  type("ann", "pay 100\n");
  pass(1s);
  ASSERT_EQ(read("ben"), "pay 100\n");
  const auto recorded =
      std::ranges::find_if(trace, [](const auto& each) { return each.sender == "ann" && each.is_data(); });
  ASSERT_NE(recorded, trace.end());
  const auto packet = recorded->bytes;

  std::vector<peer_id> others;
  for (std::size_t i = 0; i <= session_table::max_retired; ++i) {
    const auto name = "m" + std::to_string(i);
    add(name, "203.0.114.2:" + std::to_string(1000 + i), keyed());
    pass(150ms);
    ASSERT_TRUE(session_with("ben", name)->is_fresh()) << i;
    hosts.at(name)->engine.reset();
    others.push_back(of(name).id);
  }
  list_left(of("ben"), {of("ann").id});
  list_left(of("ben"), others);
  list_joined(of("ben"), of("ann"));
  pass(5s);
  ASSERT_TRUE(session_with("ben", "ann")->is_fresh()) << "it has proved itself again, so DATA of its counts";
  std::vector<std::uint8_t> frame;
  append_relay_delivery(frame, of("ann").id, packet);
  of("ben").engine->on_coordinator(now, wall, events::binary{frame});
  serve_all();
  EXPECT_EQ(read("ben"), "");
  type("ann", "pay 1 more\n");
  pass(1s);
  EXPECT_EQ(read("ben"), "pay 1 more\n");
}

TEST_F(peer_v2_attacks_test, a_proven_peer_that_comes_back_is_not_taken_for_a_seed_peer) {
  add("ann", "203.0.113.1:1111");
  add_section_1("ben", "203.0.113.2:2222");
  pass(3s);
  ASSERT_TRUE(session_with("ann", "ben")->is_fresh());
  const auto forged = "DATADATA" + std::string(120, 'x') + "forged\n";
  receive("ann", of("ben").address, as_bytes(forged));
  ASSERT_EQ(read("ann"), "");
  auto& ben = of("ben");
  const auto old = std::exchange(ben.id, 0);
  list_left(of("ann"), {old});
  pass(1s);
  ben.id = ++last_id;
  list_joined(of("ann"), ben);
  receive("ann", ben.address, as_bytes(forged));
  pass(30s);
  receive("ann", ben.address, as_bytes(forged));
  EXPECT_EQ(read("ann"), "");
  type("ben", "true\n");
  pass(1s);
  EXPECT_EQ(read("ann"), "true\n");
}

TEST_F(peer_v2_attacks_test, recordings_of_a_names_earlier_programs_do_not_keep_it_from_getting_ready) {
  const auto keys = topic_keys::keyed("T", counting_key());
  made_up_member first(keys, "ann", 0xaaa1), second(keys, "ann", 0xaaa2);
  const auto recorded = {first.introduction(0, 0, ping_header::wants_answer),
                         second.introduction(0, 0, ping_header::wants_answer)};
  const auto until = now + 3s;
  passes = [&](const seen_packet& packet) {  // what makes ann ready is lost at first, as may happen
    const auto header = open_header(keys, packet.bytes);
    const auto* ping = header ? std::get_if<ping_header>(&*header) : nullptr;
    return packet.sender != "ben" || ping == nullptr || (ping->flags & ping_header::accepts) == 0 || now >= until;
  };
  add("ann", "203.0.113.1:1111", keyed());
  add("ben", "203.0.113.2:2222", keyed());
  for (int i = 0; i < 100; ++i) {
    for (const auto& packet : recorded) receive("ben", of("ann").address, packet);
    pass(100ms);
  }
  EXPECT_TRUE(session_with("ann", "ben")->accepts());
  type("ann", "hello\n");
  pass(1s);
  EXPECT_EQ(read("ben"), "hello\n");
}

TEST_F(peer_v2_attacks_test, what_comes_by_a_relay_that_was_denied_is_nothing) {
  relay_works = false;
  passes = [](const seen_packet& packet) { return packet.relayed; };
  add("ann", "203.0.113.1:1111");
  auto& ben = add("ben", "203.0.113.2:2222");
  made_up_member member(topic_keys::open("T"), "ben", 5);
  trace.clear();
  for (int i = 0; i < 100; ++i) {
    std::vector<std::uint8_t> frame;
    append_relay_delivery(frame, ben.id, member.introduction(0, 0, ping_header::wants_answer));
    of("ann").engine->on_coordinator(now, wall, events::binary{frame});
    pass(10ms);
  }
  EXPECT_EQ(sent_count([](const seen_packet& each) { return each.relayed; }), 0U);
}

TEST_F(peer_v2_attacks_test, a_member_that_asks_all_the_time_gets_forty_answers_a_second) {
  add("ann", "203.0.113.1:1111");
  auto& ben = add("ben", "203.0.113.2:2222");
  pass(2s);
  made_up_member member(topic_keys::open("T"), "ben", 5);
  trace.clear();
  for (int i = 0; i < 2000; ++i) {
    receive("ann", ben.address, member.introduction(0, 0, ping_header::wants_answer));
    pass(1ms);
  }
  EXPECT_LE(sent_count([](const seen_packet& each) { return each.sender == "ann"; }), 80U + 80U + 20U);
}

}  // namespace
}  // namespace nat
