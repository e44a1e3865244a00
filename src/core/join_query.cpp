#include "nat/join_query.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <utility>

#include <boost/url/encode.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

namespace nat {
namespace {

enum parameter : std::size_t { topic, name, ip, port, parameter_count };

constexpr std::array<std::string_view, parameter_count> parameter_names{"topic", "name", "ip", "port"};

/// Decoded values, at the place of their parameter; empty: not given, or empty.
using parameter_values = std::array<std::string, parameter_count>;

join_refusal refusal(parameter which, std::string_view what) {
  std::string reason = "parameter \"";
  reason += parameter_names[which];
  reason += "\" ";
  reason += what;
  return {std::move(reason)};
}

/// Percent-decodes; nothing where an escape is not `%` and two hexadecimal digits. Which other bytes may
/// stand unescaped is not asked: browsers and Go leave more of them alone than RFC 3986 does.
std::optional<std::string> percent_decode(std::string_view text) {
  const auto checked = boost::urls::make_pct_string_view(text);
  if (!checked) return std::nullopt;
  return checked->decode(boost::urls::encoding_opts(/*space_as_plus=*/true));
}

/// Cuts `rest` behind its first `separator`, and returns what stood before it.
std::string_view cut(std::string_view& rest, char separator) {
  const auto end = std::min(rest.find(separator), rest.size());
  const auto front = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return front;
}

std::optional<join_refusal> read_parameters(std::string_view query, bool needs_address, parameter_values& values) {
  std::array<bool, parameter_count> given{};
  for (std::size_t count = 1; !query.empty(); ++count) {
    if (count > max_join_parameters) return join_refusal{"the query has too many parameters"};
    auto value = cut(query, '&');
    const auto key = percent_decode(cut(value, '='));
    if (!key) return join_refusal{"the query has an invalid percent escape"};
    const auto which = static_cast<parameter>(std::ranges::find(parameter_names, *key) - parameter_names.begin());
    if (which == parameter_count) continue;
    if (std::exchange(given[which], true)) return refusal(which, "is given twice");
    auto decoded = percent_decode(value);
    if (!decoded) return refusal(which, "has an invalid percent escape");
    values[which] = std::move(*decoded);
  }
  const bool has_address = given[ip] || given[port];
  const std::size_t needed = needs_address || has_address ? parameter_count : ip;
  for (std::size_t which = 0; which < needed; ++which) {
    if (!values[which].empty()) continue;
    if (given[which]) return refusal(static_cast<parameter>(which), "is empty");
    return join_refusal{"missing parameter \"" + std::string(parameter_names[which]) + '"'};
  }
  return std::nullopt;
}

std::optional<join_refusal> check_text(parameter which, std::string_view text, std::size_t limit) {
  if (text.size() > limit) return refusal(which, "is longer than " + std::to_string(limit) + " bytes");
  if (!is_utf8(text)) return refusal(which, "is not UTF-8");
  if (has_control_character(text)) return refusal(which, "has control characters");
  return std::nullopt;
}

}  // namespace

join_result decode_join_query(std::string_view query, bool needs_address) {
  if (query.size() > max_join_query_bytes) return join_refusal{"the query is longer than 8192 bytes"};
  parameter_values values;
  if (auto wrong = read_parameters(query, needs_address, values)) return std::move(*wrong);
  if (auto wrong = check_text(topic, values[topic], max_topic_bytes)) return std::move(*wrong);
  if (auto wrong = check_text(name, values[name], max_name_bytes)) return std::move(*wrong);

  if (values[ip].empty()) return join_request{std::move(values[topic]), std::move(values[name]), std::nullopt};
  const auto address = ip_address::parse(values[ip]);
  if (!address) return refusal(ip, "is not an IP address");
  if (!address.value().is_unicast()) return refusal(ip, "can never be a peer's address");
  const auto number = parse_port(values[port]);
  if (!number) return refusal(port, "is not a port number (1 to 65535)");
  return join_request{std::move(values[topic]), std::move(values[name]),
                      endpoint{address.value(), number.value()}};
}

std::string encode_join_query(const join_request& request) {
  parameter_values values{request.topic, request.name, {}, {}};
  if (request.address) {
    values[ip] = request.address->ip.to_string();
    values[port] = std::to_string(request.address->port);
  }
  std::string out;
  for (std::size_t which = 0; which < (request.address ? parameter_count : ip); ++which) {
    if (which > 0) out += '&';
    out += parameter_names[which];
    out += '=';
    out += boost::urls::encode(values[which], boost::urls::unreserved_chars);
  }
  return out;
}

void throw_exception_from_error(const join_refusal& refusal, const boost::source_location& /*where*/) {
  throw std::runtime_error(refusal.reason);
}

}  // namespace nat
