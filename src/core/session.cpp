#include "nat/session.hpp"

#include <algorithm>
#include <cassert>

namespace nat {
namespace {

// Timestamps are microseconds modulo 2^32: 71 minutes. 0 stands for none.
std::uint32_t stamp(time_point now) {
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  const auto low = static_cast<std::uint32_t>(micros);
  return low == 0 ? 1 : low;
}

// A longer round trip than this is a clock that wrapped, or somebody who makes up echoes.
constexpr duration longest_round_trip = std::chrono::seconds(30);

duration round_trip(time_point now, std::uint32_t echo) {
  if (echo == 0) return {};
  const duration taken = std::chrono::microseconds(static_cast<std::uint32_t>(stamp(now) - echo));
  return taken > longest_round_trip ? duration{} : std::max<duration>(taken, std::chrono::microseconds(1));
}

}  // namespace

// ---- PINGs

void session::revive(time_point now) {
  since_ = listed_since_ = now;
  retired_at.reset();
  paths_.set_relay(now, false);
  paths_.wake(now);
  relay_id = 0;
  said_goodbye = false;
  nat.reset();
  awaits_punch = was_punched = false;
  if (outgoing_) outgoing_->on_no_path();
  is_cut_off_ = false;
  silence_due_ = now;
}

bool session::take_silence(time_point now, bool is_trying) {
  if (paths_.chosen() != nullptr) {
    is_cut_off_ = false;
    silence_due_.reset();
    return false;
  }
  if (!std::exchange(is_cut_off_, true)) {
    silence_due_ = now + silence_told_after;
    return false;
  }
  if (!silence_due_ || now < *silence_due_) return false;
  silence_due_.reset();
  if (is_trying) silence_due_ = now + silence_asked_again;
  return !is_trying;
}

void session::on_listed_anew(time_point now) {
  listed_since_ = now;
  awaits_punch = was_punched = false;
}

bool session::was_replaced(sender_id id) const { return std::ranges::find(replaced_, id) != replaced_.end(); }

bool session::take_number(const ping_header& ping) {
  if (was_replaced(ping.sender)) return false;
  const bool known = ping.sender == id_;
  if (!known && ping.sender != newcomer_) {
    newcomer_ = ping.sender;
    newcomer_pings_seen_ = {};
    newcomer_unaddressed_seen_ = {};
  }
  if (ping.recipient != 0) return (known ? pings_seen_ : newcomer_pings_seen_).accept(ping.number);
  return (known ? unaddressed_seen_ : newcomer_unaddressed_seen_).accept(ping.number);
}

session::ping_result session::on_ping(time_point now, const challenges& ours, path& by, const ping_header& ping,
                                      sender_id self) {
  ping_result result;
  if (ping.sender == newcomer_) newcomer_heard_at_ = now;
  result.wants_answer = (ping.flags & ping_header::wants_answer) != 0;
  by.bytes_received += header_size;
  if (const auto* reflection = std::get_if<ping_header::reflection>(&ping.body); reflection && !by.is_relay()) {
    seen_as_ = reflection->seen;
  }
  paths_.on_heard(now, by);

  auto* proven = proven_by(now, ours, by, ping.echo);
  if (proven != nullptr && ping.sender == newcomer_) {
    if (id_ == 0 || adoptions_.ready(now, adopting)) {
      if (id_ != 0) adoptions_.take(now, adopting);
      adopt(now, ping.sender);
      result.became_fresh = true;
    } else {
      proven = nullptr;
    }
  }
  // Who has proved nothing may be a recording: it changes nothing of what the other has asked.
  result.is_newcomer = id_ != 0 && ping.sender != id_;
  (result.is_newcomer ? newcomer_question_ : by.question) = {ping.challenge, ping.sender, ping.timestamp, now};
  // The time belongs to the path it was asked on, which is the one it is answered on.
  if (proven != nullptr) {
    paths_.on_echo(now, *proven, proven == &by ? round_trip(now, ping.timestamp_echo) : duration{});
  }
  if (ping.sender != id_) return result;
  const bool accepts = ping.recipient == self && (ping.flags & ping_header::accepts) != 0;
  if (accepts && !accepts_) {
    accepts_ = true;
    result.began_to_accept = true;
  }
  return result;
}

/// The path whose challenge this is: mostly the one the echo came by.
path* session::proven_by(time_point now, const challenges& ours, path& by, std::uint64_t echo) {
  if (echo == 0) return nullptr;
  const auto proves = [&](const path& each) {
    return ours.matches(now, each.is_relay() ? challenges::behind_relay(tag_) : each.at, echo);
  };
  if (proves(by)) return &by;
  for (const auto& each : paths_.all()) {
    if (&each == &by || !proves(each)) continue;
    return each.is_relay() ? &paths_.relay() : paths_.find(each.at);
  }
  return nullptr;
}

void session::adopt(time_point now, sender_id id) {
  if (id_ != 0) {
    replaced_[replacements_++ % replaced_.size()] = id_;
    paths_.forget_proofs(now);  // they are the other program's
  }
  id_ = id;
  newcomer_ = 0;
  pings_seen_ = newcomer_pings_seen_;
  unaddressed_seen_ = newcomer_unaddressed_seen_;
  newcomer_pings_seen_ = {};
  accepts_ = false;
  outgoing_.reset();
  opener_.reset();
  inbox_ = stream_inbox(stream_inbox::least_window);
  told_lost_ = lost_ = 0;
  gap_due_.reset();
  is_queued = will_end = is_live = said_goodbye = missed_beginning = was_left_behind = takes_again = false;
  confirmed = written_there = 0;
  data_floor_ = 0;
}

ping_header session::make_ping(time_point now, const challenges& ours, const path& on, bool wants_answer,
                               const name_tag& self, bool to_newcomer) {
  ping_header ping;
  const auto& asked = to_newcomer ? newcomer_question_ : on.question;
  ping.challenge = ours.of(now, on.is_relay() ? challenges::behind_relay(tag_) : on.at);
  if (now - asked.at < echo_for) ping.echo = asked.challenge;
  // An answer is for who asked. What is no answer is for both in turn while somebody else claims the name: that may be
  // a recording, and must not keep the right one from hearing us.
  const bool is_claimed = newcomer_ != 0 && newcomer_heard_at_ && now - *newcomer_heard_at_ < claim;
  if (id_ == 0 || to_newcomer) {
    ping.recipient = newcomer_;
  } else if (!is_claimed) {
    ping.recipient = id_;
  } else {
    addressed_ = ping.echo != 0 ? asked.asker == id_ : !addressed_;
    ping.recipient = addressed_ ? id_ : 0;
  }
  ping.timestamp = stamp(now);
  if (ping.echo != 0 && asked.timestamp != 0) {
    const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now - asked.at).count();
    ping.timestamp_echo = asked.timestamp + static_cast<std::uint32_t>(since);
  }
  ping.flags = wants_answer ? ping_header::wants_answer : std::uint8_t{0};
  if (is_fresh() && !to_newcomer) ping.flags |= ping_header::accepts;
  // Who is settled is told where it is seen, each second time; everyone else who we are.
  const bool settled = accepts_ && is_fresh() && !to_newcomer && !on.is_relay() && pings_ % 2 == 1;
  if (settled) {
    ping.body = ping_header::reflection{on.at};
  } else {
    ping.body = ping_header::introduction{self};
  }
  return ping;
}

// ---- DATA

void session::on_stream(time_point now, const ping_stream& what, std::uint8_t flags) {
  if (inbox_.has_begun() && what.first > inbox_.next()) {
    if (!jumps_.ready(now, jumping)) return;  // it says so again, until it is acknowledged
    jumps_.take(now, jumping);
  }
  if (!inbox_.has_begun() && what.first > 1) missed_beginning = true;
  // Below the floor all was taken by an earlier inbox; what is there now knows neither its offset nor its record.
  const bool is_before_floor = what.first < data_floor_;
  const bool is_inside = !is_before_floor && (flags & ping_stream::inside) != 0;
  const auto offset = is_before_floor ? std::nullopt : std::optional(what.offset);
  lost_ += inbox_.begin(now, std::max(what.first, data_floor_), offset, is_inside);
  is_live = (flags & ping_stream::live) != 0;
  if (is_live && !is_before_floor) lost_ += inbox_.drop_late(what.offset, is_inside);
  if (lost_ != told_lost_ && !gap_due_) gap_due_ = gap_told_at_ ? std::max(now, *gap_told_at_ + gap_spacing) : now;
}

std::uint64_t session::take_gap(time_point now, bool at_once) {
  if (!gap_due_ || (now < *gap_due_ && !at_once)) return 0;
  gap_due_.reset();
  gap_told_at_ = now;
  return lost_ - std::exchange(told_lost_, lost_);
}

data_verdict session::on_data(time_point now, unix_millis wall, const topic_keys& keys, const data_header& header,
                              byte_view packet, std::vector<std::uint8_t>& scratch) {
  if (!is_fresh() || header.sender != id_) return data_verdict::unexpected;
  const auto size = packet.size() - header_size;
  switch (inbox_.judge(header, size)) {
    case stream_inbox::verdict::not_begun: return data_verdict::not_begun;
    case stream_inbox::verdict::duplicate: inbox_.on_duplicate(now); return data_verdict::duplicate;
    case stream_inbox::verdict::no_room: return data_verdict::no_room;
    case stream_inbox::verdict::conflicting: return data_verdict::forged;
    case stream_inbox::verdict::taken: break;
  }
  if (!opener_) opener_.emplace(keys, id_);
  auto payload = inbox_.place(header, size);
  if (payload.empty()) {
    scratch.resize(size);
    payload = scratch;
  }
  if (!opener_->open(packet, header, payload)) return data_verdict::forged;
  inbox_.take(now, wall, header, payload);
  return data_verdict::taken;
}

}  // namespace nat
