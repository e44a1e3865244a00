// Writes STUN messages by hand, right and wrong ones: what a test's server sends, and what no encoder of ours
// would.
#pragma once

#include "nat/bytes.hpp"
#include "nat/stun.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

#include <boost/crc.hpp>

namespace nat {

constexpr std::uint16_t binding_request_type = 0x0001;
constexpr std::uint16_t binding_indication_type = 0x0011;
constexpr std::uint16_t binding_success_type = 0x0101;
constexpr std::uint16_t binding_error_type = 0x0111;

inline ip_address ip(std::string_view text) { return ip_address::parse(text).value(); }
inline endpoint at(std::string_view text) { return endpoint::parse(text).value(); }

class stun_builder {
 public:
  stun_builder(std::uint16_t type, const transaction_id& id) {
    append16(type);
    append16(0);
    append16(0x2112);  // magic cookie
    append16(0xa442);
    bytes_.insert(bytes_.end(), id.begin(), id.end());
  }

  stun_builder& add(std::uint16_t type, const std::vector<std::uint8_t>& value) {
    append16(type);
    append16(static_cast<std::uint16_t>(value.size()));
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
    set_length(bytes_.size() - 20);
    return *this;
  }

  /// MAPPED-ADDRESS and ALTERNATE-SERVER, which are not XORed.
  stun_builder& add_address(std::uint16_t type, const endpoint& address) {
    std::vector<std::uint8_t> value{0, 1, static_cast<std::uint8_t>(address.port >> 8),
                                    static_cast<std::uint8_t>(address.port & 0xff)};
    const auto v4 = address.ip.v4();
    if (address.ip.is_v4()) {
      value.insert(value.end(), v4.begin(), v4.end());
    } else {
      value[1] = 2;
      value.insert(value.end(), address.ip.v6().begin(), address.ip.v6().end());
    }
    return add(type, value);
  }

  stun_builder& add_error(int code) {
    return add(stun_attribute::error_code,
               {0, 0, static_cast<std::uint8_t>(code / 100), static_cast<std::uint8_t>(code % 100)});
  }

  stun_builder& add_fingerprint() {
    set_length(bytes_.size() - 20 + 8);
    boost::crc_32_type crc;
    crc.process_bytes(bytes_.data(), bytes_.size());
    std::vector<std::uint8_t> value(4);
    store_be(value.data(), static_cast<std::uint32_t>(crc.checksum() ^ 0x5354554eU));
    return add(stun_attribute::fingerprint, value);
  }

  std::vector<std::uint8_t>& bytes() { return bytes_; }
  operator byte_view() const { return bytes_; }

 private:
  void append16(std::uint16_t value) {
    bytes_.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes_.push_back(static_cast<std::uint8_t>(value & 0xff));
  }
  void set_length(std::size_t length) { store_be(&bytes_[2], static_cast<std::uint16_t>(length)); }

  std::vector<std::uint8_t> bytes_;
};

}  // namespace nat
