// Senders that share one bottleneck, packet by packet: a drop-tail queue, a delay, losses by chance, acknowledgements
// of several packets. Time is the model's own; the same run gives the same numbers.
#pragma once

#include "nat/bbr.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

namespace nat {

/// What decides how much a sender has in flight, as `bbr` does.
class controller {
 public:
  virtual ~controller() = default;
  virtual bbr::packet_state on_sent(time_point now, std::size_t bytes, std::uint64_t in_flight) = 0;
  virtual void on_acked(time_point now, const bbr::packet_state& packet, std::size_t bytes) = 0;
  virtual void on_lost(time_point now, const bbr::packet_state& packet, std::size_t bytes) = 0;
  virtual void on_ack_done(time_point now, duration rtt, std::uint64_t in_flight) = 0;
  virtual void on_timeout(std::uint64_t) {}
  virtual void on_app_limited(std::uint64_t) {}
  virtual std::uint64_t window() const = 0;
  virtual std::uint64_t pacing_rate() const = 0;
  virtual std::size_t send_quantum() const = 0;
};

class bbr_controller : public controller {
 public:
  explicit bbr_controller(std::size_t datagram_size, std::uint64_t seed) : it(datagram_size, seed) {}
  bbr::packet_state on_sent(time_point now, std::size_t bytes, std::uint64_t in_flight) override {
    return it.on_sent(now, bytes, in_flight);
  }
  void on_acked(time_point now, const bbr::packet_state& packet, std::size_t bytes) override {
    it.on_acked(now, packet, bytes);
  }
  void on_lost(time_point now, const bbr::packet_state& packet, std::size_t bytes) override {
    it.on_lost(now, packet, bytes);
  }
  void on_ack_done(time_point now, duration rtt, std::uint64_t in_flight) override {
    it.on_ack_done(now, rtt, in_flight);
  }
  void on_timeout(std::uint64_t in_flight) override { it.on_timeout(in_flight); }
  void on_app_limited(std::uint64_t in_flight) override { it.on_app_limited(in_flight); }
  std::uint64_t window() const override { return it.window(); }
  std::uint64_t pacing_rate() const override { return it.pacing_rate(); }
  std::size_t send_quantum() const override { return it.send_quantum(); }

  bbr it;
};

/// The least of CUBIC (RFC 9438) that competes as it does: no fast convergence, no undo.
class cubic_controller : public controller {
 public:
  explicit cubic_controller(std::size_t datagram_size) : size_(static_cast<double>(datagram_size)) {}

  bbr::packet_state on_sent(time_point now, std::size_t, std::uint64_t) override {
    bbr::packet_state packet;
    packet.sent_at = now;
    return packet;
  }
  void on_acked(time_point, const bbr::packet_state&, std::size_t bytes) override {
    acked_ += static_cast<double>(bytes) / size_;
  }
  void on_lost(time_point now, const bbr::packet_state& packet, std::size_t) override {
    if (cut_at_ && packet.sent_at <= *cut_at_) return;  // one reaction to a round trip
    cut_at_ = now;
    most_ = packets_;
    packets_ = threshold_ = std::max(packets_ * beta, 2.0);
    reno_ = packets_;
  }
  void on_ack_done(time_point now, duration rtt, std::uint64_t) override {
    const auto acked = std::exchange(acked_, 0);
    if (packets_ < threshold_) {
      packets_ += acked;
      return;
    }
    const auto since = std::chrono::duration<double>(now - *cut_at_ + rtt).count();
    const auto target = scale * std::pow(since - std::cbrt(most_ * (1 - beta) / scale), 3) + most_;
    reno_ += 3 * (1 - beta) / (1 + beta) * acked / packets_;
    packets_ = std::max(packets_ + std::clamp((target - packets_) / packets_, 0.0, 0.5) * acked, reno_);
  }
  std::uint64_t window() const override { return static_cast<std::uint64_t>(packets_ * size_); }
  std::uint64_t pacing_rate() const override { return std::uint64_t{1} << 40; }
  std::size_t send_quantum() const override { return 65'536; }

 private:
  static constexpr double beta = 0.7;
  static constexpr double scale = 0.4;
  double size_;
  double packets_ = 10;
  double threshold_ = 1e9;
  double most_ = 0;
  double reno_ = 0;
  double acked_ = 0;
  deadline cut_at_;
};

struct link_config {
  double rate = 100e6 / 8;  ///< bytes/s
  duration round_trip = std::chrono::milliseconds(50);
  double buffer = 1;  ///< of `rate` times `round_trip`
  double loss = 0;    ///< share, by chance, behind the queue
  std::size_t packets_per_ack = 2;
  duration ack_delay = std::chrono::milliseconds(1);  ///< of fewer packets than that
  duration jitter{};                                  ///< of acknowledgements, which stay in order
  std::size_t datagram = 1250;
};

class link_model {
 public:
  struct packet {
    std::size_t flow;
    std::uint64_t number;
  };
  struct in_flight_packet {
    bbr::packet_state state;
    bool settled = false;
  };
  struct flow {
    std::unique_ptr<controller> control;
    time_point starts{};
    std::uint64_t in_flight = 0;           ///< bytes
    std::uint64_t sent = 0;                ///< bytes
    std::uint64_t lost = 0;                ///< bytes
    std::uint64_t delivered = 0;           ///< bytes
    std::optional<std::uint64_t> to_send;  ///< bytes; none: without end
    std::deque<in_flight_packet> packets;  ///< from `first` on
    std::uint64_t first = 0;
    std::uint64_t next = 0;
    time_point free_at{};
    bool wakes = false;
    duration rtt = std::chrono::seconds(1);
    time_point progress{};
    // The receiver.
    std::vector<std::uint64_t> unacked;
    std::uint64_t ack_timer = 0;
    time_point last_ack{};
  };

  explicit link_model(const link_config& config, std::uint64_t seed = 1)
      : config_(config), rate_(config.rate), random_(seed) {
    buffer_ = static_cast<std::size_t>(config.buffer * config.rate *
                                       std::chrono::duration<double>(config.round_trip).count());
  }

  flow& add(std::unique_ptr<controller> control, duration starts = {}) {
    auto& added = *flows_.emplace_back(std::make_unique<flow>());
    added.control = std::move(control);
    added.starts = added.progress = added.last_ack = time_point(starts);
    const auto index = flows_.size() - 1;
    at(added.starts, {event::wake, index, 0});
    at(added.starts + timeout_check, {event::check, index, 0});
    return added;
  }
  bbr& add_bbr(std::uint64_t seed = 1, duration starts = {}) {
    auto control = std::make_unique<bbr_controller>(config_.datagram, seed);
    auto& result = control->it;
    add(std::move(control), starts);
    return result;
  }
  void add_cubic(duration starts = {}) { add(std::make_unique<cubic_controller>(config_.datagram), starts); }

  void set_rate(double bytes_per_second) { rate_ = bytes_per_second; }
  void set_loss(double share) { config_.loss = share; }
  void set_round_trip(duration time) { config_.round_trip = time; }
  flow& operator[](std::size_t index) { return *flows_[index]; }
  double queue_bytes() const { return static_cast<double>(queued_); }
  time_point now() const { return now_; }

  /// More for an application-limited flow.
  void offer(std::size_t index, std::uint64_t bytes) {
    auto& to = *flows_[index];
    to.to_send = to.to_send.value_or(0) + bytes;
    send(index);
  }

  void run_for(duration time) {
    const auto until = now_ + time;
    while (!events_.empty() && events_.top().at <= until) {
      const auto next = events_.top();
      events_.pop();
      now_ = next.at;
      handle(next.what);
    }
    now_ = until;
  }

  /// Megabits a second delivered from now on, over `time`.
  double goodput(duration time, std::size_t index = 0) {
    const auto before = flows_[index]->delivered;
    run_for(time);
    return static_cast<double>(flows_[index]->delivered - before) * 8 / 1e6 /
           std::chrono::duration<double>(time).count();
  }

 private:
  static constexpr duration timeout_check = std::chrono::milliseconds(100);

  struct event {
    enum kind : std::uint8_t { wake, departs, arrives, ack_timer, acked, check } what;
    std::size_t flow;
    std::uint64_t number;
  };
  struct timed {
    time_point at;
    std::uint64_t order;
    event what;
    bool operator<(const timed& other) const { return std::pair(at, order) > std::pair(other.at, other.order); }
  };

  void at(time_point when, event what) { events_.push({when, ++order_, what}); }

  double chance() {
    random_ += 0x9e3779b97f4a7c15U;
    auto z = random_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }

  void handle(const event& what) {
    switch (what.what) {
      case event::wake:
        flows_[what.flow]->wakes = false;
        send(what.flow);
        break;
      case event::departs: depart(); break;
      case event::arrives: arrive(what.flow, what.number); break;
      case event::ack_timer:
        if (flows_[what.flow]->ack_timer == what.number) acknowledge(what.flow);
        break;
      case event::acked: on_ack(what.flow); break;
      case event::check: check_timeout(what.flow); break;
    }
  }

  duration time_for(std::uint64_t bytes, double rate) const {
    return duration(static_cast<duration::rep>(static_cast<double>(bytes) / rate * 1e9));
  }

  void send(std::size_t index) {
    auto& from = *flows_[index];
    if (now_ < from.starts) return;
    auto& control = *from.control;
    std::uint64_t burst = 0;
    while (now_ >= from.free_at || (burst > 0 && burst + config_.datagram <= control.send_quantum())) {
      if (from.in_flight + config_.datagram > control.window()) break;
      if (from.to_send && *from.to_send < config_.datagram) {
        control.on_app_limited(from.in_flight);
        break;
      }
      if (from.to_send) *from.to_send -= config_.datagram;
      if (from.in_flight == 0) from.progress = now_;
      const auto state = control.on_sent(now_, config_.datagram, from.in_flight);
      from.packets.push_back({state});
      from.in_flight += config_.datagram;
      from.sent += config_.datagram;
      burst += config_.datagram;
      enqueue(index, from.next++);
      from.free_at =
          std::max(from.free_at, now_) + time_for(config_.datagram, static_cast<double>(control.pacing_rate()));
    }
    if (from.free_at > now_ && !from.wakes) {
      from.wakes = true;
      at(from.free_at, {event::wake, index, 0});
    }
  }

  void enqueue(std::size_t index, std::uint64_t number) {
    if (!queue_.empty() && queued_ + config_.datagram > buffer_ + config_.datagram) return;  // dropped
    queue_.push_back({index, number});
    queued_ += config_.datagram;
    if (queue_.size() == 1) at(now_ + time_for(config_.datagram, rate_), {event::departs, 0, 0});
  }

  void depart() {
    const auto leaving = queue_.front();
    queue_.pop_front();
    queued_ -= config_.datagram;
    if (!queue_.empty()) at(now_ + time_for(config_.datagram, rate_), {event::departs, 0, 0});
    if (config_.loss > 0 && chance() < config_.loss) return;
    at(now_ + config_.round_trip / 2, {event::arrives, leaving.flow, leaving.number});
  }

  void arrive(std::size_t index, std::uint64_t number) {
    auto& to = *flows_[index];
    to.unacked.push_back(number);
    if (to.unacked.size() >= config_.packets_per_ack) {
      acknowledge(index);
    } else if (to.unacked.size() == 1) {
      at(now_ + config_.ack_delay, {event::ack_timer, index, ++to.ack_timer});
    }
  }

  void acknowledge(std::size_t index) {
    auto& to = *flows_[index];
    if (to.unacked.empty()) return;
    ++to.ack_timer;
    const auto late = duration(static_cast<duration::rep>(chance() * static_cast<double>(config_.jitter.count())));
    to.last_ack = std::max(to.last_ack, now_ + config_.round_trip / 2 + late);
    acks_.resize(flows_.size());
    acks_[index].push_back(std::move(to.unacked));
    to.unacked.clear();
    at(to.last_ack, {event::acked, index, 0});
  }

  void on_ack(std::size_t index) {
    auto& of = *flows_[index];
    const auto numbers = std::move(acks_[index].front());
    acks_[index].pop_front();
    std::optional<time_point> newest;
    for (const auto number : numbers) {
      of.delivered += config_.datagram;
      if (number < of.first || of.packets[number - of.first].settled) continue;
      auto& one = of.packets[number - of.first];
      one.settled = true;
      of.in_flight -= config_.datagram;
      newest = one.state.sent_at;
      of.control->on_acked(now_, one.state, config_.datagram);
    }
    if (!newest) return;
    of.rtt = now_ - *newest;
    of.progress = now_;
    // As RACK (RFC 8985): lost is what left a quarter of a round trip before one that has arrived.
    give_up(of, *newest - config_.round_trip / 4);
    of.control->on_ack_done(now_, of.rtt, of.in_flight);
    send(index);
  }

  void give_up(flow& of, time_point sent_before) {
    for (auto& one : of.packets) {
      if (one.state.sent_at > sent_before) break;
      if (one.settled) continue;
      one.settled = true;
      of.in_flight -= config_.datagram;
      of.lost += config_.datagram;
      of.control->on_lost(now_, one.state, config_.datagram);
    }
    while (!of.packets.empty() && of.packets.front().settled) {
      of.packets.pop_front();
      ++of.first;
    }
  }

  void check_timeout(std::size_t index) {
    auto& of = *flows_[index];
    if (of.in_flight > 0 && now_ > of.progress + 2 * of.rtt + std::chrono::milliseconds(200)) {
      of.progress = now_;
      give_up(of, now_);
      of.control->on_timeout(of.in_flight);
      send(index);
    }
    at(now_ + timeout_check, {event::check, index, 0});
  }

  link_config config_;
  double rate_;
  std::uint64_t random_;
  std::size_t buffer_ = 0;
  time_point now_{};
  std::uint64_t order_ = 0;
  std::priority_queue<timed> events_;
  std::deque<packet> queue_;
  std::size_t queued_ = 0;
  std::vector<std::unique_ptr<flow>> flows_;
  std::vector<std::deque<std::vector<std::uint64_t>>> acks_;
};

}  // namespace nat
