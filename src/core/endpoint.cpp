#include "nat/endpoint.hpp"

#include <algorithm>
#include <charconv>

#include <boost/url/ipv4_address.hpp>
#include <boost/url/ipv6_address.hpp>

namespace nat {
namespace {

constexpr std::array<std::uint8_t, 12> v4_mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t longest_literal = 45;  // an IPv6 address that ends in dotted decimal

}  // namespace

result<ip_address> ip_address::parse(std::string_view text) {
  if (text.size() > longest_literal) return errc::bad_address;
  if (const auto v4 = boost::urls::parse_ipv4_address(text)) {
    const auto b = v4->to_bytes();
    return ip_address(v4_bytes{b[0], b[1], b[2], b[3]});
  }
  if (const auto v6 = boost::urls::parse_ipv6_address(text)) {
    v6_bytes bytes;
    std::ranges::copy(v6->to_bytes(), bytes.begin());
    return ip_address(bytes);
  }
  return errc::bad_address;
}

bool ip_address::is_v4() const { return std::equal(v4_mapped_prefix.begin(), v4_mapped_prefix.end(), bytes_.begin()); }

bool ip_address::is_unspecified() const { return is_v4() ? bytes_[12] == 0 : bytes_ == v6_bytes{}; }

bool ip_address::is_loopback() const {
  constexpr v6_bytes v6_loopback{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return is_v4() ? bytes_[12] == 127 : bytes_ == v6_loopback;
}

bool ip_address::is_multicast() const { return is_v4() ? (bytes_[12] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

bool ip_address::is_broadcast() const { return is_v4() && v4() == v4_bytes{255, 255, 255, 255}; }

std::string ip_address::to_string() const {
  char text[boost::urls::ipv6_address::max_str_len];
  if (is_v4()) {
    const auto b = v4();
    return std::string(boost::urls::ipv4_address({b[0], b[1], b[2], b[3]}).to_buffer(text, sizeof text));
  }
  boost::urls::ipv6_address::bytes_type bytes;
  std::ranges::copy(bytes_, bytes.begin());
  return std::string(boost::urls::ipv6_address(bytes).to_buffer(text, sizeof text));
}

std::string endpoint::to_string() const {
  const auto port_text = std::to_string(port);
  return ip.is_v4() ? ip.to_string() + ':' + port_text : '[' + ip.to_string() + "]:" + port_text;
}

result<endpoint> endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return errc::bad_address;
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto ip = ip_address::parse(host);
  if (!ip || bracketed != (host.find(':') != std::string_view::npos)) return errc::bad_address;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return port.error();
  return endpoint{*ip, *port};
}

result<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool plain = error == std::errc{} && end == text.data() + text.size() && !text.starts_with('0');
  if (!plain) return errc::bad_port;  // "0" is refused by the same rule as "080"
  return port;
}

}  // namespace nat
