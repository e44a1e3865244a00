// What a stream costs the allocator: nothing, once it flows. Counted is what engines ask for, not what the test does.
#include "allocation_count.hpp"
#include "peer_stream_fixture.hpp"
#include "seal_fixture.hpp"

#include <array>
#include <deque>

namespace nat {
namespace {

/// Two engines whose packets are carried without a trace of them.
class allocation_test : public peer_stream_test {
 protected:
  struct counted_host {
    v2_host* host = nullptr;
    std::size_t allocations = 0;
    std::vector<std::uint8_t> output{};
    std::uint64_t written = 0;
    std::size_t wanted = 0;  ///< times that it is to say `lines`
  };
  struct carried {
    time_point at;
    counted_host* to = nullptr;
    endpoint from;
    bool relayed = false;
    std::vector<std::uint8_t> bytes;
  };

  void meet(const peer_config& sender, const peer_config& receiver) {
    add("ann", "203.0.113.1:1111", sender);
    add("ben", "203.0.113.2:2222", receiver);
    pass(3s);
    sky.clear();
    lines.clear();
    ann.host = &of("ann");
    ben.host = &of("ben");
    for (std::size_t i = 0; i < 50; ++i) lines += std::string(1000 + i, 'x') + '\n';
  }
  counted_host& other(const counted_host& than) { return &than == &ann ? ben : ann; }

  template <typename Call>
  static auto counted(counted_host& of, Call call) {
    const auto before = allocation_count::made;
    allocation_count::is_on = true;
    struct off {
      counted_host& of;
      std::size_t before;
      ~off() {
        allocation_count::is_on = false;
        of.allocations += allocation_count::made - before;
      }
    } const at_the_end{of, before};
    return call(*of.host->engine);
  }

  void carry(counted_host& from, byte_view bytes, bool relayed) {
    if (relayed_only && !relayed) return;
    if (is_data(bytes) && lost_each != 0 && ++carried_data % lost_each == 0) return;
    sky.push_back({now + 5ms, &other(from), from.host->address, relayed, {bytes.begin(), bytes.end()}});
  }
  static bool is_data(byte_view bytes) { return as_text(bytes).starts_with("DATADATA"); }

  void serve_counted(counted_host& who) {
    for (; who.wanted > 0 && who.host->engine->wants_input(); --who.wanted) {
      counted(who, [&](peer& engine) { engine.on_input(now, as_bytes(lines)); });
    }
    while (!who.host->engine->datagrams().empty()) {
      const auto& waiting = who.host->engine->datagrams();
      const auto count = waiting.size();
      for (std::size_t i = 0; i < count; ++i) carry(who, waiting.bytes(waiting.at(i)), false);
      counted(who, [&](peer& engine) { engine.on_sent(now, count); });
    }
    while (const auto frame = counted(who, [&](peer& engine) { return engine.next_relayed(now); })) {
      carry(who, decode_relay_upload(**frame).value().packet, true);
    }
    while (who.host->engine->has_output()) {
      who.output.clear();
      counted(who, [&](peer& engine) { engine.next_output(who.output); });
      who.written += who.output.size();
      counted(who, [&](peer& engine) { engine.on_output_written(now, who.output.size()); });
    }
    while (const auto command = who.host->engine->next_command()) {
      ASSERT_EQ(*command, coordinator_command::ping);
      who.host->engine->on_coordinator(now, wall, events::alive{true});
    }
    while (who.host->engine->next_message()) {
    }
    while (who.host->engine->next_note()) {
    }
  }

  void deliver(const carried& what) {
    if (!what.relayed) {
      return counted(*what.to, [&](peer& engine) {
        engine.on_datagram(now, wall, what.from, what.bytes);
        engine.flush(now);
      });
    }
    std::vector<std::uint8_t> frame;
    append_relay_delivery(frame, other(*what.to).host->id, what.bytes);
    counted(*what.to, [&](peer& engine) { engine.on_coordinator(now, wall, events::binary{frame}); });
  }

  /// Ann says at least so many bytes more, and Ben has them written.
  void stream(std::size_t bytes) {
    ann.wanted = bytes / lines.size() + 1;
    const auto until = ben.written + ann.wanted * lines.size();
    const auto give_up = now + 10min;
    while (ben.written < until && now < give_up) {
      for (auto* each : {&ann, &ben}) serve_counted(*each);
      auto next = earliest(ann.host->engine->next_deadline(), ben.host->engine->next_deadline());
      if (!sky.empty()) next = earliest(next, sky.front().at);
      ASSERT_TRUE(next);
      now = std::max(now, *next);
      for (; !sky.empty() && sky.front().at <= now; sky.pop_front()) deliver(sky.front());
      for (auto* each : {&ann, &ben}) {
        const auto due = each->host->engine->next_deadline();
        if (due && *due <= now) counted(*each, [&](peer& engine) { engine.on_time(now); });
      }
    }
    ASSERT_GE(ben.written, until);
  }

  /// What each asks for while so many packets' worth of bytes flow.
  std::array<std::size_t, 2> allocations_of(std::size_t packets) {
    ann.allocations = ben.allocations = 0;
    stream(packets * max_payload);
    return {ann.allocations, ben.allocations};
  }

  void expect_none_for_a_packet() {
    // Until each buffer is as large as it gets: also when it begins again on a path that is known.
    for (int times = 0; times < 3; ++times) stream(8U << 20);
    const auto some = allocations_of(3000);
    const auto more = allocations_of(12'000);
    EXPECT_EQ(some, (std::array<std::size_t, 2>{})) << "of the sender, of the receiver";
    EXPECT_EQ(more, (std::array<std::size_t, 2>{}));
  }

  counted_host ann;
  counted_host ben;
  std::deque<carried> sky;
  std::string lines;
  bool relayed_only = false;
  std::size_t carried_data = 0;
  std::size_t lost_each = 0;  ///< 0: none
};

peer_config sending(input_mode mode) {
  peer_config out;
  out.input = mode;
  out.rate = 100'000'000;
  return out;
}
peer_config writing(output_mode mode) {
  peer_config out;
  out.output = mode;
  return out;
}

TEST_F(allocation_test, what_is_counted_is_counted) {
  meet({}, {});
  auto kept = counted(ann, [](peer&) { return std::make_unique<int>(1); });
  EXPECT_EQ(ann.allocations, 1U);
}

TEST_F(allocation_test, a_stream_on_a_direct_path_asks_for_no_memory) {
  meet(sending(input_mode::bytes), {});
  expect_none_for_a_packet();
  EXPECT_EQ(path_to("ann", "ben"), "public");
}

TEST_F(allocation_test, lines_ask_for_none) {
  meet(sending(input_mode::lines), writing(output_mode::lines));
  expect_none_for_a_packet();
}

TEST_F(allocation_test, what_is_written_beside_them_asks_for_none) {
  for (const auto mode : {output_mode::text, output_mode::json}) {
    hosts.clear();
    meet(sending(input_mode::lines), writing(mode));
    expect_none_for_a_packet();
  }
}

TEST_F(allocation_test, what_is_lost_and_sent_again_asks_for_none) {
  meet(sending(input_mode::bytes), {});
  lost_each = 100;
  expect_none_for_a_packet();
}

TEST_F(allocation_test, a_keyed_stream_asks_for_none) {
  auto sender = sending(input_mode::bytes);
  peer_config receiver;
  sender.key = receiver.key = counting_key();
  meet(sender, receiver);
  expect_none_for_a_packet();
}

TEST_F(allocation_test, a_stream_by_the_relay_asks_for_none) {
  passes = no_datagrams();
  relayed_only = true;
  meet(sending(input_mode::bytes), {});
  expect_none_for_a_packet();
  EXPECT_EQ(path_to("ann", "ben"), "relay");
}

}  // namespace
}  // namespace nat
