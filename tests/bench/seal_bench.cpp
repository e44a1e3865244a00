// What a packet's seal costs, per packet: sealing, opening, and getting rid of duplicates and forgeries. Built with
// -DNATPEER_BENCH=ON and run by hand.
#include "nat/replay_window.hpp"
#include "nat/seal.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

using namespace nat;

constexpr sender_id self = 0x0102030405060708;

/// As cheap as the pool of the programs, so that the seal is what is measured.
class cheap_random final : public random_source {
 public:
  void fill(byte_span out) override {
    for (auto& byte : out) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      byte = static_cast<std::uint8_t>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_ = 1;
};

topic_keys keys_of(bool keyed) {
  constexpr std::array<std::uint8_t, secret_key::size> bytes{7};
  return keyed ? topic_keys::keyed("topic", secret_key(bytes)) : topic_keys::open("topic");
}

payload_cipher cipher_of(std::int64_t number) { return static_cast<payload_cipher>(number); }

const char* label_of(bool keyed, std::int64_t cipher) {
  const bool aes = cipher_of(cipher) == payload_cipher::aes_256_gcm;
  if (keyed) return aes ? "keyed, AES-256-GCM" : "keyed, ChaCha20-Poly1305";
  return aes ? "open, AES-256-GCM" : "open, ChaCha20-Poly1305";
}

void all_topics_and_ciphers(benchmark::internal::Benchmark* bench) {
  for (const std::int64_t keyed : {0, 1}) {
    for (const std::int64_t cipher : {1, 2}) bench->Args({keyed, cipher});
  }
}

std::vector<std::uint8_t> sealed_data(const topic_keys& keys, payload_cipher cipher) {
  cheap_random random;
  packet_sealer sealer(keys, self, cipher);
  std::vector<std::uint8_t> packet(max_datagram);
  sealer.seal_data(packet, 1, 0, 0, random);
  return packet;
}

void seal_data(benchmark::State& state) {
  const bool keyed = state.range(0) != 0;
  cheap_random random;
  packet_sealer sealer(keys_of(keyed), self, cipher_of(state.range(1)));
  std::vector<std::uint8_t> packet(max_datagram);
  std::uint64_t number = 0;
  for (auto _ : state) {
    ++number;
    sealer.seal_data(packet, number, number * max_payload, 0, random);
    benchmark::DoNotOptimize(packet.data());
  }
  state.SetLabel(label_of(keyed, state.range(1)));
}
BENCHMARK(seal_data)->Apply(all_topics_and_ciphers);

void seal_ping(benchmark::State& state) {
  cheap_random random;
  packet_sealer sealer(keys_of(true), self, payload_cipher::aes_256_gcm);
  std::array<std::uint8_t, header_size> packet;
  std::uint64_t number = 0;
  for (auto _ : state) {
    sealer.seal_ping(packet, {.number = ++number, .body = {}}, random);
    benchmark::DoNotOptimize(packet.data());
  }
}
BENCHMARK(seal_ping);

/// As many packets as are opened together, which come together where there are many.
struct eight_of {
  explicit eight_of(byte_view each) { packets.fill(each); }
  void make(const topic_keys& keys) { streams.make(keys, packets); }

  std::array<byte_view, opening_streams::max> packets;
  opening_streams streams;
};

/// Header, window and payload, as for a packet that is new.
void open_data(benchmark::State& state) {
  const bool keyed = state.range(0) != 0;
  const auto keys = keys_of(keyed);
  const auto packet = sealed_data(keys, cipher_of(state.range(1)));
  payload_opener opener(keys, self);
  replay_window<1024> window;
  std::vector<std::uint8_t> out(max_payload);
  std::uint64_t number = 0;
  eight_of together(packet);
  while (state.KeepRunningBatch(opening_streams::max)) {
    together.make(keys);
    for (std::size_t i = 0; i < opening_streams::max; ++i) {
      const auto header = std::get<data_header>(open_header(keys, packet, together.streams.of(i)).value());
      if (!opener.open(packet, header, out) || !window.accept(++number)) std::abort();
      benchmark::DoNotOptimize(out.data());
    }
  }
  state.SetLabel(label_of(keyed, state.range(1)));
}
BENCHMARK(open_data)->Apply(all_topics_and_ciphers);

/// One that comes by itself.
void open_ping(benchmark::State& state) {
  const auto keys = keys_of(true);
  cheap_random random;
  std::array<std::uint8_t, header_size> packet;
  packet_sealer(keys, self, payload_cipher::aes_256_gcm).seal_ping(packet, {.number = 1, .body = {}}, random);
  for (auto _ : state) {
    const auto header = open_header(keys, packet);
    if (!header) std::abort();
    benchmark::DoNotOptimize(header);
  }
}
BENCHMARK(open_ping);

/// The header opens, the window knows the number, the payload is not touched.
void drop_duplicate(benchmark::State& state) {
  const auto keys = keys_of(true);
  const auto packet = sealed_data(keys, payload_cipher::aes_256_gcm);
  replay_window<1024> window;
  window.accept(1);
  eight_of together(packet);
  while (state.KeepRunningBatch(opening_streams::max)) {
    together.make(keys);
    for (std::size_t i = 0; i < opening_streams::max; ++i) {
      const auto header = open_header(keys, packet, together.streams.of(i));
      if (!header || window.would_accept(std::get<data_header>(*header).number)) std::abort();
    }
  }
}
BENCHMARK(drop_duplicate);

/// Of whatever size, by somebody without the key.
void drop_forgery(benchmark::State& state) {
  const auto keys = keys_of(true);
  const auto packet = sealed_data(keys_of(false), payload_cipher::aes_256_gcm);
  eight_of together(packet);
  while (state.KeepRunningBatch(opening_streams::max)) {
    together.make(keys);
    for (std::size_t i = 0; i < opening_streams::max; ++i) {
      if (open_header(keys, packet, together.streams.of(i))) std::abort();
    }
  }
}
BENCHMARK(drop_forgery);

}  // namespace

BENCHMARK_MAIN();
