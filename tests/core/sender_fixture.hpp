// A sender, its log and its queues without an engine: who is there is said by hand, and what leaves is read.
#pragma once

#include "nat/sender.hpp"

#include "session_fixture.hpp"
#include "stun_builder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace nat {

using strings = std::vector<std::string>;

inline constexpr time_point start{std::chrono::hours(1)};

inline endpoint seed_at(std::uint16_t port) { return {ip("192.0.2.1"), port}; }

inline known_peer seed(bool heard, std::uint16_t port, time_point since = start) {
  known_peer peer;
  peer.address = seed_at(port);
  peer.known_since = since;
  peer.heard = heard;
  peer.last_heard = since;
  return peer;
}

class sender_test : public testing::Test {
 protected:
  void begin(input_mode mode, std::uint64_t rate = 20'000'000) {
    from_stdin.emplace(mode, sender::limits{.rate = rate, .wait_for = 0});
  }
  void type(std::string_view text) { from_stdin->on_input(as_bytes(text)); }
  void pump(time_point now) {
    const auto tell = [&](session& who) {
      if (!may_tell) return false;
      told.push_back(who.name());
      who.outgoing()->on_told(now);
      return true;
    };
    from_stdin->pump(now, {sealer, random, seeds, seeds_too, ours, out, relay, unproven, relay_rate, tell});
  }
  /// Who is ours has all that was sent, and has written it.
  void acknowledge(time_point now) {
    ours.for_each([&](session& who) {
      if (who.outgoing() == nullptr) return;
      const ping_acknowledgement ack{.next = from_stdin->log().end(),
                                     .limit = from_stdin->log().end_offset() + 10'000'000,
                                     .unwritten = 10'000'000,
                                     .newest = -1};
      who.outgoing()->on_ack(now, ++acks, ack, 0, from_stdin->log());
    });
  }
  strings sent() {
    strings all;
    for (std::size_t i = 0; i < out.size(); ++i) {
      const auto bytes = out.bytes(out.at(i));
      EXPECT_EQ(as_text(bytes).substr(0, 8), "DATADATA");
      all.push_back(std::to_string(out.at(i).to.port) + ' ' + std::string(as_text(bytes.subspan(header_size))));
    }
    out.consume(out.size());
    return all;
  }
  /// "to 4,5: payload" for each frame for the relay.
  strings relayed() {
    strings all;
    while (const auto frame = relay.next()) {
      const auto upload = decode_relay_upload(**frame).value();
      std::string text = "to";
      for (std::size_t i = 0; i < upload.to.size(); ++i) text += (i ? "," : " ") + std::to_string(upload.to[i]);
      all.push_back(text + ": " + std::string(as_text(upload.packet.subspan(header_size))));
    }
    return all;
  }
  session& peer_of_ours(const std::string& name, peer_id id) {
    auto& who = ours.add(start, name, keys.tag_of(name));
    who.relay_id = id;
    who.paths().set_relay(start, true);
    return who;
  }
  session& relayed_peer(const std::string& name, peer_id id) {
    auto& who = peer_of_ours(name, id);
    make_ready(start, asked, who, who.paths().relay());
    from_stdin->start_stream(start, who, random);
    return who;
  }
  session& direct_peer(const std::string& name, peer_id id, std::uint16_t port) {
    auto& who = peer_of_ours(name, id);
    const path_offer offer{seed_at(port), path_kind::public_address};
    who.paths().offer(start, {&offer, 1});
    make_ready(start, asked, who, *who.paths().find(offer.at));
    from_stdin->start_stream(start, who, random);
    return who;
  }
  /// Pumps for a second; returns how many bytes each seed peer was sent.
  std::vector<std::size_t> sent_in_a_second(time_point first) {
    const std::string chunk(input_splitter::max_chunk, 'x');
    std::vector<std::size_t> bytes(seeds.size());
    for (auto now = first; now < first + std::chrono::seconds(1);
         now = std::max(now + std::chrono::milliseconds(1), from_stdin->next_deadline().value_or(now))) {
      while (from_stdin->wants_input()) type(chunk);
      pump(now);
      for (std::size_t i = 0; i < out.size(); ++i) bytes[out.at(i).to.port - 1U] += out.bytes(out.at(i)).size();
      out.consume(out.size());
      acknowledge(now + std::chrono::microseconds(100));
    }
    return bytes;
  }

  plain_random random;
  topic_keys keys = topic_keys::open("T");
  packet_sealer sealer{keys, own_id, payload_cipher::chacha20_poly1305};
  challenges asked{random};
  std::optional<sender> from_stdin;
  std::vector<known_peer> seeds;
  bool seeds_too = true;
  session_table ours;
  outbox out;
  relay_queue relay;
  unproven_allowance unproven{unproven_data};
  std::uint64_t relay_rate = 0;
  std::uint64_t acks = 0;
  strings told;  ///< who was told where the stream begins
  bool may_tell = true;
};

}  // namespace nat
