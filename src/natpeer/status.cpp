#include "status.hpp"

#include "nat/net/status_socket.hpp"
#include "nat/text.hpp"

#include "keys.hpp"
#include "sizes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <vector>

#include <nlohmann/json.hpp>

namespace natpeer {
namespace {

using nlohmann::json;

double millis(nat::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

json encode_nat(const std::optional<nat::nat_behavior>& nat) {
  if (!nat) return nullptr;
  return {{"mapping", std::string(nat::to_string(nat->mapping))}, {"shifts", nat->shifts}};
}

json encode_address(const std::optional<nat::endpoint>& at) { return at ? json(at->to_string()) : json(nullptr); }

json encode_peer(const nat::peer_report& peer, const status_context& around) {
  const bool relay = peer.path == nat::path_kind::relay;
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(around.now - peer.since).count();
  json out{{"name", peer.name},
           {"seed", peer.seed},
           {"path", !peer.path ? "none"
                    : relay    ? "relay"
                               : "direct"},
           {"kind", peer.path && !relay && !peer.seed ? json(std::string(nat::to_string(*peer.path))) : json(nullptr)},
           {"address", encode_address(peer.at)},
           {"rtt_ms", peer.rtt == nat::duration{} ? json(nullptr) : json(std::round(millis(peer.rtt) * 1000) / 1000)},
           {"loss", std::round(peer.loss * 1000) / 1000},
           {"bytes_sent", peer.bytes_sent},
           {"bytes_received", peer.bytes_received},
           {"data_received", peer.data_received},
           {"data_lost", peer.seed ? json(nullptr) : json(peer.data_lost)},
           {"since", around.wall - age},
           {"why", std::string(peer.why)},
           {"why_not_direct", nullptr}};
  if (peer.not_direct != nat::obstacle::none) out["why_not_direct"] = std::string(nat::to_string(peer.not_direct));
  return out;
}

// ---- the table

std::string age_text(std::int64_t millis) {
  const auto seconds = std::max<std::int64_t>(0, millis / 1000);
  char text[48];
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%ds", static_cast<int>(seconds));
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%dm%02ds", static_cast<int>(seconds / 60), static_cast<int>(seconds % 60));
  } else {
    std::snprintf(text, sizeof text, "%lldh%02dm", static_cast<long long>(seconds / 3600),
                  static_cast<int>(seconds / 60 % 60));
  }
  return text;
}

std::string number_text(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string text_or(const json& value, const std::string& otherwise) {
  return value.is_string() ? nat::visible(value.get<std::string>()) : otherwise;
}

constexpr std::size_t columns = 9;
using row = std::array<std::string, columns>;

row peer_row(const json& peer, std::int64_t now) {
  const auto path = nat::visible(peer.at("path").get<std::string>());
  const bool direct = path == "direct";
  const auto kind = text_or(peer.at("kind"), peer.at("seed").get<bool>() ? "seed" : "");
  return {text_or(peer.at("address"), "-"),
          nat::visible(peer.at("name").get<std::string>()),
          direct && !kind.empty() ? path + " (" + kind + ')' : path,
          peer.at("rtt_ms").is_number() ? number_text("%.1f ms", peer.at("rtt_ms").get<double>()) : "-",
          number_text("%.0f%%", peer.at("loss").get<double>() * 100),
          bytes_text(peer.at("bytes_sent").get<double>()),
          bytes_text(peer.at("bytes_received").get<double>()),
          age_text(now - peer.at("since").get<std::int64_t>()),
          text_or(peer.at("why_not_direct"), direct ? "" : text_or(peer.at("why"), ""))};
}

/// Columns as wide as what stands in them, in characters of UTF-8.
std::string aligned(const std::vector<row>& rows) {
  const auto width = [](const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
  };
  std::array<std::size_t, columns> widest{};
  for (const auto& each : rows) {
    for (std::size_t i = 0; i < columns; ++i) widest[i] = std::max(widest[i], width(each[i]));
  }
  std::string out;
  for (const auto& each : rows) {
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
      line += each[i];
      if (i + 1 < columns) line.append(widest[i] - width(each[i]) + 2, ' ');
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

std::string heading(const json& status) {
  const auto& coordinator = status.at("coordinator");
  const auto& nat = status.at("nat");
  std::string out = nat::visible(status.at("name").get<std::string>()) + " in topic " +
                    nat::visible(status.at("topic").get<std::string>()) +
                    (status.at("keyed").get<bool>() ? " (keyed)" : "") + ", up " +
                    age_text(status.at("time").get<std::int64_t>() - status.at("started").get<std::int64_t>()) + '\n';
  out += "coordinator " + nat::visible(coordinator.at("url").get<std::string>()) +
         (!coordinator.at("registered").get<bool>() ? ": not connected"
          : coordinator.at("v2").get<bool>()        ? ": registered (natcoord.v2)"
                                                    : ": registered (seed protocol)") +
         (coordinator.at("relay").get<bool>() ? ", relays" : "") + '\n';
  out += "public address " + text_or(status.at("address"), "unknown");
  if (nat.is_object()) {
    out += ", mapping " + text_or(nat.at("mapping"), "unknown") +
           (nat.at("shifts").get<bool>() ? ", shifted by packets that come unasked" : "");
  }
  return out + '\n';
}

}  // namespace

std::string encode_status(const nat::status_report& report, const status_context& around) {
  const auto& config = around.config;
  json out{{"version", NATPEER_VERSION},
           {"time", around.wall},
           {"started", around.started_at},
           {"topic", config.engine.topic},
           {"name", config.engine.name},
           {"keyed", config.engine.key.has_value()},
           {"address", encode_address(report.address)},
           {"nat", encode_nat(report.nat)},
           {"coordinator",
            {{"url", config.coordinator.to_string()},
             {"registered", report.registered},
             {"v2", report.registered && report.v2},
             {"relay", report.relay}}},
           {"data_sent", report.data_sent},
           {"peers", json::array()}};
  for (const auto& peer : report.peers) out["peers"].push_back(encode_peer(peer, around));
  // Names come from strangers: not UTF-8, perhaps, or made of what a terminal obeys. ASCII says it all.
  return out.dump(-1, ' ', true, json::error_handler_t::replace);
}

std::string status_table(std::string_view text) {
  try {
    const auto status = json::parse(text);
    const auto now = status.at("time").get<std::int64_t>();
    std::vector<row> rows{{"PEER", "NAME", "PATH", "RTT", "LOSS", "SENT", "RECEIVED", "SINCE", "WHY NOT DIRECT"}};
    for (const auto& peer : status.at("peers")) rows.push_back(peer_row(peer, now));
    return heading(status) + (rows.size() == 1 ? "no peers\n" : aligned(rows));
  } catch (const json::exception& error) {
    throw std::runtime_error("this is no status of a natpeer: " + nat::visible(error.what()));
  }
}

int run_status(const std::string& socket, bool as_json) {
  if (socket.empty()) throw usage_error("status: the path of a --status-socket is required (or NATPEER_STATUS_SOCKET)");
  const auto text = nat::net::ask_status(socket);
  const auto table = status_table(text);  // which finds out whether it is a status at all
  const auto& shown = as_json ? text : table;
  if (!(std::cout << shown << std::flush)) throw std::runtime_error("cannot write to stdout");
  return 0;
}

}  // namespace natpeer
