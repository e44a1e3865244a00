// Any bytes as a natcoord.v2 message of either side, and as a relayed frame. What was read is written again, and reads
// the same.
#include "nat/relay_frame.hpp"
#include "nat/text.hpp"
#include "nat/v2_messages.hpp"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace nat;

void require(bool holds) {
  if (!holds) std::abort();
}

void judge(const v2_peer& peer) {
  require(!peer.name.empty() && is_utf8(peer.name) && peer.candidates.size() <= max_candidates);
  for (const auto& each : peer.candidates) require(each.address.port != 0);
}

void judge(const v2::server_message& message) {
  if (const auto* list = std::get_if<v2::snapshot>(&message)) {
    for (const auto& peer : list->peers) judge(peer);
  } else if (const auto* change = std::get_if<v2::delta>(&message)) {
    require(change->from <= change->to);
    for (const auto& peer : change->joined) judge(peer);
    for (const auto& peer : change->changed) judge(peer);
  }
}

void read_text(std::string_view text) {
  if (const auto said = decode_server_message(text)) {
    judge(*said);
    const auto again = encode_server_message(*said);
    const auto twice = decode_server_message(again);
    require(twice && encode_server_message(*twice) == again);
  }
  if (const auto said = decode_client_message(text)) {
    const auto again = encode_client_message(*said);
    const auto twice = decode_client_message(again);
    require(twice && encode_client_message(*twice) == again);
  }
}

void read_frame(byte_view frame) {
  if (const auto upload = decode_relay_upload(frame)) {
    require(!upload->packet.empty() && upload->packet.size() <= max_relayed_packet);
    std::vector<peer_id> to;
    for (std::size_t i = 0; i < upload->to.size(); ++i) to.push_back(upload->to[i]);
    std::vector<std::uint8_t> again;
    append_relay_upload(again, to, upload->packet);
    require(again.size() == frame.size() && std::equal(again.begin(), again.end(), frame.begin()));
  }
  if (const auto delivery = decode_relay_delivery(frame)) {
    std::vector<std::uint8_t> again;
    append_relay_delivery(again, delivery->from, delivery->packet);
    require(again.size() == frame.size() && std::equal(again.begin(), again.end(), frame.begin()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  read_text({reinterpret_cast<const char*>(data), size});
  read_frame({data, size});
  return 0;
}
