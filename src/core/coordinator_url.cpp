#include "nat/coordinator_url.hpp"

#include "nat/endpoint.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <boost/url/url_view.hpp>

namespace nat {
namespace {

namespace urls = boost::urls;

constexpr std::size_t longest_url = 2048;
constexpr std::uint16_t http_port = 80;
constexpr std::uint16_t https_port = 443;

std::uint16_t default_port(bool tls) { return tls ? https_port : http_port; }

/// Scheme, host and port of a URL; the path is left to the caller.
result<coordinator_url> read_server(const urls::url_view& url) {
  coordinator_url out;
  const auto scheme = url.scheme_id();  // whatever its case
  out.tls = scheme == urls::scheme::wss || scheme == urls::scheme::https;
  if (!out.tls && scheme != urls::scheme::ws && scheme != urls::scheme::http) return errc::bad_url;
  if (url.has_userinfo()) return errc::bad_url;
  out.host = url.host_address();  // decoded, without brackets
  if (out.host.empty()) return errc::bad_url;
  // Boost.URL 1.81 takes "h:port" for the host h with the path "port".
  if (!url.encoded_path().empty() && !url.encoded_path().starts_with('/')) return errc::bad_url;
  out.port = default_port(out.tls);
  if (url.has_port() && !url.port().empty()) {
    const auto port = parse_port(std::string(url.port()));
    if (!port) return port.error();
    out.port = *port;
  }
  return out;
}

}  // namespace

std::string coordinator_url::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  const auto name = v6 ? '[' + host + ']' : host;
  return port == default_port(tls) ? name : name + ':' + std::to_string(port);
}

std::string coordinator_url::to_string() const { return (tls ? "wss://" : "ws://") + authority() + path; }

result<coordinator_url> parse_coordinator_url(std::string_view text) {
  if (text.size() > longest_url) return errc::bad_url;
  const auto url = urls::parse_uri(text);
  if (!url || url->has_query() || url->has_fragment()) return errc::bad_url;
  auto out = read_server(*url);
  if (!out) return out;
  out->path = std::string(url->encoded_path());
  while (out->path.ends_with('/')) out->path.pop_back();
  return out;
}

result<coordinator_request> resolve_redirect(const coordinator_request& from, std::string_view location) {
  if (location.size() > longest_url) return errc::bad_url;
  const auto reference = urls::parse_uri_reference(location);
  const auto base_text = (from.server.tls ? "wss://" : "ws://") + from.server.authority() + from.target;
  const auto base = urls::parse_uri(base_text);
  if (!reference || !base) return errc::bad_url;
  urls::url resolved;
  if (!urls::resolve(*base, *reference, resolved)) return errc::bad_url;
  auto server = read_server(resolved);
  if (!server) return server.error();
  if (from.server.tls && !server->tls) return errc::bad_url;
  std::string target(resolved.encoded_path());
  if (target.empty()) target = "/";
  if (resolved.has_query()) target += '?' + std::string(resolved.encoded_query());
  return coordinator_request{std::move(*server), std::move(target)};
}

}  // namespace nat
