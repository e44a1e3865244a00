// One run: a coordinator, NATs, hosts and peers on one virtual clock, and the properties that are checked while it
// goes.
#pragma once

#include "nat/peer.hpp"

#include "audit.hpp"
#include "coordinator_host.hpp"
#include "internet.hpp"
#include "peer_host.hpp"
#include "reachability.hpp"
#include "scheduler.hpp"
#include "seed_peer.hpp"
#include "talker.hpp"
#include "trace.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace nat::sim {

/// What a run came to.
struct outcome {
  std::uint64_t seed = 0;
  std::size_t failed = 0;  ///< breaches of a property; the first few are told
  std::vector<std::string> failures;
  std::uint64_t trace_lines = 0;
  std::uint64_t trace_checksum = 0;
  std::vector<duration> connect_times;  ///< of each pair that had to connect: from the later start to the first line
  std::array<std::size_t, 3> pairs{};   ///< that were checked, by verdict

  bool passed() const { return failed == 0; }
};

/// What is not the same for all peers.
struct peer_options {
  std::optional<secret_key> key;                ///< none: an open topic
  websocket_server* coordinator = nullptr;      ///< null: the world's
  std::optional<std::size_t> unanswered_data;   ///< bytes to who never answered; none: as the world's coordinator is
  std::uint64_t seed_rate = default_seed_rate;  ///< bit/s
  input_mode input = input_mode::lines;
  output_mode output = output_mode::text;
  std::size_t wait_for = 0;
  std::optional<duration> quit_on_eof;
  bool quit_on_end = false;
  std::size_t memory = peer_config{}.memory;  ///< bytes
};

class world {
 public:
  /// Each peer says a line each `talk_interval` while it runs.
  world(std::uint64_t seed, duration talk_interval, protocol speaks = protocol::v2,
        const coordinator_limits& limits = {});

  /// A peer of this topic on this host.
  peer_host& add_peer(host& machine, const std::string& topic, const std::string& name,
                      const peer_options& options = {});

  seed_peer& add_seed(host& machine, const std::string& topic, const std::string& name);

  /// It says so many lines at a time.
  void start(peer_host& who, int lines = 1);
  void start(seed_peer& who);

  /// The machine goes there, with everybody on it.
  void move(host& machine, network& to);

  /// What theory says of `from`'s lines to `to`, where both are now.
  verdict expected(const talker& from, const talker& to, bool soon = false) const;
  /// Each pair of running peers of one topic, both directions, must have (or must not have) heard a line since `since`,
  /// as theory says.
  /// `timed`: nobody has been restarted and nothing has broken so far, so the times to connect mean something.
  void check_connected(time_point since, bool timed = false);
  /// From the first line that an engine had to bring to another up to those of the last `in_flight`, none is missing,
  /// for all pairs or those alone whose ways lose nothing.
  void check_gapless(duration in_flight, bool lossless_alone = false);
  /// No running peer knows one that is gone.
  void check_forgotten();

  outcome finish(std::uint64_t seed) const;

  surroundings around() { return {time_, net_, log_, check_}; }
  scheduler& time() { return time_; }
  internet& net() { return net_; }
  trace& log() { return log_; }
  audit& check() { return check_; }
  chance& random() { return random_; }
  coordinator_host& coordinator() { return coordinator_; }
  const std::vector<std::unique_ptr<peer_host>>& peers() const { return peers_; }

 private:
  /// One that runs, of either kind.
  struct participant {
    const talker& words;
    time_point started;
    const peer_host* ours = nullptr;  ///< null: a seed peer
  };
  std::vector<participant> running() const;

  /// The same of datagrams alone, without the relay.
  verdict directly(const talker& from, const talker& to) const;
  verdict by_seed_protocol(const talker& from, const talker& to, bool soon) const;
  bool is_lossless(const talker& from, const talker& to) const;
  template <typename Who>
  void talk(Who& who, int lines, std::uint64_t run);

  duration talk_interval_;
  chance random_;
  scheduler time_;
  trace log_;
  internet net_;
  audit check_;
  coordinator_host coordinator_;
  std::vector<std::unique_ptr<peer_host>> peers_;
  std::vector<std::unique_ptr<seed_peer>> seeds_;
  talker::everybody names_;
  std::vector<duration> connect_times_;
  std::array<std::size_t, 3> pairs_{};
};

}  // namespace nat::sim
