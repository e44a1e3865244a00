// Datagrams into a whole natpeer engine, from a listed peer and from a stranger: the very function that the network
// drives.
#include "nat/peer.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class counting_random final : public nat::random_source {
 public:
  void fill(nat::byte_span out) override { std::ranges::fill(out, ++state_); }

 private:
  std::uint8_t state_ = 0;
};

const nat::endpoint listed{nat::ip_address(nat::ip_address::v4_bytes{198, 51, 100, 1}), 5000};
const nat::endpoint stranger{nat::ip_address(nat::ip_address::v4_bytes{198, 51, 100, 2}), 5000};

/// Takes what the engine wants sent and written; returns how many bytes were written.
std::size_t drain(nat::peer& engine, nat::time_point now) {
  const auto& waiting = engine.datagrams();
  for (std::size_t i = 0; i < waiting.size(); ++i) require(waiting.bytes(waiting.at(i)).size() <= nat::max_datagram);
  engine.on_sent(now, waiting.size());
  std::vector<std::uint8_t> written;
  if (engine.has_output()) {
    engine.next_output(written);
    engine.on_output_written(now, written.size());
  }
  while (engine.next_note()) {
  }
  return written.size();
}

}  // namespace

// The input: a byte for the output mode, then datagrams: a byte that chooses the source, two that give the size, the
// bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  nat::byte_view rest(data, size);
  if (rest.empty()) return 0;
  const nat::time_point now{std::chrono::hours(1)};
  counting_random random;
  nat::peer engine({.topic = "T",
                    .name = "me",
                    .advertise = nat::endpoint{nat::ip_address(nat::ip_address::v4_bytes{192, 0, 2, 1}), 1},
                    .output = static_cast<nat::output_mode>(rest[0] % 4)},
                   random);
  rest = rest.subspan(1);
  engine.start(now);
  // A server of section 1, as unsealed packets are to be taken.
  engine.on_coordinator(now, 0, nat::coordinator_events::reached{listed});
  engine.on_coordinator(now, 0, nat::coordinator_events::refused{400, "", {}});
  engine.on_coordinator(now, 0, nat::coordinator_events::reached{listed});
  engine.on_coordinator(now, 0, nat::coordinator_events::joined{});
  engine.on_coordinator(
      now, 0,
      nat::coordinator_events::text{R"({"peers":[{"ip":"198.51.100.1","port":5000,"name":"bob","last_seen":1}]})"});
  drain(engine, now);

  while (rest.size() >= 3) {
    const bool from_listed = (rest[0] & 1) != 0;
    const auto datagram =
        rest.subspan(3).first(std::min<std::size_t>(nat::load_be<std::uint16_t>(&rest[1]), rest.size() - 3));
    rest = rest.subspan(3 + datagram.size());
    const auto decoded = nat::decode_packet(datagram);
    engine.on_datagram(now, 0, from_listed ? listed : stranger, datagram);
    engine.flush(now);
    const auto written = drain(engine, now);
    const bool may_print = from_listed && decoded && decoded->kind == nat::packet_kind::data;
    require(may_print || written == 0);
  }
  return 0;
}
