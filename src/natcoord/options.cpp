#include "options.hpp"

#include <charconv>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>

namespace natcoord {
namespace {

constexpr std::size_t highest_limit = 1'000'000;  // connections or peers; far beyond what one process serves
constexpr std::size_t help_column = 24;           // characters; where the help's second column begins

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

}  // namespace

std::variant<options, int> parse_options(int argc, const char* const* argv) {
  options out;
  std::string listen = "::";
  std::string port = std::to_string(out.port);
  std::string stun_port = std::to_string(*out.stun_port);

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
  app.add_option("--stun-port", stun_port, "UDP port of STUN, 0 picks one, off disables (default: 3478)")
      ->option_text("PORT")
      ->check(CLI::Validator(check_stun_port, ""));
  app.add_option("--max-connections", out.limits.max_connections, "registered peers, all topics (default: 10000)")
      ->option_text("N")
      ->check(CLI::Validator(check_limit, ""));
  app.add_option("--max-peers", out.limits.max_peers, "registered peers of one topic (default: 1000)")
      ->option_text("N")
      ->check(CLI::Validator(check_limit, ""));
  app.add_option("--log-level", out.log_level, "trace, debug, info, warn, error or off (default: info)")
      ->option_text("LEVEL")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.set_config("--config", "", "read options from FILE, one a line: port = 6969")->option_text("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::cerr << "natcoord: " << error.what() << '\n';
    return exit_usage;
  }
  out.listen = nat::ip_address::parse(listen).value();
  out.port = parse_port_or_zero(port).value();
  out.stun_port = stun_port == "off" ? std::nullopt : parse_port_or_zero(stun_port);
  return out;
}

}  // namespace natcoord
