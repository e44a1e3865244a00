// A member who does not keep to the protocol, and an outsider who changes packets: what it costs the others.
#include "seal_fixture.hpp"
#include "v2_fixture.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

/// Seals whatever it likes; it knows an open topic's name, as every member does.
class member {
 public:
  member(std::string name, sender_id id)
      : name_(std::move(name)), id_(id), sealer_(keys_, id, payload_cipher::chacha20_poly1305) {}

  std::vector<std::uint8_t> introduction(std::uint64_t echo, sender_id to, std::uint8_t flags) {
    return seal({.recipient = to,
                 .challenge = challenge(),
                 .echo = echo,
                 .flags = flags,
                 .body = ping_header::introduction{keys_.tag_of(name_)}});
  }
  template <typename Body>
  std::vector<std::uint8_t> says(sender_id to, const Body& body, std::uint8_t flags = 0) {
    return seal({.recipient = to, .flags = flags, .body = body});
  }
  std::vector<std::uint8_t> data(std::uint64_t number, std::uint64_t offset, const std::string& payload,
                                 std::uint8_t flags = 0) {
    std::vector<std::uint8_t> out(header_size + payload.size());
    std::ranges::copy(payload, out.begin() + header_size);
    sealer_.seal_data(out, number, offset, flags, random_);
    return out;
  }
  void skip_numbers(std::uint64_t count) { number_ += count; }

  const std::string& name() const { return name_; }
  std::uint64_t challenge() const { return id_ + 6; }

 private:
  std::vector<std::uint8_t> seal(ping_header header) {
    header.number = ++number_;
    std::vector<std::uint8_t> out(header_size);
    sealer_.seal_ping(out, header, random_);
    return out;
  }

  topic_keys keys_ = topic_keys::open("T");
  std::string name_;
  sender_id id_;
  plain_random random_{99};
  packet_sealer sealer_;
  std::uint64_t number_ = 0;
};

class peer_attack : public v2_network {
 protected:
  const std::string where = "203.0.113.9:9999";

  /// Is listed, and has no engine.
  void list(const std::string& name) {
    auto made = std::make_unique<v2_host>();
    made->name = name;
    made->v2 = true;
    made->id = ++last_id;
    made->address = at(where);
    made->candidates = {{made->address, candidate_kind::reflexive, false}};
    made->announced_nat = nat_behavior{};
    auto& host = *made;
    hosts[name] = std::move(made);
    tell_all({.joined = {listed(host)}});
    serve_all();
  }

  void send(const std::string& to, byte_view datagram) { send_from(at(where), to, datagram); }
  void send_from(const endpoint& from, const std::string& to, byte_view datagram) {
    of(to).engine->on_datagram(now, wall, from, datagram);
    of(to).engine->flush(now);
    serve_all();
  }

  std::optional<ping_header> last_ping_of(const std::string& name) {
    for (auto seen = trace.rbegin(); seen != trace.rend(); ++seen) {
      if (seen->sender != name || seen->relayed || seen->to != at(where)) continue;
      const auto header = open_header(topic_keys::open("T"), seen->bytes);
      const auto* ping = header ? std::get_if<ping_header>(&*header) : nullptr;
      if (ping != nullptr && ping->is_about_path()) return *ping;
    }
    return std::nullopt;
  }

  /// Proves itself. What was asked of it.
  ping_header meet(member& who, const std::string& name) {
    send(name, who.introduction(0, 0, ping_header::wants_answer));
    const auto asked = last_ping_of(name);
    EXPECT_TRUE(asked);
    send(name, who.introduction(asked->challenge, asked->sender, ping_header::accepts));
    EXPECT_NE(session_with(name, who.name())->outgoing(), nullptr);
    return *asked;
  }

  /// What the engine wants written now, which then is.
  std::string write_once(const std::string& name) {
    std::vector<std::uint8_t> out;
    of(name).engine->next_output(out);
    of(name).engine->on_output_written(now, out.size());
    return std::string(out.begin(), out.end());
  }
};

peer_config with_key() {
  peer_config made;
  made.key = counting_key();
  return made;
}

TEST_F(peer_attack, a_packet_that_was_made_longer_changes_nothing_of_what_came_behind_it) {
  auto lines = with_key();
  lines.input = input_mode::lines;
  auto reader = with_key();
  reader.output = output_mode::lines;
  add("ann", "203.0.113.1:1111", lines);
  add("ben", "203.0.113.2:2222", reader);
  pass(3s);
  type("ann", "zero\n");
  pass(1s);
  EXPECT_EQ(read("ben"), "zero\n");
  std::vector<seen_packet> held;
  passes = [&](const seen_packet& packet) {
    const bool is_held = packet.sender == "ann" && packet.is_data() && held.size() < 2;
    if (is_held) held.push_back(packet);
    return !is_held;
  };
  type("ann", "first\nsecond\nthird: pay 100 to carol\n");
  pass(6ms);
  ASSERT_EQ(held.size(), 2U);
  auto longer = held[0].bytes;
  longer.resize(header_size + 200, 'X');
  send_from(of("ann").address, "ben", longer);
  EXPECT_EQ(of("ben").engine->counters().forged, 1U);
  passes = everything();
  pass(3s);
  EXPECT_EQ(read("ben"), "first\nsecond\nthird: pay 100 to carol\n");
}

TEST_F(peer_attack, who_changes_its_id_in_the_middle_of_a_record_has_the_record_cut) {
  peer_config reader;
  reader.output = output_mode::text;
  add("ann", "203.0.113.1:1111", reader);
  list("mal");
  pass(1s);
  member mal("mal", 1);
  const auto asked = meet(mal, "ann");
  unread.insert("ann");
  send("ann", mal.says(asked.sender, ping_stream{.first = 1, .offset = 0}));
  // Each escape is written as four bytes: more than one batch.
  constexpr std::uint64_t size = 100'000;
  std::uint64_t number = 0;
  for (std::uint64_t offset = 0; offset < size; offset += 1000) {
    const bool is_last = offset + 1000 == size;
    send("ann", mal.data(++number, offset, std::string(1000, '\x1b'), is_last ? 0 : data_header::continues));
  }
  std::vector<std::uint8_t> batch;
  of("ann").engine->next_output(batch);
  ASSERT_GE(batch.size(), receiver::batch);
  for (sender_id id = 2; id <= 10; ++id) {
    member other("mal", id);
    send("ann", other.introduction(asked.challenge, asked.sender, ping_header::accepts));
  }
  member again("mal", 1);
  again.skip_numbers(100);
  send("ann", again.introduction(asked.challenge, asked.sender, ping_header::accepts));
  of("ann").engine->on_output_written(now, batch.size());
  EXPECT_THAT(write_once("ann").substr(0, 1), testing::AnyOf("", "\n"));
  EXPECT_LE(session_with("ann", "mal")->inbox().written(), session_with("ann", "mal")->inbox().in_order());
}

TEST_F(peer_attack, who_throws_away_what_it_has_is_left_behind) {
  peer_config sender;
  sender.memory = 4 << 20;
  sender.slow_peer = 10s;
  add("ann", "203.0.113.1:1111", sender);
  add("ben", "203.0.113.2:2222");
  list("mal");
  pass(3s);
  member mal("mal", 1);
  const auto asked = meet(mal, "ann");
  const std::string chunk(10'000, 'x');
  constexpr std::uint64_t much = 1U << 30;
  std::uint64_t got = 0;
  passes = [&](const seen_packet& packet) {
    got += packet.to == at(where) ? packet.bytes.size() : 0;
    return true;
  };
  for (int i = 0; i < 20 * 50; ++i) {
    while (of("ann").engine->wants_input()) of("ann").engine->on_input(now, as_bytes(chunk));
    serve_all();
    if (const auto ping = last_ping_of("ann")) {  // it answers, so that its path stays
      send("ann", mal.introduction(ping->challenge, asked.sender, ping_header::accepts));
    }
    trace.clear();
    const auto sent = of("ann").engine->log().end();
    send("ann", mal.says(asked.sender, ping_acknowledgement{.next = sent, .limit = much, .unwritten = much}));
    const ping_acknowledgement nothing{
        .next = 1, .limit = much, .unwritten = much, .newest = ping_acknowledgement::no_newest};
    send("ann", mal.says(asked.sender, nothing, ping_acknowledgement::revoked));
    pass(20ms);
    if (session_with("ann", "mal")->was_left_behind) break;
  }
  EXPECT_TRUE(session_with("ann", "mal")->was_left_behind);
  EXPECT_LT(got, 5 * sender.memory) << "it is sent again a few times, not for ever";
}

TEST_F(peer_attack, packets_far_ahead_take_no_memory_from_others) {
  add("ann", "203.0.113.1:1111");
  list("mal");
  pass(1s);
  member mal("mal", 1);
  const auto asked = meet(mal, "ann");
  send("ann", mal.says(asked.sender, ping_stream{.first = 1, .offset = 0}));
  auto& inbox = session_with("ann", "mal")->inbox();
  const auto before = inbox.window();
  for (std::uint64_t number = 3; number < 40; ++number) {
    send("ann", mal.data(number * 2, inbox.window() - 1, "x"));
    pass(10ms);
  }
  EXPECT_EQ(inbox.window(), before);
}

TEST_F(peer_attack, with_from_nobody_else_ends_it) {
  peer_config reader;
  reader.quit_on_end = true;
  reader.from = "ben";
  peer_config writer;
  writer.quit_on_eof = 30s;
  add("ann", "203.0.113.1:1111", reader);
  add("ben", "203.0.113.2:2222", writer);
  list("mal");
  pass(3s);
  type("ben", "first half\n");
  pass(1s);
  member mal("mal", 1);
  const auto asked = meet(mal, "ann");
  send("ann", mal.says(asked.sender, ping_stream{.first = 2, .offset = 0}, ping_stream::will_end));
  pass(1s);
  EXPECT_FALSE(of("ann").engine->ended()) << of("ann").engine->ended()->reason;
  EXPECT_EQ(read("ann"), "first half\n");
}

// ---- recordings of other programs that had the name

class peer_attack_recordings : public peer_attack {
 protected:
  /// For so long, more often than anybody is answered: PINGs from where ben is.
  void replay(
      duration time, const std::function<void()>& each = [] {}) {
    for (const auto end = now + time; now < end;) {
      for (const auto& packet : recorded) send_from(of("ben").address, "ann", packet);
      pass(2ms);  // nothing else is due at the moment at which they come
      each();
      pass(3ms);
    }
  }

  member earlier{"ben", 0xaaa1}, later{"ben", 0xaaa2};
  const std::vector<std::vector<std::uint8_t>> recorded{earlier.introduction(0, 0, ping_header::wants_answer),
                                                        later.introduction(0, 0, ping_header::wants_answer)};
};

TEST_F(peer_attack_recordings, do_not_come_between_two_that_know_each_other) {
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(3s);
  const auto id = session_with("ann", "ben")->id();
  type("ben", "x");  // from now on the path is asked often
  pass(1s);
  read("ann");
  trace.clear();
  int typed = 0;
  duration longest{};
  replay(20s, [&] {
    if (++typed % 20 == 0) type("ben", "x");
    for (const auto* name : {"ann", "ben"}) {
      const auto* by = session_with(name, name == std::string("ann") ? "ben" : "ann")->paths().chosen();
      ASSERT_NE(by, nullptr);
      ASSERT_FALSE(by->is_relay()) << name;
      EXPECT_EQ(by->rtt, 2 * direct_delay) << name;
      longest = std::max(longest, now - *by->echoed_at);
    }
  });
  EXPECT_LT(longest, 600ms) << "each of its PINGs is answered";
  EXPECT_EQ(session_with("ann", "ben")->id(), id);
  pass(100ms);
  EXPECT_EQ(read("ann"), std::string(typed / 20, 'x'));
  EXPECT_FALSE(std::ranges::any_of(trace, [](const seen_packet& each) { return each.relayed && each.is_data(); }));
}

TEST_F(peer_attack_recordings, use_up_no_answers_of_who_has_the_name) {
  add("ann", "203.0.113.1:1111");
  list("ben");
  pass(1s);
  member ben("ben", 1);
  const auto asked = meet(ben, "ann");
  for (int i = 0; i < 200; ++i) {
    for (const auto& packet : recorded) send("ann", packet);
  }
  trace.clear();
  send("ann", ben.introduction(0, asked.sender, ping_header::wants_answer));
  const auto answer = last_ping_of("ann");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->recipient, 1U);
  EXPECT_EQ(answer->echo, ben.challenge());
}

TEST_F(peer_attack_recordings, do_not_keep_out_a_program_that_is_started_anew_in_the_same_place) {
  add("ann", "203.0.113.1:1111");
  add("ben", "203.0.113.2:2222");
  pass(3s);
  replay(3s);
  const auto before = session_with("ann", "ben")->id();
  vanish("ben");
  add("ben", "203.0.113.2:2222");
  replay(500ms);
  EXPECT_NE(session_with("ann", "ben")->id(), before);
  type("ben", "new\n");
  type("ann", "welcome\n");
  replay(100ms);
  EXPECT_EQ(read("ann"), "new\n");
  EXPECT_EQ(read("ben"), "welcome\n");
}

}  // namespace
}  // namespace nat
