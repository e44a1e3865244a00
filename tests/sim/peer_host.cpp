#include "peer_host.hpp"

#include "nat/wire.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

namespace nat::sim {
namespace {

constexpr std::size_t unanswered_data = 65'536;  // design, 2.3: the engine's own constant is not asked

// As nat/net/ws_client.hpp has them.
constexpr duration connect_timeout = std::chrono::seconds(10);
constexpr duration handshake_timeout = std::chrono::seconds(10);

// Of a slow peer.
constexpr std::size_t slow_burst = 3;
constexpr duration slow_pause = std::chrono::milliseconds(1);
constexpr duration slow_reader = std::chrono::milliseconds(300);

constexpr duration long_silence = std::chrono::seconds(120);

// Pings of 20 s, a registration, pongs and a close.
constexpr std::size_t max_waiting = 16;

std::uint64_t checksum(std::string_view text) {
  std::uint64_t sum = 0xcbf29ce484222325U;  // FNV-1a
  for (const unsigned char c : text) sum = (sum ^ c) * 0x100000001b3U;
  return sum;
}

// A connection keeps what waits to be sent, which must not keep the connection.
std::weak_ptr<connection> weak(const std::shared_ptr<connection>& over) { return over; }

const char* kind_of(byte_view bytes) {
  const auto packet = decode_packet(bytes);
  if (!packet) return "STUN";
  return packet->kind == packet_kind::ping ? "PING" : "DATA";
}

}  // namespace

std::string nth_line(std::string_view name, std::uint64_t n) {
  auto line = std::string(name) + ' ' + std::to_string(n);
  const auto check = checksum(line);
  if (n % 16 == 15) line += ' ' + std::string(max_payload - 200, static_cast<char>('a' + check % 26));
  return line + ' ' + std::to_string(check);
}

peer_host::peer_host(const surroundings& around, coordinator_host& coordinator, host& machine,
                     const peer_config& config, std::uint64_t seed)
    : around_(around), coordinator_(coordinator), machine_(machine), config_(config), chance_(seed) {
  config_.input = input_mode::lines;
  config_.output = output_mode::text;
}

template <typename... Words>
void peer_host::log(const Words&... words) {
  around_.log.write(around_.time.elapsed(), config_.name, words...);
}

// ---- its life

void peer_host::start() {
  if (engine_) return;
  ++run_;
  started_at_ = around_.time.now();
  received_.clear();
  unread_.clear();
  contacts_.emplace(contact_book::allowance{unanswered_data, config_.ping_interval});
  engine_.emplace(config_, chance_);
  port_ = around_.net.bind(machine_, *this).port;
  log("starts at", machine_.ip().to_string(), port_);
  engine_->start(around_.time.now());
  act();
}

void peer_host::leave() {
  if (!engine_) return;
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
  registered_ = blocked_ = reading_ = false;
  waking_at_.reset();
}

void peer_host::say() {
  if (!engine_ || !engine_->wants_input()) return;
  const auto line = nth_line(config_.name, said_++) + '\n';
  engine_->on_input(around_.time.now(), as_bytes(line));
  act();
}

// ---- what arrives

void peer_host::on_datagram(const endpoint& from, byte_view bytes) {
  if (around_.log.is_on()) log("gets", kind_of(bytes), "from", from.to_string(), bytes.size());
  contacts_->on_answer(from);
  engine_->on_datagram(around_.time.now(), now().wall, from, bytes);
  act();
}

void peer_host::tell(const coordinator_event& event) {
  if (!engine_) return;
  engine_->on_coordinator(around_.time.now(), event);
  act();
}

void peer_host::on_upgraded() {
  registered_ = true;
  log("is registered");
  tell(coordinator_events::joined{});
}

void peer_host::on_refused(const admission& why) {
  log("is refused:", why.status, why.reason);
  drop_connection();
  tell(coordinator_events::refused{why.status, why.reason, why.retry_after});
}

void peer_host::on_text(const std::string& message) {
  log("gets a list of", message.size());
  contacts_->on_change();
  tell(coordinator_events::text{message});
}

void peer_host::on_ping() {
  over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_pong(over.lock()); });
  tell(coordinator_events::alive{});
}

void peer_host::on_pong() { tell(coordinator_events::alive{true}); }

void peer_host::on_close_frame(std::uint16_t code, const std::string& reason) {
  log("hears that the connection closes:", code);
  drop_connection();
  tell(coordinator_events::closed{code, reason});
}

// ---- what the engine wants done

void peer_host::act() {
  const auto run = run_;
  around_.check.check_queues(config_.name, engine_->queues());
  if (over_) {
    const queue_level waiting[] = {{"websocket", over_->waiting(side::client), max_waiting}};
    around_.check.check_queues(config_.name, waiting);
  }
  while (const auto command = engine_->next_command()) obey(*command);
  while (const auto note = engine_->next_note()) {
    if (note->kind == note_kind::peer_left) contacts_->on_change();
    log("notes", static_cast<int>(note->kind), note->where.to_string(), note->name, note->text);
  }
  send_datagrams();
  if (engine_->take_stun_lookup()) {
    around_.time.at(around_.time.now(), [this, run] {  // a literal address: resolved at once
      if (run != run_ || !engine_) return;
      engine_->on_stun_servers(around_.time.now(), {coordinator_.stun_address()}, "");
      act();
    });
  }
  if (engine_->has_output() && !reading_) read_output();
  if (engine_->ended()) {
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
    const auto wrong = contacts_->on_sent(around_.time.now(), to, bytes);
    if (!wrong.empty()) around_.check.fail(config_.name, wrong);
    around_.net.send(machine_, port_, to, bytes);
  }
  return count;
}

void peer_host::read_output() {
  std::vector<std::uint8_t> bytes;
  engine_->swap_output(bytes);
  unread_ += as_text(bytes);
  if (!slow_) return on_read(bytes.size());
  reading_ = true;
  around_.time.after(slow_reader, [this, run = run_, size = bytes.size()] {
    if (run != run_ || !engine_) return;
    reading_ = false;
    on_read(size);
    act();
  });
}

void peer_host::on_read(std::size_t bytes) {
  std::size_t begin = 0;
  for (auto end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n', begin)) {
    judge(std::string_view(unread_).substr(begin, end - begin));
    begin = end + 1;
  }
  unread_.erase(0, begin);
  engine_->on_output_written(around_.time.now(), bytes);
}

/// A line of the output is `LABEL: NAME N CHECK`: NAME has to have said it. LABEL is who the engine thinks it is from.
void peer_host::judge(std::string_view line) {
  const auto colon = line.find(": ");
  const auto said = colon == std::string_view::npos ? line : line.substr(colon + 2);
  const auto name = std::string(said.substr(0, said.find(' ')));
  const auto number = said.substr(std::min(said.size(), name.size() + 1));
  std::uint64_t n = 0;
  std::from_chars(number.data(), number.data() + number.size(), n);
  const auto sender = names_->find(name);
  const bool was_said = sender != names_->end() && n < sender->second->lines_said() && said == nth_line(name, n);
  if (!was_said) return around_.check.fail(config_.name, "got what nobody has sent: " + std::string(line));
  const bool as_labelled = name == line.substr(0, colon) && sender->second->topic() == topic();
  if (!as_labelled) return judge_label(*sender->second, line);
  auto& from = received_[name];
  if (from.lines++ == 0) from.first = around_.time.now();
  from.last = around_.time.now();
}

namespace {

/// Whether it may soon give a port of one host to another: few ports, short-lived mappings, or all of them lost.
bool reuses_ports(const nat_box& box) {
  const auto& config = box.config();
  if (config.mapping == mapping_behavior::none) return false;
  const bool few = config.ports == port_allocation::block && config.block_size < 512;
  return few || config.mapping == mapping_behavior::per_session || config.lifetime < long_silence ||
         box.has_forgotten();
}

}  // namespace

/// In section 1 of the design an address is all that tells who sends. A NAT that gives a port of one host to another,
/// after its mapping expired or towards another destination, makes one look like the other, even into another topic.
void peer_host::judge_label(const peer_host& sender, std::string_view line) const {
  if (sender.machine().has_moved()) return;  // it may have been sent from behind another NAT
  for (const auto* at = &sender.machine().where(); at->outer() != nullptr; at = at->outer()) {
    if (reuses_ports(*at->box())) return;
  }
  around_.check.fail(config_.name, "took one peer for another: " + std::string(line));
}

const peer_host::received* peer_host::received_from(const std::string& name) const {
  const auto found = received_.find(name);
  return found == received_.end() ? nullptr : &found->second;
}

// ---- the coordinator

void peer_host::obey(coordinator_command command) {
  switch (command) {
    case coordinator_command::connect: return connect();
    case coordinator_command::join: return join();
    case coordinator_command::ping:
      return over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_ping(over.lock()); });
    case coordinator_command::close:
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
  const auto way = around_.net.way_out(machine_);
  const auto answer = [this, over = over_](const coordinator_event& event) {
    if (over->is_open(side::client)) tell(event);
  };
  if (!way.works) {
    return around_.time.after(connect_timeout, [answer] { answer(coordinator_events::failed{"timed out"}); });
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

void peer_host::join() {
  const auto request = engine_->registration_request();
  log("registers", request.address.to_string());
  over_->send(side::client, [this, over = weak(over_), request, source = around_.net.way_out(machine_).seen_as] {
    coordinator_.on_request(over.lock(), request, source, *this);
  });
  around_.time.after(handshake_timeout, [this, over = over_] {
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
    engine_->on_time(around_.time.now());
    act();
  });
}

}  // namespace nat::sim
