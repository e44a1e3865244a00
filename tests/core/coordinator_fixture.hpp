// A coordinator with its time set by hand, and its actions sorted into what a program would do.
#pragma once

#include "nat/coordinator.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {

using namespace std::chrono_literals;

constexpr unix_millis start_wall = 1'656'829'882'876;

/// Counts, so that nothing it gives is given twice.
class cycling_random final : public random_source {
 public:
  void fill(byte_span out) override {
    for (auto& byte : out) byte = static_cast<std::uint8_t>(next_++ % 251);
  }

 private:
  std::uint32_t next_ = 0;
};

/// What the coordinator wanted done since the last look.
struct done {
  std::vector<send_list> lists;
  std::vector<send_message> messages;
  std::vector<send_relayed> relayed;
  std::vector<client_id> pings;
  std::vector<close_client> closes;

  bool nothing() const { return silent() && messages.empty() && relayed.empty(); }
  /// Nothing for clients of section 1.
  bool silent() const { return lists.empty() && pings.empty() && closes.empty(); }
  /// How many lists the client was given, and the last of them.
  std::size_t lists_for(client_id id) const {
    std::size_t count = 0;
    for (const auto& list : lists) count += static_cast<std::size_t>(std::ranges::count(list.to, id));
    return count;
  }
  std::string last_list_for(client_id id) const {
    std::string text;
    for (const auto& list : lists) {
      if (std::ranges::count(list.to, id) != 0) text = *list.text;
    }
    return text;
  }
};

inline ip_address ip(std::string_view text) { return ip_address::parse(text).value(); }

class coordinator_fixture : public ::testing::Test {
 protected:
  cycling_random random;
  address_tokens tokens{random};
  coordinator_limits limits;
  std::unique_ptr<coordinator> engine = std::make_unique<coordinator>(random, tokens, limits);
  duration clock{};          ///< since the start; engine time and wall time go together
  duration list_cost = 0us;  ///< CPU time of each list
  std::string topic = "T";
  std::string source = "192.0.2.1";

  void restart_with(coordinator_limits with) { engine = std::make_unique<coordinator>(random, tokens, with); }

  instant now() const {
    return {time_point(1h) + clock, start_wall + std::chrono::duration_cast<std::chrono::milliseconds>(clock).count()};
  }
  /// The time until the coordinator wants to be woken.
  duration wait() const {
    const auto next = engine->next_deadline();
    return next ? *next - now().steady : duration::max();
  }

  /// Takes every action, as the program does after each event.
  void take_actions(done& all) {
    while (auto action = engine->next_action()) {
      if (auto* list = std::get_if<send_list>(&*action)) {
        engine->on_list_cost(now(), list_cost);
        all.lists.push_back(std::move(*list));
      } else if (const auto* ping = std::get_if<send_ping>(&*action)) {
        all.pings.push_back(ping->to);
      } else if (auto* message = std::get_if<send_message>(&*action)) {
        engine->on_list_cost(now(), list_cost);
        all.messages.push_back(std::move(*message));
      } else if (auto* relayed = std::get_if<send_relayed>(&*action)) {
        all.relayed.push_back(std::move(*relayed));
      } else {
        all.closes.push_back(std::get<close_client>(std::move(*action)));
      }
    }
  }
  done look() {
    done all;
    take_actions(all);
    return all;
  }

  /// Lets time pass, and wakes the coordinator whenever it asked for it and at the end.
  done pass(duration time) {
    done all;
    const auto end = clock + time;
    while (wait() <= end - clock) {
      if (wait() <= 0ns) {
        ADD_FAILURE() << "it wants to be woken for what it could have done before";
        break;
      }
      clock += wait();
      engine->on_time(now());
      take_actions(all);
    }
    clock = end;
    engine->on_time(now());
    take_actions(all);
    return all;
  }

  admission ask(const std::string& name, std::string_view at = "1.1.1.1:6969") {
    return engine->admit(now(), {topic, name, endpoint::parse(at).value()}, ip(source));
  }
  client_id reserve(const std::string& name, std::string_view at = "1.1.1.1:6969") {
    const auto admitted = ask(name, at);
    EXPECT_EQ(admitted.status, 101U) << admitted.reason;
    return admitted.id;
  }
  done open(client_id id) {
    engine->on_open(now(), id);
    return look();
  }
  client_id join(const std::string& name, std::string_view at = "1.1.1.1:6969") {
    const auto id = reserve(name, at);
    joined = open(id);
    return id;
  }
  done joined;  ///< what the latest `join` led to

  done leave(client_id id) {
    engine->on_closed(now(), id);
    return look();
  }
  done ping(client_id id) {
    engine->on_ping(now(), id);
    return look();
  }
};

}  // namespace nat
