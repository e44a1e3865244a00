// natpeer in virtual time: the engine, its UDP socket, its websocket and its pipes, as src/natpeer/run.cpp has them.
#pragma once

#include "nat/peer.hpp"

#include "audit.hpp"
#include "connection.hpp"
#include "coordinator_host.hpp"
#include "internet.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nat::sim {

/// The n-th line that a peer says: `NAME n CHECK`, where CHECK shows that nothing on the way has changed it.
std::string nth_line(std::string_view name, std::uint64_t n);

class peer_host final : public receiver_of_datagrams, public websocket_client {
 public:
  /// What this peer has got from another. Times are of the newest.
  struct received {
    std::uint64_t lines = 0;
    time_point first{};
    time_point last{};
  };

  // One PING interval is the seed's, 250 ms; the longest line is far below a payload.
  peer_host(const surroundings& around, coordinator_host& coordinator, host& machine, const peer_config& config,
            std::uint64_t seed);

  void start();
  /// Its kernel takes a few datagrams at a time, and whoever reads its stdout takes a while.
  void be_slow() { slow_ = true; }
  /// As SIGTERM: it says goodbye.
  void leave();
  /// As SIGKILL: the system closes its connection.
  void kill();
  /// The machine loses its power: nobody is told.
  void vanish();

  /// Frees the engine and nothing else, at a run's end, to see what it held.
  void drop_engine() { engine_.reset(); }

  /// The next line goes to stdin, if the engine reads it now.
  void say();

  const std::string& name() const { return config_.name; }
  const std::string& topic() const { return config_.topic; }
  host& machine() const { return machine_; }
  bool runs() const { return engine_.has_value(); }
  const peer& engine() const { return *engine_; }
  time_point started_at() const { return started_at_; }
  std::uint64_t runs_started() const { return run_; }
  std::uint64_t lines_said() const { return said_; }
  /// By the sender's name, since the start. Null: nothing.
  const received* received_from(const std::string& name) const;
  /// Whether it has a registration, as far as it knows.
  bool is_registered() const { return registered_; }
  connection* link_to_coordinator() const { return over_.get(); }
  /// How many lines each name of the topic may have said; asked to judge what arrives. Set once, by the run.
  void know(const std::unordered_map<std::string, peer_host*>* names) { names_ = names; }

  void on_datagram(const endpoint& from, byte_view bytes) override;
  void on_upgraded() override;
  void on_refused(const admission& why) override;
  void on_text(const std::string& message) override;
  void on_ping() override;
  void on_pong() override;
  void on_close_frame(std::uint16_t code, const std::string& reason) override;

 private:
  using wire = std::shared_ptr<connection>;

  void act();
  void send_datagrams();
  std::size_t send_some(std::size_t most);
  void read_output();
  void on_read(std::size_t bytes);
  void judge(std::string_view line);
  void judge_label(const peer_host& sender, std::string_view line) const;
  void obey(coordinator_command command);
  void connect();
  void join();
  void tell(const coordinator_event& event);
  void drop_connection();
  void wake_at_deadline();
  void end();
  instant now() const { return around_.now(); }
  template <typename... Words>
  void log(const Words&... words);

  surroundings around_;
  coordinator_host& coordinator_;
  host& machine_;
  peer_config config_;
  chance chance_;
  std::optional<peer> engine_;
  std::optional<contact_book> contacts_;
  std::uint64_t run_ = 0;  ///< counts starts
  time_point started_at_{};
  std::uint16_t port_ = 0;
  wire over_;
  bool registered_ = false;
  bool slow_ = false;
  bool blocked_ = false;  ///< the kernel takes no datagram now
  bool reading_ = false;  ///< somebody reads what was written
  deadline waking_at_;
  std::uint64_t said_ = 0;
  std::string unread_;  ///< of the output: a line's beginning
  std::unordered_map<std::string, received> received_;
  const std::unordered_map<std::string, peer_host*>* names_ = nullptr;
};

}  // namespace nat::sim
