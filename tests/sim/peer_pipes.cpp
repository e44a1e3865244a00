// Of peer_host: what its kernel keeps for it, and what stands at its stdin and stdout.
#include "nat/wire.hpp"

#include "peer_host.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace nat::sim {
namespace {

// Linux's net.core.rmem_default.
constexpr std::size_t socket_buffer = 212'992;
// Pings of 20 s, a registration, pongs and a close; addresses and punches; relayed packets up to low_water.
constexpr std::size_t most_waiting_besides = 16 + 256;
// Whoever has output gives some when it is asked so often.
constexpr int most_vain_questions = 100;

}  // namespace

// ---- what comes while it is busy

/// What comes at one moment is read together.
void peer_host::keep(const endpoint& from, byte_view bytes) {
  if (stopped_ && kept_bytes_ + bytes.size() > socket_buffer) return;
  kept_.push_back({from, {bytes.begin(), bytes.end()}});
  kept_bytes_ += bytes.size();
  if (stopped_ || std::exchange(takes_kept_, true)) return;
  around_.time.at(around_.time.now(), [this] {
    takes_kept_ = false;
    if (engine_ && !stopped_) take_kept();
  });
}

void peer_host::take_kept() {
  kept_bytes_ = 0;
  const auto taken = std::exchange(kept_, {});
  std::vector<peer::incoming> together;
  for (const auto& each : taken) {
    together.push_back({each.from, each.bytes});
    if (together.size() < peer::together && &each != &taken.back()) continue;
    engine_->on_datagrams(around_.time.now(), now().wall, together);
    together.clear();
  }
  engine_->flush(around_.time.now());
  act();
}

void peer_host::stop_for(duration time) {
  if (!engine_ || stopped_) return;
  log("stops");
  stopped_ = true;
  around_.time.after(time, [this, run = run_] {
    if (run == run_ && engine_) wake_up();
  });
}

void peer_host::wake_up() {
  log("goes on");
  stopped_ = false;
  const auto run = run_;
  const auto lives = [&] { return engine_ && run == run_; };
  engine_->on_time(around_.time.now());
  act();
  if (lives()) take_kept();
  for (const auto& each : std::exchange(put_off_, {})) {
    if (lives()) each();
  }
}

// ---- stdin

void peer_host::on_input_ready() {
  if (engine_) act();
}

/// Whether something was read.
bool peer_host::read_input() {
  if (user_ == nullptr || !engine_->wants_input()) return false;
  const auto chunk = user_->next_input(input_splitter::max_chunk);
  if (!chunk.empty()) {
    engine_->on_input(around_.time.now(), chunk);
  } else if (user_->input_is_over()) {
    engine_->on_input_end(around_.time.now());
  } else {
    return false;
  }
  look();
  return true;
}

// ---- stdout

/// Whether something was read at once.
bool peer_host::read_output() {
  if (reading_) return false;
  for (int tries = 0; output_.empty() && engine_->has_output(); ++tries) {
    if (tries == most_vain_questions) {
      around_.check.fail(config_.name, "has output, and gives none");
      return false;
    }
    engine_->next_output(output_);
  }
  if (output_.empty()) return false;
  const auto at = std::max(around_.time.now() + pace_.pause, stalled_until_);
  if (at == around_.time.now()) return read_piece();
  reading_ = true;
  around_.time.at(at, [this, run = run_] {
    if (run != run_ || !engine_) return;
    reading_ = false;
    const auto read = [this] {
      read_piece();
      act();
    };
    if (!put_off(read)) read();
  });
  return false;
}

bool peer_host::read_piece() {
  if (around_.time.now() < stalled_until_) return false;
  const auto piece = byte_view(output_).subspan(output_read_);
  const auto some = piece.first(std::min(piece.size(), pace_.piece));
  user_ != nullptr ? user_->on_output(some) : words_.hear(as_text(some));
  output_read_ += some.size();
  if (output_read_ == output_.size()) {
    output_.clear();
    output_read_ = 0;
  }
  engine_->on_output_written(around_.time.now(), some.size());
  look();
  return true;
}

void peer_host::stall_output(duration time) {
  if (!engine_) return;
  log("stdout stalls");
  stalled_until_ = std::max(stalled_until_, around_.time.now() + time);
  around_.time.at(stalled_until_, [this, run = run_] {
    if (run == run_ && engine_) act();
  });
}

// ---- what must hold after each event

void peer_host::look() {
  const auto queues = engine_->queues();
  around_.check.check_queues(config_.name, queues);
  if (over_) {
    constexpr auto max_waiting = most_waiting_besides + low_water / header_size + 1;
    const queue_level waiting[] = {{"websocket", over_->waiting(side::client), max_waiting}};
    around_.check.check_queues(config_.name, waiting);
  }
  const auto input = std::ranges::find(queues, "input bytes", &queue_level::name);
  if (input != queues.end() && input->held == 0) words_.on_taken();
  engine_->sessions().for_each_retired([this](const session& who) {
    if (around_.time.now() - *who.retired_at >= sender::keeps_for_return) words_.give_up_on(who.name());
  });
  if (user_ != nullptr) user_->on_event(*engine_);
}

}  // namespace nat::sim
