#include "nat/relay_meter.hpp"

#include <chrono>

#include <gtest/gtest.h>

namespace nat {
namespace {

using namespace std::chrono_literals;
using enum relay_verdict;

const time_point start(1h);

/// How many packets of 1000 bytes to `recipients` pass at once.
std::size_t passing(relay_meter& meter, time_point now, relay_account& client, std::uint64_t recipients = 1) {
  std::size_t count = 0;
  while (count < 1'000'000 && meter.charge(now, client, 1000, recipients) == passed) ++count;
  return count;
}

TEST(relay_meter, lets_a_client_upload_a_burst_and_then_its_rate) {
  relay_meter meter({.rate = 8'000'000, .total_rate = 0, .quota = 0});
  relay_account client;
  EXPECT_EQ(passing(meter, start, client), 263U) << "256 KiB";
  EXPECT_EQ(meter.charge(start, client, 1000, 1), over_rate);
  EXPECT_NEAR(static_cast<double>(passing(meter, start + 100ms, client)), 100, 1);
  relay_account other;
  EXPECT_EQ(passing(meter, start, other), 263U) << "one client's rate is not another's";
}

TEST(relay_meter, charges_an_upload_once_for_the_client_and_for_each_recipient_in_total) {
  relay_meter meter({.rate = 8'000'000, .total_rate = 80'000'000, .quota = 0});
  relay_account a;
  relay_account b;
  EXPECT_EQ(passing(meter, start, a, 10), 263U);
  EXPECT_EQ(passing(meter, start, b, 100), 58U) << "8 MiB for all: 83.9 deliveries of 100 kB, less a's";
  EXPECT_EQ(meter.charge(start, b, 1000, 1), over_total_rate);
  EXPECT_NEAR(static_cast<double>(passing(meter, start + 100ms, b, 100)), 10, 1);
}

TEST(relay_meter, gives_a_days_quota_back_all_day) {
  relay_meter meter({.rate = 0, .total_rate = 0, .quota = 864'000});
  relay_account client;
  EXPECT_EQ(passing(meter, start, client, 10), 87U) << "the last overdraws it";
  EXPECT_EQ(meter.charge(start, client, 1, 1), over_quota);
  EXPECT_EQ(passing(meter, start + 2h, client, 10), 7U) << "10 bytes a second";
  EXPECT_EQ(passing(meter, start + 100h, client, 10), 87U);
}

TEST(relay_meter, charges_nothing_for_what_does_not_pass) {
  relay_meter meter({.rate = 8'000'000, .total_rate = 8'000'000, .quota = 0});
  relay_account greedy;
  relay_account modest;
  EXPECT_EQ(meter.charge(start, greedy, 1500, 10'000), passed);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(meter.charge(start, modest, 1000, 1), over_total_rate);
  const auto later = start + 1min;
  EXPECT_EQ(passing(meter, later, modest), 263U);
}

TEST(relay_meter, has_no_end_where_nothing_is_limited) {
  relay_meter meter({.rate = 0, .total_rate = 0, .quota = 0});
  relay_account client;
  EXPECT_EQ(passing(meter, start, client, 1000), 1'000'000U);
}

TEST(relay_meter, a_small_packet_counts_for_what_it_costs) {
  relay_meter meter({.rate = 8'000'000, .total_rate = 0, .quota = 0});
  relay_account client;
  std::size_t small = 0;
  while (small < 100'000 && meter.charge(start, client, 1, 1000) == passed) ++small;
  EXPECT_LE(small, relay_burst / least_upload + 1);
  relay_meter total({.rate = 0, .total_rate = 8'000'000, .quota = 0});
  std::size_t uploads = 0;
  while (uploads < 100'000 && total.charge(start, client, 1, 1000) == passed) ++uploads;
  EXPECT_LE(uploads * 1000, relay_total_burst / least_delivery + 1000);
}

}  // namespace
}  // namespace nat
