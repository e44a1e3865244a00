// The model of the path, and what is sent by it. The phases are in bbr_phases.cpp.
#include "nat/bbr.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace nat {
namespace {

double seconds(duration time) { return std::chrono::duration<double>(time).count(); }

// Bytes a second: 0.1 Pbit/s, beyond any path, so that what is computed of nonsense fits its type.
constexpr double highest_rate = 1.25e13;

std::uint64_t to_rate(double rate) { return static_cast<std::uint64_t>(std::min(rate, highest_rate)); }

}  // namespace

bbr::bbr(std::size_t datagram_size, std::uint64_t seed)
    : random_(seed),
      datagram_size_(datagram_size),
      window_(initial_datagrams * datagram_size),
      send_quantum_(2 * datagram_size) {
  assert(datagram_size > 0);
  pacing_rate_ = static_cast<std::uint64_t>(startup_pacing_gain * static_cast<double>(window_) / seconds(nominal_rtt));
}

void bbr::set_datagram_size(std::size_t bytes) {
  assert(bytes > 0);
  datagram_size_ = bytes;
  window_ = std::max(window_, least_window());
  set_send_quantum();
}

bbr::packet_state bbr::on_sent(time_point now, std::size_t bytes, std::uint64_t in_flight) {
  if (in_flight == 0) {
    // Neither a delivery nor a departure before this one tells how fast the path is now.
    first_sent_at_ = delivered_at_ = now;
    if (is_app_limited()) restart_from_idle(now);
  }
  in_flight += bytes;
  if (in_flight + datagram_size_ > window_) window_limited_ = true;

  constexpr std::uint64_t most = (std::uint64_t{1} << 31) - 1;
  packet_state packet{now, delivered_at_, first_sent_at_, delivered_, static_cast<std::uint32_t>(lost_)};
  packet.in_flight = static_cast<std::uint32_t>(std::min(in_flight, most)) & most;
  packet.is_app_limited = is_app_limited();
  return packet;
}

void bbr::on_app_limited(std::uint64_t in_flight) {
  app_limited_until_ = std::max<std::uint64_t>(delivered_ + in_flight, 1);
}

void bbr::on_acked(time_point now, const packet_state& packet, std::size_t bytes) {
  assert(now >= packet.sent_at && now >= delivered_at_);
  delivered_ += bytes;
  newly_acked_ += bytes;
  delivered_at_ = now;
  // A packet that left before one that is known to have arrived says nothing new.
  if (packet.sent_at < first_sent_at_) return;
  if (sample_ && packet.delivered < sample_->packet.delivered) return;
  sample_ = rate_sample{.packet = packet};
  first_sent_at_ = packet.sent_at;
}

void bbr::on_lost(time_point now, const packet_state& packet, std::size_t bytes) {
  const auto charge = queue_is_seen() ? bytes : bytes / unexplained_share;
  if (!loss_in_round_) {
    loss_round_at_ = delivered_;
    loss_round_lost_ = lost_;
    losses_in_round_ = 0;
    saved_ = {phase_, bw_short_term_, inflight_short_term_, inflight_long_term_};
  }
  loss_in_round_ = true;
  ++losses_in_round_;
  lost_ += charge;

  const auto lost = lost_since(packet);
  if (!is_too_lossy(lost, packet.in_flight)) return;
  conserve();
  if (!probe_samples_) return;
  // Of the packets that left before this one, how many could be in flight without too much loss (draft, 5.5.10.2).
  const auto before = static_cast<double>(packet.in_flight) - static_cast<double>(bytes);
  const auto lost_before = static_cast<double>(lost) - static_cast<double>(charge);
  const auto more = (loss_threshold * before - lost_before) / (1 - loss_threshold);
  on_inflight_too_high(now, static_cast<std::uint64_t>(std::max(0.0, before + more)), packet.is_app_limited);
}

void bbr::on_ack_done(time_point now, std::optional<duration> rtt, std::uint64_t in_flight) {
  if (rtt) {
    rtt = std::max(*rtt, duration(1));
    note_latest(*rtt);
    round_.rtt = std::min(round_.rtt.value_or(*rtt), *rtt);
  }
  if (sample_) {
    finish_sample();
    update_round();
    if (round_start_) measure_lasting_loss(now);
    update_latest_signals();
    update_congestion_signals();
    update_ack_aggregation(now);
    check_slower_path();
    check_full_pipe();
    check_startup_done();
    check_drain_done(now, in_flight);
    update_cycle(now, in_flight);
  }
  update_min_rtt(now, rtt);
  if (sample_) {
    check_probe_rtt(now, in_flight);
    if (loss_round_start_) {
      bw_latest_ = sample_->rate;
      inflight_latest_ = sample_->delivered;
    }
  }
  bw_ = std::min(max_bw_, bw_short_term_);
  set_pacing_rate(pacing_gain_);
  set_send_quantum();
  set_window(in_flight);
  round_start_ = loss_round_start_ = false;
  newly_acked_ = 0;
  sample_.reset();
}

void bbr::on_timeout(std::uint64_t in_flight) {
  // Nothing arrived since the first loss: the path was dead, and that says nothing of how much it carries.
  if (delivered_ == loss_round_at_) loss_in_round_ = false;
  save_window();
  timed_out_ = true;
  window_ = std::max(in_flight + datagram_size_, least_window());
}

void bbr::on_spurious_loss(time_point now) {
  loss_in_round_ = false;
  conserving_until_.reset();
  reset_full_pipe();
  bw_short_term_ = std::max(bw_short_term_, saved_.bw_short_term);
  inflight_short_term_ = std::max(inflight_short_term_, saved_.inflight_short_term);
  inflight_long_term_ = std::max(inflight_long_term_, saved_.inflight_long_term);
  if (phase_ == phase::probe_rtt || phase_ == saved_.in) return;
  if (saved_.in == phase::startup) {
    full_bw_reached_ = false;
    enter_startup();
  } else if (saved_.in == phase::up) {
    cycle_at_ = now;
    start_up();
  }
}

// --- The delivery rate and rounds ---

void bbr::finish_sample() {
  auto& sample = *sample_;
  const auto& packet = sample.packet;
  sample.delivered = delivered_ - packet.delivered;
  sample.lost = lost_since(packet);
  if (app_limited_until_ != 0 && delivered_ > app_limited_until_) app_limited_until_ = 0;

  // Packets cannot have left faster than they did, nor arrived: the slower of both (draft, 4.1.2).
  const auto interval = std::max(packet.sent_at - packet.first_sent_at, delivered_at_ - packet.delivered_at);
  if (interval <= duration::zero() || (min_rtt_ && interval < *min_rtt_)) return;
  sample.rate = std::min(static_cast<double>(sample.delivered) / seconds(interval), highest_rate);
}

void bbr::start_round() {
  next_round_at_ = delivered_;
  was_window_limited_ = window_limited_;
  window_limited_ = false;
}

void bbr::update_round() {
  round_start_ = sample_->packet.delivered >= next_round_at_;
  round_.rate = std::max(round_.rate, sample_->rate);
  round_.app_limited |= sample_->packet.is_app_limited != 0;
  if (!round_start_) return;
  start_round();
  ++round_count_;
  ++rounds_since_probe_;
  gaining_ = round_.rate >= finished_round_.rate * gaining_growth;
  finished_round_ = std::exchange(round_, {});
}

// --- Congestion signals (draft, 5.5.10) ---

/// A queue lengthens each round trip, jitter most.
void bbr::note_latest(duration rtt) {
  if (++latest_samples_ > queue_samples) {
    before_latest_rtt_ = latest_rtt_;
    latest_rtt_ = rtt;
    latest_samples_ = 1;
  }
  latest_rtt_ = std::min(latest_rtt_, rtt);
}

bool bbr::queue_is_seen() const {
  return !min_rtt_ || std::min(latest_rtt_, before_latest_rtt_) > *min_rtt_ + *min_rtt_ / queue_share;
}

bool bbr::is_too_lossy(std::uint64_t lost, std::uint64_t of) const {
  const bool worth_it = gaining_ && (phase_ == phase::up || phase_ == phase::startup);
  const auto tolerated = (worth_it ? gaining_loss : loss_threshold) + lasting_tolerance * lasting_loss_;
  return static_cast<double>(lost) > tolerated * static_cast<double>(of);
}

/// At the end of a round.
void bbr::measure_lasting_loss(time_point now) {
  const auto delivered = delivered_ - loss_part_delivered_;
  const auto lost = lost_ - loss_part_lost_;
  if (delivered + lost < loss_part_datagrams * datagram_size_ || now - loss_part_at_ < loss_part_time) return;
  loss_parts_[next_loss_part_] = static_cast<double>(lost) / static_cast<double>(delivered + lost);
  next_loss_part_ = (next_loss_part_ + 1) % loss_parts;
  loss_part_at_ = now;
  loss_part_delivered_ = delivered_;
  loss_part_lost_ = lost_;
  lasting_loss_ = std::min(*std::ranges::min_element(loss_parts_), most_lasting_loss);
}

void bbr::update_latest_signals() {
  bw_latest_ = std::max(bw_latest_, sample_->rate);
  inflight_latest_ = std::max(inflight_latest_, sample_->delivered);
  loss_round_start_ = sample_->packet.delivered >= loss_round_at_;
}

void bbr::update_congestion_signals() {
  update_max_bw();
  if (!loss_round_start_) return;
  round_was_lossy_ = loss_in_round_ && is_too_lossy(lost_ - loss_round_lost_, delivered_ - loss_round_at_);
  round_losses_ = std::exchange(losses_in_round_, 0);
  if (round_was_lossy_ && !is_probing_bw()) lower_short_term();
  loss_in_round_ = false;
  loss_round_at_ = delivered_;
}

void bbr::update_max_bw() {
  const auto rate = sample_->rate;
  if (rate <= 0 || (rate < max_bw_ && sample_->packet.is_app_limited)) return;
  bw_filter_[1] = std::max(bw_filter_[1], rate);
  max_bw_ = std::max(bw_filter_[0], bw_filter_[1]);
}

void bbr::advance_max_bw() {
  if (bw_filter_[1] <= 0) return;  // nothing was measured: what was known before is still the best there is
  bw_filter_ = {bw_filter_[1], 0};
  max_bw_ = bw_filter_[0];
}

void bbr::lower_short_term() {
  if (bw_short_term_ == no_rate_bound) bw_short_term_ = max_bw_;
  if (inflight_short_term_ == no_bound) inflight_short_term_ = window_;
  bw_short_term_ = std::max(bw_latest_, beta * bw_short_term_);
  inflight_short_term_ = std::max(inflight_latest_, scaled(inflight_short_term_, beta));
}

void bbr::update_ack_aggregation(time_point now) {
  auto expected = bw_ * seconds(now - extra_acked_from_);
  if (static_cast<double>(extra_acked_delivered_) <= expected) {
    extra_acked_delivered_ = 0;
    extra_acked_from_ = now;
    expected = 0;
  }
  extra_acked_delivered_ += newly_acked_;
  const auto extra = static_cast<double>(extra_acked_delivered_) - expected;
  // In startup the last round or two: what was acknowledged in excess then is the growth itself.
  const auto half = full_bw_reached_ ? extra_acked_rounds : 1;
  if (round_count_ >= extra_acked_round_ + half) {
    extra_acked_ = {extra_acked_[1], 0};
    extra_acked_round_ = round_count_;
  }
  extra_acked_[1] = std::max(extra_acked_[1], std::min(static_cast<std::uint64_t>(std::max(extra, 0.0)), window_));
}

void bbr::update_min_rtt(time_point now, std::optional<duration> rtt) {
  probe_rtt_due_ = min_rtt_ && now > probe_rtt_min_at_ + probe_rtt_interval;
  if (rtt && (!min_rtt_ || *rtt <= probe_rtt_min_ || probe_rtt_due_)) {
    probe_rtt_min_ = *rtt;
    probe_rtt_min_at_ = now;
  }
  if (!min_rtt_ && !rtt) return;
  if (!min_rtt_) {
    // The draft's initial rate is a guess at the round trip; only now is there one (Linux does the same).
    pacing_rate_ = to_rate(startup_pacing_gain * static_cast<double>(initial_window()) / seconds(*rtt));
  }
  if (!min_rtt_ || probe_rtt_min_ <= *min_rtt_ || now > min_rtt_at_ + min_rtt_window) {
    min_rtt_ = probe_rtt_min_;
    min_rtt_at_ = probe_rtt_min_at_;
  }
}

void bbr::check_slower_path() {
  if (!round_start_) return;
  const auto& round = finished_round_;
  const bool slower = full_bw_reached_ && phase_ != phase::probe_rtt && !round.app_limited && round.rate > 0 &&
                      round.rate < slower_share * max_bw_ && round.rtt && min_rtt_ &&
                      seconds(*round.rtt) > slower_rtt * seconds(*min_rtt_);
  slower_count_ = slower ? slower_count_ + 1 : 0;
  if (slower_count_ < slower_rounds) return;
  // The rounds before it may still have held a sample of the faster path.
  bw_filter_ = {round.rate, 0};
  max_bw_ = bw_ = round.rate;
  slower_count_ = 0;
  reset_short_term();
  enter_drain();
}

// --- What is sent (draft, 5.6) ---

std::uint64_t bbr::bdp(double gain) const {
  if (!min_rtt_ || bw_ <= 0) return initial_window();
  return static_cast<std::uint64_t>(gain * bw_ * seconds(*min_rtt_));
}

std::uint64_t bbr::quantised(std::uint64_t in_flight) const {
  in_flight = std::max({in_flight, quanta_in_flight * send_quantum_, least_window()});
  return phase_ == phase::up ? in_flight + 2 * datagram_size_ : in_flight;
}

std::uint64_t bbr::probe_rtt_window() const { return std::max(bdp(probe_rtt_window_gain), least_window()); }

std::uint64_t bbr::with_headroom() const {
  if (inflight_long_term_ == no_bound) return no_bound;
  const auto room = std::max(datagram_size_, scaled(inflight_long_term_, headroom));
  return std::max(inflight_long_term_ - std::min(room, inflight_long_term_), least_window());
}

void bbr::set_pacing_rate(double gain) {
  if (bw_ <= 0) return;
  const auto rate = std::max(to_rate(gain * bw_ * pacing_margin), least_window());
  if (full_bw_reached_ || rate > pacing_rate_) pacing_rate_ = rate;
}

void bbr::set_send_quantum() {
  const auto least = (pacing_rate_ < slow_rate ? 1 : 2) * datagram_size_;
  const auto in_time = static_cast<std::uint64_t>(static_cast<double>(pacing_rate_) * seconds(quantum_time));
  send_quantum_ = std::max(std::min<std::uint64_t>(in_time, longest_quantum), least);
}

void bbr::set_window(std::uint64_t in_flight) {
  const auto most = quantised(bdp(window_gain_) + std::max(extra_acked_[0], extra_acked_[1]));
  const bool conserved = conserving_until_ && sample_ && sample_->packet.delivered >= *conserving_until_;
  const bool answered = timed_out_ && newly_acked_ > 0;
  if (conserved) conserving_until_.reset();
  if (answered) timed_out_ = false;
  if ((conserved || answered) && !conserving_until_ && !timed_out_) window_ = std::max(window_, prior_window_);
  if (full_bw_reached_) {
    window_ = std::min(window_ + newly_acked_, most);
  } else if (window_ < most || delivered_ < initial_window()) {
    window_ += newly_acked_;
  }
  if (conserving_until_) window_ = std::min(window_, in_flight + newly_acked_);
  if (phase_ == phase::probe_rtt) window_ = std::min(window_, probe_rtt_window());
  bound_window();
}

void bbr::bound_window() {
  auto most = no_bound;
  if (phase_ == phase::probe_rtt || phase_ == phase::cruise) {
    most = with_headroom();
  } else if (is_cycling()) {
    most = inflight_long_term_;
  }
  most = std::max<std::uint64_t>(std::min(most, inflight_short_term_), bounded_quanta * send_quantum_);
  window_ = std::max(std::min(window_, most), least_window());
}

void bbr::save_window() {
  const bool lowered = conserving_until_ || timed_out_ || phase_ == phase::probe_rtt;
  prior_window_ = lowered ? std::max(prior_window_, window_) : window_;
}

void bbr::conserve() {
  if (conserving_until_) return;
  save_window();
  conserving_until_ = delivered_;
}

}  // namespace nat
