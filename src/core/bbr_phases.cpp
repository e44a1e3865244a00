// The phases of BBR, and when one follows another (draft-ietf-ccwg-bbr, 5.3 and 5.4).
#include "nat/bbr.hpp"

#include <algorithm>

namespace nat {

bool bbr::is_cycling() const {
  return phase_ == phase::down || phase_ == phase::cruise || phase_ == phase::refill || phase_ == phase::up;
}

bool bbr::is_probing_bw() const { return phase_ == phase::startup || phase_ == phase::refill || phase_ == phase::up; }

void bbr::enter(phase next, double pacing, double window) {
  phase_ = next;
  pacing_gain_ = pacing;
  window_gain_ = window;
}

// --- Startup and drain ---

void bbr::enter_startup() { enter(phase::startup, startup_pacing_gain, startup_window_gain); }

void bbr::enter_drain() {
  enter(phase::drain, drain_pacing_gain, window_gain);
  drain_round_ = round_count_;
  acks_ = acks::of_nothing;
  probe_samples_ = false;
}

void bbr::reset_full_pipe(double rate) {
  full_bw_ = rate;
  full_bw_count_ = 0;
  full_bw_now_ = false;
}

void bbr::check_full_pipe() {
  if (full_bw_now_ || !round_start_ || sample_->packet.is_app_limited) return;
  if (finished_round_.rate >= full_bw_ * full_growth) return reset_full_pipe(finished_round_.rate);
  if (++full_bw_count_ < full_rounds) return;
  full_bw_now_ = full_bw_reached_ = true;
}

void bbr::check_startup_done() {
  if (phase_ != phase::startup) return;
  if (loss_round_start_ && round_was_lossy_ && round_losses_ >= startup_losses) {
    full_bw_reached_ = true;
    inflight_long_term_ = std::max(bdp(1), inflight_latest_);
  }
  if (full_bw_reached_) enter_drain();
}

void bbr::check_drain_done(time_point now, std::uint64_t in_flight) {
  if (phase_ != phase::drain) return;
  if (in_flight <= quantised(bdp(1)) || round_count_ > drain_round_ + longest_drain) start_down(now);
}

// --- The cycle that probes for bandwidth ---

void bbr::start_down(time_point now) {
  loss_in_round_ = false;
  bw_latest_ = 0;
  inflight_latest_ = 0;
  up_divisor_ = no_bound;
  rounds_since_probe_ = next_random() & 1;
  const auto fraction = static_cast<double>(next_random() >> 32) / static_cast<double>(std::uint64_t{1} << 32);
  probe_wait_ = least_probe_wait + std::chrono::duration_cast<duration>(random_probe_wait * fraction);
  cycle_at_ = now;
  acks_ = acks::of_probe_end;
  start_round();
  enter(phase::down, down_pacing_gain, window_gain);
}

void bbr::start_cruise() { enter(phase::cruise, 1, window_gain); }

void bbr::start_refill() {
  reset_short_term();
  up_rounds_ = 0;
  up_acked_ = 0;
  acks_ = acks::of_refill;
  start_round();
  enter(phase::refill, 1, window_gain);
}

void bbr::start_up() {
  probe_samples_ = true;
  acks_ = acks::of_probe;
  start_round();
  reset_full_pipe(sample_ ? sample_->rate : max_bw_);
  enter(phase::up, up_pacing_gain, up_window_gain);
  raise_slope();
}

void bbr::update_cycle(time_point now, std::uint64_t in_flight) {
  if (!full_bw_reached_) return;
  adapt_long_term();
  switch (phase_) {
    case phase::down:
      if (is_time_to_probe(now)) {
        start_refill();
      } else if (is_time_to_cruise(in_flight)) {
        start_cruise();
      }
      break;
    case phase::cruise:
      if (is_time_to_probe(now)) start_refill();
      break;
    case phase::refill:
      // A round of it went by, so that what is lost from here on is of the probe.
      if (round_start_) start_up();
      break;
    case phase::up:
      if (is_time_to_go_down()) start_down(now);
      break;
    default: break;
  }
}

bool bbr::is_time_to_probe(time_point now) const {
  // Often enough for Reno, on a path of this size, to get its share (draft, 5.3.3.5.1).
  const auto reno = std::min(std::min(bdp(1), window_) / datagram_size_, reno_rounds);
  return now > cycle_at_ + probe_wait_ || rounds_since_probe_ >= reno;
}

bool bbr::is_time_to_cruise(std::uint64_t in_flight) const {
  return in_flight <= with_headroom() && in_flight <= quantised(bdp(1));
}

bool bbr::is_time_to_go_down() {
  if (is_window_limited() && window_ >= inflight_long_term_) {
    // The bound holds the rate back, not the path.
    reset_full_pipe(sample_->rate);
    return false;
  }
  return full_bw_now_;
}

void bbr::adapt_long_term() {
  if (round_start_ && acks_ == acks::of_probe_end) {
    // The last packets of the probe are acknowledged.
    probe_samples_ = false;
    acks_ = acks::of_nothing;
    if (is_cycling() && !sample_->packet.is_app_limited) advance_max_bw();
  }
  if (is_too_lossy(sample_->lost, sample_->packet.in_flight) || inflight_long_term_ == no_bound) return;
  inflight_long_term_ = std::max<std::uint64_t>(inflight_long_term_, sample_->packet.in_flight);
  if (phase_ == phase::up) raise_long_term();
}

void bbr::raise_long_term() {
  if (!is_window_limited() || window_ < inflight_long_term_) return;
  up_acked_ += newly_acked_;
  const auto more = up_acked_ / up_divisor_;
  up_acked_ -= more * up_divisor_;
  inflight_long_term_ += more;
  if (round_start_) raise_slope();
}

void bbr::raise_slope() {
  // By one packet in the first round, two in the next, four in the third (draft, 5.3.3.6).
  const auto growth = datagram_size_ << up_rounds_;
  up_rounds_ = std::min(up_rounds_ + 1, longest_up_slope);
  up_divisor_ = std::max<std::uint64_t>(window_ / growth, 1);
  if (gaining_) up_divisor_ = std::min(up_divisor_, gaining_divisor);
}

void bbr::on_inflight_too_high(time_point now, std::uint64_t in_flight, bool app_limited) {
  probe_samples_ = false;  // one reaction to one probe
  if (!app_limited) inflight_long_term_ = std::max(in_flight, scaled(std::min(bdp(1), window_), beta));
  if (phase_ == phase::up) start_down(now);
}

void bbr::reset_short_term() {
  bw_short_term_ = no_rate_bound;
  inflight_short_term_ = no_bound;
}

// --- Round trips, and idleness ---

void bbr::check_probe_rtt(time_point now, std::uint64_t in_flight) {
  if (phase_ != phase::probe_rtt && probe_rtt_due_ && !idle_restart_) {
    save_window();
    enter(phase::probe_rtt, 1, probe_rtt_window_gain);
    probe_rtt_until_.reset();
    acks_ = acks::of_probe_end;
    start_round();
  }
  if (phase_ == phase::probe_rtt) hold_probe_rtt(now, in_flight);
  if (sample_->delivered > 0) idle_restart_ = false;
}

void bbr::hold_probe_rtt(time_point now, std::uint64_t in_flight) {
  on_app_limited(in_flight);  // by ourselves: the rate is low now
  if (!probe_rtt_until_) {
    if (in_flight > probe_rtt_window()) return;
    probe_rtt_until_ = now + probe_rtt_time;
    probe_rtt_round_done_ = false;
    start_round();
    return;
  }
  probe_rtt_round_done_ |= round_start_;
  if (probe_rtt_round_done_) check_probe_rtt_done(now);
}

void bbr::check_probe_rtt_done(time_point now) {
  if (!probe_rtt_until_ || now <= *probe_rtt_until_) return;
  probe_rtt_min_at_ = now;
  window_ = std::max(window_, prior_window_);
  reset_short_term();
  if (!full_bw_reached_) return enter_startup();
  start_down(now);
  start_cruise();
}

void bbr::restart_from_idle(time_point now) {
  idle_restart_ = true;
  latest_rtt_ = before_latest_rtt_ = duration::max();
  extra_acked_from_ = now;
  extra_acked_delivered_ = 0;
  if (is_cycling()) {
    set_pacing_rate(1);
  } else if (phase_ == phase::probe_rtt) {
    check_probe_rtt_done(now);
  }
}

std::uint64_t bbr::next_random() {
  // SplitMix64 (Steele, Lea and Flood, 2014): from outside nobody needs to be kept from guessing it.
  random_ += 0x9e3779b97f4a7c15U;
  auto z = random_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

}  // namespace nat
