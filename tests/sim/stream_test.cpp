// That the checks of a stream can fail.
#include "runs.hpp"
#include "stream_user.hpp"

#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nat::sim {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

// A sender and a reader on public addresses.
struct stream_pair {
  explicit stream_pair(input_mode input = input_mode::bytes, output_mode output = output_mode::text)
      : run(1, 1s),
        sender(run.around(), "sender", output_mode::raw, {"sender"}),
        reader(run.around(), "reader", output, {"sender"}),
        sends(run.add_peer(run.net().add_host(run.net().open()), "t", "sender",
                           {.input = input, .wait_for = 1, .quit_on_eof = 5s})),
        reads(run.add_peer(run.net().add_host(run.net().open()), "t", "reader", {.output = output})) {
    sends.use(sender);
    reads.use(reader);
    chance random(1);
    sender.speak(random_speech(random, input, alphabet::printable, 200'000), {});
    sends.start();
    reads.start();
  }

  void check(bool whole = true) { check_heard(run.check(), sender, reader, whole); }

  world run;
  stream_user sender;
  stream_user reader;
  peer_host& sends;
  peer_host& reads;
};

TEST(streams, come_whole_and_the_sender_ends_with_0) {
  for (const auto input : {input_mode::bytes, input_mode::lines}) {
    for (const auto output : {output_mode::raw, output_mode::text, output_mode::json}) {
      stream_pair pair(input, output);
      pair.run.time().run_for(10s);
      pair.check();
      EXPECT_THAT(pair.run.check().failures(), IsEmpty());
      ASSERT_TRUE(pair.sender.ended());
      EXPECT_EQ(pair.sender.ended()->status, 0);
      EXPECT_TRUE(has_all(pair.sender, pair.reader));
      EXPECT_EQ(pair.reader.heard_of("sender").payload.empty(), false);
    }
  }
}

TEST(streams, a_stream_that_is_not_whole_is_found) {
  stream_pair pair;
  pair.run.time().run_for(10s);
  const auto said = pair.sender.speaks();
  ASSERT_TRUE(said);
  auto more = *said;
  more.payload += "which its engine never gets";
  pair.sender.speak(more, 10s);
  pair.check(false);
  EXPECT_THAT(pair.run.check().failures(), IsEmpty());
  pair.check();
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("bytes of sender's stream, from 0")));
}

TEST(streams, bytes_that_come_twice_are_found) {
  stream_pair pair;
  pair.run.time().run_for(10s);
  pair.reader.on_output(as_bytes("sender: once more\n"));
  pair.check(false);
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("other ones from")));
}

TEST(streams, a_record_in_two_parts_is_found) {
  stream_pair pair(input_mode::lines);
  pair.run.time().run_for(10s);
  auto said = *pair.sender.speaks();
  const auto last = said.records.back();
  said.records.back() = 1;
  said.records.push_back(last - 1);
  pair.sender.speak(said, {});
  pair.check();
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("begin or end where they should not")));
}

TEST(streams, a_reader_that_is_not_served_and_hears_something_is_found) {
  stream_pair pair;
  pair.reader.on_output(as_bytes("sender: what is this\n"));
  pair.check(false);
  EXPECT_THAT(pair.run.check().failures(), Contains(HasSubstr("which does not serve it")));
}

TEST(streams, a_peer_that_is_stopped_goes_on_with_what_the_kernel_kept) {
  stream_pair pair;
  pair.run.time().run_for(300ms);
  pair.reads.stop_for(20s);
  pair.sends.stall_output(1s);
  pair.run.time().run_for(60s);
  EXPECT_THAT(pair.run.check().failures(), IsEmpty());
}

TEST(streams, a_goodbye_goes_by_the_relay_behind_what_is_under_way) {
  world run(1, 1s);
  stream_user sender(run.around(), "sender", output_mode::raw, {"sender"});
  stream_user reader(run.around(), "reader", output_mode::text, {"sender"});
  auto& here = run.net().add_host(run.net().open());
  auto& there = run.net().add_host(run.net().open());
  here.block_datagrams(true);
  there.block_datagrams(true);
  auto& sends = run.add_peer(here, "t", "sender", {.wait_for = 1, .quit_on_eof = 5s});
  auto& reads = run.add_peer(there, "t", "reader", {.output = output_mode::text, .quit_on_end = true});
  sends.use(sender);
  reads.use(reader);
  chance random(1);
  sender.speak(random_speech(random, input_mode::bytes, alphabet::printable, 20'000'000), {});
  sends.start();
  reads.start();
  run.time().run_for(10s);
  ASSERT_FALSE(sender.ended());
  ASSERT_FALSE(reader.heard_of("sender").payload.empty());
  sends.leave();
  run.time().run_for(2s);
  ASSERT_TRUE(sender.ended());
  ASSERT_TRUE(reader.ended()) << "it knows that nothing more comes";
  EXPECT_EQ(reader.ended()->reason, "it has left before its end: sender");
}

TEST(streams, the_same_seed_gives_the_same_run) {
  EXPECT_EQ(run_stream(3, nullptr, true).all.trace_checksum, run_stream(3, nullptr, true).all.trace_checksum);
  EXPECT_NE(run_stream(3, nullptr, true).all.trace_checksum, run_stream(4, nullptr, true).all.trace_checksum);
}

}  // namespace
}  // namespace nat::sim
