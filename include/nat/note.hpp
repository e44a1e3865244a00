// What an engine tells its user: typed, so that the program words it, and bounded, so that no stranger can fill a log.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace nat {

enum class note_kind {
  public_address,    ///< STUN found (or the user gave) `where`
  stun_silent,       ///< no STUN server has answered; `text` says more
  registered,        ///< the coordinator took us in as `where`
  connect_failed,    ///< the coordinator cannot be reached: `text`; next try in `wait`
  refused,           ///< the coordinator refused us: `text`; next try in `wait`
  connection_lost,   ///< the connection to the coordinator ended: `text`; next try in `wait`
  address_changed,   ///< the public address is `where` now: registering anew
  list_rejected,     ///< a list could not be read: `text`
  entries_skipped,   ///< `text` entries of a list are unusable
  peer_appeared,     ///< `name` at `where` is listed
  peer_heard,        ///< the first packet of `name` at `where` came; if it is one of ours, both are ready for DATA
  peer_left,         ///< `name` at `where` is gone
  path_changed,      ///< DATA for `name` goes another way now: `text`
  no_path,           ///< nothing has led to `name` so far: `text`
  alone_with_key,    ///< nobody else is in this keyed topic; `text` is the key's fingerprint
  later_version,     ///< somebody sends packets of a later version
  left_behind,       ///< `name` was too slow, or away for too long: it does not get all of what we send
  gap,               ///< `text` packets of `name` will never come
  input_open,        ///< stdin is read from now on; `text` says how many peers were heard
  input_lost,        ///< stdin is read, and reaches nobody
  output_full,       ///< whoever reads stdout is too slow: DATA of seed peers is being dropped
  notes_suppressed,  ///< `text` notes were left out
};

struct note {
  note_kind kind;
  endpoint where{};
  std::string name;
  std::string text;
  duration wait{};
};

/// A queue of notes with a limit on how many come in how short a time.
class note_queue {
 public:
  // A topic of 1000 that appears at once and is heard is told in full; after that 5 notes a second.
  static constexpr std::size_t burst = 2048;
  static constexpr duration refill = std::chrono::milliseconds(200);
  // However late the program takes them: the burst, and one that says how many were left out.
  static constexpr std::size_t max_held = burst + 1;

  void push(time_point now, note what) {
    tokens_ = std::min(burst, tokens_ + static_cast<std::size_t>((now - refilled_) / refill));
    refilled_ = now - (now - refilled_) % refill;
    if (tokens_ == 0 || queue_.size() + 2 > max_held) {
      ++suppressed_;
      return;
    }
    if (suppressed_ > 0) queue_.push_back({.kind = note_kind::notes_suppressed, .text = std::to_string(suppressed_)});
    suppressed_ = 0;
    --tokens_;
    queue_.push_back(std::move(what));
  }

  std::size_t size() const { return queue_.size(); }

  std::optional<note> next() {
    if (queue_.empty()) return std::nullopt;
    auto front = std::move(queue_.front());
    queue_.pop_front();
    return front;
  }

 private:
  std::deque<note> queue_;
  std::size_t tokens_ = burst;
  time_point refilled_{};
  std::size_t suppressed_ = 0;
};

}  // namespace nat
