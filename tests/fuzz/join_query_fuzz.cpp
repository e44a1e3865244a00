// What decodes encodes again, and decodes to the same; what does not is refused with one line of text.
#include "nat/bytes.hpp"
#include "nat/join_query.hpp"
#include "nat/text.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto decoded = nat::decode_join_query(nat::as_text({data, size}));
  if (!decoded) {
    const auto reason = decoded.error().reason;
    require(!reason.empty() && nat::is_utf8(reason) && !nat::has_control_character(reason));
    return 0;
  }
  const auto& request = decoded.value();
  require(!request.topic.empty() && request.topic.size() <= nat::max_topic_bytes);
  require(!request.name.empty() && request.name.size() <= nat::max_name_bytes);
  require(nat::is_utf8(request.topic) && !nat::has_control_character(request.topic));
  require(nat::is_utf8(request.name) && !nat::has_control_character(request.name));
  require(request.address && request.address->port != 0 && request.address->ip.is_unicast());

  const auto again = nat::decode_join_query(nat::encode_join_query(request)).value();
  require(again.topic == request.topic && again.name == request.name && again.address == request.address);
  return 0;
}
