// How large the packets are that two of ours send each other.
#include "peer_stream_fixture.hpp"

namespace nat {
namespace {

class peer_mtu_test : public peer_stream_test {
 protected:
  /// A network that carries so much at once; in pieces, what may leave in pieces.
  static auto carrying(std::size_t most) {
    return [most](const seen_packet& packet) {
      return packet.relayed || packet.bytes.size() <= most || packet.pieces == fragmenting::allowed;
    };
  }
  std::size_t largest_data() const {
    std::size_t out = 0;
    for (const auto& each : trace) out = std::max(out, each.is_data() ? each.bytes.size() : 0);
    return out;
  }
  std::size_t probes() const {
    return sent_count([](const seen_packet& each) { return !each.is_data() && each.bytes.size() > header_size; });
  }
};

TEST_F(peer_mtu_test, packets_are_as_large_as_the_paths_carry) {
  for (const std::size_t carried : {1232U, 1299U, 1300U, 1400U, 1472U, 9000U}) {
    hosts.clear();
    trace.clear();
    passes = carrying(carried);
    three_peers();
    pass(3s);
    const auto typed = pour("ann", 100'000);
    pass(5s);
    EXPECT_EQ(read("ben"), typed);
    EXPECT_EQ(read("cat"), typed);
    std::size_t wanted = max_datagram;
    for (const auto mtu : path_mtu::mtus) {
      if (mtu - path_mtu::ipv4_headers <= carried) wanted = std::max(wanted, mtu - path_mtu::ipv4_headers);
    }
    EXPECT_EQ(largest_data(), wanted) << carried;
  }
}

TEST_F(peer_mtu_test, the_narrowest_path_counts_for_all) {
  passes = [](const seen_packet& packet) { return packet.bytes.size() <= 1400 || packet.to.ip != ip("203.0.113.3"); };
  three_peers();
  pass(3s);
  pour("ann", 100'000);
  pass(1s);
  EXPECT_EQ(largest_data(), 1392U);
}

TEST_F(peer_mtu_test, a_path_that_carries_less_all_at_once_loses_nothing) {
  three_peers();
  pass(3s);
  auto typed = pour("ann", 100'000);
  EXPECT_EQ(largest_data(), 1472U);
  passes = carrying(1400);
  typed += pour("ann", 300'000);
  pass(10s);
  EXPECT_EQ(read("ben"), typed);
  trace.clear();
  pour("ann", 100'000);
  EXPECT_EQ(largest_data(), 1392U);
}

TEST_F(peer_mtu_test, a_path_that_is_settled_is_not_probed_any_more) {
  three_peers();
  pass(3s);
  const auto before = probes();
  EXPECT_LE(before, 12U) << "one each way, and what the first seconds cost";
  pass(5min);
  EXPECT_EQ(probes(), before);
}

TEST_F(peer_mtu_test, nobody_else_gets_a_probe_and_no_probe_a_larger_answer) {
  three_peers();
  pass(3s);
  ASSERT_GT(probes(), 0U);
  for (const auto& each : trace) {
    if (each.is_data() || each.bytes.size() == header_size) continue;
    EXPECT_TRUE(each.to.ip == ip("203.0.113.1") || each.to.ip == ip("203.0.113.2") || each.to.ip == ip("203.0.113.3"));
    EXPECT_EQ(each.pieces, fragmenting::never);
  }
}

TEST_F(peer_mtu_test, small_packets_that_pass_do_not_hide_that_large_ones_do_not) {
  auto lines = peer_config{};
  lines.input = input_mode::lines;
  auto reader = peer_config{};
  reader.output = output_mode::lines;
  three_peers(lines, reader);
  relay_works = false;
  pass(3s);
  passes = carrying(1400);
  const auto large = std::string(5000, 'z') + '\n';
  type("ann", large);
  std::string got;
  for (int i = 0; i < 100 && !got.starts_with(large); ++i) {
    type("ann", "small\n");
    pass(100ms);
    got += read("ben");
  }
  EXPECT_TRUE(got.starts_with(large)) << got.size() << " bytes";
}

TEST_F(peer_mtu_test, who_is_told_that_less_passes_sends_less_and_looks_again) {
  three_peers();
  pass(3s);
  auto typed = pour("ann", 100'000);
  ASSERT_EQ(largest_data(), 1472U);
  passes = carrying(1400);
  of("ann").engine->on_too_large(now, ip("203.0.113.2"), 1428);
  trace.clear();
  typed += pour("ann", 20'000);
  EXPECT_EQ(largest_data(), max_datagram);
  pass(3s);
  trace.clear();
  typed += pour("ann", 100'000);
  pass(3s);
  EXPECT_EQ(largest_data(), 1392U);
  EXPECT_EQ(sent_count([](const seen_packet& each) { return each.pieces == fragmenting::allowed; }), 0U);
  EXPECT_EQ(read("ben"), typed);
}

TEST_F(peer_mtu_test, what_is_said_of_other_sizes_or_addresses_changes_nothing) {
  three_peers();
  pass(3s);
  trace.clear();
  of("ann").engine->on_too_large(now, ip("203.0.113.2"), 1500);
  of("ann").engine->on_too_large(now, ip("203.0.113.77"), 576);
  pour("ann", 20'000);
  EXPECT_EQ(largest_data(), 1472U);
  EXPECT_EQ(probes(), 0U);
}

TEST_F(peer_mtu_test, who_forges_icmp_all_the_time_gets_no_more_probes_out_of_it) {
  for (const std::size_t carried : {1232U, 1400U, 1472U}) {
    hosts.clear();
    passes = carrying(carried);
    three_peers();
    pass(5s);
    trace.clear();
    for (int i = 0; i < 10'000; ++i) {
      of("ann").engine->on_too_large(now, ip("203.0.113.2"), 576);
      pass(1ms);
    }
    // One after 250 ms, then all six, which is how each search begins.
    EXPECT_LE(probes(), 7U * 20) << carried;
    pass(3s);
    trace.clear();
    pour("ann", 20'000);
    EXPECT_EQ(largest_data(), carried == 1400 ? 1392 : carried) << "it is back";
  }
}

TEST_F(peer_mtu_test, what_is_too_large_goes_by_the_relay_where_no_pieces_pass) {
  three_peers();
  pass(3s);
  auto typed = pour("ann", 100'000);
  passes = [](const seen_packet& packet) { return packet.relayed || packet.bytes.size() <= 1400; };
  typed += pour("ann", 300'000);
  pass(10s);
  EXPECT_EQ(read("ben"), typed);
  EXPECT_EQ(read("cat"), typed);
  EXPECT_EQ(path_to("ann", "ben").substr(0, 7), "public") << "for the others it stays";
}

}  // namespace
}  // namespace nat
