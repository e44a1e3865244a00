// The streams: who has how much of ours, and what is said of theirs.
#include "nat/peer.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace nat {

// ---- theirs

/// A PING about a stream goes where DATA would go.
bool peer::send_on_route(time_point now, session& who, ping_header header) {
  header.recipient = who.id();
  header.number = who.next_ping_number();
  const auto way = who.paths().route(now);
  if (way.direct != nullptr && outbox_.has_room(header_size, 1)) {
    const auto packet = outbox_.append(header_size);
    sealer_.seal_ping(outbox_.fill(packet), header, random_);
    outbox_.send(packet, way.direct->at);
    who.paths().find(way.direct->at)->bytes_sent += header_size;
    if (!way.relay) return true;
    header.number = who.next_ping_number();
  }
  if (!way.relay) return false;
  std::array<std::uint8_t, header_size> bytes;
  sealer_.seal_ping(bytes, header, random_);
  who.paths().relay().bytes_sent += header_size;
  return relay_.push_ping(who.relay_id, bytes);
}

/// Says what has come of its stream, if that is due.
void peer::acknowledge(time_point now, session& who) {
  if (!who.inbox().ack_is_due(now)) return;
  receiver_.grant(now, who, sessions_);
  const auto* by = who.paths().chosen();
  while (const auto ack = who.inbox().next_ack(now, by == nullptr ? duration{} : by->rtt)) {
    ping_header header;
    header.body = *ack;
    header.flags = who.inbox().ack_flags();
    send_on_route(now, who, header);
  }
  // It may wait for a place that others have.
  if (who.inbox().is_stuck()) who.inbox().ask_for_ack(now + place_asked_again);
}

/// Its DATA comes, and nobody has told where it begins.
void peer::ask_for_stream(time_point now, session& who) {
  if (!who.take_question(now)) return;
  ping_header header;
  header.body = ping_acknowledgement{};
  header.flags = ping_acknowledgement::unknown;
  send_on_route(now, who, header);
}

void peer::on_stream(const arrival& how, session& who, const ping_header& ping) {
  if (ping.sender != who.id() || ping.recipient != self_) return;
  const auto& what = std::get<ping_header::stream>(ping.body);
  take_ending(who, ping);
  if (what.first == 0) return;
  // An answer would be confirmed again, and so on for ever.
  const bool is_answer = (ping.flags & ping_stream::answers) != 0;
  if (is_answer && who.inbox().has_begun()) return;
  // Who knows that we have all of it asks nothing.
  if (who.is_finished() && what.confirmed >= who.inbox().written()) return;
  receiver_.admit(who, sessions_);
  who.on_stream(how.now, what, ping.flags);
  receiver_.on_arrival(how.now, who);
  sessions_.reschedule(how.now, who);
}

/// What it says of the end of its stream, and of its own.
void peer::take_ending(session& who, const ping_header& ping) {
  who.said_goodbye |= (ping.flags & ping_stream::leaves) != 0;
  who.will_end |= (ping.flags & ping_stream::will_end) != 0;
  who.confirmed = std::max(who.confirmed, std::get<ping_header::stream>(ping.body).confirmed);
}

/// Of its packets that are missing, now or once in a while.
void peer::tell_gap(time_point now, session& who, bool at_once) {
  const auto missed = who.take_gap(now, at_once);
  if (missed > 0) notes_.push(now, {.kind = note_kind::gap, .name = who.name(), .text = std::to_string(missed)});
}

// ---- ours

bool peer::tell_stream(time_point now, session& who, std::uint8_t flags) {
  ping_header header;
  ping_stream what{.next = sender_.log().end()};
  if (auto* outgoing = who.outgoing()) {
    what.first = outgoing->first();
    what.offset = outgoing->first_offset();
    what.confirmed = outgoing->written();
    outgoing->on_told(now);
  }
  header.body = what;
  header.flags = flags;
  if (const auto* outgoing = who.outgoing(); outgoing != nullptr && outgoing->first_is_inside()) {
    header.flags |= ping_stream::inside;
  }
  if (config_.quit_on_eof) header.flags |= ping_stream::will_end;
  if (config_.live != duration{}) header.flags |= ping_stream::live;
  return send_on_route(now, who, header);
}

/// Who waits for the end of all senders is to know of us before we have said anything.
void peer::announce(time_point now, session& who) {
  auto* outgoing = who.outgoing();
  if (config_.quit_on_eof && outgoing != nullptr && outgoing->wants_to_tell(now)) tell_stream(now, who, 0);
}

/// Who was left behind and writes again, be it what it had before the gap, is waited for again.
void peer::note_written(time_point now, session& who, const ping_header& ping) {
  const auto& ack = std::get<ping_header::acknowledgement>(ping.body);
  if ((ping.flags & ping_acknowledgement::unknown) != 0 || ack.unwritten > ack.limit) return;
  const auto written = ack.limit - ack.unwritten;
  if (written <= std::exchange(who.written_there, std::max(who.written_there, written))) return;
  if (!who.was_left_behind) return;
  who.takes_again = true;
  who.outgoing()->on_progress(now);
}

void peer::on_acknowledgement(const arrival& how, session& who, const ping_header& ping) {
  auto* outgoing = who.outgoing();
  if (ping.sender != who.id() || ping.recipient != self_ || outgoing == nullptr) return;
  const auto& ack = std::get<ping_header::acknowledgement>(ping.body);
  note_written(how.now, who, ping);
  const auto news = outgoing->on_ack(how.now, ping.number, ack, ping.flags, sender_.log());
  if (news.progress) progress_at_ = how.now;
  confirm(how.now, who);
  auto* by = how.from ? who.paths().find(*how.from) : &who.paths().relay();
  if (by == nullptr) return;
  by->heard_at = how.now;
  by->bytes_received += header_size;
}

void peer::pump(time_point now) {
  sender_.pump(now, {sealer_, random_, table_.peers(), !keys_.is_keyed(), sessions_, outbox_, relay_, data_allowed_,
                     relay_rate_, [this, now](session& who) { return tell_stream(now, who, 0); }});
  if (const auto due = sessions_.next_deadline(); due && *due <= now)
    ping_sessions(now);  // DATA flows again: PINGs, too
  while (const auto* who = sender_.take_left_behind()) {
    notes_.push(now, {.kind = note_kind::left_behind, .name = who->name()});
  }
  if (sender_.take_loss()) notes_.push(now, {.kind = note_kind::input_lost});
}

// ---- the end

/// Names of the peers that lack something of ours; `waited_for`: only those who may still get it. `is_whole`: all of
/// stdin is in the log.
std::vector<std::string> peer::unfinished(time_point now, bool waited_for, bool is_whole) const {
  std::vector<std::string> names;
  const auto look_at = [&](const session& who) {
    const auto* outgoing = who.outgoing();
    if (outgoing == nullptr) return;
    // To have all of stdin it need not know that there is no more of it.
    const bool has_bytes = !waited_for && outgoing->written() == sender_.log().end_offset();
    if (is_whole && (has_bytes || outgoing->has_all(sender_.log())) && !who.was_left_behind) return;
    const bool is_hopeless = outgoing->has_all(sender_.log()) || who.said_goodbye ||
                             (who.retired_at && now - *who.retired_at >= sender::keeps_for_return);
    if (!waited_for || !is_hopeless) names.push_back(who.name());
  };
  sessions_.for_each(look_at);
  sessions_.for_each_retired(look_at);
  return names;
}

/// With --quit-on-eof: everybody has everything, or it is no use to wait any longer.
void peer::check_end(time_point now) {
  if (!config_.quit_on_eof || !input_ended_ || is_ending()) return;
  if (sender_.is_behind_for_seeds()) {  // what still leaves is progress
    progress_at_ = now;
    return;
  }
  if (!outbox_.empty()) return;  // asked again once that is sent
  if (!std::exchange(awaits_end_, true)) progress_at_ = now;
  const bool is_over = now >= *progress_at_ + *config_.quit_on_eof;
  const bool is_whole = sender_.finished();
  if (!is_over && (!is_whole || !unfinished(now, true, is_whole).empty())) return heard_out_by_.reset();
  if (!is_over && !has_heard_out()) {
    if (!heard_out_by_) heard_out_by_ = now + confirm_patience;
    if (now < *heard_out_by_) return;
  }
  leave(now);
}

/// Whether nobody's end is lost by our going: what came is written, and whoever sends to an end has come to it and
/// knows that we have all of it.
bool peer::has_heard_out() const {
  bool all = receiver_.drained();
  sessions_.for_each([&](const session& who) {
    if (!who.will_end || who.said_goodbye) return;
    all = all && who.is_finished() && who.confirmed >= who.inbox().written();
  });
  return all;
}

/// What --quit-on-eof or --quit-on-end promise and could not keep; empty where it could.
std::string peer::unkept_promise(time_point now) {
  if (config_.quit_on_end && !was_sender_heard_) return "nobody has sent anything";
  if (config_.quit_on_end && !has_everything_) return "not everybody had ended";
  if (!config_.quit_on_eof) return "";
  const bool is_whole = input_ended_ && sender_.finished();
  std::string names;
  for (const auto& name : unfinished(now, false, is_whole)) names += (names.empty() ? "" : ", ") + name;
  if (!names.empty()) return "not all of stdin is written there: " + names;
  return is_whole ? "" : "stdin was not sent whole";
}

/// Who has all of our stream is told that we know it, so that it can end. That asks nothing, but where it may not know
/// yet where the stream begins for it, or goes on behind a gap.
void peer::confirm(time_point now, session& who) {
  const auto* outgoing = who.outgoing();
  const bool has_ended = input_ended_ && sender_.finished() && sender_.has_sealed_end();
  if (has_ended && !who.retired_at && outgoing->has_all(sender_.log()))
    tell_stream(now, who, outgoing->is_known_there() ? ping_stream::answers : std::uint8_t{});
}

/// With --quit-on-end: whether all senders have ended and all of theirs is written, or somebody's never will be. What
/// is missing of a live stream was too late, which is no reason to miss the rest.
void peer::check_senders(time_point now) {
  if (!config_.quit_on_end || is_ending()) return;
  senders_due_.reset();
  bool heard = false, finished = true, confirmed = true;
  std::string broken, missing;
  const auto look_at = [&](session& who) {
    if (!who.is_sender() || (!config_.from.empty() && who.name() != config_.from)) return;
    heard = true;
    if (who.lost() > 0) missing = "a part is missing of what came from " + who.name();
    if (who.missed_beginning) {
      broken = "the beginning was missed of what comes from " + who.name();
    } else if (who.lost() > 0 && !who.is_live) {
      broken = missing;
    } else if (!who.is_finished()) {
      finished = false;
      const auto gone_at = who.retired_at ? who.retired_at : who.silent_since();
      if (!gone_at) return;
      if (who.said_goodbye || now >= *gone_at + sender::keeps_for_return) {
        broken = "it has left before its end: " + who.name();
      } else {
        senders_due_ = earliest(senders_due_, *gone_at + sender::keeps_for_return);
      }
    } else if (who.confirmed < who.inbox().written() && !who.retired_at && !who.said_goodbye) {
      confirmed = false;
      who.inbox().ask_for_ack(now + confirm_interval);
      sessions_.reschedule(now, who);
    }
  };
  sessions_.for_each(look_at);
  sessions_.for_each_retired(look_at);
  was_sender_heard_ |= heard;
  if (!broken.empty()) {
    last_words_ = {3, broken};
    return leave(now);
  }
  if (!heard || !finished) return;
  if (!confirmed_by_) confirmed_by_ = now + confirm_patience;
  if (confirmed || now >= *confirmed_by_) {
    if (!missing.empty()) last_words_ = {3, missing};
    has_everything_ = missing.empty();
    return leave(now);
  }
  senders_due_ = confirmed_by_;
}

void peer::leave(time_point now) {
  if (!is_ending()) {
    if (const auto broken = unkept_promise(now); !broken.empty() && last_words_.status == 0) last_words_ = {3, broken};
    sessions_.for_each([&](session& who) {
      tell_gap(now, who, true);  // it cannot be said later
      if (!who.is_fresh()) return;
      if (who.inbox().has_begun()) who.inbox().ask_for_ack(now);  // nor can this
      acknowledge(now, who);
      tell_stream(now, who, ping_stream::leaves);
    });
  }
  registration_.leave(now);
  settle(now);
}

}  // namespace nat
