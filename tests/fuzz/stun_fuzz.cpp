// Any bytes as a datagram: to the decoder, to the server, and to a client that waits for answers.
#include "nat/stun.hpp"
#include "nat/stun_client.hpp"
#include "nat/stun_server.hpp"

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace {

using namespace nat;

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::size_t mandatory_v4 = 12;  // XOR-MAPPED-ADDRESS, or ERROR-CODE and the head of UNKNOWN-ATTRIBUTES
constexpr std::size_t mandatory_v6 = 24;  // XOR-MAPPED-ADDRESS

/// The id that the corpus was written for, RFC 5769's, so that its answers are answers to the client.
class fixed_random : public random_source {
 public:
  void fill(byte_span out) override {
    constexpr transaction_id id{0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = id[i % id.size()];
  }
};

const endpoint v4{ip_address(ip_address::v4_bytes{192, 0, 2, 1}), 3478};
const endpoint v6{ip_address(ip_address::v6_bytes{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), 3478};

void feed_server(byte_view datagram, const endpoint& from, std::size_t mandatory) {
  const auto answer = answer_stun(datagram, from);
  if (!answer) return;
  require(answer->size() <= datagram.size() + mandatory);
  const auto request = decode_stun(datagram);
  const auto decoded = decode_stun(*answer);
  require(request && decoded && decoded->id == request->id);
  require(decoded->has_fingerprint == request->has_fingerprint);
  require(request->unknown.empty() ? decoded->xor_mapped == from
                                   : decoded->error && decoded->error->code == stun_unknown_attribute);
  require(!answer_stun(*answer, from));  // two servers never talk to each other
}

void feed_client(byte_view datagram) {
  fixed_random random;
  stun_client client(random);
  time_point now{};
  client.start(now, std::array{v4, v6});
  for (int step = 0; step < 64; ++step) {
    int sent = 0;
    std::optional<endpoint> asked;
    while (const auto request = client.next_request()) {
      asked = request->to;
      require(++sent <= 2);  // one for each server
    }
    while (client.next_event()) {
    }
    const auto next = client.next_deadline();
    require(next && *next > now);
    const auto from = asked.value_or(step % 2 == 0 ? v4 : v6);
    require(client.on_datagram(now, from, datagram) == looks_like_stun(datagram));
    if (const auto mapped = client.mapped_address()) require(mapped->port != 0 && mapped->ip.is_unicast());
    if (const auto later = client.next_deadline()) now = std::max(now, *later);
    client.on_time(now);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const byte_view datagram(data, size);
  if (const auto message = decode_stun(datagram)) {
    require(looks_like_stun(datagram) && message->unknown.size() <= max_stun_unknown);
    if (message->error) require(message->error->code >= 300 && message->error->reason.size() <= max_stun_reason);
  }
  feed_server(datagram, v4, mandatory_v4);
  feed_server(datagram, v6, mandatory_v6);
  feed_client(datagram);
  return 0;
}
