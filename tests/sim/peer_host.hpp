// natpeer in virtual time: the engine, its UDP socket, its websocket and its pipes, as src/natpeer/run.cpp has them.
#pragma once

#include "nat/peer.hpp"

#include "audit.hpp"
#include "connection.hpp"
#include "coordinator_host.hpp"
#include "internet.hpp"
#include "talker.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nat::sim {

/// Who stands at a peer's stdin and stdout, where that is no talker.
class pipe_user {
 public:
  /// What stdin has now, at most so much; it is read by that. None: nothing yet, or nothing more.
  virtual byte_view next_input(std::size_t most) = 0;
  virtual bool input_is_over() const = 0;
  virtual void on_output(byte_view bytes) = 0;
  /// After each event.
  virtual void on_event(const peer& engine) = 0;
  virtual void on_ended(const ending& how) = 0;

 protected:
  ~pipe_user() = default;
};

/// How stdout is read.
struct reading_pace {
  std::size_t piece = SIZE_MAX;  ///< bytes at once, at most
  duration pause{};              ///< for each
};

class peer_host final : public receiver_of_datagrams, public websocket_client {
 public:
  // One PING interval is the seed's, 250 ms; the longest line is far below a payload.
  peer_host(const surroundings& around, websocket_server& coordinator, host& machine, const peer_config& config,
            const contact_book::allowance& allowed, std::uint64_t seed);

  void start();
  /// Its kernel takes a few datagrams at a time, and whoever reads its stdout takes a while.
  void be_slow();
  void read_with(const reading_pace& pace) { pace_ = pace; }
  /// Nobody reads its stdout for so long.
  void stall_output(duration time);
  /// As SIGSTOP, and SIGCONT after so long. What comes meanwhile waits for it, as far as the kernel has room.
  void stop_for(duration time);
  /// Before it starts: this one in place of the talker.
  void use(pipe_user& user) { user_ = &user; }
  /// There is more in stdin.
  void on_input_ready();
  /// As SIGTERM: it says goodbye.
  void leave();
  /// As SIGKILL: the system closes its connection.
  void kill();
  /// The machine loses its power: nobody is told.
  void vanish();
  /// The machine has another address, and the system says so soon.
  void on_moved();

  /// Frees the engine and nothing else, at a run's end, to see what it held.
  void drop_engine() { engine_.reset(); }

  /// The next line goes to stdin, if the engine reads it now.
  void say();

  const std::string& name() const { return config_.name; }
  const std::string& topic() const { return config_.topic; }
  host& machine() const { return machine_; }
  talker& words() { return words_; }
  const talker& words() const { return words_; }
  bool runs() const { return engine_.has_value(); }
  const peer& engine() const { return *engine_; }
  time_point started_at() const { return started_at_; }
  std::uint64_t runs_started() const { return run_; }
  std::uint64_t lines_said() const { return words_.lines_said(); }
  /// By the sender's name, since the start. Null: nothing.
  const talker::received* received_from(const std::string& name) const { return words_.received_from(name); }
  /// The first line that this peer's engine had to bring to that one: it was ready for its DATA.
  std::optional<std::uint64_t> first_line_for(const std::string& name) const;
  /// Whether it has a registration, as far as it knows.
  bool is_registered() const { return registered_; }
  /// Since when, last.
  time_point registered_at() const { return registered_at_; }
  connection* link_to_coordinator() const { return over_.get(); }
  const contact_book& contacts() const { return *contacts_; }

  void on_datagram(const endpoint& from, byte_view bytes) override;
  void on_unreachable(const endpoint& at) override;
  void on_upgraded(bool v2) override;
  void on_refused(const admission& why) override;
  void on_text(const std::string& message) override;
  void on_binary(byte_view message) override;
  void on_ping() override;
  void on_pong() override;
  void on_close_frame(std::uint16_t code, const std::string& reason) override;

 private:
  using wire = std::shared_ptr<connection>;

  // As nat/net/ws_client.hpp has it.
  static constexpr std::size_t low_water = 64U << 10;

  struct kept_datagram {
    endpoint from;
    std::vector<std::uint8_t> bytes;
  };

  void act();
  void look();
  /// Whether it happens when the process goes on.
  template <typename Event>
  bool put_off(Event what) {
    if (stopped_) put_off_.push_back(std::move(what));
    return stopped_;
  }
  void keep(const endpoint& from, byte_view bytes);
  void take_kept();
  void wake_up();
  void send_datagrams();
  std::size_t send_some(std::size_t most);
  bool has_proved(const endpoint& at) const;
  void send_messages();
  void relay(const relay_queue::frame& frame);
  bool read_input();
  bool read_output();
  bool read_piece();
  void obey(coordinator_command command);
  void connect();
  void join(coordinator_command how);
  void tell(const coordinator_event& event);
  void drop_connection();
  void wake_at_deadline();
  void end();
  instant now() const { return around_.now(); }
  template <typename... Words>
  void log(const Words&... words) {
    around_.log.write(around_.time.elapsed(), config_.name, words...);
  }

  surroundings around_;
  websocket_server& coordinator_;
  host& machine_;
  peer_config config_;
  contact_book::allowance allowed_;
  chance chance_;
  talker words_;
  std::optional<peer> engine_;
  std::optional<contact_book> contacts_;
  std::uint64_t run_ = 0;  ///< counts starts
  time_point started_at_{};
  time_point registered_at_{};
  std::uint16_t port_ = 0;
  wire over_;
  std::shared_ptr<std::size_t> relaying_;  ///< bytes of relayed packets that `over_` has not brought there
  bool registered_ = false;
  bool slow_ = false;
  bool blocked_ = false;  ///< the kernel takes no datagram now
  deadline waking_at_;
  pipe_user* user_ = nullptr;
  reading_pace pace_;
  time_point stalled_until_{};
  std::vector<std::uint8_t> output_;  ///< was handed out
  std::size_t output_read_ = 0;       ///< bytes of it
  bool reading_ = false;              ///< it will be read later
  bool stopped_ = false;
  std::vector<scheduler::action> put_off_;  ///< while it is stopped
  std::vector<kept_datagram> kept_;         ///< came at one moment, or while it is stopped
  std::size_t kept_bytes_ = 0;
  bool takes_kept_ = false;  ///< that is planned
  std::map<std::string, std::uint64_t> first_lines_;
};

}  // namespace nat::sim
