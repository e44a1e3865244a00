#include "nat/v2_messages.hpp"

#include "nat/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>
#include <sodium.h>

namespace nat {
namespace {

using nlohmann::json;

constexpr std::uint64_t max_number = max_peer_id;  // of any kind: see there

// At the place of their enum's value.
constexpr std::array<std::string_view, 2> kind_names{"host", "reflexive"};
constexpr std::array<std::string_view, 3> mapping_names{"unknown", "independent", "dependent"};

// ---- reading

/// Whether a tree made of the text stays within the limits; asked before it is made.
errc check_shape(std::string_view text) {
  int depth = 0;
  std::size_t values = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    in_string = c == '"';
    const bool opens = c == '{' || c == '[';
    if (opens && ++depth > max_v2_depth) return errc::bad_json;
    if (c == '}' || c == ']') --depth;
    if ((opens || c == ',') && ++values > max_v2_values) return errc::too_large;
  }
  return errc{};
}

/// Reads the fields of one message; the first that is wrong makes all of it `malformed`.
class message_reader {
 public:
  bool ok() const { return ok_; }

  /// null: no such field.
  static const json* find(const json& object, const char* key) {
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
  }
  /// A value that stands for one that is missing or of another type.
  static const json& nothing() {
    static const json none;
    return none;
  }
  const json& field(const json& object, const char* key) {
    const auto* found = object.is_object() ? find(object, key) : nullptr;
    return found != nullptr ? *found : fail();
  }

  std::uint64_t number(const json& value, std::uint64_t least, std::uint64_t most) {
    const auto got = value.is_number_unsigned() ? value.get<std::uint64_t>() : most;
    if (!value.is_number_unsigned() || got < least || got > most) fail();
    return got;
  }
  std::uint64_t number(const json& object, const char* key, std::uint64_t least = 0, std::uint64_t most = max_number) {
    return number(field(object, key), least, most);
  }
  peer_id id(const json& value) { return number(value, 1, max_peer_id); }
  std::uint16_t port(const json& value) { return static_cast<std::uint16_t>(number(value, 1, 65535)); }

  const std::string& text(const json& object, const char* key, std::size_t longest) {
    static const std::string none;
    const auto* got = field(object, key).get_ptr<const std::string*>();
    if (got == nullptr || got->empty() || got->size() > longest) fail();
    return got == nullptr ? none : *got;
  }
  /// A missing one is false.
  bool flag(const json& object, const char* key) {
    const auto* value = find(object, key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail();
    return value->is_boolean() && value->get<bool>();
  }
  /// A missing array is an empty one.
  template <typename Read>
  auto array(const json& object, const char* key, std::size_t longest, Read read) {
    std::vector<std::decay_t<decltype(read(object))>> all;
    const auto* values = find(object, key);
    if (values == nullptr) return all;
    if (!values->is_array() || values->size() > longest) {
      fail();
      return all;
    }
    all.reserve(values->size());
    for (const auto& value : *values) {
      if (!ok_) break;
      all.push_back(read(value));
    }
    return all;
  }

  ip_address ip(const json& object, const char* key) {
    const auto parsed = ip_address::parse(text(object, key, longest_ip));
    if (!parsed) fail();
    return parsed ? *parsed : ip_address();
  }
  endpoint address(const json& object) {
    const endpoint at{ip(object, "ip"), port(field(object, "port"))};
    if (!at.ip.is_unicast()) fail();
    return at;
  }
  /// None: a word of a later version.
  std::optional<candidate_kind> kind(const json& object) {
    const auto found = std::ranges::find(kind_names, text(object, "kind", longest_word));
    if (found == kind_names.end()) return std::nullopt;
    return static_cast<candidate_kind>(found - kind_names.begin());
  }
  std::optional<nat_behavior> nat(const json& object) {
    const auto* value = find(object, "nat");
    if (value == nullptr || value->is_null()) return std::nullopt;
    const auto found = std::ranges::find(mapping_names, text(*value, "mapping", longest_word));
    const bool known = found != mapping_names.end();
    return nat_behavior{known ? static_cast<nat_mapping>(found - mapping_names.begin()) : nat_mapping::unknown,
                        flag(*value, "shifts")};
  }
  std::string base64(const json& object, const char* key, std::size_t longest);

  const json& fail() {
    ok_ = false;
    return nothing();
  }

 private:
  static constexpr std::size_t longest_ip = 45;    // characters: IPv6 with an IPv4 tail
  static constexpr std::size_t longest_word = 64;  // bytes

  bool ok_ = true;
};

/// A missing one is empty.
std::string message_reader::base64(const json& object, const char* key, std::size_t longest) {
  if (find(object, key) == nullptr) return {};
  const auto& encoded = text(object, key, (longest + 2) / 3 * 4);
  std::string bytes(longest, '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  const bool good = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), encoded.data(),
                                      encoded.size(), nullptr, &size, &end, sodium_base64_VARIANT_ORIGINAL) == 0;
  if (!good || end != encoded.data() + encoded.size()) fail();
  bytes.resize(size);
  return bytes;
}

/// Candidates of kinds that are not known are left out.
template <typename Candidate, typename Rest>
std::vector<Candidate> read_candidates(message_reader& in, const json& object, Rest rest) {
  auto read = in.array(object, "candidates", max_candidates, [&](const json& value) -> std::optional<Candidate> {
    if (!value.is_object()) in.fail();
    const auto kind = in.kind(value);
    if (!in.ok() || !kind) return std::nullopt;
    return Candidate{in.address(value), *kind, rest(value)};
  });
  std::vector<Candidate> all;
  for (auto& one : read) {
    if (one) all.push_back(std::move(*one));
  }
  return all;
}

v2_peer read_peer(message_reader& in, const json& value) {
  v2_peer peer;
  peer.id = in.id(in.field(value, "id"));
  peer.name = in.text(value, "name", max_v2_name);
  if (!in.ok()) return peer;
  peer.seed = in.flag(value, "seed");
  peer.candidates = read_candidates<candidate>(in, value, [&](const json& one) { return in.flag(one, "proven"); });
  peer.nat = in.nat(value);
  return peer;
}

std::vector<v2_peer> read_peers(message_reader& in, const json& message, const char* key) {
  return in.array(message, key, max_v2_values, [&](const json& value) { return read_peer(in, value); });
}

/// It becomes part of an HTTP header: nothing but what RFC 6750, 2.1 calls a b64token.
bool is_bearer_token(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~+/=").find(c) != std::string_view::npos;
  });
}

v2::welcome read_welcome(message_reader& in, const json& message) {
  v2::welcome welcome;
  welcome.id = in.id(in.field(message, "id"));
  welcome.resume = in.text(message, "resume", max_resume_bytes);
  if (!is_bearer_token(welcome.resume)) in.fail();
  welcome.seen = in.ip(message, "seen");
  welcome.relay = in.flag(message, "relay");
  welcome.relay_rate = in.number(message, "relay_rate");
  welcome.stun_ports =
      in.array(message, "stun_ports", max_stun_ports, [&](const json& value) { return in.port(value); });
  return welcome;
}

v2::delta read_delta(message_reader& in, const json& message) {
  v2::delta delta;
  delta.from = in.number(message, "from");
  delta.to = in.number(message, "to");
  if (delta.from > delta.to) in.fail();
  delta.joined = read_peers(in, message, "joined");
  delta.changed = read_peers(in, message, "changed");
  delta.left = in.array(message, "left", max_v2_values, [&](const json& value) { return in.id(value); });
  return delta;
}

v2::addresses read_addresses(message_reader& in, const json& message) {
  v2::addresses addresses;
  addresses.candidates = read_candidates<v2::offered_candidate>(
      in, message, [&](const json& one) { return in.base64(one, "token", max_token_bytes); });
  addresses.nat = in.nat(message);
  return addresses;
}

/// What `read` makes of the message's type and fields; it answers none for a type that it does not know.
template <typename Message, typename Read>
result<Message> decode(std::string_view text, std::size_t limit, Read read) {
  if (text.size() > limit) return errc::too_large;
  if (const auto bad = check_shape(text); bad != errc{}) return bad;
  const auto tree = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!tree.is_object()) return errc::bad_json;
  message_reader in;
  const auto* type = in.field(tree, "type").get_ptr<const std::string*>();
  if (type == nullptr) return errc::malformed;
  std::optional<Message> message = read(in, *type, tree);
  if (!in.ok()) return errc::malformed;
  if (!message) return errc::unknown_type;
  return std::move(*message);
}

// ---- writing

void append_number(std::string& out, std::uint64_t number) {
  char digits[std::numeric_limits<std::uint64_t>::digits10 + 1];
  out.append(digits, std::to_chars(std::begin(digits), std::end(digits), number).ptr);
}

std::string_view to_text(bool flag) { return flag ? "true" : "false"; }

/// `{"ip":"1.1.1.1","port":6969,"kind":"host"`, to be gone on with
void append_candidate(std::string& out, const endpoint& address, candidate_kind kind) {
  out += R"({"ip":")";
  out += address.ip.to_string();
  out += R"(","port":)";
  append_number(out, address.port);
  out += R"(,"kind":")";
  out += kind_names[static_cast<std::size_t>(kind)];
  out += '"';
}

void append_nat(std::string& out, const std::optional<nat_behavior>& nat) {
  if (!nat) return;
  out += R"(,"nat":{"mapping":")";
  out += mapping_names[static_cast<std::size_t>(nat->mapping)];
  out += R"(","shifts":)";
  out += to_text(nat->shifts);
  out += '}';
}

template <typename List, typename Append>
void append_array(std::string& out, std::string_view head, const List& list, Append append) {
  out += head;
  for (const auto& one : list) {
    if (&one != &list.front()) out += ',';
    append(one);
  }
  out += ']';
}

void append_peers(std::string& out, std::string_view head, std::span<const std::string_view> peers) {
  append_array(out, head, peers, [&](std::string_view peer) { out += peer; });
}

/// Peers as they stand in a message, and views of them.
class encoded_peers {
 public:
  explicit encoded_peers(const std::vector<v2_peer>& peers) {
    texts_.reserve(peers.size());
    for (const auto& peer : peers) views_.emplace_back(texts_.emplace_back(encode_v2_peer(peer)));
  }
  std::span<const std::string_view> views() const { return views_; }

 private:
  std::vector<std::string> texts_;
  std::vector<std::string_view> views_;
};

struct message_writer {
  std::string out;

  void operator()(const v2::welcome& welcome) {
    out = R"({"type":"welcome","id":)";
    append_number(out, welcome.id);
    out += R"(,"resume":)";
    append_json_string(out, welcome.resume);
    out += R"(,"seen":")";
    out += welcome.seen.to_string();
    out += R"(","relay":)";
    out += to_text(welcome.relay);
    out += R"(,"relay_rate":)";
    append_number(out, std::min(welcome.relay_rate, max_number));
    append_array(out, R"(,"stun_ports":[)", welcome.stun_ports, [&](std::uint16_t port) { append_number(out, port); });
    out += '}';
  }
  void operator()(const v2::snapshot& snapshot) {
    out = encode_snapshot(snapshot.version, encoded_peers(snapshot.peers).views());
  }
  void operator()(const v2::delta& delta) {
    out = encode_delta(delta.from, delta.to, encoded_peers(delta.joined).views(), encoded_peers(delta.changed).views(),
                       delta.left);
  }
  void operator()(const v2::punch_from& punch) {
    out = R"({"type":"punch","from":)";
    append_number(out, punch.from);
    out += '}';
  }
  void operator()(const v2::addresses& addresses) {
    out = R"({"type":"addresses")";
    append_array(out, R"(,"candidates":[)", addresses.candidates, [&](const v2::offered_candidate& one) {
      append_candidate(out, one.address, one.kind);
      if (!one.token.empty()) {
        out += R"(,"token":")";
        append_base64(one.token);
        out += '"';
      }
      out += '}';
    });
    append_nat(out, addresses.nat);
    out += '}';
  }
  void operator()(const v2::punch_to& punch) {
    out = R"({"type":"punch","to":)";
    append_number(out, punch.to);
    out += '}';
  }
  void operator()(const v2::resync&) { out = R"({"type":"resync"})"; }

  void append_base64(std::string_view bytes) {
    std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    text.pop_back();  // the terminating zero
    out += text;
  }
};

template <typename Message>
std::string encode(const Message& message) {
  message_writer writer;
  std::visit(writer, message);
  return std::move(writer.out);
}

}  // namespace

result<v2::server_message> decode_server_message(std::string_view text) {
  using message = std::optional<v2::server_message>;
  const auto read = [](message_reader& in, std::string_view type, const json& tree) -> message {
    if (type == "welcome") return read_welcome(in, tree);
    if (type == "snapshot") return v2::snapshot{in.number(tree, "version"), read_peers(in, tree, "peers")};
    if (type == "delta") return read_delta(in, tree);
    if (type == "punch") return v2::punch_from{in.id(in.field(tree, "from"))};
    return std::nullopt;
  };
  return decode<v2::server_message>(text, max_v2_server_message, read);
}

result<v2::client_message> decode_client_message(std::string_view text) {
  using message = std::optional<v2::client_message>;
  const auto read = [](message_reader& in, std::string_view type, const json& tree) -> message {
    if (type == "addresses") return read_addresses(in, tree);
    if (type == "punch") return v2::punch_to{in.id(in.field(tree, "to"))};
    if (type == "resync") return v2::resync{};
    return std::nullopt;
  };
  return decode<v2::client_message>(text, max_v2_client_message, read);
}

std::string_view to_string(nat_mapping mapping) { return mapping_names[static_cast<std::size_t>(mapping)]; }

std::string encode_client_message(const v2::client_message& message) { return encode(message); }
std::string encode_server_message(const v2::server_message& message) { return encode(message); }

std::string encode_v2_peer(const v2_peer& peer) {
  std::string out = R"({"id":)";
  append_number(out, peer.id);
  out += R"(,"name":)";
  append_json_string(out, peer.name);
  if (peer.seed) out += R"(,"seed":true)";
  append_array(out, R"(,"candidates":[)", peer.candidates, [&](const candidate& one) {
    append_candidate(out, one.address, one.kind);
    if (one.proven) out += R"(,"proven":true)";
    out += '}';
  });
  append_nat(out, peer.nat);
  out += '}';
  return out;
}

std::string encode_snapshot(std::uint64_t version, std::span<const std::string_view> peers) {
  std::string out = R"({"type":"snapshot","version":)";
  append_number(out, version);
  append_peers(out, R"(,"peers":[)", peers);
  out += '}';
  return out;
}

std::string encode_delta(std::uint64_t from, std::uint64_t to, std::span<const std::string_view> joined,
                         std::span<const std::string_view> changed, std::span<const peer_id> left) {
  std::string out = R"({"type":"delta","from":)";
  append_number(out, from);
  out += R"(,"to":)";
  append_number(out, to);
  append_array(out, R"(,"left":[)", left, [&](peer_id id) { append_number(out, id); });
  append_peers(out, R"(,"joined":[)", joined);
  append_peers(out, R"(,"changed":[)", changed);
  out += '}';
  return out;
}

}  // namespace nat
