// How this host's NAT behaves (RFC 4787, 4.1), asked of natcoord's STUN ports; and natcoord's proof of the mapped
// address.
//
//   data socket     port 0   request with NATPEER-TOKEN: mapped address and token
//                   port 1   the same mapping? Then it is endpoint-independent
//   another socket  port 0   request with NATPEER-PROBE: natcoord sends a copy of its answer from port 2, to which
//   nobody
//                            here has sent yet, then the answer
//                   port 2   another mapping than port 0's? Then the copy, which came unasked, has moved it
//
// The second test has a socket of its own: Linux's NAT gives a mapping that was moved once to every new destination.
#pragma once

#include "nat/backoff.hpp"
#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/random.hpp"
#include "nat/stun.hpp"
#include "nat/time.hpp"
#include "nat/v2_messages.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace nat {

struct nat_probe_request {
  endpoint to;
  stun_packet bytes;
  bool aside = false;  ///< from the other socket, which nothing else uses
};

/// What is known now, in place of what was said before. A run without any answer says nothing of the address.
struct nat_probe_result {
  std::optional<endpoint> mapped;        ///< as natcoord sees us
  std::string token;                     ///< raw bytes that prove it to natcoord; empty: it gave none
  std::optional<nat_behavior> behavior;  ///< absent until it is known
};

/// Sans-I/O. After each call, take the requests and the results until there are none. Its transactions are its own:
/// whoever shares the socket (stun_client) sees only datagrams that `on_datagram` did not take.
class nat_probe {
 public:
  static constexpr std::size_t ports_needed = 3;
  // A request goes out at 0, 250 and 750 ms; at 1.5 s the port counts as silent. Short: others wait for what is found.
  static constexpr std::array<duration, 2> repeats = {std::chrono::milliseconds(250), std::chrono::milliseconds(750)};
  static constexpr duration give_up = std::chrono::milliseconds(1500);
  // A first port that was silent is asked again: UDP may get through later.
  static constexpr duration retry_min = std::chrono::seconds(2);
  static constexpr duration retry_first_bound = std::chrono::seconds(2);
  static constexpr duration retry_last_bound = std::chrono::seconds(28);

  explicit nat_probe(random_source& random) : random_(random) {}

  /// Begins anew with natcoord's address and STUN ports (`welcome`). With one or two ports only address and token are
  /// asked for, without any nothing is.
  void start(time_point now, const ip_address& server, std::span<const std::uint16_t> ports);
  /// Asks nothing more, until the next `start`.
  void stop();
  /// True if the datagram belongs to a transaction of the present run, and so is used up.
  bool on_datagram(time_point now, const endpoint& from, byte_view datagram);
  void on_time(time_point now);
  deadline next_deadline() const;

  std::optional<nat_probe_request> next_request();
  /// The first comes with the address, the next with the behaviour.
  std::optional<nat_probe_result> next_result();

 private:
  struct transaction {
    std::size_t port = 0;  ///< of `server_ports_`
    transaction_id id{};
    time_point began;
    std::size_t requests = 0;  ///< sent or due
    bool open = false;
    bool due = false;  ///< a request waits for `next_request`
    std::optional<endpoint> mapped;
  };

  void begin(time_point now);
  void ask(time_point now, std::size_t which);
  void on_answer(time_point now, std::size_t which, const stun_message& answer);
  void on_silence(time_point now, std::size_t which);
  void conclude();
  void settle(nat_behavior behavior);

  random_source& random_;
  std::array<endpoint, ports_needed> server_ports_;
  std::size_t port_count_ = 0;  ///< of `server_ports_`, that there are
  std::array<transaction, 4> asked_;
  deadline again_at_;
  backoff retry_{retry_first_bound, retry_last_bound};
  nat_probe_result found_;
  bool is_news_ = false;
  bool told_silence_ = false;
};

}  // namespace nat
