#include "seed_peer.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace nat::sim {

using namespace std::chrono_literals;

namespace {

// As the seed's programs have them (design, section 1).
constexpr duration ping_interval = 250ms;
constexpr duration coordinator_interval = 5s;
// What section 1 leaves open.
constexpr duration stun_interval = 500ms;
constexpr duration patience = 10s;
constexpr duration pause_before_retry = 2s;

std::weak_ptr<connection> weak(const std::shared_ptr<connection>& over) { return over; }

}  // namespace

template <typename Action>
void seed_peer::later(duration wait, Action what) {
  around_.time.after(wait, [this, run = run_, what = std::move(what)] {
    if (runs_ && run == run_) what();
  });
}

// ---- its life

void seed_peer::start() {
  if (runs_) return;
  runs_ = true;
  ++run_;
  started_at_ = around_.time.now();
  words_.forget();
  port_ = around_.net.bind(machine_, *this).port;
  around_.log.write(around_.time.elapsed(), name(), "starts at", machine_.ip().to_string(), port_);
  ask_stun();
  ping_all();
  ping_coordinator();
}

void seed_peer::kill() {
  if (runs_) end();
}

void seed_peer::vanish() {
  if (!runs_) return;
  if (over_) over_->cut();
  end();
}

void seed_peer::end() {
  around_.log.write(around_.time.elapsed(), name(), "ends");
  drop_connection();
  around_.net.unbind(machine_, port_);
  runs_ = false;
  mapped_.reset();
  peers_.clear();
}

// ---- its address, then the coordinator

/// Until there is an answer.
void seed_peer::ask_stun() {
  if (mapped_) return;
  chance_.fill(asked_);
  around_.net.send(machine_, port_, coordinator_.stun_address(), encode_binding_request(asked_));
  later(stun_interval, [this] { ask_stun(); });
}

void seed_peer::join() {
  over_ = std::make_shared<connection>(around_.net, machine_, chance_.next());
  over_->on_end(side::client, [this, over = over_.get()] {
    if (over_.get() == over) lose_connection();
  });
  const join_request request{topic(), name(), mapped_};
  const auto source = around_.net.way_out(machine_).seen_as;
  over_->send(side::client, [this, over = weak(over_), request, source] {
    coordinator_.on_request(over.lock(), request, source, std::nullopt, *this);
  });
  later(patience, [this, over = over_] {
    if (over_ == over && !registered_) lose_connection();
  });
}

/// It comes back, and from another address perhaps.
void seed_peer::lose_connection() {
  drop_connection();
  mapped_.reset();
  later(pause_before_retry, [this] { ask_stun(); });
}

void seed_peer::drop_connection() {
  registered_ = false;
  if (over_) over_->close(side::client);
  over_.reset();
}

void seed_peer::on_upgraded(bool v2) {
  if (v2) around_.check.fail(name(), "is spoken to in natcoord.v2, which it did not ask for");
  registered_ = true;
}

void seed_peer::on_refused(const admission& why) {
  around_.log.write(around_.time.elapsed(), name(), "is refused:", why.status, why.reason);
  lose_connection();
}

void seed_peer::on_text(const std::string& message) {
  const auto list = decode_roster(message);
  if (!list) return around_.check.fail(name(), "got a list that it cannot read: " + message);
  peers_ = list->peers;
  std::erase_if(peers_, [this](const roster_entry& each) { return each.name == name(); });
}

void seed_peer::on_binary(byte_view) { around_.check.fail(name(), "got a frame of natcoord.v2"); }

void seed_peer::on_ping() {
  over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_pong(over.lock()); });
}

void seed_peer::on_close_frame(std::uint16_t, const std::string&) { lose_connection(); }

void seed_peer::ping_coordinator() {
  if (registered_) over_->send(side::client, [this, over = weak(over_)] { coordinator_.on_ping(over.lock()); });
  later(coordinator_interval, [this] { ping_coordinator(); });
}

// ---- its peers

void seed_peer::ping_all() {
  for (const auto& to : peers_) send(packet_kind::ping, to.address, "");
  later(ping_interval, [this] { ping_all(); });
}

void seed_peer::say() {
  if (!runs_) return;
  auto line = words_.say();
  line.pop_back();  // a packet for each line, without its end
  for (const auto& to : peers_) send(packet_kind::data, to.address, line);
}

void seed_peer::send(packet_kind kind, const endpoint& to, std::string_view payload) {
  std::vector<std::uint8_t> packet(header_size);
  encode_header(packet, kind, chance_);
  packet.insert(packet.end(), payload.begin(), payload.end());
  around_.net.send(machine_, port_, to, packet);
}

/// An address is all that tells who sends.
void seed_peer::on_datagram(const endpoint& from, byte_view bytes) {
  if (looks_like_stun(bytes)) {
    const auto answer = decode_stun(bytes);
    if (mapped_ || !answer || answer->id != asked_ || !answer->mapped_address()) return;
    mapped_ = answer->mapped_address();
    return join();
  }
  if (bytes.size() < header_size) return around_.check.fail(name(), "got a packet that crashes the seed's program");
  const auto packet = decode_packet(bytes);
  const auto known = std::ranges::find(peers_, from, &roster_entry::address);
  if (!packet || packet->kind != packet_kind::data || known == peers_.end()) return;
  auto payload = std::string(as_text(packet->payload));
  if (payload.empty() || payload.back() != '\n') payload += '\n';
  // Ours put several lines into a packet.
  for (std::size_t begin = 0; begin < payload.size();) {
    const auto end = payload.find('\n', begin) + 1;
    words_.hear(known->name + ": " + payload.substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace nat::sim
