// A stream from one end to the other: a sender's log and delivery, a link that loses, reorders, repeats and delays,
// the receiver's inbox. No sockets; time is what the deadlines of both say.
#pragma once

#include "nat/delivery.hpp"
#include "nat/wire.hpp"

#include "plain_random.hpp"
#include "stream_inbox_fixture.hpp"

#include <map>
#include <utility>
#include <variant>

namespace nat {

using namespace std::chrono_literals;

struct weather {
  double loss = 0;  ///< either way
  double repeats = 0;
  duration delay = 0ms;
  duration jitter = 0ms;   ///< more than the spacing reorders
  std::uint64_t rate = 0;  ///< bytes/s at most, as the user wants it
};

/// What the receiver's user does with the output.
struct reading {
  duration every = 1ms;
  std::size_t most = 64U << 10;
  duration stall_at = -1s;  ///< none
  duration stall = 60s;
};

class stream_pair {
 public:
  stream_pair(std::uint64_t seed, const weather& sky, const reading& reader, std::uint64_t total)
      : random_(seed), sky_(sky), reader_(reader), total_(total), to_(1, 0, seed), inbox_(stream_inbox::first_window) {}

  /// Another way to the peer, or (none) no way at all, from then on.
  void at(duration after, std::optional<delivery::way> way) { plan_.emplace(start + after, way); }

  /// Until all is written and known to be; false if it is not by then.
  bool run(duration longest) {
    const auto end = start + longest;
    int stuck = 0;
    while (!is_over()) {
      step();
      if (testing::Test::HasFatalFailure()) return false;
      const auto next = next_time();
      if (!next || *next > end) return is_over();
      const bool is_delivered_at_once = !link_.empty() && link_.begin()->first <= now_;
      stuck = *next > now_ || is_delivered_at_once ? 0 : stuck + 1;
      if (stuck > 2) {
        ADD_FAILURE() << "deadlines in the past, again and again, after " << (now_ - start).count() << " ns";
        return false;
      }
      now_ = std::max(now_, *next);
    }
    return true;
  }

  bool is_over() const { return is_ended_ && to_.has_all(log_); }
  std::uint64_t written() const { return written_; }
  std::uint64_t missed() const { return missed_; }
  duration taken() const { return now_ - start; }
  const delivery& sender() const { return to_; }
  const stream_inbox& receiver() const { return inbox_; }
  std::uint64_t pings() const { return pings_; }
  std::uint64_t packets() const { return packets_; }

  static constexpr time_point start{1h};

 private:
  struct packet {
    data_header header;
    std::vector<std::uint8_t> payload;
  };
  struct acknowledgement {
    std::uint64_t number = 0;
    ping_acknowledgement what;
  };
  using message = std::variant<packet, ping_stream, acknowledgement>;

  bool chance(double share) { return static_cast<double>(random_.next_u64() >> 11) * 0x1p-53 < share; }
  void carry(message what) {
    const int copies = (chance(sky_.loss) ? 0 : 1) + (chance(sky_.repeats) ? 1 : 0);
    for (int i = 0; i < copies; ++i) {
      const auto most = static_cast<std::uint64_t>(sky_.jitter.count()) + 1;
      const duration more(static_cast<duration::rep>(random_.next_u64() % most));
      link_.emplace(now_ + sky_.delay + more, what);
    }
  }

  void step() {
    while (!plan_.empty() && plan_.begin()->first <= now_) {
      const auto way = plan_.begin()->second;
      plan_.erase(plan_.begin());
      if (way) to_.on_path(now_, *way);
      if (!way) to_.on_no_path();
    }
    while (!link_.empty() && link_.begin()->first <= now_) {
      auto what = std::move(link_.begin()->second);
      link_.erase(link_.begin());
      if (to_.has_path()) std::visit([&](auto& one) { on(one); }, what);
    }
    send();
    receive();
  }

  // ---- the sender

  std::size_t new_payload() const {
    const auto left = total_ - log_.end_offset();
    const auto size = std::min<std::uint64_t>(left, 1 + (log_.end() * 7919) % max_payload);
    if (left == 0 && is_end_made_) return 0;
    return log_.has_room(header_size + size) ? static_cast<std::size_t>(size) : 0;
  }
  bool make_packet() {
    const auto size = new_payload();
    const bool ends = size == 0 && log_.end_offset() == total_ && !is_end_made_;
    if ((size == 0 && !ends) || !log_.has_room(header_size + size)) return false;
    const auto bytes = log_.append(header_size, size);
    std::ranges::copy(stream_bytes(log_.end_offset() - size, size), bytes.subspan(header_size).begin());
    is_end_made_ = ends;
    end_number_ = ends ? log_.end() - 1 : 0;
    return true;
  }
  void send() {
    to_.on_time(now_);
    if (to_.wants_to_tell(now_) && to_.has_path()) {
      to_.on_told(now_);
      carry(ping_stream{.first = to_.first(), .offset = to_.first_offset()});
      ++pings_;
    }
    for (int burst = 0; burst < 10'000; ++burst) {
      auto number = to_.next(now_, log_);
      if (!number && log_.end_offset() == total_ && !is_end_made_ && make_packet()) continue;
      const auto payload = new_payload();
      if (!number && payload != 0 && to_.wants_new(now_, log_, payload) && make_packet()) number = log_.end() - 1;
      if (!number) break;
      const bool is_new = *number >= highest_sent_;
      highest_sent_ = std::max(highest_sent_, *number + 1);
      const auto& record = log_.at(*number);
      const auto bytes = log_.packet(*number).subspan(header_size);
      to_.on_sent(now_, *number, log_);
      carry(packet{data(*number, record.offset, *number == end_number_ ? data_header::ends : std::uint8_t{0}),
                   {bytes.begin(), bytes.end()}});
      ++packets_;
      // A probe leaves whatever the window says: one packet more.
      EXPECT_LE(to_.in_flight(), std::max(to_.congestion().window(), in_flight_) + max_datagram);
      EXPECT_TRUE(!is_new || record.end_offset() <= to_.limit());
      EXPECT_LE(*number, to_.floor() + stream_window_packets);
      ASSERT_LT(burst, 9'999) << "it never stops sending";
    }
    in_flight_ = to_.in_flight();
    if (!to_.waits(log_, new_payload())) to_.on_nothing_to_send();
    log_.trim(std::max(log_.begin(), to_.floor()));
    EXPECT_LE(log_.begin(), to_.received());
    EXPECT_LE(to_.written(), written_) << "it believes more than is so";
  }
  void on(const acknowledgement& ack) { to_.on_ack(now_, ack.number, ack.what, 0, log_); }

  // ---- the receiver

  void on(const ping_stream& what) { missed_ += inbox_.begin(now_, what.first, what.offset); }
  void on(packet& what) {
    const auto found = inbox_.judge(what.header, what.payload.size());
    EXPECT_NE(found, verdict::conflicting);
    if (found == verdict::duplicate) inbox_.on_duplicate(now_);
    if (found == verdict::taken) inbox_.take(now_, 0, what.header, what.payload);
    EXPECT_LE(inbox_.held_bytes(), inbox_.window());
  }
  void receive() {
    inbox_.on_time(now_);
    const bool stalls = now_ >= start + reader_.stall_at && now_ < start + reader_.stall_at + reader_.stall;
    if (now_ >= reads_at_ && !(reader_.stall_at >= 0s && stalls)) {
      reads_at_ = now_ + reader_.every;
      if (const auto piece = inbox_.next_bytes(reader_.most)) {
        const auto bytes = whole(*piece);
        ASSERT_EQ(bytes, stream_bytes(written_, bytes.size())) << "at " << written_;
        written_ += bytes.size();
        inbox_.on_written(now_, inbox_.take_out(bytes.size()));
      }
    }
    is_ended_ = inbox_.has_ended() && inbox_.is_drained();
    if (inbox_.ack_is_due(now_) && inbox_.wants_wider()) {
      inbox_.set_window(std::min(inbox_.window() * 2, stream_inbox::largest_window));
    }
    std::size_t at_once = 0;
    while (const auto ack = inbox_.next_ack(now_, sky_.delay * 2)) {
      carry(acknowledgement{++acks_, *ack});
      ASSERT_LE(++at_once, stream_inbox::max_acks_at_once);
    }
  }

  // ---- time

  deadline next_time() const {
    const auto due = to_.next_deadline(log_, new_payload(), false);
    const auto link = link_.empty() ? std::nullopt : deadline{link_.begin()->first};
    const auto plan = plan_.empty() ? std::nullopt : deadline{plan_.begin()->first};
    auto reads = inbox_.in_order() != inbox_.written() ? deadline{std::max(reads_at_, now_)} : std::nullopt;
    const auto stall = start + reader_.stall_at;
    if (reads && reader_.stall_at >= 0s && *reads >= stall && *reads < stall + reader_.stall)
      reads = stall + reader_.stall;
    return earliest(due, link, plan, reads, inbox_.next_deadline());
  }

  plain_random random_;
  weather sky_;
  reading reader_;
  std::uint64_t total_;
  time_point now_ = start;
  std::multimap<time_point, std::optional<delivery::way>> plan_;
  std::multimap<time_point, message> link_;
  send_log log_{1U << 20};
  delivery to_;
  bool is_end_made_ = false;
  std::uint64_t end_number_ = 0;
  std::uint64_t highest_sent_ = 1;
  std::uint64_t in_flight_ = 0;
  std::uint64_t packets_ = 0;
  std::uint64_t pings_ = 0;
  stream_inbox inbox_;
  std::uint64_t acks_ = 0;
  std::uint64_t missed_ = 0;
  std::uint64_t written_ = 0;
  bool is_ended_ = false;
  time_point reads_at_ = start;
};

inline delivery::way way_to(std::uint16_t port, duration round_trip, std::uint64_t rate = 0) {
  return {endpoint{ip_address(ip_address::v4_bytes{192, 0, 2, 1}), port}, round_trip, rate};
}

}  // namespace nat
