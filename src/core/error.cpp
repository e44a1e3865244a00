#include "nat/error.hpp"

namespace nat {
namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "nat"; }

  std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::truncated: return "truncated";
      case errc::too_large: return "too large";
      case errc::not_a_packet: return "no packet of this protocol";
      case errc::not_stun: return "no STUN message";
      case errc::malformed: return "malformed";
      case errc::bad_fingerprint: return "the fingerprint does not match";
      case errc::bad_address: return "not a usable IP address";
      case errc::bad_port: return "not a port number (1 to 65535)";
      case errc::bad_url: return "not a URL this program understands";
      case errc::bad_json: return "not the expected JSON";
      case errc::bad_utf8: return "not UTF-8, or with control characters";
      case errc::missing_parameter: return "a parameter is missing or empty";
      case errc::repeated_parameter: return "a parameter is given twice";
      case errc::not_sealed: return "the seal does not open";
      case errc::other_topic: return "sealed for another topic";
      case errc::unknown_version: return "sealed by a later version";
      case errc::bad_key: return "not a key: 32 bytes in base64";
      case errc::no_memory: return "not enough memory";
      case errc::unknown_type: return "a message of an unknown type";
    }
    return "unknown error";
  }
};

}  // namespace

const std::error_category& nat_category() {
  static const category instance;
  return instance;
}

std::error_code make_error_code(errc code) { return {static_cast<int>(code), nat_category()}; }

}  // namespace nat
