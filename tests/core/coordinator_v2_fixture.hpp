// A coordinator whose v2 clients keep the list of their topic as docs/PROTOCOL.md tells them to.
#pragma once

#include "coordinator_fixture.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace nat {

/// What one client was told, and what it made of it.
struct v2_view {
  std::vector<std::string> told;  ///< since the last look
  v2::welcome welcomed;
  std::optional<std::uint64_t> version;
  std::map<peer_id, v2_peer> peers;  ///< without the client itself
  std::vector<peer_id> punched_by;
  std::size_t snapshots = 0;
  std::size_t deltas = 0;
  std::size_t gaps = 0;

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [id, peer] : peers) all.push_back(peer.name);
    return all;
  }
  const v2_peer* find(std::string_view name) const {
    for (const auto& [id, peer] : peers) {
      if (peer.name == name) return &peer;
    }
    return nullptr;
  }

  void on_text(const std::string& text) {
    told.push_back(text);
    std::visit([this](const auto& message) { on(message); }, decode_server_message(text).value());
  }
  void on(const v2::welcome& welcome) { welcomed = welcome; }
  void on(const v2::punch_from& punch) { punched_by.push_back(punch.from); }
  void on(const v2::snapshot& snapshot) {
    ++snapshots;
    peers.clear();
    version = snapshot.version;
    put(snapshot.peers);
  }
  void on(const v2::delta& delta) {
    ++deltas;
    if (!version || *version < delta.from) {
      ++gaps;
      return;
    }
    if (*version > delta.to) return;
    for (const auto id : delta.left) peers.erase(id);
    put(delta.joined);
    put(delta.changed);
    version = delta.to;
  }
  void put(const std::vector<v2_peer>& all) {
    for (const auto& peer : all) {
      if (peer.id != welcomed.id) peers[peer.id] = peer;
    }
  }
};

class coordinator_v2_fixture : public coordinator_fixture {
 protected:
  std::map<client_id, v2_view> views;

  /// Hands what is to be sent to those who get it.
  done deliver(done all) {
    for (auto& [id, view] : views) view.told.clear();
    for (const auto& message : all.messages) {
      for (const auto id : message.to) views[id].on_text(*message.text);
    }
    return all;
  }
  done after(duration time) { return deliver(pass(time)); }

  admission ask_v2(const std::string& name, const std::string& resume = "",
                   std::optional<endpoint> address = std::nullopt) {
    const v2_offer offer{resume};
    return engine->admit(now(), {topic, name, address}, ip(source), &offer);
  }
  client_id join_v2(const std::string& name, const std::string& resume = "",
                    std::optional<endpoint> address = std::nullopt) {
    const auto admitted = ask_v2(name, resume, address);
    EXPECT_EQ(admitted.status, 101U) << admitted.reason;
    EXPECT_TRUE(admitted.v2);
    joined = deliver(open(admitted.id));
    return admitted.id;
  }
  client_id join_seed(const std::string& name, std::string_view at = "1.1.1.1:6969") {
    const auto id = join(name, at);
    joined = deliver(std::move(joined));
    return id;
  }
  done go(client_id id) {
    views.erase(id);
    return deliver(leave(id));
  }

  done say(client_id id, std::string_view text) {
    engine->on_message(now(), id, text);
    return deliver(look());
  }
  done announce(client_id id, std::vector<v2::offered_candidate> candidates,
                std::optional<nat_behavior> nat = std::nullopt) {
    return say(id, encode_client_message(v2::addresses{std::move(candidates), nat}));
  }
  done punch(client_id from, peer_id to) { return say(from, encode_client_message(v2::punch_to{to})); }

  static endpoint at(std::string_view text) { return endpoint::parse(text).value(); }
  std::string token_for(std::string_view address) const {
    return std::string(as_text(tokens.make(now().steady, at(address))));
  }
  v2::offered_candidate proven(std::string_view address, candidate_kind kind = candidate_kind::reflexive) const {
    return {at(address), kind, token_for(address)};
  }
  static v2::offered_candidate host(std::string_view address) { return {at(address), candidate_kind::host, {}}; }
  static v2::offered_candidate reflexive(std::string_view address) {
    return {at(address), candidate_kind::reflexive, {}};
  }
  /// What `of` is told the candidates of `whom` are, like "host 10.0.0.1:5" or "reflexive 1.1.1.1:1 proven".
  std::vector<std::string> candidates(client_id of, client_id whom) {
    std::vector<std::string> all;
    for (const auto& one : views[of].peers[whom].candidates) {
      all.push_back((one.kind == candidate_kind::host ? "host " : "reflexive ") + one.address.to_string() +
                    (one.proven ? " proven" : ""));
    }
    return all;
  }
};

}  // namespace nat
