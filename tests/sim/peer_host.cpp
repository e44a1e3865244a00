#include "peer_host.hpp"

#include "nat/relay_frame.hpp"
#include "nat/wire.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace nat::sim {
namespace {

// As nat/net/interfaces.hpp has it: news of an address come so late.
constexpr duration settle_time = std::chrono::milliseconds(50);

// Of a slow peer.
constexpr std::size_t slow_burst = 3;
constexpr duration slow_pause = std::chrono::milliseconds(1);
constexpr duration slow_reader = std::chrono::milliseconds(300);

// A connection keeps what waits to be sent, which must not keep the connection.
std::weak_ptr<connection> weak(const std::shared_ptr<connection>& over) { return over; }

const char* kind_of(byte_view bytes) {
  const auto packet = decode_packet(bytes);
  if (!packet) return "STUN";
  return packet->kind == packet_kind::ping ? "PING" : "DATA";
}

}  // namespace

peer_host::peer_host(const surroundings& around, websocket_server& coordinator, host& machine,
                     const peer_config& config, const contact_book::allowance& allowed, std::uint64_t seed)
    : around_(around),
      coordinator_(coordinator),
      machine_(machine),
      config_(config),
      allowed_(allowed),
      chance_(seed),
      words_(around, machine, config.topic, config.name, true) {}

// ---- its life

void peer_host::start() {
  if (engine_) return;
  ++run_;
  started_at_ = around_.time.now();
  words_.forget();
  first_lines_.clear();
  contacts_.emplace(allowed_);
  engine_.emplace(config_, chance_);
  port_ = around_.net.bind(machine_, *this).port;
  log("starts at", machine_.ip().to_string(), port_);
  engine_->on_interfaces(started_at_, {machine_.ip()}, port_, false);
  engine_->start(around_.time.now());
  act();
}

void peer_host::be_slow() {
  slow_ = true;
  pace_.pause = slow_reader;
}

void peer_host::leave() {
  if (!engine_ || put_off([this] { leave(); })) return;
  log("leaves");
  engine_->leave(around_.time.now());
  act();
}

void peer_host::kill() {
  if (!engine_) return;
  log("is killed");
  end();
}

void peer_host::vanish() {
  if (!engine_) return;
  log("vanishes");
  if (over_) over_->cut();
  end();
}

void peer_host::end() {
  drop_connection();
  around_.net.unbind(machine_, port_);
  engine_.reset();
  registered_ = blocked_ = reading_ = stopped_ = false;
  waking_at_.reset();
  put_off_.clear();
  kept_.clear();
  output_.clear();
  kept_bytes_ = output_read_ = 0;
}

void peer_host::on_moved() {
  around_.time.after(settle_time, [this, run = run_] {
    if (run != run_ || !engine_) return;
    const auto change = [this] {
      engine_->on_interfaces(around_.time.now(), {machine_.ip()}, port_, true);
      act();
    };
    if (!put_off(change)) change();
  });
}

void peer_host::say() {
  if (!engine_ || stopped_ || !engine_->wants_input()) return;
  engine_->sessions().for_each([this](const session& who) {
    if (who.accepts()) first_lines_.try_emplace(who.name(), words_.lines_said());
  });
  engine_->on_input(around_.time.now(), as_bytes(words_.say()));
  act();
}

std::optional<std::uint64_t> peer_host::first_line_for(const std::string& name) const {
  const auto found = first_lines_.find(name);
  return found == first_lines_.end() ? std::nullopt : std::optional(found->second);
}

// ---- what arrives

void peer_host::on_datagram(const endpoint& from, byte_view bytes) {
  if (around_.log.is_on()) log("gets", kind_of(bytes), "from", from.to_string(), bytes.size());
  contacts_->on_answer(from);
  keep(from, bytes);
}

void peer_host::on_unreachable(const endpoint& at) {
  if (put_off([this, at] { on_unreachable(at); })) return;
  log("hears that nobody is at", at.to_string());
  engine_->on_unreachable(around_.time.now(), at);
  act();
}

void peer_host::tell(const coordinator_event& event) {
  if (!engine_ || put_off([this, event] { tell(event); })) return;
  engine_->on_coordinator(around_.time.now(), now().wall, event);
  act();
}

void peer_host::on_upgraded(bool v2) {
  registered_ = true;
  registered_at_ = around_.time.now();
  log("is registered", v2 ? "with v2" : "by its address");
  tell(coordinator_events::joined{std::nullopt, v2});
}

void peer_host::on_refused(const admission& why) {
  log("is refused:", why.status, why.reason);
  drop_connection();
  tell(coordinator_events::refused{why.status, why.reason, why.retry_after});
}

void peer_host::on_text(const std::string& message) {
  if (put_off([this, message] { on_text(message); })) return;
  log("gets a text of", message.size());
  tell(coordinator_events::text{message});
}

void peer_host::on_binary(byte_view message) {
  const auto again = [this, copy = std::vector<std::uint8_t>(message.begin(), message.end())] { on_binary(copy); };
  if (!put_off(again)) tell(coordinator_events::binary{message});
}

void peer_host::on_ping() {
  if (!over_ || put_off([this] { on_ping(); })) return;
  over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_pong(over.lock()); });
  tell(coordinator_events::alive{});
}

void peer_host::on_pong() { tell(coordinator_events::alive{true}); }

void peer_host::on_close_frame(std::uint16_t code, const std::string& reason) {
  if (put_off([=, this] { on_close_frame(code, reason); })) return;
  log("hears that the connection closes:", code);
  drop_connection();
  tell(coordinator_events::closed{code, reason});
}

// ---- what the engine wants done

void peer_host::act() {
  const auto run = run_;
  if (stopped_) return;
  look();
  while (const auto command = engine_->next_command()) obey(*command);
  while (const auto note = engine_->next_note()) {
    log("notes", static_cast<int>(note->kind), note->where.to_string(), note->name, note->text);
  }
  do {
    send_datagrams();
    send_messages();
  } while (read_input() || read_output());
  if (engine_->take_stun_lookup()) {
    around_.time.at(around_.time.now(), [this, run] {  // a literal address: resolved at once
      if (run != run_ || !engine_ || stopped_) return;
      engine_->on_stun_servers(around_.time.now(), {coordinator_.stun_address()}, "");
      act();
    });
  }
  if (engine_->ended()) {
    if (user_ != nullptr) user_->on_ended(*engine_->ended());
    log("ends:", engine_->ended()->status, engine_->ended()->reason);
    return end();
  }
  wake_at_deadline();
}

void peer_host::send_datagrams() {
  while (!blocked_ && !engine_->datagrams().empty()) {
    const auto count = send_some(slow_ ? slow_burst : engine_->datagrams().size());
    engine_->on_sent(around_.time.now(), count);
    if (!slow_) continue;
    blocked_ = true;
    around_.time.after(slow_pause, [this, run = run_] {
      if (run != run_ || !engine_) return;
      blocked_ = false;
      act();
    });
  }
}

std::size_t peer_host::send_some(std::size_t most) {
  const auto& waiting = engine_->datagrams();
  const auto count = std::min(most, waiting.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto& to = waiting.at(i).to;
    const auto bytes = waiting.bytes(waiting.at(i));
    if (around_.log.is_on()) log("sends", kind_of(bytes), "to", to.to_string(), bytes.size());
    if (!contacts_->of(to).answered && has_proved(to)) contacts_->on_answer(to);
    const auto wrong = contacts_->on_sent(around_.time.now(), to, bytes);
    if (!wrong.empty()) around_.check.fail(config_.name, wrong);
    around_.net.send(machine_, port_, to, bytes);
  }
  return count;
}

/// An answer may come from elsewhere than the address that was asked: then the echo of its challenge says so.
bool peer_host::has_proved(const endpoint& at) const {
  bool found = false;
  engine_->sessions().for_each([&](const session& who) {
    found = found || std::ranges::any_of(who.paths().all(), [&](const path& way) {
              return !way.is_relay() && way.at == at && way.echoed_at;
            });
  });
  return found;
}

/// Behind the datagrams: a punch says that the PINGs are out.
void peer_host::send_messages() {
  while (const auto message = engine_->next_message()) {
    log("says", *message);
    if (!over_) continue;
    over_->send(side::client, [this, over = weak(over_), text = *message] { coordinator_.on_text(over.lock(), text); });
  }
  while (over_ && registered_ && *relaying_ < low_water) {
    const auto frame = engine_->next_relayed(around_.time.now());
    if (!frame) return;
    relay(*frame);
  }
}

void peer_host::relay(const relay_queue::frame& frame) {
  *relaying_ += frame->size();
  over_->send(side::client, [this, over = weak(over_), relaying = relaying_, frame] {
    *relaying -= frame->size();
    coordinator_.on_binary(over.lock(), *frame);
    if (engine_ && relaying == relaying_) act();  // there is room again
  });
}

// ---- the coordinator

void peer_host::obey(coordinator_command command) {
  switch (command) {
    case coordinator_command::connect: return connect();
    case coordinator_command::join_v2:
    case coordinator_command::join: return join(command);
    case coordinator_command::ping:
      return over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_ping(over.lock()); });
    case coordinator_command::close:
      while (const auto frame = engine_->next_last_word()) relay(*frame);
      return over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_close_frame(over.lock()); });
    case coordinator_command::abandon: return drop_connection();
  }
}

void peer_host::drop_connection() {
  registered_ = false;
  if (over_) over_->close(side::client);
  over_.reset();
}

void peer_host::connect() {
  drop_connection();
  contacts_->on_connect();
  log("connects");
  over_ = std::make_shared<connection>(around_.net, machine_, chance_.next());
  relaying_ = std::make_shared<std::size_t>(0);
  const auto way = around_.net.way_out(machine_);
  const auto answer = [this, over = over_](const coordinator_event& event) {
    if (over->is_open(side::client)) tell(event);
  };
  if (!way.works) {
    return around_.time.after(engine_->coordinator().connect_patience(),
                              [answer] { answer(coordinator_events::failed{"timed out"}); });
  }
  over_->on_end(side::client, [this, over = over_.get()] {
    if (over_.get() != over) return;
    const bool was_registered = std::exchange(registered_, false);
    if (was_registered) return tell(coordinator_events::closed{1006, "connection lost"});
    tell(coordinator_events::failed{"connection lost"});
  });
  around_.time.after(way.delay * 2, [this, answer] {
    if (coordinator_.runs()) return answer(coordinator_events::reached{coordinator_.address()});
    answer(coordinator_events::failed{"connection refused"});
  });
}

void peer_host::join(coordinator_command how) {
  const auto request = engine_->registration_request(how);
  std::optional<v2_offer> offer;
  if (how == coordinator_command::join_v2) offer = v2_offer{engine_->coordinator().resume()};
  log("registers", request.address ? request.address->to_string() : "without address");
  const auto source = around_.net.way_out(machine_).seen_as;
  over_->send(side::client, [this, over = weak(over_), request, offer, source] {
    coordinator_.on_request(over.lock(), request, source, offer, *this);
  });
  around_.time.after(engine_->coordinator().connect_patience(), [this, over = over_] {
    if (over_ != over || registered_) return;
    drop_connection();
    tell(coordinator_events::failed{"no answer"});
  });
}

void peer_host::wake_at_deadline() {
  const auto next = engine_->next_deadline();
  if (!next || (waking_at_ && *waking_at_ <= *next)) return;
  if (*next < around_.time.now()) around_.check.fail(config_.name, "wants to be woken in the past");
  waking_at_ = next;
  around_.time.at(*next, [this, run = run_, at = *next] {
    if (run != run_ || !engine_ || waking_at_ != at) return;
    waking_at_.reset();
    if (stopped_) return;  // it looks at the time when it goes on
    engine_->on_time(around_.time.now());
    act();
  });
}

}  // namespace nat::sim
