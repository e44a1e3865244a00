// natcoord in virtual time: the engine, its STUN sockets and the websockets of its clients, as src/natcoord/run.cpp has
// them.
#pragma once

#include "nat/coordinator.hpp"

#include "audit.hpp"
#include "connection.hpp"
#include "internet.hpp"
#include "trace.hpp"
#include "ws_outbox.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nat::sim {

/// What every part of a run shares.
struct surroundings {
  scheduler& time;
  internet& net;
  trace& log;
  audit& check;

  instant now() const;
};

/// A client's side of a websocket; what happens there.
class websocket_client {
 public:
  virtual void on_upgraded(bool v2) = 0;
  virtual void on_refused(const admission& why) = 0;
  virtual void on_text(const std::string& message) = 0;
  virtual void on_binary(byte_view message) = 0;
  virtual void on_ping() = 0;
  virtual void on_pong() = 0;
  virtual void on_close_frame(std::uint16_t code, const std::string& reason) = 0;

 protected:
  ~websocket_client() = default;
};

/// A server as its clients see it: natcoord, or one that plays false.
class websocket_server {
 public:
  using wire = std::shared_ptr<connection>;

  virtual bool runs() const = 0;
  virtual endpoint address() const = 0;
  virtual endpoint stun_address() const = 0;

  // What arrives from a client, at the server's side of the connection.
  /// `offer`: it offers natcoord.v2.
  virtual void on_request(const wire& over, const join_request& request, const ip_address& source,
                          const std::optional<v2_offer>& offer, websocket_client& client) = 0;
  virtual void on_text(const wire& over, const std::string& message) = 0;
  virtual void on_binary(const wire& over, byte_view message) = 0;
  virtual void on_ping(const wire& over) = 0;
  virtual void on_pong(const wire& over) = 0;
  virtual void on_close_frame(const wire& over) = 0;

 protected:
  ~websocket_server() = default;
};

enum class protocol : std::uint8_t {
  v2,
  section_1,  ///< the server has never heard of natcoord.v2, and answers one STUN port
};

class coordinator_host final : public websocket_server {
 public:
  struct counters {
    std::uint64_t lists = 0;  ///< and snapshots, and deltas: sent to a client each
    std::uint64_t list_bytes = 0;
    std::uint64_t skipped = 0;  ///< not sent, because a newer one came before a slow client could take it
    std::uint64_t relayed = 0;  ///< frames, sent to a client each
    std::uint64_t relay_dropped = 0;
    std::uint64_t stun = 0;
  };

  // The two behind the first are as src/natcoord/stun_ports.hpp has them.
  static constexpr std::array<std::uint16_t, 3> stun_ports = {3478, 3479, 3480};

  coordinator_host(const surroundings& around, protocol speaks, const coordinator_limits& limits, std::uint64_t seed);

  endpoint stun_address() const override { return {machine_.ip(), stun_ports.front()}; }
  endpoint address() const override { return {machine_.ip(), 6969}; }
  bool runs() const override { return engine_.has_value(); }
  bool knows_v2() const { return speaks_ == protocol::v2; }
  const coordinator& engine() const { return *engine_; }
  const counters& counts() const { return counters_; }

  void start();
  /// The process is killed: its sockets close.
  void crash();
  /// As SIGTERM: clients are told to come back.
  void stop();

  /// Frees the engine and nothing else, at a run's end, to see what it held.
  void drop_engine() { engine_.reset(); }

  void on_request(const wire& over, const join_request& request, const ip_address& source,
                  const std::optional<v2_offer>& offer, websocket_client& client) override;
  void on_text(const wire& over, const std::string& message) override;
  void on_binary(const wire& over, byte_view message) override;
  void on_ping(const wire& over) override;
  void on_pong(const wire& over) override;
  void on_close_frame(const wire& over) override;

 private:
  struct stun_socket final : receiver_of_datagrams {
    stun_socket(coordinator_host& owner, std::uint16_t at) : host(owner), port(at) {}
    void on_datagram(const endpoint& from, byte_view bytes) override { host.on_stun(port, from, bytes); }

    coordinator_host& host;
    std::uint16_t port;
  };

  struct client_session {
    wire over;
    websocket_client* client = nullptr;
    bool sending = false;                        ///< a list is on its way
    std::shared_ptr<const std::string> waiting;  ///< the newest of those that came meanwhile
    // Of v2 only.
    net::ws_outbox outbox;
    std::size_t in_flight = 0;  ///< bytes that the connection has taken and that have not arrived
  };

  client_id id_of(const wire& over) const;
  client_session* find(client_id id);
  void on_stun(std::uint16_t port, const endpoint& from, byte_view bytes);
  void act();
  void act(const send_list& list);
  void act(const send_message& message);
  void act(const send_relayed& relayed);
  void act(const send_ping& ping);
  void act(const close_client& close);
  void send_text(client_id id, std::shared_ptr<const std::string> text);
  void on_text_arrived(client_id id);
  void resync(client_id id);
  void pump(client_id id);
  void on_arrived(client_id id, std::size_t bytes);
  void drop(client_id id);
  void wake_at_deadline();
  static duration cost(const std::string& text, std::size_t receivers);

  surroundings around_;
  protocol speaks_;
  coordinator_limits limits_;
  host& machine_;
  chance chance_;
  std::vector<std::unique_ptr<stun_socket>> sockets_;
  counters counters_;
  std::optional<address_tokens> tokens_;
  std::optional<coordinator> engine_;
  std::uint64_t run_ = 0;  ///< counts starts: what belongs to an earlier one is over
  std::map<client_id, client_session> sessions_;
  std::map<const connection*, client_id> ids_;
  deadline waking_at_;
};

}  // namespace nat::sim
