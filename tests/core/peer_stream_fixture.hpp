// Streams between whole engines.
#pragma once

#include "v2_fixture.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace nat {

class peer_stream_test : public v2_network {
 protected:
  static peer_config with(std::optional<duration> quit_on_eof, bool quit_on_end = false) {
    peer_config out;
    out.quit_on_eof = quit_on_eof;
    out.quit_on_end = quit_on_end;
    return out;
  }
  void three_peers(peer_config sender = {}, peer_config receiver = {}) {
    add("ann", "203.0.113.1:1111", std::move(sender));
    add("ben", "203.0.113.2:2222", receiver);
    add("cat", "203.0.113.3:3333", std::move(receiver));
    pass(1s);
  }
  /// Types as fast as it is read, and lets time pass meanwhile.
  std::string pour(const std::string& name, std::size_t bytes) {
    std::string all;
    for (const auto end = now + 5min; all.size() < bytes && now < end;) {
      while (of(name).engine->wants_input() && all.size() < bytes) {
        std::string chunk;
        while (chunk.size() < 10'000) chunk += "line " + std::to_string(all.size() + chunk.size()) + '\n';
        of(name).engine->on_input(now, as_bytes(chunk));
        all += chunk;
      }
      pass(5ms);
    }
    return all;
  }
  void end_input(const std::string& name) {
    of(name).engine->on_input_end(now);
    serve_all();
  }
  /// The coordinator answers the goodbyes.
  void finish(const std::string& name) { of(name).engine->on_coordinator(now, wall, events::closed{1000, ""}); }
  std::optional<ending> ended(const std::string& name) {
    for (const auto end = now + 10min; now < end && !is_leaving(name);) pass(100ms);
    if (!is_leaving(name)) return std::nullopt;
    finish(name);
    return of(name).engine->ended();
  }
  bool is_leaving(const std::string& name) { return of(name).engine->coordinator().is_leaving(); }
  std::size_t notes_of(const std::string& name, note_kind kind) {
    return static_cast<std::size_t>(std::ranges::count(of(name).notes, kind, &note::kind));
  }
  /// Each n-th packet is lost.
  auto losing(int n) {
    return [n, count = std::make_shared<int>(0)](const seen_packet&) { return ++*count % n != 0; };
  }
};

}  // namespace nat
