// Whole natpeer engines on one virtual network with a coordinator that speaks natcoord.v2 and relays; hand-set time, no
// socket.
#pragma once

#include "nat/peer.hpp"

#include "plain_random.hpp"
#include "stun_builder.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {

using namespace std::chrono_literals;
namespace events = coordinator_events;

inline const endpoint v2_coordinator = at("198.51.100.9:6969");

/// What was on the network: a datagram, or a relayed packet (then `to` and `from` mean nothing).
struct seen_packet {
  time_point when;
  std::string sender;  ///< name
  endpoint from;
  endpoint to;
  bool relayed = false;
  std::vector<std::uint8_t> bytes;
  fragmenting pieces = fragmenting::as_usual;

  bool is_data() const { return as_text(bytes).starts_with("DATADATA"); }
};

/// One engine and its place in the network.
struct v2_host {
  std::string name;
  endpoint address;  ///< where its datagrams come from, and where it gets them
  std::optional<nat_behavior> nat = nat_behavior{};
  std::unique_ptr<peer> engine;
  plain_random random{1};
  peer_id id = 0;                     ///< 0: not connected
  bool v2 = true;                     ///< else a client of section 1, which the test speaks for
  std::vector<candidate> candidates;  ///< as the coordinator lists it
  std::optional<nat_behavior> announced_nat;
  std::string output;
  std::vector<note> notes;
  std::vector<v2::client_message> said;  ///< to the coordinator
};

class v2_network : public testing::Test {
 protected:
  time_point now{1h};
  unix_millis wall = 1'656'829'882'876;
  std::map<std::string, std::unique_ptr<v2_host>> hosts;
  peer_id last_id = 0;
  std::uint64_t version = 1;
  bool relay_works = true;
  bool lists_changes = true;     ///< the coordinator tells what peers announce
  std::set<std::string> unread;  ///< whose stdout nobody reads
  duration direct_delay = 5ms;
  duration relay_delay = 20ms;
  /// Whether the network carries this datagram.
  std::function<bool(const seen_packet&)> passes = [](const seen_packet&) { return true; };
  std::vector<seen_packet> trace;

  struct flight {
    seen_packet packet;
    peer_id from_id = 0;
    std::vector<peer_id> to_ids;
    std::uint64_t order = 0;
  };
  std::multimap<time_point, flight> in_flight;

  v2_host& add(const std::string& name, const std::string& address, peer_config config = {}) {
    auto host = std::make_unique<v2_host>();
    host->name = name;
    host->address = at(address);
    host->random = plain_random(std::hash<std::string>{}(name) + ++started_);  // a sender id of its own
    config.topic = config.topic.empty() ? "T" : config.topic;
    config.name = name;
    config.advertise = host->address;
    config.wait_for = 0;
    host->engine = std::make_unique<peer>(config, host->random);
    host->v2 = !section_1_next_;
    auto& added = *host;
    hosts[name] = std::move(host);
    added.engine->start(now);
    serve(added);
    return added;
  }
  v2_host& of(const std::string& name) { return *hosts.at(name); }
  v2_host* by_id(peer_id id) {
    for (auto& [name, host] : hosts) {
      if (host->id == id && id != 0) return host.get();
    }
    return nullptr;
  }

  // ---- the coordinator

  void tell(v2_host& whom, const v2::server_message& what) {
    const auto text = encode_server_message(what);
    whom.engine->on_coordinator(now, wall, events::text{text});
  }
  v2_peer listed(const v2_host& who) const { return {who.id, who.name, !who.v2, who.candidates, who.announced_nat}; }
  v2::snapshot snapshot_of_all() {
    v2::snapshot all{version, {}};
    for (auto& [name, host] : hosts) {
      if (host->id != 0) all.peers.push_back(listed(*host));
    }
    return all;
  }
  /// A change of the list, to all who have a list already.
  void tell_all(v2::delta change, const v2_host* newcomer = nullptr) {
    change.from = version;
    change.to = ++version;
    for (auto& [name, host] : hosts) {
      if (host.get() != newcomer && host->engine && host->id != 0 && host->v2) tell(*host, change);
    }
  }
  void on_join(v2_host& who) {
    who.id = ++last_id;
    who.candidates.clear();
    who.announced_nat.reset();
    who.engine->on_coordinator(now, wall, events::joined{.remote = {}, .v2 = true});
    tell_all({.joined = {listed(who)}}, &who);
    tell(who, v2::welcome{who.id, "token-" + who.name, who.address.ip, relay_works, 8'000'000, {}});
    tell(who, snapshot_of_all());
  }
  void on_said(v2_host& who, const v2::client_message& what) {
    who.said.push_back(what);
    if (const auto* told = std::get_if<v2::addresses>(&what)) {
      who.candidates.clear();
      for (const auto& each : told->candidates) who.candidates.push_back({each.address, each.kind, false});
      who.announced_nat = who.nat;
      if (lists_changes) tell_all({.changed = {listed(who)}});
      send_lists();
    } else if (const auto* punch = std::get_if<v2::punch_to>(&what)) {
      if (auto* to = by_id(punch->to)) tell(*to, v2::punch_from{who.id});
    } else {
      tell(who, snapshot_of_all());
    }
  }
  /// An engine that the coordinator knows by section 1 alone, as behind a proxy that strips the subprotocol.
  v2_host& add_section_1(const std::string& name, const std::string& address) {
    section_1_next_ = true;
    auto& added = add(name, address);
    section_1_next_ = false;
    return added;
  }
  void send_list(v2_host& to) {
    std::string text = R"({"peers":[)";
    for (auto& [name, host] : hosts) {
      if (host->candidates.empty()) continue;
      const auto& where = host->candidates.front().address;
      text += (text.back() == '[' ? "" : ",");
      text += R"({"ip":")" + where.ip.to_string() + R"(","port":)" + std::to_string(where.port) + R"(,"name":")" +
              name + R"(","last_seen":1656829882876})";
    }
    text += "]}";
    to.engine->on_coordinator(now, wall, events::text{text});
  }
  void send_lists() {
    for (auto& [name, host] : hosts) {
      if (host->engine && host->id != 0 && !host->v2) send_list(*host);
    }
  }
  void on_section_1_join(v2_host& who) {
    who.id = ++last_id;
    who.candidates = {
        {*who.engine->registration_request(coordinator_command::join).address, candidate_kind::reflexive, false}};
    who.engine->on_coordinator(now, wall, events::joined{});
    tell_all({.joined = {listed(who)}}, &who);
    send_lists();
  }
  /// A client of section 1, which has no engine here.
  v2_host& add_seed(const std::string& name, const std::string& address) {
    auto host = std::make_unique<v2_host>();
    host->name = name;
    host->v2 = false;
    host->id = ++last_id;
    host->address = at(address);
    host->candidates = {{host->address, candidate_kind::reflexive, false}};
    auto& added = *host;
    hosts[name] = std::move(host);
    tell_all({.joined = {listed(added)}});
    serve_all();
    return added;
  }
  /// The connection to the coordinator ends.
  void cut(v2_host& who) {
    const auto gone = std::exchange(who.id, 0);
    who.engine->on_coordinator(now, wall, events::closed{1006, "gone"});
    tell_all({.left = {gone}});
    serve_all();
  }
  void vanish(const std::string& name) {
    const auto gone = of(name).id;
    auto& who = of(name);
    who.id = 0;
    tell_all({.left = {gone}});
    hosts.erase(name);
    serve_all();
  }
  bool coordinator_is_up = true;
  bool section_1_next_ = false;
  std::size_t started_ = 0;

  // ---- one engine's wishes

  void serve(v2_host& who) {
    if (!who.engine) return;
    for (bool busy = true; busy;) {
      busy = false;
      send_datagrams(who);
      while (const auto command = who.engine->next_command()) {
        busy = true;
        if (*command == coordinator_command::connect && coordinator_is_up) {
          who.engine->on_coordinator(now, wall, events::reached{v2_coordinator});
        } else if (*command == coordinator_command::connect) {
          who.engine->on_coordinator(now, wall, events::failed{"down"});
        } else if (*command == coordinator_command::join_v2 && !who.v2) {
          who.engine->on_coordinator(now, wall, events::refused{400, "missing parameter \"ip\"", {}});
        } else if (*command == coordinator_command::join) {
          on_section_1_join(who);
        } else if (*command == coordinator_command::join_v2) {
          on_join(who);
        } else if (*command == coordinator_command::ping && who.id != 0) {
          who.engine->on_coordinator(now, wall, events::alive{true});
        }
      }
      while (const auto text = who.engine->next_message()) {
        busy = true;
        const auto message = decode_client_message(*text);
        ASSERT_TRUE(message) << *text;
        if (who.id != 0) on_said(who, *message);
      }
      while (const auto frame = who.engine->next_relayed(now)) {
        busy = true;
        relay(who, **frame);
      }
      if (who.engine->has_output() && !unread.contains(who.name)) {
        std::vector<std::uint8_t> bytes;
        who.engine->next_output(bytes);
        who.output += as_text(bytes);
        who.engine->on_output_written(now, bytes.size());
      }
      while (const auto next = who.engine->next_note()) who.notes.push_back(*next);
    }
  }
  void serve_all() {
    // Whoever is served may have said something to the others.
    for (int turn = 0; turn < 3; ++turn) {
      for (auto& [name, host] : hosts) serve(*host);
    }
  }
  void send_datagrams(v2_host& who) {
    const auto& waiting = who.engine->datagrams();
    const auto count = waiting.size();
    for (std::size_t i = 0; i < count; ++i) {
      const auto bytes = waiting.bytes(waiting.at(i));
      const auto& next = waiting.at(i);
      seen_packet packet{now, who.name, who.address, next.to, false, {bytes.begin(), bytes.end()}, next.pieces};
      trace.push_back(packet);
      if (passes(packet)) in_flight.emplace(now + direct_delay, flight{std::move(packet)});
    }
    if (count > 0) who.engine->on_sent(now, count);
  }
  void relay(v2_host& who, byte_view frame) {
    const auto upload = decode_relay_upload(frame).value();
    seen_packet packet{now, who.name, {}, {}, true, {upload.packet.begin(), upload.packet.end()}, {}};
    trace.push_back(packet);
    if (who.id == 0 || !relay_works || !passes(packet)) return;
    flight sent{std::move(packet), who.id};
    for (std::size_t i = 0; i < upload.to.size(); ++i) sent.to_ids.push_back(upload.to[i]);
    in_flight.emplace(now + relay_delay, std::move(sent));
  }
  void deliver(const flight& what) {
    if (!what.packet.relayed) {
      for (auto& [name, host] : hosts) {
        if (!host->engine || host->address != what.packet.to) continue;
        host->engine->on_datagram(now, wall, what.packet.from, what.packet.bytes);
        host->engine->flush(now);
        return serve_all();
      }
      return;
    }
    for (const auto id : what.to_ids) {
      auto* to = by_id(id);
      if (to == nullptr || !to->engine) continue;
      std::vector<std::uint8_t> frame;
      append_relay_delivery(frame, what.from_id, what.packet.bytes);
      to->engine->on_coordinator(now, wall, events::binary{frame});
    }
    serve_all();
  }

  // ---- time

  void pass(duration time) {
    const auto end = now + time;
    serve_all();
    for (;;) {
      deadline next;
      std::string whose;
      for (auto& [name, host] : hosts) {
        const auto its = host->engine ? host->engine->next_deadline() : std::nullopt;
        if (its && (!next || *its < *next)) whose = name;
        next = earliest(next, its);
      }
      if (!in_flight.empty()) next = earliest(next, in_flight.begin()->first);
      if (!next || *next > end) break;
      ASSERT_GE(*next, now) << whose << ": a deadline in the past";
      wall += std::chrono::duration_cast<std::chrono::milliseconds>(*next - now).count();
      now = *next;
      while (!in_flight.empty() && in_flight.begin()->first <= now) {
        const auto what = std::move(in_flight.begin()->second);
        in_flight.erase(in_flight.begin());
        deliver(what);
      }
      for (auto& [name, host] : hosts) {
        if (!host->engine || !host->engine->next_deadline() || *host->engine->next_deadline() > now) continue;
        host->engine->on_time(now);
        serve(*host);
        const auto after = host->engine->next_deadline();
        ASSERT_TRUE(!after || *after > now) << name << ": a deadline in the past would spin";
      }
      serve_all();
    }
    now = end;
  }

  // ---- what a test asks

  void type(const std::string& name, std::string_view text) {
    ASSERT_TRUE(of(name).engine->wants_input());
    of(name).engine->on_input(now, as_bytes(text));
    serve_all();
  }
  std::string read(const std::string& name) { return std::exchange(of(name).output, {}); }
  session* session_with(const std::string& mine, const std::string& other) {
    return of(mine).engine->sessions().by_name(other);
  }
  /// "relay", "public", ..., or "none".
  std::string path_to(const std::string& mine, const std::string& other) {
    const auto* who = session_with(mine, other);
    if (who == nullptr || who->paths().chosen() == nullptr) return "none";
    return std::string(to_string(who->paths().chosen()->kind));
  }
  std::size_t sent_count(const std::function<bool(const seen_packet&)>& which) const {
    return static_cast<std::size_t>(std::ranges::count_if(trace, which));
  }
  static auto no_datagrams() {
    return [](const seen_packet& packet) { return packet.relayed; };
  }
  static auto everything() {
    return [](const seen_packet&) { return true; };
  }
};

}  // namespace nat
