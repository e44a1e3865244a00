#include "nat/nat_probe.hpp"

#include "plain_random.hpp"
#include "stun_builder.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const ip_address server = ip("198.51.100.1");
const std::vector<std::uint16_t> ports = {3478, 3479, 3480};
const endpoint mapped = at("203.0.113.7:4000");
const endpoint other = at("203.0.113.7:4001");

class nat_probe_test : public testing::Test {
 protected:
  struct asked {
    endpoint to;
    stun_message request;
    stun_packet bytes;
  };

  // Stands for natcoord's first port where it is asked from the other socket.
  static constexpr std::uint16_t beside = 13'478;

  /// The ports of natcoord that are asked now, `beside` for the first from the other socket; the requests are kept by
  /// that.
  std::vector<std::uint16_t> requests() {
    std::vector<std::uint16_t> out;
    while (const auto next = probe.next_request()) {
      EXPECT_EQ(next->to.ip, server);
      EXPECT_EQ(next->aside, next->to.port == 3480 || (next->to.port == 3478 && decode_stun(next->bytes)->wants_probe));
      const auto label = next->aside && next->to.port == 3478 ? beside : next->to.port;
      out.push_back(label);
      const auto decoded = decode_stun(next->bytes).value();
      EXPECT_EQ(decoded.kind, stun_class::request);
      last[label] = {next->to, decoded, next->bytes};
    }
    return out;
  }
  bool answer(std::uint16_t port, const endpoint& seen, std::optional<std::uint16_t> from = {},
              const stun_token* token = nullptr) {
    const auto bytes = encode_binding_success(last.at(port).request.id, seen, false, token);
    return probe.on_datagram(now, {server, from.value_or(port == beside ? 3478 : port)}, bytes);
  }
  /// What became known, in words.
  std::string result() {
    const auto next = probe.next_result();
    if (!next) return "none";
    auto out = next->mapped ? next->mapped->to_string() : "no address";
    if (!next->token.empty()) out += " proven by " + next->token;
    if (!next->behavior) return out;
    constexpr std::array<const char*, 3> names = {", unknown", ", independent", ", dependent"};
    out += names.at(static_cast<std::size_t>(next->behavior->mapping));
    return next->behavior->shifts ? out + ", shifts" : out;
  }
  void pass(duration time) {
    const auto end = now + time;
    while (probe.next_deadline() && *probe.next_deadline() <= end) {
      now = std::max(now, *probe.next_deadline());
      probe.on_time(now);
      ASSERT_TRUE(!probe.next_deadline() || *probe.next_deadline() > now) << "a deadline in the past would spin";
    }
    now = end;
  }
  /// Begins, and the first port answers.
  void begin() {
    probe.start(now, server, ports);
    ASSERT_THAT(requests(), ElementsAre(3478, beside));
    answer(3478, mapped);
    ASSERT_EQ(result(), "203.0.113.7:4000");
    answer(beside, mapped);
    ASSERT_THAT(requests(), ElementsAre(3479, 3480));
  }

  plain_random random;
  nat_probe probe{random};
  time_point now{1h};
  std::map<std::uint16_t, asked> last;
};

TEST_F(nat_probe_test, asks_the_first_port_for_address_token_and_an_unasked_copy) {
  probe.start(now, server, ports);
  EXPECT_THAT(requests(), ElementsAre(3478, beside));
  EXPECT_TRUE(last[3478].request.wants_token());
  EXPECT_FALSE(last[3478].request.wants_probe) << "a mapping that the copy moves stays moved for new destinations";
  EXPECT_TRUE(last[beside].request.wants_probe);
}

TEST_F(nat_probe_test, tells_address_and_token_at_once) {
  probe.start(now, server, ports);
  requests();
  stun_token token;
  token.fill('T');
  EXPECT_TRUE(answer(3478, mapped, {}, &token));
  EXPECT_EQ(result(), "203.0.113.7:4000 proven by " + std::string(24, 'T'));
  EXPECT_EQ(result(), "none");
  EXPECT_THAT(requests(), ElementsAre(3479));
  answer(beside, mapped);
  EXPECT_THAT(requests(), ElementsAre(3480)) << "only now: what came first at port 2 must have been the copy";
  EXPECT_FALSE(last[3479].request.wants_token());
  EXPECT_FALSE(last[3480].request.wants_probe);
  answer(3479, mapped);
  answer(3480, mapped);
  EXPECT_EQ(result(), "203.0.113.7:4000 proven by " + std::string(24, 'T') + ", independent");
}

TEST_F(nat_probe_test, one_address_for_all_ports_is_an_independent_mapping) {
  begin();
  answer(3480, mapped);
  EXPECT_EQ(result(), "none");
  answer(3479, mapped);
  EXPECT_EQ(result(), "203.0.113.7:4000, independent");
  EXPECT_EQ(probe.next_deadline(), std::nullopt);
}

TEST_F(nat_probe_test, another_address_for_another_port_is_a_dependent_mapping) {
  begin();
  answer(3479, other);
  EXPECT_EQ(result(), "203.0.113.7:4000, dependent") << "the third port has nothing to add";
  EXPECT_TRUE(answer(3480, at("203.0.113.7:4002"))) << "late, but ours";
  EXPECT_EQ(result(), "none");
  EXPECT_EQ(probe.next_deadline(), std::nullopt);
}

TEST_F(nat_probe_test, a_mapping_that_is_another_only_where_the_copy_came_from_shifts) {
  begin();
  answer(3479, mapped);
  answer(3480, other);
  EXPECT_EQ(result(), "203.0.113.7:4000, independent, shifts");
}

TEST_F(nat_probe_test, the_copy_itself_says_nothing) {
  probe.start(now, server, ports);
  requests();
  EXPECT_TRUE(answer(beside, other, 3480)) << "from the third port, with the request's id";
  EXPECT_EQ(result(), "none");
  EXPECT_THAT(requests(), IsEmpty());
  answer(3478, mapped);
  EXPECT_EQ(result(), "203.0.113.7:4000");
}

TEST_F(nat_probe_test, repeats_a_request_twice) {
  probe.start(now, server, ports);
  requests();
  const auto sent = last[3478].bytes;
  pass(249ms);
  EXPECT_THAT(requests(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(requests(), ElementsAre(3478, beside));
  EXPECT_EQ(last[3478].bytes, sent) << "the same transaction";
  pass(500ms);
  EXPECT_THAT(requests(), ElementsAre(3478, beside));
  pass(749ms);
  EXPECT_THAT(requests(), IsEmpty());
  EXPECT_EQ(result(), "none");
}

TEST_F(nat_probe_test, a_first_port_that_stays_silent_leaves_all_unknown_and_is_asked_again) {
  probe.start(now, server, ports);
  requests();
  pass(1500ms);
  EXPECT_EQ(result(), "no address, unknown");
  requests();
  pass(4s);
  EXPECT_THAT(requests(), ElementsAre(3478, beside)) << "UDP may be there again";
  pass(90s);
  EXPECT_EQ(result(), "none") << "no news";
  requests();
  while (requests().empty()) pass(10ms);
  answer(3478, mapped);
  EXPECT_EQ(result(), "203.0.113.7:4000");
  requests();
  answer(3479, other);
  EXPECT_EQ(result(), "203.0.113.7:4000, dependent");
}

TEST_F(nat_probe_test, a_silent_first_port_is_asked_at_least_each_half_minute) {
  probe.start(now, server, ports);
  pass(10min);
  requests();
  duration longest{};
  for (int i = 0; i < 50; ++i) {
    const auto before = now;
    while (requests().empty()) pass(10ms);
    longest = std::max(longest, now - before);
  }
  EXPECT_LE(longest, 31s);
  EXPECT_GT(longest, 20s) << "nor much more often";
}

TEST_F(nat_probe_test, a_silent_second_port_leaves_the_mapping_unknown) {
  begin();
  answer(3480, other);
  pass(1499ms);
  EXPECT_EQ(result(), "none");
  pass(1ms);
  EXPECT_EQ(result(), "203.0.113.7:4000, unknown");
  EXPECT_EQ(probe.next_deadline(), std::nullopt);
}

TEST_F(nat_probe_test, a_silent_third_port_shifts_nothing) {
  begin();
  answer(3479, mapped);
  EXPECT_EQ(result(), "none");
  pass(1500ms);
  EXPECT_EQ(result(), "203.0.113.7:4000, independent");
}

TEST_F(nat_probe_test, with_fewer_than_three_ports_only_the_address_is_asked_for) {
  for (const std::size_t count : {1, 2}) {
    probe.start(now, server, std::span(ports).first(count));
    EXPECT_THAT(requests(), ElementsAre(3478));
    EXPECT_TRUE(last[3478].request.wants_token());
    EXPECT_FALSE(last[3478].request.wants_probe) << "there is no third port";
    answer(3478, mapped);
    EXPECT_EQ(result(), "203.0.113.7:4000");
    EXPECT_THAT(requests(), IsEmpty());
    EXPECT_EQ(probe.next_deadline(), std::nullopt);
  }
  probe.start(now, server, {});
  EXPECT_THAT(requests(), IsEmpty());
  EXPECT_EQ(probe.next_deadline(), std::nullopt);
}

TEST_F(nat_probe_test, begins_anew_at_any_time) {
  begin();
  answer(3479, mapped);
  const auto old = last;
  probe.start(now, server, ports);
  EXPECT_EQ(result(), "none");
  EXPECT_THAT(requests(), ElementsAre(3478, beside));
  EXPECT_NE(last[3478].request.id, old.at(3478).request.id);
  const auto late = encode_binding_success(old.at(3480).request.id, mapped);
  EXPECT_FALSE(probe.on_datagram(now, {server, 3480}, late)) << "of the run before";
  answer(3478, other);
  EXPECT_EQ(result(), "203.0.113.7:4001");
  answer(beside, other);
  requests();
  answer(3479, other);
  answer(3480, other);
  EXPECT_EQ(result(), "203.0.113.7:4001, independent");
}

TEST_F(nat_probe_test, leaves_to_others_what_is_theirs) {
  const auto foreign = encode_binding_success({1, 2, 3}, mapped);
  EXPECT_FALSE(probe.on_datagram(now, {server, 3478}, foreign)) << "before it began, and all ids are zeros";
  EXPECT_FALSE(probe.on_datagram(now, {server, 3478}, encode_binding_success({}, mapped)));
  begin();
  EXPECT_FALSE(probe.on_datagram(now, {server, 3478}, foreign));
  EXPECT_FALSE(probe.on_datagram(now, {server, 3478}, as_bytes("no STUN at all")));
  EXPECT_FALSE(probe.on_datagram(now, {server, 3478}, {}));
}

TEST_F(nat_probe_test, believes_only_the_port_that_was_asked) {
  begin();
  const auto bytes = encode_binding_success(last[3479].request.id, other);
  EXPECT_TRUE(probe.on_datagram(now, at("192.0.2.9:3479"), bytes));
  EXPECT_TRUE(answer(3479, other, 3478));
  EXPECT_EQ(result(), "none");
  answer(3479, mapped);
  answer(3480, mapped);
  EXPECT_EQ(result(), "203.0.113.7:4000, independent");
}

TEST_F(nat_probe_test, an_answer_without_a_usable_address_is_as_good_as_silence) {
  begin();
  stun_builder error(binding_error_type, last[3479].request.id);
  error.add_error(500);
  EXPECT_TRUE(probe.on_datagram(now, {server, 3479}, error));
  EXPECT_EQ(result(), "203.0.113.7:4000, unknown");

  for (const auto* useless : {"0.0.0.0:4000", "255.255.255.255:4000", "224.0.0.1:4000"}) {
    probe.start(now, server, ports);
    requests();
    answer(3478, at(useless));
    EXPECT_EQ(result(), "no address, unknown") << useless;
  }
}

TEST_F(nat_probe_test, stops_when_it_is_told_to) {
  begin();
  probe.stop();
  EXPECT_EQ(probe.next_deadline(), std::nullopt);
  answer(3479, mapped);
  EXPECT_EQ(result(), "none");
}

}  // namespace
}  // namespace nat
