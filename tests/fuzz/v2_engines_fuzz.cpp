// Whole engines that speak natcoord.v2, driven by a stranger: natcoord by three clients that say what they like,
// natpeer by a coordinator that does, in an open topic whose packets it can seal.
#include "nat/coordinator.hpp"
#include "nat/peer.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace nat;

void require(bool holds) {
  if (!holds) std::abort();
}

class counting_random final : public random_source {
 public:
  void fill(byte_span out) override { std::ranges::fill(out, ++state_); }

 private:
  std::uint8_t state_ = 0;
};

const endpoint outside{ip_address(ip_address::v4_bytes{198, 51, 100, 1}), 5000};
const endpoint server{ip_address(ip_address::v4_bytes{198, 51, 100, 9}), 6969};

template <typename Queues>
void check(const Queues& queues) {
  for (const auto& queue : queues) require(queue.held <= queue.bound);
}

/// natcoord, and three clients of it: two of one topic, one of another.
class natcoord_under_test {
 public:
  natcoord_under_test() : tokens_(random_), engine_(random_, tokens_, {.max_connections = 8, .max_peers = 4}) {
    for (std::size_t i = 0; i < clients_.size(); ++i) join(i);
  }

  void take(std::uint8_t choice, byte_view bytes) {
    const auto who = choice % clients_.size();
    switch (choice / clients_.size() % 4) {
      case 0: engine_.on_message(at_, clients_[who], as_text(bytes)); break;
      case 1: engine_.on_relay(at_, clients_[who], bytes); break;
      case 2:
        engine_.on_closed(at_, clients_[who]);
        join(who);
        break;
      case 3: at_.steady += std::chrono::milliseconds(1) * (bytes.empty() ? 1 : bytes[0]); break;
    }
    settle();
  }

 private:
  void join(std::size_t which) {
    const v2_offer offer;
    const join_request request{which == 2 ? "other" : "T", "client" + std::to_string(which), std::nullopt};
    const auto answer = engine_.admit(at_, request, outside.ip, &offer);
    if (!answer.admitted()) return;
    clients_[which] = answer.id;
    engine_.on_open(at_, answer.id);
    settle();
  }
  void settle() {
    check(engine_.queues());
    while (const auto action = engine_.next_action()) {
      if (const auto* message = std::get_if<send_message>(&*action)) {
        require(decode_server_message(*message->text).has_value());
      } else if (const auto* relayed = std::get_if<send_relayed>(&*action)) {
        require(decode_relay_delivery(*relayed->frame).has_value());
        for (const auto id : relayed->to) require(id != clients_[2] || sender_of(*relayed->frame) == clients_[2]);
      }
    }
    const auto next = engine_.next_deadline();
    if (next && *next <= at_.steady) engine_.on_time(at_);
  }
  static peer_id sender_of(byte_view frame) { return decode_relay_delivery(frame)->from; }

  counting_random random_;
  address_tokens tokens_;
  coordinator engine_;
  std::array<client_id, 3> clients_{};
  instant at_{time_point(std::chrono::hours(1)), 1'656'829'882'876};
};

/// natpeer, registered with natcoord.v2.
class natpeer_under_test {
 public:
  natpeer_under_test()
      : keys_(topic_keys::open("T")),
        sealer_(keys_, 7, payload_cipher::chacha20_poly1305),
        engine_({.topic = "T", .name = "me", .advertise = endpoint{outside.ip, 1}, .wait_for = 0}, random_) {
    engine_.start(now_);
    tell(coordinator_events::reached{server});
    tell(coordinator_events::joined{.v2 = true});
    say(R"({"type":"welcome","id":1,"resume":"r","seen":"198.51.100.1","relay":true,"stun_ports":[1,2,3]})");
    say(R"({"type":"snapshot","version":1,"peers":[{"id":2,"name":"bob","candidates":[{"ip":"198.51.100.1","port":5000,"kind":"reflexive"}]}]})");
  }

  void take(std::uint8_t choice, byte_view bytes) {
    switch (choice % 6) {
      case 0: say(as_text(bytes)); break;
      case 1: tell(coordinator_events::binary{bytes}); break;
      case 2: engine_.on_datagram(now_, 0, outside, bytes); break;
      case 3: engine_.on_datagram(now_, 0, outside, sealed(bytes)); break;
      case 4: {
        std::vector<std::uint8_t> frame;
        append_relay_delivery(frame, 2, sealed(bytes));
        tell(coordinator_events::binary{frame});
        break;
      }
      case 5: now_ += std::chrono::milliseconds(1) * (bytes.empty() ? 1 : bytes[0]); break;
    }
    settle();
  }

 private:
  void tell(const coordinator_event& event) {
    engine_.on_coordinator(now_, 0, event);
    settle();
  }
  void say(std::string_view text) { tell(coordinator_events::text{text}); }
  /// A PING whose fields are the stranger's, but for what makes it open.
  byte_view sealed(byte_view bytes) {
    std::array<std::uint8_t, 64> field{};
    std::copy_n(bytes.begin(), std::min(bytes.size(), field.size()), field.begin());
    ping_header ping;
    ping.number = std::max<std::uint64_t>(1, load_be<std::uint64_t>(&field[0]));
    ping.recipient = field[8] % 2 == 0 ? 0 : load_be<std::uint64_t>(&field[9]);
    ping.challenge = load_be<std::uint64_t>(&field[17]);
    ping.echo = load_be<std::uint64_t>(&field[25]);
    ping.timestamp = load_be<std::uint32_t>(&field[33]);
    ping.timestamp_echo = load_be<std::uint32_t>(&field[37]);
    ping.flags = field[41];
    switch (field[42] % 3) {
      case 0: ping.body = ping_introduction{keys_.tag_of("bob")}; break;
      case 1:
        ping.body = ping_acknowledgement{.next = ping.challenge, .limit = ping.echo, .unwritten = ping.timestamp};
        break;
      case 2: ping.body = ping_stream{.first = ping.challenge, .offset = ping.echo, .next = ping.timestamp}; break;
    }
    packet_.resize(header_size);
    sealer_.seal_ping(packet_, ping, random_);
    return packet_;
  }
  void settle() {
    check(engine_.queues());
    engine_.on_sent(now_, engine_.datagrams().size());
    while (engine_.next_command()) {
    }
    while (const auto message = engine_.next_message()) require(decode_client_message(*message).has_value());
    while (engine_.next_relayed(now_)) {
    }
    while (engine_.next_note()) {
    }
    require(!engine_.has_output());  // nobody has proved anything, so nobody's DATA counts
    const auto next = engine_.next_deadline();
    if (!next || *next > now_) return;
    engine_.on_time(now_);
    engine_.on_sent(now_, engine_.datagrams().size());
    const auto after = engine_.next_deadline();
    require(!after || *after > now_);  // else the program would spin
  }

  counting_random random_;
  topic_keys keys_;
  packet_sealer sealer_;
  peer engine_;
  std::vector<std::uint8_t> packet_;
  time_point now_{std::chrono::hours(1)};
};

template <typename Engine>
void drive(byte_view rest) {
  Engine engine;
  while (rest.size() >= 3) {
    const auto size = std::min<std::size_t>(load_be<std::uint16_t>(&rest[1]), rest.size() - 3);
    engine.take(rest[0], rest.subspan(3, size));
    rest = rest.subspan(3 + size);
  }
}

}  // namespace

// The input: a byte that chooses the engine, then events: a byte that says what, two that give the size, the bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const byte_view rest(data + 1, size - 1);
  data[0] % 2 == 0 ? drive<natcoord_under_test>(rest) : drive<natpeer_under_test>(rest);
  return 0;
}
