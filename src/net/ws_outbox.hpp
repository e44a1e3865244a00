// What waits to be sent to one client that speaks a subprotocol: messages in order, and relayed frames behind them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nat::net {

class ws_outbox {
 public:
  using message = std::shared_ptr<const std::string>;
  using frame = std::shared_ptr<const std::vector<std::uint8_t>>;

  static constexpr std::size_t max_messages = 64;
  static constexpr std::size_t max_message_bytes = 1 << 20;  // of all that wait, unless one alone has more
  /// What a waiting frame costs beside its bytes, about: its vector, the count of its owners, its place here.
  static constexpr std::size_t frame_overhead = 80;  // bytes

  /// Returns how many messages were dropped.
  std::size_t push(message text) {
    std::size_t dropped = 0;
    const bool full = messages_.size() == max_messages || message_bytes_ + text->size() > max_message_bytes;
    // A gap in the middle is of no use: whoever follows changes needs all of them, or a new beginning.
    if (full) dropped = drop_messages();
    message_bytes_ += text->size();
    messages_.push_back(std::move(text));
    return dropped;
  }

  /// Returns how many frames were dropped: the oldest, or `relayed` itself when it alone is over `limit` (bytes).
  std::size_t push(frame relayed, std::size_t limit) {
    std::size_t dropped = 0;
    const auto size = cost(relayed);
    if (size > limit) return 1;
    if (!frames_) frames_ = std::make_unique<std::deque<frame>>();
    for (; frame_bytes_ + size > limit; ++dropped) pop_frame();
    frame_bytes_ += size;
    frames_->push_back(std::move(relayed));
    return dropped;
  }

  message next_message() {
    if (messages_.empty()) return nullptr;
    auto text = std::move(messages_.front());
    messages_.pop_front();
    message_bytes_ -= text->size();
    return text;
  }
  frame next_frame() { return has_frames() ? pop_frame() : nullptr; }

  bool has_frames() const { return frames_ && !frames_->empty(); }
  void clear() {
    drop_messages();
    frames_.reset();
    frame_bytes_ = 0;
  }

 private:
  static std::size_t cost(const frame& relayed) { return relayed->size() + frame_overhead; }

  std::size_t drop_messages() {
    message_bytes_ = 0;
    return std::exchange(messages_, {}).size();
  }

  frame pop_frame() {
    auto out = std::move(frames_->front());
    frames_->pop_front();
    frame_bytes_ -= cost(out);
    return out;
  }

  std::list<message> messages_;  // both take no memory while they are empty: most clients idle most of the time
  std::unique_ptr<std::deque<frame>> frames_;
  std::size_t message_bytes_ = 0;
  std::size_t frame_bytes_ = 0;
};

}  // namespace nat::net
