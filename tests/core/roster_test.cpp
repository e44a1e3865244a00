#include "nat/roster.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

roster decode(std::string_view json) { return decode_roster(json).value(); }

/// A list of one entry with these fields.
roster decode_entry(std::string_view fields) { return decode("{\"peers\":[{" + std::string(fields) + "}]}"); }

std::vector<std::string> names_of(const roster& list) {
  std::vector<std::string> names;
  for (const auto& peer : list.peers) names.push_back(peer.name);
  return names;
}

std::string peer(int number) {
  const auto ip = "10." + std::to_string(number >> 16) + '.' + std::to_string((number >> 8) & 0xff) + '.' +
                  std::to_string(number & 0xff);
  return R"({"ip":")" + ip + R"(","port":6969,"name":"peer )" + std::to_string(number) +
         R"(","last_seen":1656829882876})";
}

std::string peers(int count) {
  std::string json = "{\"peers\":[" + peer(0);
  for (int number = 1; number < count; ++number) json += ',' + peer(number);
  return json + "]}";
}

TEST(roster, reads_the_seeds_list) {
  const auto list = decode(R"({"peers":[{"ip":"1.1.1.1","port":6969,"name":"cloudflare","last_seen":1656829882876}]})");
  ASSERT_EQ(list.peers.size(), 1U);
  EXPECT_EQ(list.peers[0].name, "cloudflare");
  EXPECT_EQ(list.peers[0].address.to_string(), "1.1.1.1:6969");
  EXPECT_EQ(list.peers[0].last_seen, 1656829882876);
  EXPECT_EQ(list.skipped, 0U);
}

TEST(roster, keeps_the_order_and_reads_white_space) {
  const auto list = decode(" {\n\t\"peers\" : [ " + peer(3) + " ,\r\n" + peer(1) + " , " + peer(2) + " ] } \n");
  EXPECT_THAT(names_of(list), ElementsAre("peer 3", "peer 1", "peer 2"));
}

TEST(roster, reads_empty_lists) {
  for (const auto* json : {R"({"peers":[]})", R"({"peers":null})"}) {
    const auto list = decode_roster(json);
    ASSERT_TRUE(list) << json;
    EXPECT_THAT(list->peers, IsEmpty());
    EXPECT_EQ(list->skipped, 0U);
  }
}

TEST(roster, reads_ipv6_addresses_and_normalises_mapped_ones) {
  const auto list = decode(R"({"peers":[{"ip":"2001:DB8::0:1","port":1,"name":"six"},
                                        {"ip":"::ffff:1.2.3.4","port":65535,"name":"four"}]})");
  ASSERT_EQ(list.peers.size(), 2U);
  EXPECT_EQ(list.peers[0].address.to_string(), "[2001:db8::1]:1");
  EXPECT_EQ(list.peers[1].address.to_string(), "1.2.3.4:65535");
}

TEST(roster, refuses_what_is_no_json) {
  for (const auto* json :
       {"", " ", "{", "hello", "{\"peers\":[}", "{\"peers\":[]", "{\"peers\":[],}", "{'peers':[]}", "{\"peers\":[01]}",
        "{\"peers\":[]}x", "{\"peers\":[]}{\"peers\":[]}", "{\"peers\":[]}]", "{\"peers\":[{\"ip\":\"1.1.1.1\"]}",
        "{\"peers\":[\"\\ud800\"]}", "{\"peers\":[\"a\nb\"]}", "{\"peers\":[\"\xff\"]}", "{\"peers\":[]} // list"}) {
    EXPECT_EQ(decode_roster(json).error(), errc::bad_json) << json;
  }
}

TEST(roster, refuses_every_cut_of_a_list) {
  const auto whole = peers(2);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(decode_roster(std::string_view(whole).substr(0, size)).error(), errc::bad_json) << size;
  }
}

TEST(roster, refuses_json_of_another_shape) {
  for (const auto* json :
       {"null", "true", "1", "-1", "1.5", "\"peers\"", "[]", "[{\"peers\":[]}]", "{}", "{\"Peers\":[]}",
        "{\"peers\":{}}", "{\"peers\":\"none\"}", "{\"peers\":5}", "{\"peers\":-5}", "{\"peers\":1.5}",
        "{\"peers\":false}", "{\"list\":{\"peers\":[]}}", "{\"peers\":{\"peers\":[]}}"}) {
    EXPECT_EQ(decode_roster(json).error(), errc::bad_json) << json;
  }
}

TEST(roster, stops_at_deep_nesting) {
  const std::string open_arrays(100'000, '[');
  std::string open_objects;
  for (int i = 0; i < 100'000; ++i) open_objects += "{\"a\":";
  for (const auto& json :
       {open_arrays, open_objects, "{\"peers\":" + open_arrays, "{\"peers\":[],\"x\":" + open_objects,
        "{\"peers\":[],\"x\":" + open_arrays + std::string(100'000, ']') + '}'}) {
    EXPECT_EQ(decode_roster(json).error(), errc::bad_json);
  }
}

TEST(roster, reads_nesting_up_to_the_limit) {
  const auto nested = [](int depth) {
    const auto levels = static_cast<std::size_t>(depth - 1);  // the message's object is the first
    return "{\"x\":" + std::string(levels, '[') + std::string(levels, ']') + ",\"peers\":[" + peer(1) + "]}";
  };
  EXPECT_THAT(names_of(decode(nested(max_roster_depth))), ElementsAre("peer 1"));
  EXPECT_EQ(decode_roster(nested(max_roster_depth + 1)).error(), errc::bad_json);
}

TEST(roster, ignores_unknown_fields_at_every_level) {
  const auto list = decode(R"({"v":2,"x":{"peers":[1,{"ip":"9.9.9.9"}],"y":[[{}],null]},"peers":[
    {"id":[1,{"ip":"9.9.9.9","port":9}],"ip":"1.1.1.1","more":{"port":"no","name":5},"port":6969,"name":"a","flag":true}],
    "z":[{"ip":"8.8.8.8","port":8,"name":"not a peer"}]})");
  EXPECT_THAT(names_of(list), ElementsAre("a"));
  EXPECT_EQ(list.peers[0].address.to_string(), "1.1.1.1:6969");
  EXPECT_EQ(list.skipped, 0U);
}

TEST(roster, skips_and_counts_entries_with_a_missing_or_wrong_value) {
  for (const auto* fields : {"",
                             R"("port":1,"name":"a")",
                             R"("ip":"1.1.1.1","name":"a")",
                             R"("ip":"1.1.1.1","port":1)",
                             R"("ip":"localhost","port":1,"name":"a")",
                             R"("ip":"","port":1,"name":"a")",
                             R"("ip":16843009,"port":1,"name":"a")",
                             R"("ip":["1.1.1.1"],"port":1,"name":"a")",
                             R"("ip":"0.0.0.0","port":1,"name":"a")",
                             R"("ip":"224.0.0.1","port":1,"name":"a")",
                             R"("ip":"255.255.255.255","port":1,"name":"a")",
                             R"("ip":"::","port":1,"name":"a")",
                             R"("ip":"fe80::1%eth0","port":1,"name":"a")",
                             R"("ip":"1.1.1.1","port":0,"name":"a")",
                             R"("ip":"1.1.1.1","port":-1,"name":"a")",
                             R"("ip":"1.1.1.1","port":65536,"name":"a")",
                             R"("ip":"1.1.1.1","port":18446744073709551615,"name":"a")",
                             R"("ip":"1.1.1.1","port":99999999999999999999999,"name":"a")",
                             R"("ip":"1.1.1.1","port":1.0,"name":"a")",
                             R"("ip":"1.1.1.1","port":"1","name":"a")",
                             R"("ip":"1.1.1.1","port":null,"name":"a")",
                             R"("ip":"1.1.1.1","port":[1],"name":"a")",
                             R"("ip":"1.1.1.1","port":1,"name":"")",
                             R"("ip":"1.1.1.1","port":1,"name":5)",
                             R"("ip":"1.1.1.1","port":1,"name":null)",
                             R"("ip":"1.1.1.1","port":1,"name":{"name":"a"})"}) {
    const auto list = decode_entry(fields);
    EXPECT_THAT(list.peers, IsEmpty()) << fields;
    EXPECT_EQ(list.skipped, 1U) << fields;
  }
}

TEST(roster, skips_and_counts_what_is_no_entry) {
  const auto list =
      decode(R"({"peers":[1,-1,1.5,"a",null,true,[],[{"ip":"9.9.9.9","port":9,"name":"no"}],)" + peer(1) + "]}");
  EXPECT_THAT(names_of(list), ElementsAre("peer 1"));
  EXPECT_EQ(list.skipped, 8U);
}

TEST(roster, takes_an_entry_without_a_proper_last_seen) {
  for (const auto* last_seen :
       {"", R"(,"last_seen":null)", R"(,"last_seen":"now")", R"(,"last_seen":1.5)", R"(,"last_seen":[7])",
        R"(,"last_seen":18446744073709551615)", R"(,"last_seen":7,"last_seen":{})"}) {
    const auto list = decode_entry(R"("ip":"1.1.1.1","port":1,"name":"a")" + std::string(last_seen));
    ASSERT_EQ(list.peers.size(), 1U) << last_seen;
    EXPECT_EQ(list.peers[0].last_seen, 0) << last_seen;
  }
  EXPECT_EQ(decode_entry(R"("ip":"1.1.1.1","port":1,"name":"a","last_seen":-5)").peers.at(0).last_seen, -5);
}

TEST(roster, reads_names_with_quotes_escapes_and_emoji) {
  EXPECT_THAT(names_of(decode(R"({"peers":[
      {"ip":"1.1.1.1","port":1,"name":"a \"quoted\" \\ 100% name"},
      {"ip":"1.1.1.1","port":2,"name":"🙂 grüße"},
      {"ip":"1.1.1.1","port":3,"name":"\ud83d\ude42\u0041\n"},
      {"ip":"1.1.1.1","port":4,"\u006eame":"escaped key"}]})")),
              ElementsAre("a \"quoted\" \\ 100% name", "🙂 grüße", "🙂A\n", "escaped key"));
}

TEST(roster, skips_names_over_the_limit) {
  const auto named = [](std::size_t size) {
    return decode_entry(R"("ip":"1.1.1.1","port":1,"name":")" + std::string(size, 'n') + '"');
  };
  EXPECT_EQ(named(max_roster_name).peers.size(), 1U);
  EXPECT_THAT(named(max_roster_name + 1).peers, IsEmpty());
  EXPECT_EQ(named(max_roster_name + 1).skipped, 1U);
}

TEST(roster, keeps_the_first_of_two_entries_with_one_endpoint) {
  const auto list = decode(
      R"({"peers":[{"ip":"1.1.1.1","port":1,"name":"first"},{"ip":"::ffff:1.1.1.1","port":1,"name":"second"},
                                        {"ip":"1.1.1.1","port":2,"name":"first"}]})");
  EXPECT_THAT(names_of(list), ElementsAre("first", "first")) << "two peers may have one name";
  EXPECT_EQ(list.peers[1].address.port, 2);
  EXPECT_EQ(list.skipped, 1U);
}

TEST(roster, takes_the_last_of_two_equal_keys) {
  EXPECT_EQ(decode_entry(R"("ip":"1.1.1.1","ip":"2.2.2.2","port":1,"port":2,"name":"a","name":"b")").peers.at(0).name,
            "b");
  EXPECT_THAT(decode_entry(R"("ip":"1.1.1.1","port":1,"name":"a","ip":{})").peers, IsEmpty());
  EXPECT_THAT(names_of(decode("{\"peers\":[1," + peer(1) + "],\"peers\":[" + peer(2) + "]}")), ElementsAre("peer 2"));
  EXPECT_EQ(decode("{\"peers\":[1],\"peers\":[]}").skipped, 0U);
  EXPECT_EQ(decode_roster("{\"peers\":[],\"peers\":5}").error(), errc::bad_json);
  EXPECT_THAT(names_of(decode("{\"peers\":5,\"peers\":[" + peer(1) + "]}")), ElementsAre("peer 1"));
}

TEST(roster, keeps_a_bounded_number_of_a_hundred_thousand_peers) {
  const auto list = decode(peers(100'000));
  EXPECT_EQ(list.peers.size(), max_roster_peers);
  EXPECT_EQ(list.skipped, 100'000 - max_roster_peers);
  EXPECT_EQ(list.peers.back().name, "peer " + std::to_string(max_roster_peers - 1));
}

TEST(roster, refuses_a_message_over_the_size_limit) {
  std::string json = R"({"peers":[]})";
  json.resize(max_roster_bytes, ' ');
  EXPECT_TRUE(decode_roster(json));
  json += ' ';
  EXPECT_EQ(decode_roster(json).error(), errc::too_large);
}

}  // namespace
}  // namespace nat
