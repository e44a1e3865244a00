// Somebody else's program that knows the seed protocol alone (design, section 1), written from that section: none of
// natpeer's engines is in it.
#pragma once

#include "nat/roster.hpp"
#include "nat/stun.hpp"
#include "nat/wire.hpp"

#include "connection.hpp"
#include "coordinator_host.hpp"
#include "internet.hpp"
#include "talker.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nat::sim {

class seed_peer final : public receiver_of_datagrams, public websocket_client {
 public:
  seed_peer(const surroundings& around, websocket_server& coordinator, host& machine, const std::string& topic,
            const std::string& name, std::uint64_t seed)
      : around_(around),
        coordinator_(coordinator),
        machine_(machine),
        chance_(seed),
        words_(around, machine, topic, name, false) {}

  void start();
  /// As SIGKILL: the system closes its connection.
  void kill();
  /// The machine loses its power: nobody is told.
  void vanish();

  /// The next line goes to everybody whom it knows.
  void say();

  const std::string& name() const { return words_.name(); }
  const std::string& topic() const { return words_.topic(); }
  host& machine() { return machine_; }
  talker& words() { return words_; }
  const talker& words() const { return words_; }
  bool runs() const { return runs_; }
  time_point started_at() const { return started_at_; }
  std::uint64_t runs_started() const { return run_; }
  const std::vector<roster_entry>& peers() const { return peers_; }

  void on_datagram(const endpoint& from, byte_view bytes) override;
  void on_upgraded(bool v2) override;
  void on_refused(const admission& why) override;
  void on_text(const std::string& message) override;
  void on_binary(byte_view message) override;
  void on_ping() override;
  void on_pong() override {}
  void on_close_frame(std::uint16_t code, const std::string& reason) override;

 private:
  void ask_stun();
  void join();
  void lose_connection();
  void drop_connection();
  void end();
  void ping_all();
  void ping_coordinator();
  void send(packet_kind kind, const endpoint& to, std::string_view payload);
  /// Not where it ended, or was started anew, meanwhile.
  template <typename Action>
  void later(duration wait, Action what);

  surroundings around_;
  websocket_server& coordinator_;
  host& machine_;
  chance chance_;
  talker words_;
  bool runs_ = false;
  std::uint64_t run_ = 0;  ///< counts starts
  time_point started_at_{};
  std::uint16_t port_ = 0;
  transaction_id asked_{};
  std::optional<endpoint> mapped_;
  std::shared_ptr<connection> over_;
  bool registered_ = false;
  std::vector<roster_entry> peers_;  ///< without itself
};

}  // namespace nat::sim
