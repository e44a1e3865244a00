// Any bytes as the coordinator's list.
#include "nat/roster.hpp"
#include "nat/text.hpp"

#include <cstdlib>
#include <set>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nat;
  const auto list = decode_roster({reinterpret_cast<const char*>(data), size});
  if (!list) {
    require(list.error() == errc::bad_json || list.error() == errc::too_large);
    return 0;
  }
  require(list->peers.size() <= max_roster_peers && list->peers.size() + list->skipped <= size);
  std::set<endpoint> seen;
  std::string again = "{\"peers\":[";
  for (const auto& peer : list->peers) {
    require(peer.address.port != 0 && peer.address.ip.is_unicast() && seen.insert(peer.address).second);
    require(!peer.name.empty() && peer.name.size() <= max_roster_name && is_utf8(peer.name));
    again += again.back() == '[' ? "" : ",";
    again +=
        R"({"ip":")" + peer.address.ip.to_string() + R"(","port":)" + std::to_string(peer.address.port) + R"(,"name":)";
    append_json_string(again, peer.name);
    again += R"(,"last_seen":)" + std::to_string(peer.last_seen) + '}';
  }
  const auto twice = decode_roster(again + "]}");
  require(twice && twice->peers.size() == list->peers.size() && twice->skipped == 0);
  return 0;
}
