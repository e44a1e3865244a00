// natcoord.v2's messages, as they stand in docs/PROTOCOL.md, section 9.
#include "nat/v2_messages.hpp"

#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

endpoint at(std::string_view text) { return endpoint::parse(text).value(); }

template <typename Message>
Message server(std::string_view text) {
  return std::get<Message>(decode_server_message(text).value());
}
template <typename Message>
Message client(std::string_view text) {
  return std::get<Message>(decode_client_message(text).value());
}
std::error_code server_error(std::string_view text) {
  const auto decoded = decode_server_message(text);
  return decoded ? std::error_code() : decoded.error();
}
std::error_code client_error(std::string_view text) {
  const auto decoded = decode_client_message(text);
  return decoded ? std::error_code() : decoded.error();
}

std::string repeated(std::string_view piece, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += piece;
  return text;
}

v2_peer somebody() {
  return {
      7,
      "a \"name\"",
      false,
      {{at("192.168.0.2:4000"), candidate_kind::host, false}, {at("[2001:db8::1]:1"), candidate_kind::reflexive, true}},
      nat_behavior{nat_mapping::dependent, true}};
}

constexpr std::string_view somebody_text =
    R"({"id":7,"name":"a \"name\"","candidates":[{"ip":"192.168.0.2","port":4000,"kind":"host"},)"
    R"({"ip":"2001:db8::1","port":1,"kind":"reflexive","proven":true}],"nat":{"mapping":"dependent","shifts":true}})";

// ---- the text

TEST(v2_messages, welcome_a_client) {
  const std::string text = R"({"type":"welcome","id":7,"resume":"00ff","seen":"192.0.2.1","relay":true,)"
                           R"("relay_rate":32000000,"stun_ports":[6969,6970,6971]})";
  const v2::welcome welcome{7, "00ff", ip_address::parse("192.0.2.1").value(), true, 32'000'000, {6969, 6970, 6971}};
  EXPECT_EQ(encode_server_message(welcome), text);
  const auto back = server<v2::welcome>(text);
  EXPECT_EQ(back.id, 7U);
  EXPECT_EQ(back.resume, "00ff");
  EXPECT_EQ(back.seen, welcome.seen);
  EXPECT_TRUE(back.relay);
  EXPECT_EQ(back.relay_rate, 32'000'000U);
  EXPECT_THAT(back.stun_ports, ElementsAre(6969, 6970, 6971));
}

TEST(v2_messages, describe_a_peer) {
  EXPECT_EQ(encode_v2_peer(somebody()), somebody_text);
  const auto back =
      server<v2::snapshot>(R"({"type":"snapshot","version":1,"peers":[)" + std::string(somebody_text) + "]}");
  EXPECT_THAT(back.peers, ElementsAre(somebody()));
}

TEST(v2_messages, describe_a_seed_client_and_one_that_has_told_nothing) {
  const v2_peer seed{1, "s", true, {{at("1.1.1.1:6969"), candidate_kind::reflexive, false}}, std::nullopt};
  const v2_peer mute{2, "m", false, {}, std::nullopt};
  const std::string text = R"({"type":"snapshot","version":12,"peers":[{"id":1,"name":"s","seed":true,"candidates":[)"
                           R"({"ip":"1.1.1.1","port":6969,"kind":"reflexive"}]},{"id":2,"name":"m","candidates":[]}]})";
  EXPECT_EQ(encode_server_message(v2::snapshot{12, {seed, mute}}), text);
  const auto back = server<v2::snapshot>(text);
  EXPECT_EQ(back.version, 12U);
  EXPECT_THAT(back.peers, ElementsAre(seed, mute));
}

TEST(v2_messages, tell_what_changed) {
  const v2_peer mute{2, "m", false, {}, std::nullopt};
  const std::string text =
      R"({"type":"delta","from":3,"to":5,"left":[1,9],"joined":[{"id":2,"name":"m","candidates":[]}],)"
      R"("changed":[)" +
      std::string(somebody_text) + "]}";
  EXPECT_EQ(encode_server_message(v2::delta{3, 5, {mute}, {somebody()}, {1, 9}}), text);
  const auto back = server<v2::delta>(text);
  EXPECT_EQ(back.from, 3U);
  EXPECT_EQ(back.to, 5U);
  EXPECT_THAT(back.joined, ElementsAre(mute));
  EXPECT_THAT(back.changed, ElementsAre(somebody()));
  EXPECT_THAT(back.left, ElementsAre(1U, 9U));
}

TEST(v2_messages, ask_for_a_punch_and_pass_it_on) {
  EXPECT_EQ(encode_client_message(v2::punch_to{7}), R"({"type":"punch","to":7})");
  EXPECT_EQ(client<v2::punch_to>(R"({"type":"punch","to":7})").to, 7U);
  EXPECT_EQ(encode_server_message(v2::punch_from{8}), R"({"type":"punch","from":8})");
  EXPECT_EQ(server<v2::punch_from>(R"({"type":"punch","from":8})").from, 8U);
}

TEST(v2_messages, ask_for_a_snapshot) {
  EXPECT_EQ(encode_client_message(v2::resync{}), R"({"type":"resync"})");
  EXPECT_TRUE(std::holds_alternative<v2::resync>(decode_client_message(R"({"type":"resync"})").value()));
}

TEST(v2_messages, announce_addresses_with_their_tokens) {
  const v2::addresses told{{{at("10.0.0.1:5"), candidate_kind::host, ""},
                            {at("1.2.3.4:5"), candidate_kind::reflexive, std::string("\x00\xff token", 8)}},
                           nat_behavior{nat_mapping::independent, false}};
  const std::string text = R"({"type":"addresses","candidates":[{"ip":"10.0.0.1","port":5,"kind":"host"},)"
                           R"({"ip":"1.2.3.4","port":5,"kind":"reflexive","token":"AP8gdG9rZW4="}],)"
                           R"("nat":{"mapping":"independent","shifts":false}})";
  EXPECT_EQ(encode_client_message(told), text);
  const auto back = client<v2::addresses>(text);
  ASSERT_EQ(back.candidates.size(), 2U);
  EXPECT_EQ(back.candidates[0].address, at("10.0.0.1:5"));
  EXPECT_EQ(back.candidates[0].kind, candidate_kind::host);
  EXPECT_EQ(back.candidates[0].token, "");
  EXPECT_EQ(back.candidates[1].kind, candidate_kind::reflexive);
  EXPECT_EQ(back.candidates[1].token, std::string("\x00\xff token", 8));
  EXPECT_EQ(back.nat, told.nat);
}

// ---- later versions

TEST(v2_messages, ignore_fields_they_do_not_know_at_any_level) {
  const auto back =
      server<v2::snapshot>(R"({"type":"snapshot","version":1,"more":[[{}]],"peers":[{"id":1,"name":"a",)"
                           R"("candidates":[{"ip":"1.1.1.1","port":1,"kind":"host","cost":{"x":1}}],"x":null}]})");
  EXPECT_THAT(back.peers,
              ElementsAre(v2_peer{1, "a", false, {{at("1.1.1.1:1"), candidate_kind::host, false}}, std::nullopt}));
}

TEST(v2_messages, tell_an_unknown_type_from_a_wrong_message) {
  EXPECT_EQ(server_error(R"({"type":"weather","x":1})"), errc::unknown_type);
  EXPECT_EQ(client_error(R"({"type":"weather"})"), errc::unknown_type);
  EXPECT_EQ(client_error(R"({"type":"welcome"})"), errc::unknown_type) << "that is the server's";
}

TEST(v2_messages, leave_out_candidates_of_an_unknown_kind) {
  const auto back = client<v2::addresses>(R"({"type":"addresses","candidates":[{"kind":"onion","key":1},)"
                                          R"({"ip":"1.1.1.1","port":1,"kind":"host"}]})");
  ASSERT_EQ(back.candidates.size(), 1U);
  EXPECT_EQ(back.candidates[0].address, at("1.1.1.1:1"));
}

TEST(v2_messages, read_an_unknown_mapping_as_unknown) {
  const auto back = client<v2::addresses>(R"({"type":"addresses","candidates":[],"nat":{"mapping":"random"}})");
  EXPECT_EQ(back.nat, (nat_behavior{nat_mapping::unknown, false}));
}

TEST(v2_messages, take_missing_arrays_for_empty_ones) {
  EXPECT_THAT(client<v2::addresses>(R"({"type":"addresses"})").candidates, IsEmpty());
  EXPECT_EQ(client<v2::addresses>(R"({"type":"addresses"})").nat, std::nullopt);
  EXPECT_THAT(server<v2::delta>(R"({"type":"delta","from":0,"to":1})").left, IsEmpty());
}

// ---- hostile text

TEST(v2_messages, refuse_what_is_no_json_object) {
  for (const auto* bad :
       {"", "{", "[]", "1", "null", "\"type\"", R"({"type":"resync"}x)", "{\"type\":\"\xff\"}", "\\"}) {
    EXPECT_EQ(client_error(bad), errc::bad_json) << bad;
    EXPECT_EQ(server_error(bad), errc::bad_json) << bad;
  }
}

TEST(v2_messages, refuse_fields_that_are_missing_or_of_another_type) {
  for (const auto* bad : {
           R"({})",
           R"({"type":1})",
           R"({"type":"punch"})",
           R"({"type":"punch","to":0})",
           R"({"type":"punch","to":-1})",
           R"({"type":"punch","to":1.5})",
           R"({"type":"punch","to":"1"})",
           R"({"type":"punch","to":9007199254740992})",
           R"({"type":"addresses","candidates":{}})",
           R"({"type":"addresses","candidates":[1]})",
           R"({"type":"addresses","candidates":[{"port":1,"kind":"host"}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1","port":1,"kind":"host"}]})",
           R"({"type":"addresses","candidates":[{"ip":"0.0.0.0","port":1,"kind":"host"}]})",
           R"({"type":"addresses","candidates":[{"ip":"224.0.0.1","port":1,"kind":"host"}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":0,"kind":"host"}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":65536,"kind":"host"}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":1}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":1,"kind":7}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":1,"kind":"host","token":"%"}]})",
           R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":1,"kind":"host","token":"AP8"}]})",
           R"({"type":"addresses","nat":{}})",
           R"({"type":"addresses","nat":[]})",
           R"({"type":"addresses","nat":{"mapping":"unknown","shifts":1}})",
       }) {
    EXPECT_EQ(client_error(bad), errc::malformed) << bad;
  }
  for (const auto* bad : {
           R"({"type":"snapshot","peers":[]})",
           R"({"type":"snapshot","version":1,"peers":{}})",
           R"({"type":"snapshot","version":1,"peers":[{"id":1}]})",
           R"({"type":"snapshot","version":1,"peers":[{"id":1,"name":""}]})",
           R"({"type":"snapshot","version":1,"peers":[{"name":"a"}]})",
           R"({"type":"delta","from":2,"to":1})",
           R"({"type":"delta","from":1,"to":2,"left":["1"]})",
           R"({"type":"punch"})",
           R"({"type":"welcome","id":1,"resume":"a","seen":"here","relay_rate":1})",
           R"({"type":"welcome","id":1,"resume":"a\r\nX: y","seen":"1.1.1.1","relay_rate":1})",
           R"({"type":"welcome","id":1,"resume":"a","seen":"1.1.1.1","relay_rate":1,"stun_ports":[0]})",
       }) {
    EXPECT_EQ(server_error(bad), errc::malformed) << bad;
  }
}

TEST(v2_messages, bound_everything_a_peer_may_have) {
  const std::string one = R"({"ip":"1.1.1.1","port":1,"kind":"host"})";
  const auto with = [&](std::size_t more) {
    return R"({"type":"addresses","candidates":[)" + one + repeated("," + one, more) + "]}";
  };
  EXPECT_EQ(client<v2::addresses>(with(15)).candidates.size(), 16U);
  EXPECT_EQ(client_error(with(16)), errc::malformed);
  const auto token = [&](std::size_t characters) {
    return R"({"type":"addresses","candidates":[{"ip":"1.1.1.1","port":1,"kind":"host","token":")" +
           repeated("AAAA", characters / 4 - 1) + "AAA=\"}]}";
  };
  EXPECT_EQ(client<v2::addresses>(token(44)).candidates[0].token.size(), 32U);
  EXPECT_EQ(client_error(token(48)), errc::malformed);
  const auto named = [&](std::size_t bytes) {
    return R"({"type":"snapshot","version":1,"peers":[{"id":1,"name":")" + repeated("n", bytes) + "\"}]}";
  };
  EXPECT_EQ(server<v2::snapshot>(named(1024)).peers.size(), 1U);
  EXPECT_EQ(server_error(named(1025)), errc::malformed);
}

TEST(v2_messages, bound_a_message_before_anything_is_made_of_it) {
  const std::string resync = R"({"type":"resync","pad":")";
  const auto padded = [&](std::size_t size) { return resync + repeated("x", size - resync.size() - 2) + "\"}"; };
  EXPECT_EQ(client_error(padded(4096)), std::error_code());
  EXPECT_EQ(client_error(padded(4097)), errc::too_large);
  EXPECT_EQ(server_error(padded((16U << 20) + 1)), errc::too_large);
  EXPECT_EQ(client_error(R"({"type":"resync","x":)" + repeated("[", 15) + repeated("]", 15) + "}"), std::error_code());
  EXPECT_EQ(client_error(R"({"type":"resync","x":)" + repeated("[", 16) + repeated("]", 16) + "}"), errc::bad_json);
  EXPECT_EQ(client_error(R"({"type":"resync","x":"\")" + repeated("[", 99) + "\"}"), std::error_code())
      << "in a string";
  EXPECT_EQ(server_error(R"({"type":"punch","from":1,"x":[0)" + repeated(",0", 1U << 19) + "]}"), errc::too_large);
}

TEST(v2_messages, join_peers_that_are_encoded_already) {
  const std::string_view peers[] = {somebody_text, somebody_text};
  const peer_id left[] = {3};
  EXPECT_EQ(encode_snapshot(1, peers), encode_server_message(v2::snapshot{1, {somebody(), somebody()}}));
  EXPECT_EQ(encode_delta(1, 2, peers, {}, left),
            encode_server_message(v2::delta{1, 2, {somebody(), somebody()}, {}, {3}}));
}

}  // namespace
}  // namespace nat
