// Learns this host's public address from STUN servers, and keeps asking (RFC 8489, 6.2.1). It has no socket
// and no clock.
#pragma once

#include "nat/backoff.hpp"
#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/random.hpp"
#include "nat/stun.hpp"
#include "nat/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace nat {

constexpr std::size_t max_stun_servers = 16;

constexpr duration stun_rto = std::chrono::milliseconds(500);  // doubles with each request (RFC 8489, 6.2.1)
constexpr int stun_max_requests = 7;                           // "Rc" (RFC 8489, 6.2.1)
constexpr int stun_last_wait = 16;                             // "Rm": RTOs from the last request to giving up

/// IPv6 servers are asked after IPv4 was silent for so long. An IPv4 address is preferred: every peer can
/// reach it.
constexpr duration stun_v4_head_start = std::chrono::milliseconds(500);

/// Rounds repeat so long after a success; below the 30 s after which common NATs forget a UDP mapping. (RFC
/// 4787, REQ-5, wants 2 minutes.)
constexpr duration stun_refresh_min = std::chrono::seconds(20);
constexpr duration stun_refresh_max = std::chrono::seconds(26);

/// After a failed round the next begins after 1 s and a full-jitter backoff whose bound doubles from 1 to 29
/// s with each failure in a row: within 2 s at first, within 30 s later.
constexpr duration stun_retry_min = std::chrono::seconds(1);
constexpr duration stun_retry_first_bound = std::chrono::seconds(1);
constexpr duration stun_retry_last_bound = std::chrono::seconds(29);

/// A Binding request to send now.
struct stun_request {
  endpoint to;
  stun_packet bytes;
};

/// The mapped address is another than it was.
struct stun_mapped_address {
  endpoint address;
};
/// No server gave an address in this round, and there is none now. The next round begins by itself. If it
/// finds the very address of before, that counts as a change.
struct stun_round_failed {};
using stun_event = std::variant<stun_mapped_address, stun_round_failed>;

/// The servers of one address family are raced; the first to answer wins and alone is asked in later rounds,
/// until its transaction fails: then the others are raced, in the same round. IPv4 goes first, and its answer
/// ends the round. An IPv6 answer does not: the IPv4 transactions go on, over the start of the next round
/// too, and only if they all fail does an IPv6 mapping take the place of an IPv4 one that was known before.
///
/// A transaction also fails on an error answer, on attributes that must be understood and are not, and on an
/// answer without a usable address. ALTERNATE-SERVER is followed once, within the family. The address may be
/// of the other family than the server that saw it (NAT64).
///
/// After each call, take the requests and the events until there are none. Everything held is bounded by
/// `max_stun_servers`.
class stun_client {
 public:
  explicit stun_client(random_source& random) : random_(&random) {}

  /// Begins a round with these servers (the first `max_stun_servers` of them; without any, the round fails at
  /// once). A winner that is not among them is forgotten; the mapped address is kept until a round says
  /// otherwise.
  void start(time_point now, std::span<const endpoint> servers);
  /// Begins a round now with the servers that are known, from the first request.
  void refresh(time_point now);
  /// True if the datagram was STUN, and so is used up, whether valid or not.
  bool on_datagram(time_point now, const endpoint& from, byte_view datagram);
  void on_time(time_point now);
  deadline next_deadline() const;

  std::optional<stun_request> next_request();
  std::optional<stun_event> next_event();

  /// The address seen from outside: by IPv4 servers if they say, else by IPv6 servers.
  std::optional<endpoint> mapped_address() const { return v4_.mapped ? v4_.mapped : v6_.mapped; }
  /// When `mapped_address()` was last said by a server, changed or not.
  deadline answered_at() const { return answered_at_; }
  /// STUN datagrams that answered none of our requests: forged, late, malformed or not for us.
  std::uint64_t ignored_datagrams() const { return ignored_; }

 private:
  struct transaction {
    endpoint server;  ///< as `start` was given it
    endpoint to;      ///< where it is asked: the server, or the alternate it named
    transaction_id id{};
    int requests = 0;  ///< sent or due
    bool due = false;  ///< a request waits for `next_request`
    time_point next;   ///< of the next request, or of giving up
  };
  struct family {
    std::vector<endpoint> servers;
    std::optional<endpoint> winner;
    std::vector<transaction> open;  ///< at most one for each server
    std::optional<endpoint> mapped;
  };

  void begin_round(time_point now);
  void ask(time_point now, family& of);
  void ask_v6(time_point now);
  void begin_transaction(time_point now, transaction& what);
  void retransmit(time_point now, family& of);
  bool on_answer(time_point now, const endpoint& from, const stun_message& answer);
  bool follow_alternate(time_point now, const family& of, transaction& what, const stun_message& answer);
  void succeed(time_point now, family& of, const endpoint& server, const endpoint& mapped);
  void fail(time_point now, family& of, const endpoint& server);
  void settle(time_point now);

  random_source* random_;
  family v4_;
  family v6_;
  deadline v6_at_;       ///< when IPv6's servers are to be asked, if IPv4 stays silent
  deadline next_round_;  ///< set by a round's success or failure
  deadline answered_at_;
  bool started_ = false;
  backoff retry_{stun_retry_first_bound, stun_retry_last_bound};
  bool round_failed_ = false;          ///< an event to give out
  std::optional<endpoint> announced_;  ///< the last mapped address given out
  std::uint64_t ignored_ = 0;
};

}  // namespace nat
