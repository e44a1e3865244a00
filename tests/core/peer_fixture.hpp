// A natpeer engine on hand-set time, for its tests.
#pragma once

#include "nat/peer.hpp"

#include "plain_random.hpp"
#include "stun_builder.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {

using namespace std::chrono_literals;
namespace events = coordinator_events;
using strings = std::vector<std::string>;

inline const endpoint here = at("203.0.113.7:4000");
inline const endpoint bob = at("198.51.100.1:5000");
inline const endpoint carol = at("198.51.100.2:6000");
inline const endpoint coordinator_at = at("198.51.100.9:6969");
inline const endpoint stun_server = at("198.51.100.9:3478");

inline std::string packet_text(std::string_view magic, std::string_view payload = "") {
  return std::string(magic) + std::string(120, '\x5a') + std::string(payload);
}

/// A peer on hand-set time. What it sends is collected as text: "PING 1.2.3.4:5", "DATA 1.2.3.4:5 payload",
/// "STUN 1.2.3.4:5".
class peer_test : public testing::Test {
 protected:
  peer_config config{.topic = "T", .name = "me"};
  plain_random random;
  std::unique_ptr<peer> engine;
  time_point now{1h};
  endpoint mapped = here;

  /// Starts, and finds a coordinator that knows section 1 alone; STUN is not answered yet.
  void start_with_section_1(const endpoint& coordinator = coordinator_at) {
    engine = std::make_unique<peer>(config, random);
    engine->start(now);
    if (engine->take_stun_lookup()) engine->on_stun_servers(now, {stun_server}, "");
    engine->on_coordinator(now, 0, events::reached{coordinator});
    EXPECT_THAT(commands(), testing::ElementsAre(coordinator_command::connect, coordinator_command::join_v2));
    engine->on_coordinator(now, 0, events::refused{400, "missing parameter \"ip\"", {}});
    EXPECT_THAT(commands(), testing::ElementsAre(coordinator_command::connect));
    engine->on_coordinator(now, 0, events::reached{coordinator});
  }
  /// Starts, and answers STUN and the coordinator.
  void join(const endpoint& coordinator = coordinator_at) {
    start_with_section_1(coordinator);
    answer_stun();
    engine->on_coordinator(now, 0, events::joined{});
    sent();
    notes();
    commands();
  }
  void answer_stun() {
    const auto& waiting = engine->datagrams();
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      const auto request = decode_stun(waiting.bytes(waiting.at(i)));
      if (!request) continue;
      const auto answer = encode_binding_success(request->id, mapped);
      engine->on_sent(now, waiting.size());
      return engine->on_datagram(now, 0, stun_server, answer);
    }
  }
  void list(const strings& entries) {
    std::string text = R"({"peers":[)";
    for (const auto& entry : entries) {
      const auto mark = entry.find(' ');
      const auto address = at(entry.substr(mark + 1));
      text += (text.back() == '[' ? "" : ",");
      text += R"({"ip":")" + address.ip.to_string() + R"(","port":)" + std::to_string(address.port) + R"(,"name":")" +
              entry.substr(0, mark) + R"(","last_seen":1656829882876})";
    }
    raw_list(text + "]}");
  }
  void raw_list(std::string_view text) { engine->on_coordinator(now, 0, events::text{text}); }
  void receive(const endpoint& from, std::string_view datagram) {
    engine->on_datagram(now, 1656829882876, from, as_bytes(datagram));
    engine->flush(now);
  }
  void ping_from(const endpoint& from) { receive(from, packet_text("PINGPING")); }
  void data_from(const endpoint& from, std::string_view payload) { receive(from, packet_text("DATADATA", payload)); }

  void pass(duration time) {
    const auto end = now + time;
    while (engine->next_deadline() && *engine->next_deadline() <= end) {
      ASSERT_GE(*engine->next_deadline(), now);
      now = *engine->next_deadline();
      engine->on_time(now);
      ASSERT_TRUE(!engine->next_deadline() || *engine->next_deadline() > now) << "a deadline in the past would spin";
    }
    now = end;
  }
  strings sent() {
    strings out;
    const auto& waiting = engine->datagrams();
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      const auto bytes = waiting.bytes(waiting.at(i));
      const auto to = waiting.at(i).to.to_string();
      const auto decoded = decode_packet(bytes);
      if (!decoded) {
        out.push_back("STUN " + to);
      } else if (decoded->kind == packet_kind::ping) {
        EXPECT_EQ(bytes.size(), header_size);
        out.push_back("PING " + to);
      } else {
        out.push_back("DATA " + to + ' ' + std::string(as_text(decoded->payload)));
      }
    }
    engine->on_sent(now, waiting.size());
    return out;
  }
  std::string output() {
    std::vector<std::uint8_t> bytes;
    if (engine->has_output()) {
      engine->next_output(bytes);
      engine->on_output_written(now, bytes.size());
    }
    return std::string(as_text(bytes));
  }
  std::vector<note_kind> notes() {
    std::vector<note_kind> out;
    while (const auto next = engine->next_note()) out.push_back(next->kind);
    return out;
  }
  std::vector<coordinator_command> commands() {
    std::vector<coordinator_command> out;
    while (const auto next = engine->next_command()) out.push_back(*next);
    return out;
  }
  std::size_t count(const strings& all, std::string_view what) {
    return static_cast<std::size_t>(std::ranges::count_if(all, [&](const auto& one) { return one.starts_with(what); }));
  }
};

}  // namespace nat
