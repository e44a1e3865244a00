// IP addresses and ports, with no socket behind them.
#pragma once

#include "nat/error.hpp"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace nat {

/// An IPv4 or IPv6 address. IPv4 is kept in its IPv4-mapped form (RFC 4291, 2.5.5.2), so `::ffff:1.2.3.4` and `1.2.3.4`
/// are one address, and are written as `1.2.3.4`.
class ip_address {
 public:
  using v4_bytes = std::array<std::uint8_t, 4>;
  using v6_bytes = std::array<std::uint8_t, 16>;

  /// The unspecified IPv6 address, `::`.
  constexpr ip_address() = default;
  constexpr explicit ip_address(v6_bytes bytes) : bytes_(bytes) {}
  constexpr explicit ip_address(v4_bytes b)
      : bytes_{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, b[0], b[1], b[2], b[3]} {}

  /// Reads a literal: dotted decimal or RFC 4291 text, no brackets, no zone.
  static result<ip_address> parse(std::string_view text);

  bool is_v4() const;
  bool is_v6() const { return !is_v4(); }
  v4_bytes v4() const { return {bytes_[12], bytes_[13], bytes_[14], bytes_[15]}; }
  /// All 16 bytes; IPv4 in its mapped form.
  const v6_bytes& v6() const { return bytes_; }

  /// `::`, or anything in 0.0.0.0/8 ("this network", RFC 1122, 3.2.1.3).
  bool is_unspecified() const;
  bool is_loopback() const;
  bool is_multicast() const;
  /// The limited broadcast address 255.255.255.255.
  bool is_broadcast() const;
  /// Whether a host could have this address: neither unspecified, multicast nor broadcast.
  bool is_unicast() const { return !is_unspecified() && !is_multicast() && !is_broadcast(); }

  /// Dotted decimal, or RFC 5952 text.
  std::string to_string() const;

  friend auto operator<=>(const ip_address&, const ip_address&) = default;

 private:
  v6_bytes bytes_{};
};

/// Where datagrams go to or come from.
struct endpoint {
  ip_address ip;
  std::uint16_t port = 0;

  /// `1.2.3.4:5` or `[2001:db8::1]:5`.
  std::string to_string() const;
  /// Reads what `to_string` writes; the port is 1..65535.
  static result<endpoint> parse(std::string_view text);

  friend auto operator<=>(const endpoint&, const endpoint&) = default;
};

/// Reads a plain decimal port, 1..65535, no sign, no space, no leading zero.
result<std::uint16_t> parse_port(std::string_view text);

}  // namespace nat

template <>
struct std::hash<nat::ip_address> {
  std::size_t operator()(const nat::ip_address& ip) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(ip.v6().data()), ip.v6().size()});
  }
};

template <>
struct std::hash<nat::endpoint> {
  std::size_t operator()(const nat::endpoint& at) const noexcept {
    return std::hash<nat::ip_address>{}(at.ip) ^ (std::size_t{at.port} * 0x9e3779b97f4a7c15U);
  }
};
