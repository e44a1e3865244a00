#include "options.hpp"

#include "../cli/usage.hpp"

#include <charconv>
#include <iostream>
#include <map>
#include <memory>
#include <string_view>

#include <CLI/CLI.hpp>

namespace natcoord {
namespace {

constexpr std::size_t highest_limit = 1'000'000;  // connections or peers; far beyond what one process serves
constexpr std::size_t help_column = 24;           // characters; where the help's second column begins

/// An amount with `k`, `M` or `G` behind it, or alone, and how far it may go.
struct amount {
  const char* unit;
  std::uint64_t least;
  const char* least_text;
  std::uint64_t most;
  const char* most_text;
  bool zero_is_none = false;  ///< 0 is allowed as well, and means that there is no limit
};
constexpr amount bit_rate{"bit/s", 10'000, "10k", 1'000'000'000'000, "1000G"};
constexpr amount daily_quota{"bytes", 1'000, "1k", 1'000'000'000'000'000'000, "1000000000G", true};
// A queue that cannot hold a few packets relays nothing; the clients' queues together shall not be most of the memory.
constexpr amount queue_size{"bytes", 16'000, "16k", 1'000'000'000, "1G"};

/// Reads a port, 0..65535; none: it is no port.
std::optional<std::uint16_t> parse_port_or_zero(const std::string& text) {
  if (text == "0") return std::uint16_t{0};
  const auto port = nat::parse_port(text);
  return port ? std::optional(*port) : std::nullopt;
}

/// CLI11 takes a value as wrong when a validator returns a reason.
std::string check_address(const std::string& text) {
  const auto ip = nat::ip_address::parse(text);
  const bool usable = ip && !ip->is_multicast() && !ip->is_broadcast();
  return usable ? "" : '"' + text + "\" is not an IP address to listen on";
}

std::string check_port(const std::string& text) {
  return parse_port_or_zero(text) ? "" : '"' + text + "\" is not a port (0 to 65535)";
}

std::string check_stun_port(const std::string& text) {
  return text == "off" || parse_port_or_zero(text) ? "" : '"' + text + "\" is neither a port (0 to 65535) nor off";
}

std::string check_limit(const std::string& text) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool number = error == std::errc{} && end == text.data() + text.size() && value >= 1 && value <= highest_limit;
  return number ? "" : '"' + text + "\" is not a number from 1 to " + std::to_string(highest_limit);
}

/// Reads a number and a unit; none: it is no such amount.
std::optional<std::uint64_t> parse_amount(std::string_view text, const amount& bounds) {
  const auto number = cli::parse_amount(text);
  if (!number) return std::nullopt;
  const bool none = *number == 0 && bounds.zero_is_none;
  const bool is_within = *number >= static_cast<double>(bounds.least) && *number <= static_cast<double>(bounds.most);
  return none || is_within ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
}

CLI::Validator amount_of(const amount& bounds) {
  return {[bounds](std::string& text) {
            if (parse_amount(text, bounds)) return std::string();
            return '"' + text + "\" is not a number of " + bounds.unit + ", from " + bounds.least_text + " to " +
                   bounds.most_text + (bounds.zero_is_none ? ", or 0" : "");
          },
          ""};
}

const std::map<std::string, nat::unproven_policy> policies{{"allow", nat::unproven_policy::allow},
                                                           {"same-ip", nat::unproven_policy::same_ip},
                                                           {"deny", nat::unproven_policy::deny}};

}  // namespace

std::variant<options, int> parse_options(int argc, const char* const* argv) {
  options out;
  std::string listen = "::";
  std::string port = std::to_string(out.port);
  std::string stun_port = std::to_string(*out.stun_port);
  std::string relay = "on", relay_rate = "32M", relay_total_rate = "1G", relay_quota = "20G", relay_queue = "256k";
  std::string unproven = "allow";

  CLI::App app("Tells the peers of a topic about each other, and answers STUN.", "natcoord");
  app.get_formatter()->column_width(help_column);
  app.set_help_flag("-h,--help", "show this help");
  app.set_version_flag("--version", "natcoord " NATPEER_VERSION, "show the version");
  app.add_option("--listen", listen, "address to listen on (default: all, IPv4 and IPv6)")
      ->option_text("ADDR")
      ->check(CLI::Validator(check_address, ""));
  app.add_option("--port", port, "TCP port of the websocket, 0 picks one (default: 6969)")
      ->option_text("PORT")
      ->check(CLI::Validator(check_port, ""));
  app.add_option("--stun-port", stun_port,
                 "UDP port of STUN; the next two serve it as well. 0 picks three, off disables (default: 3478)")
      ->option_text("PORT")
      ->check(CLI::Validator(check_stun_port, ""));
  app.add_option("--max-connections", out.limits.max_connections, "registered peers, all topics (default: 10000)")
      ->option_text("N")
      ->check(CLI::Validator(check_limit, ""));
  app.add_option("--max-peers", out.limits.max_peers, "registered peers of one topic (default: 1000)")
      ->option_text("N")
      ->check(CLI::Validator(check_limit, ""));
  app.add_option("--relay", relay, "pass on packets between peers that do not reach each other (default: on)")
      ->option_text("on|off")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_option("--relay-rate", relay_rate, "bit/s that one client may relay, with k, M or G (default: 32M)")
      ->option_text("RATE")
      ->check(amount_of(bit_rate));
  app.add_option("--relay-total-rate", relay_total_rate,
                 "bit/s relayed to all clients together, with k, M or G (default: 1G)")
      ->option_text("RATE")
      ->check(amount_of(bit_rate));
  app.add_option("--relay-quota", relay_quota,
                 "bytes a day relayed for one client, with k, M or G, 0 sets no limit (default: 20G)")
      ->option_text("BYTES")
      ->check(amount_of(daily_quota));
  app.add_option("--relay-queue", relay_queue,
                 "relayed bytes that wait for one slow client, with k, M or G (default: 256k)")
      ->option_text("BYTES")
      ->check(amount_of(queue_size));
  app.add_option("--unproven", unproven,
                 "addresses that did not prove to be the client's: allow, same-ip or deny (default: allow)")
      ->option_text("POLICY")
      ->check(CLI::IsMember({"allow", "same-ip", "deny"}));
  app.add_option("--log-level", out.log_level, "trace, debug, info, warn, error or off (default: info)")
      ->option_text("LEVEL")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.set_config("--config", "", "read options from FILE, one a line: port = 6969")->option_text("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "natcoord: " << cli::message_of(error) << '\n';
    return exit_usage;
  }
  out.listen = nat::ip_address::parse(listen).value();
  out.port = parse_port_or_zero(port).value();
  out.stun_port = stun_port == "off" ? std::nullopt : parse_port_or_zero(stun_port);
  out.limits.relay.on = relay == "on";
  out.limits.relay.rate = parse_amount(relay_rate, bit_rate).value();
  out.limits.relay.total_rate = parse_amount(relay_total_rate, bit_rate).value();
  out.limits.relay.quota = parse_amount(relay_quota, daily_quota).value();
  out.relay_queue = parse_amount(relay_queue, queue_size).value();
  out.limits.unproven = policies.at(unproven);
  return out;
}

}  // namespace natcoord
