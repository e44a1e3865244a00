// A STUN client on hand-set time, for its tests.
#pragma once

#include "nat/stun_client.hpp"

#include "stun_builder.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace nat {

inline const endpoint server_a = at("192.0.2.1:3478");
inline const endpoint server_b = at("192.0.2.2:3478");
inline const endpoint server_c = at("192.0.2.3:3478");
inline const endpoint server_v6 = at("[2001:db8::1]:3478");
inline const endpoint server_v6_b = at("[2001:db8::2]:3478");
inline const endpoint mine = at("203.0.113.7:40000");
inline const endpoint mine_too = at("203.0.113.7:50000");
inline const endpoint mine_v6 = at("[2001:db8:7::7]:40000");

/// Ids count up; every other draw is `draw`.
class scripted_random : public random_source {
 public:
  void fill(byte_span out) override {
    std::ranges::fill(out, std::uint8_t{0});
    store_be(&out[out.size() - 8], out.size() == 8 ? draw : ++ids_);
  }
  std::uint64_t draw = 0;

 private:
  std::uint64_t ids_ = 0;
};

/// A client and its hand-set time. What it sends and says is collected as text: "500 192.0.2.1:3478" is a
/// request sent there when the clock stood at 500 ms.
class stun_client_test : public testing::Test {
 protected:
  void start(const std::vector<endpoint>& servers) {
    client.start(now_, servers);
    collect();
  }
  void refresh() {
    client.refresh(now_);
    collect();
  }
  /// Moves time on, waking the client exactly when it wants.
  void run_to(std::chrono::milliseconds end) {
    const auto until = time_point{end};
    while (client.next_deadline() && *client.next_deadline() <= until) {
      ASSERT_GT(*client.next_deadline(), now_) << "a deadline in the past would spin";
      now_ = *client.next_deadline();
      client.on_time(now_);
      collect();
    }
    now_ = until;
  }
  bool receive(const endpoint& from, byte_view datagram) {
    const bool consumed = client.on_datagram(now_, from, datagram);
    collect();
    return consumed;
  }
  void answer(const endpoint& from, const endpoint& mapped) {
    receive(from, encode_binding_success(id_of(from), mapped));
  }
  void refuse(const endpoint& from, int code) { receive(from, error(from, code)); }

  stun_builder success(const endpoint& from) { return {binding_success_type, id_of(from)}; }
  stun_builder error(const endpoint& from, int code) {
    auto message = stun_builder(binding_error_type, id_of(from));
    message.add_error(code);
    return message;
  }
  stun_builder try_alternate(const endpoint& from, const endpoint& alternate) {
    return error(from, 300).add_address(stun_attribute::alternate_server, alternate);
  }
  /// The id of the last request to a server.
  transaction_id id_of(const endpoint& server) {
    for (auto it = requests.rbegin(); it != requests.rend(); ++it) {
      if (it->to == server) return decode_stun(it->bytes).value().id;
    }
    ADD_FAILURE() << server.to_string() << " was never asked";
    return {};
  }
  std::vector<std::string> take_sent() { return std::exchange(sent_, {}); }
  std::vector<std::string> take_events() { return std::exchange(events_, {}); }
  std::chrono::milliseconds next() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(client.next_deadline().value() - time_point{});
  }

  scripted_random random;
  stun_client client{random};
  std::vector<stun_request> requests;

 private:
  std::string stamp() {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count()) + ' ';
  }
  void collect() {
    while (const auto request = client.next_request()) {
      requests.push_back(*request);
      sent_.push_back(stamp() + request->to.to_string());
    }
    while (const auto event = client.next_event()) {
      const auto* mapped = std::get_if<stun_mapped_address>(&*event);
      events_.push_back(stamp() + (mapped != nullptr ? mapped->address.to_string() : "failed"));
    }
  }

  time_point now_{};
  std::vector<std::string> sent_;
  std::vector<std::string> events_;
};

}  // namespace nat
