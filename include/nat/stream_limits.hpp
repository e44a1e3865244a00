// What both ends of a stream keep to.
#pragma once

#include "nat/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace nat {

// Packets between the first that is not written and the last that is sent, whatever their size: 20 MB of full ones.
constexpr std::uint64_t stream_window_packets = 16'384;
// Until the receiver has said how much it takes: RFC 6928's initial window.
constexpr std::uint64_t stream_initial_window = 12'320;
// An acknowledgement waits no longer than this for a second packet (RFC 9000, 13.2.1, has 25 ms; ours are cheap).
constexpr duration max_ack_delay = std::chrono::milliseconds(5);
// A record is written whole, up to this size.
constexpr std::size_t max_record = 16U << 20;

}  // namespace nat
