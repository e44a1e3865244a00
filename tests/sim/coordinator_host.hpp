// natcoord in virtual time: the engine, a STUN socket and the websockets of its clients, as src/natcoord/run.cpp has
// them.
#pragma once

#include "nat/coordinator.hpp"

#include "audit.hpp"
#include "connection.hpp"
#include "internet.hpp"
#include "trace.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

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
  virtual void on_upgraded() = 0;
  virtual void on_refused(const admission& why) = 0;
  virtual void on_text(const std::string& message) = 0;
  virtual void on_ping() = 0;
  virtual void on_pong() = 0;
  virtual void on_close_frame(std::uint16_t code, const std::string& reason) = 0;

 protected:
  ~websocket_client() = default;
};

class coordinator_host final : public receiver_of_datagrams {
 public:
  struct counters {
    std::uint64_t lists = 0;  ///< sent to a client each
    std::uint64_t list_bytes = 0;
    std::uint64_t skipped = 0;  ///< not sent, because a newer one came before a slow client could take it
    std::uint64_t stun = 0;
  };

  static constexpr std::uint16_t stun_port = 3478;

  coordinator_host(const surroundings& around, const coordinator_limits& limits);

  endpoint stun_address() const { return {machine_.ip(), stun_port}; }
  endpoint address() const { return {machine_.ip(), 6969}; }
  bool runs() const { return engine_.has_value(); }
  const coordinator& engine() const { return *engine_; }
  const counters& counts() const { return counters_; }

  void start();
  /// The process is killed: its sockets close.
  void crash();
  /// As SIGTERM: clients are told to come back.
  void stop();

  /// Frees the engine and nothing else, at a run's end, to see what it held.
  void drop_engine() { engine_.reset(); }

  // What arrives from a client, at the server's side of the connection.
  using wire = std::shared_ptr<connection>;
  void on_request(const wire& over, const join_request& request, const ip_address& source, websocket_client& client);
  void on_ping(const wire& over);
  void on_pong(const wire& over);
  void on_close_frame(const wire& over);

  void on_datagram(const endpoint& from, byte_view bytes) override;

 private:
  struct client_session {
    wire over;
    websocket_client* client = nullptr;
    bool sending = false;                        ///< a list is on its way
    std::shared_ptr<const std::string> waiting;  ///< the newest of those that came meanwhile
  };

  client_id id_of(const wire& over) const;
  void act();
  void act(const send_list& list);
  void act(const send_ping& ping);
  void act(const close_client& close);
  void send_text(client_id id, std::shared_ptr<const std::string> text);
  void on_text_arrived(client_id id);
  void drop(client_id id);
  void wake_at_deadline();
  duration list_cost(const send_list& list) const;

  surroundings around_;
  coordinator_limits limits_;
  host& machine_;
  counters counters_;
  std::optional<coordinator> engine_;
  std::uint64_t run_ = 0;  ///< counts starts: what belongs to an earlier one is over
  std::map<client_id, client_session> sessions_;
  std::map<const connection*, client_id> ids_;
  deadline waking_at_;
};

}  // namespace nat::sim
