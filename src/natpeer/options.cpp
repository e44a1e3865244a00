#include "options.hpp"

#include "nat/join_query.hpp"
#include "nat/stun_client.hpp"
#include "nat/text.hpp"

#include "../cli/usage.hpp"
#include "keys.hpp"
#include "status.hpp"
#include "values.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <optional>

#include <CLI/CLI.hpp>

#include <unistd.h>

namespace natpeer {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t stun_port = 3478;               // RFC 8489, 18.6
constexpr nat::duration shortest_ping_interval = 10ms;  // a hundred PINGs a second to each peer is plenty
constexpr nat::duration longest_ping_interval = 60s;    // more, and no NAT keeps its mapping
constexpr std::size_t least_memory = 4U << 20;          // bytes: records of a quarter of it, and something beside
constexpr std::size_t most_memory = std::size_t{4} << 30;
constexpr std::size_t help_column = 26;  // characters; where the help's second column begins

std::string shown(std::string_view text) { return '"' + nat::visible(text) + '"'; }

std::string host_name() {
  char text[256];
  if (::gethostname(text, sizeof text) != 0) return "";
  text[sizeof text - 1] = '\0';
  return text;
}

/// What was typed, before it is looked at.
struct raw_options {
  std::string topic;
  std::string name = host_name();
  std::optional<std::string> key_file;
  std::string coordinator = "ws://127.0.0.1:6969";
  std::string ca_file;
  std::vector<std::string> stun;
  std::string advertise;
  std::string bind;
  std::string ping_interval = "250ms";
  std::string wait = "1";
  std::string input = "bytes";
  std::string output = "auto";
  std::string rate = "none";
  std::string seed_rate = "8M";
  std::string quit_on_eof;
  bool quit_on_end = false;
  std::optional<std::string> slow_peer;
  std::string from;
  std::string memory = "64M";
  std::string replay;
  std::string live;
  std::optional<std::string> status_socket;
  bool json = false;
  bool progress = false;
  std::string log_level = "info";
  bool verbose = false;
  bool quiet = false;
};

void check_text(std::string_view what, std::string_view text, std::size_t limit) {
  const auto name = std::string(what);
  if (text.empty()) throw usage_error(name + " is empty");
  if (text.size() > limit) throw usage_error(name + " is longer than " + std::to_string(limit) + " bytes");
  if (!nat::is_utf8(text)) throw usage_error(name + " is not UTF-8: " + shown(text));
  if (nat::has_control_character(text)) throw usage_error(name + " has a control character: " + shown(text));
}

nat::duration duration_of(const std::string& option, std::string_view text, nat::duration unit) {
  const auto value = parse_duration(text, unit);
  if (!value) throw usage_error(option + ": " + shown(text) + " is not a time, such as 250ms or 2s");
  return *value;
}

std::uint64_t rate_of(const std::string& option, std::string_view text) {
  const auto value = parse_rate(text);
  if (!value) throw usage_error(option + ": " + shown(text) + " is not a rate from 10k to 1000G, such as 20M");
  return *value;
}

void read_slow_peer(std::string_view text, nat::peer_config& out) {
  constexpr std::string_view wait = "wait=";
  out.drops_slow_peers = text == "drop";
  if (text == "drop" || text == "wait") return;
  if (!text.starts_with(wait)) throw usage_error("--slow-peer: " + shown(text) + " is not wait, wait=SECONDS or drop");
  out.slow_peer = duration_of("--slow-peer", text.substr(wait.size()), 1s);
}

std::size_t memory_of(std::string_view text) {
  const auto value = parse_size(text);
  if (!value || *value < least_memory || *value > most_memory) {
    throw usage_error("--memory: " + shown(text) +
                      " is not a size from 4M to 4G, such as 64M: bytes, or with k, M or G");
  }
  return *value;
}

/// What becomes of what is late, and what those get that come late.
void read_lateness(const raw_options& raw, nat::peer_config& out) {
  if (!raw.replay.empty()) {
    const auto value = parse_size(raw.replay);
    if (!value || *value == 0 || *value > most_memory) {
      throw usage_error("--replay: " + shown(raw.replay) +
                        " is not a size from 1 to 4G, such as 1M: bytes, or with k, M or G");
    }
    out.replay = *value;
  }
  if (raw.live.empty()) return;
  const auto live = parse_duration(raw.live, 1ms);
  if (!live || *live < 10ms || *live > 60s) {
    throw usage_error("--live: " + shown(raw.live) + " is not a time from 10ms to 60s, such as 200ms");
  }
  out.live = *live;
  if (out.replay != 0) throw usage_error("--live drops what is old: it does not go with --replay");
  if (raw.slow_peer) throw usage_error("--live never waits for a peer: it does not go with --slow-peer");
}

void read_stun(const raw_options& raw, options& out) {
  const bool none = std::ranges::find(raw.stun, "none") != raw.stun.end();
  if (!raw.advertise.empty()) {
    const auto address = nat::endpoint::parse(raw.advertise);
    if (!address || !address->ip.is_unicast()) {
      throw usage_error("--advertise: " + shown(raw.advertise) +
                        " is not an address a peer can have, such as 1.2.3.4:5");
    }
    if (!none) throw usage_error("--advertise goes with --stun none");
    out.engine.advertise = *address;
  }
  if (none) {
    if (raw.advertise.empty()) throw usage_error("--stun none goes with --advertise IP:PORT");
    if (raw.stun.size() > 1) throw usage_error("--stun: either none or servers");
    return;
  }
  if (raw.stun.size() > nat::max_stun_servers) {
    throw usage_error("--stun: more than " + std::to_string(nat::max_stun_servers) + " servers");
  }
  for (const auto& text : raw.stun) {
    const auto server = parse_host_port(text, stun_port);
    if (!server) throw usage_error("--stun: " + shown(text) + " is not HOST or HOST:PORT");
    out.stun.push_back(*server);
  }
  if (out.stun.empty()) out.stun.push_back({out.coordinator.host, stun_port});
}

void read_bind(const std::string& text, options& out) {
  if (text.empty()) return;
  if (const auto ip = nat::ip_address::parse(text)) {
    out.bind = *ip;
  } else if (const auto at = nat::endpoint::parse(text)) {
    out.bind = at->ip;
    out.bind_port = at->port;
  } else {
    throw usage_error("--bind: " + shown(text) + " is not an IP address, or one with a port such as 0.0.0.0:5000");
  }
  if (out.bind.is_multicast() || out.bind.is_broadcast())
    throw usage_error("--bind: " + shown(text) + " is no address of a host");
}

nat::output_mode read_output(const std::string& text) {
  if (text == "raw") return nat::output_mode::raw;
  if (text == "lines") return nat::output_mode::lines;
  if (text == "json") return nat::output_mode::json;
  if (text == "text") return nat::output_mode::text;
  return ::isatty(STDOUT_FILENO) == 1 ? nat::output_mode::text : nat::output_mode::raw;
}

options read(const raw_options& raw, bool quit_on_eof) {
  options out;
  out.engine.topic = raw.topic;
  out.engine.name = raw.name;
  check_text("--topic", out.engine.topic, nat::max_topic_bytes);
  check_text("--name", out.engine.name, nat::max_name_bytes);

  const auto url = nat::parse_coordinator_url(raw.coordinator);
  if (!url) {
    throw usage_error("--coordinator: " + shown(raw.coordinator) +
                      " is not a URL such as ws://host:6969 or https://host/path");
  }
  out.coordinator = *url;
  out.ca_file = raw.ca_file;
  read_stun(raw, out);
  read_bind(raw.bind, out);

  out.engine.ping_interval = duration_of("--ping-interval", raw.ping_interval, 1ms);
  if (out.engine.ping_interval < shortest_ping_interval || out.engine.ping_interval > longest_ping_interval) {
    throw usage_error("--ping-interval: " + shown(raw.ping_interval) + " is not within 10ms and 60s");
  }
  std::size_t wait = 0;
  const auto* const last = raw.wait.data() + raw.wait.size();
  const auto [end, error] = std::from_chars(raw.wait.data(), last, wait);
  if (error != std::errc{} || end != last || wait > nat::max_roster_peers) {
    throw usage_error("--wait: " + shown(raw.wait) + " is not a number of peers, from 0 to " +
                      std::to_string(nat::max_roster_peers));
  }
  out.engine.wait_for = wait;
  out.engine.input = raw.input == "lines" ? nat::input_mode::lines : nat::input_mode::bytes;
  out.engine.output = read_output(raw.output);
  out.engine.rate = raw.rate == "none" ? 0 : rate_of("--rate", raw.rate);
  out.engine.seed_rate = rate_of("--seed-rate", raw.seed_rate);
  if (quit_on_eof)
    out.engine.quit_on_eof = raw.quit_on_eof.empty() ? 30s : duration_of("--quit-on-eof", raw.quit_on_eof, 1s);
  out.engine.quit_on_end = raw.quit_on_end;
  if (quit_on_eof && raw.quit_on_end)
    throw usage_error("--quit-on-end reads no stdin: it does not go with --quit-on-eof");
  if (raw.slow_peer) read_slow_peer(*raw.slow_peer, out.engine);
  out.engine.memory = memory_of(raw.memory);
  read_lateness(raw, out.engine);
  if (!raw.from.empty()) check_text("--from", raw.from, nat::max_roster_name);
  if (raw.from == raw.name) throw usage_error("--from: " + shown(raw.from) + " is our own name");
  out.engine.from = raw.from;

  if (raw.status_socket && raw.status_socket->empty()) throw usage_error("--status-socket is empty");
  out.status_socket = raw.status_socket.value_or("");
  out.progress = raw.progress;
  out.engine.key = read_key(raw.key_file, out.engine.topic);
  out.log_level = raw.verbose ? "debug" : raw.quiet ? "warn" : raw.log_level;
  return out;
}

/// Adds an option whose environment variable is NATPEER_ and its name.
template <typename Value>
CLI::Option* add(CLI::App& app, const std::string& name, Value& value, const std::string& type,
                 const std::string& meaning) {
  auto variable = "NATPEER_" + name.substr(2);
  std::ranges::transform(variable, variable.begin(),
                         [](char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return app.add_option(name, value, meaning)->option_text(type)->envname(variable)->check([](const std::string& text) {
    return text.empty() ? std::string("is empty") : std::string();
  });
}

}  // namespace

std::variant<options, int> parse_options(int argc, const char* const* argv) {
  raw_options raw;
  CLI::App app("Pipes stdin to everyone in a topic and prints what they send, through NATs.", "natpeer");
  app.get_formatter()->column_width(help_column);
  app.set_help_flag("-h,--help", "show this help");
  app.set_version_flag("--version", "natpeer " NATPEER_VERSION, "show the version");
  add(app, "--topic", raw.topic, "TOPIC", "who to talk to: everyone with this topic (required)");
  add(app, "--name", raw.name, "NAME", "our name, unique in the topic (default: the host's name)");
  add(app, "--key-file", raw.key_file, "FILE", "the topic's secret key, for this user's eyes only (default: none)");
  add(app, "--coordinator", raw.coordinator, "URL", "natcoord; ws, wss, http or https (default: ws://127.0.0.1:6969)");
  add(app, "--ca", raw.ca_file, "FILE", "trust these certificates (PEM) for wss (default: the system's)");
  add(app, "--stun", raw.stun, "HOST[:PORT]",
      "STUN server, repeatable; none: ask none (default: the coordinator's host, 3478)")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add(app, "--advertise", raw.advertise, "IP:PORT", "register this address instead of asking; with --stun none");
  add(app, "--bind", raw.bind, "ADDR[:PORT]", "local UDP address (default: all, IPv4 and IPv6, any port)");
  add(app, "--ping-interval", raw.ping_interval, "TIME", "between two PINGs to each peer (default: 250ms)");
  add(app, "--wait", raw.wait, "N", "read stdin once N peers are there; 0: at once (default: 1)");
  add(app, "--input", raw.input, "MODE", "bytes: as it comes; lines: a record a line (default: bytes)")
      ->check(CLI::IsMember({"bytes", "lines"}));
  add(app, "--output", raw.output, "MODE",
      "raw, lines, text, json or auto: text on a terminal, else raw (default: auto)")
      ->check(CLI::IsMember({"auto", "raw", "lines", "text", "json"}));
  add(app, "--rate", raw.rate, "RATE", "bit/s to each peer at most, with k, M or G (default: none)");
  add(app, "--seed-rate", raw.seed_rate, "RATE", "bit/s at most to a peer of the seed protocol (default: 8M)");
  auto* quit = add(app, "--quit-on-eof", raw.quit_on_eof, "[SECONDS]",
                   "end once everybody has all of stdin, or after so long without progress (default: 30)")
                   ->expected(0, 1);
  app.add_flag("--quit-on-end", raw.quit_on_end, "read no stdin; end once all senders have, and all is written");
  add(app, "--slow-peer", raw.slow_peer, "POLICY",
      "wait, wait=SECONDS or drop: when a peer is left behind (default: wait=300)");
  add(app, "--live", raw.live, "TIME", "drop what is older, and never wait for a peer (default: nothing is dropped)");
  add(app, "--replay", raw.replay, "SIZE", "bytes of what was sent, kept for who joins later (default: none)");
  add(app, "--from", raw.from, "NAME", "write only what this peer sends (default: everybody's)");
  add(app, "--memory", raw.memory, "SIZE", "bytes kept for each direction, with k, M or G (default: 64M)");
  add(app, "--status-socket", raw.status_socket, "PATH",
      "tell the status, as JSON, to who connects to this Unix socket (default: none)");
  app.add_flag("--progress", raw.progress, "with a terminal on stderr, show rate, total, and how far each peer is");
  add(app, "--log-level", raw.log_level, "LEVEL", "trace, debug, info, warn, error or off (default: info)")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.add_flag("-v,--verbose", raw.verbose, "log more: --log-level debug");
  app.add_flag("-q,--quiet", raw.quiet, "log less: --log-level warn");
  const char* config = std::getenv("NATPEER_CONFIG");
  app.set_config("--config", config == nullptr ? "" : config, "read options from FILE, one a line: topic = X",
                 config != nullptr)
      ->option_text("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(
      "Options with a value can be set in the environment: NATPEER_TOPIC, NATPEER_PING_INTERVAL, and so on.\n"
      "A secret key comes from --key-file, NATPEER_KEY (as keygen prints it) or NATPEER_PASSPHRASE (any phrase).");

  auto* status = app.add_subcommand("status", "show the peers and paths of a natpeer that has a --status-socket");
  status->fallthrough();
  status->footer("");
  status->add_option("PATH", raw.status_socket, "its --status-socket (default: NATPEER_STATUS_SOCKET)")
      ->option_text(" ");
  status->add_flag("--json", raw.json, "print the JSON as it is, not a table");
  auto* keygen = app.add_subcommand("keygen", "print a new secret key for --key-file or NATPEER_KEY");
  keygen->footer("");

  try {
    app.parse(argc, argv);
    if (keygen->parsed()) return run_keygen();
    if (status->parsed()) return run_status(raw.status_socket.value_or(""), raw.json);
    if (raw.topic.empty()) throw usage_error("--topic is required");
    return read(raw, quit->count() > 0);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "natpeer: " << cli::message_of(error) << '\n';
    return exit_usage;
  } catch (const usage_error& error) {
    std::cerr << "natpeer: " << error.what() << '\n';
    return exit_usage;
  }
}

}  // namespace natpeer
