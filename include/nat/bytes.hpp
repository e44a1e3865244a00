// Views of raw bytes, and integers in network byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace nat {

using byte_view = std::span<const std::uint8_t>;
using byte_span = std::span<std::uint8_t>;

/// Reads a big-endian integer from the first `sizeof(Integer)` bytes; the caller has checked the size.
template <typename Integer>
constexpr Integer load_be(const std::uint8_t* from) {
  Integer value = 0;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) {
    value = static_cast<Integer>((static_cast<std::uint64_t>(value) << 8) | from[i]);
  }
  return value;
}

/// Writes a big-endian integer into the first `sizeof(Integer)` bytes; the caller has checked the size.
template <typename Integer>
constexpr void store_be(std::uint8_t* to, Integer value) {
  auto rest = static_cast<std::uint64_t>(value);
  for (std::size_t i = sizeof(Integer); i-- > 0; rest >>= 8) to[i] = static_cast<std::uint8_t>(rest & 0xff);
}

inline byte_view as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view as_text(byte_view bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace nat
