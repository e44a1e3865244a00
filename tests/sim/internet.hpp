// A virtual internet: hosts in networks, networks behind NATs, and the way of a datagram between them.
//
//   host --link--> network --NAT--link--> network --NAT--link--> the internet
//
// Each host and each NAT has one line, with an end for each direction. A network inside has no losses of its own.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include "link.hpp"
#include "nat_box.hpp"
#include "reachability.hpp"
#include "scheduler.hpp"
#include "trace.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace nat::sim {

struct datagram {
  endpoint from;
  endpoint to;
  std::vector<std::uint8_t> bytes;
  bool is_refusal = false;  ///< ICMP port unreachable (RFC 792), from the address that has no socket to who had sent
};

/// Who reads a socket.
class receiver_of_datagrams {
 public:
  virtual void on_datagram(const endpoint& from, byte_view bytes) = 0;
  /// What it has sent there met no socket, and that machine says so.
  virtual void on_unreachable(const endpoint& /*at*/) {}

 protected:
  ~receiver_of_datagrams() = default;
};

/// Who sees all that reaches a machine, whatever the port.
class watcher {
 public:
  virtual void on_arrival(const datagram& what) = 0;

 protected:
  ~watcher() = default;
};

class network;

/// A line as its owner sees it. Both directions have the same properties.
struct line {
  line(const link_config& config, chance& seeds) : up(config, seeds.next()), down(config, seeds.next()) {}

  void set_up(bool works) {
    up.set_up(works);
    down.set_up(works);
  }

  link up;    ///< towards the internet
  link down;  ///< from it
};

/// A machine. It has one address and one line, and may move to another network.
class host {
 public:
  host(network& where, const ip_address& ip, const link_config& config, chance& seeds)
      : where_(&where), ip_(ip), line_(config, seeds) {}

  network& where() const { return *where_; }
  const ip_address& ip() const { return ip_; }
  bool has_moved() const { return moves_ > 0; }
  sim::line& line() { return line_; }
  void watch(watcher& by) { watcher_ = &by; }
  /// Its firewall lets ICMP out: who sends to a port without a socket is told.
  void refuse_with_icmp() { refuses_ = true; }
  /// A firewall on the way drops its datagrams, both ways; TCP passes.
  void block_datagrams(bool blocked) { blocks_datagrams_ = blocked; }

 private:
  friend class internet;

  network* where_;
  ip_address ip_;
  std::size_t moves_ = 0;
  sim::line line_;
  std::unordered_map<std::uint16_t, receiver_of_datagrams*> sockets_;
  watcher* watcher_ = nullptr;
  bool refuses_ = false;
  bool blocks_datagrams_ = false;
};

/// A network and the NAT that connects it to the one outside it; the internet itself has neither.
class network {
 public:
  network* outer() const { return outer_; }
  nat_box* box() const { return box_.get(); }
  sim::line* line() const { return line_.get(); }
  /// Where hosts in here are: the boxes on the way out, the own first.
  const std::vector<const nat_config*>& way_out() const { return way_out_; }

 private:
  friend class internet;

  struct node {
    sim::host* machine = nullptr;
    network* inner = nullptr;  ///< where packets for this address go in
  };

  network* outer_ = nullptr;
  std::unique_ptr<nat_box> box_;
  std::unique_ptr<sim::line> line_;
  std::vector<const nat_config*> way_out_;
  std::unordered_map<ip_address, node> nodes_;
  std::uint32_t next_address_ = 0;
};

class internet {
 public:
  struct counters {
    std::uint64_t sent = 0;
    std::uint64_t bytes = 0;  ///< with IP and UDP headers
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;  ///< on a line, by its loss, its queue, or because it was down; or blocked
    std::uint64_t dropped_by_nat = 0;
    std::uint64_t unreachable = 0;  ///< no such address, or no socket there
  };

  // IPv4 without options, and UDP.
  static constexpr std::size_t header_bytes = 20 + 8;

  internet(scheduler& time, trace& log, std::uint64_t seed) : time_(time), log_(log), seeds_(seed) {
    networks_.push_back(std::make_unique<network>());
    networks_.back()->next_address_ = first_public;
  }

  network& open() { return *networks_.front(); }
  /// A network behind a NAT that stands in `outer`.
  network& add_network(network& outer, const nat_config& config, const link_config& line = {});
  host& add_host(network& where, const link_config& line = {});
  /// The machine gets an address there, and keeps its sockets.
  void move(host& machine, network& to);

  /// Opens a socket on a free port of its own choice, or on this one.
  endpoint bind(host& machine, receiver_of_datagrams& reader, std::uint16_t port = 0);
  void unbind(host& machine, std::uint16_t port);

  void send(host& machine, std::uint16_t from, const endpoint& to, byte_view bytes);
  /// With a source that is not its own: a provider that lets it out (BCP 38 asks for the contrary).
  void send_forged(host& machine, const endpoint& source, const endpoint& to, byte_view bytes);

  /// What a connection over TCP meets between a host and the public internet.
  struct way {
    bool works = false;
    duration delay{};   ///< of one direction
    duration jitter{};  ///< added at most
    double loss = 0;
    bool duplicates = false;  ///< datagrams, now and then
    ip_address seen_as;
  };
  way way_out(const host& machine) const;

  const counters& counts() const { return counters_; }
  scheduler& time() { return time_; }

 private:
  static constexpr std::uint32_t first_public = 0xc6120001;   // 198.18.0.1, of 198.18.0.0/15 (RFC 2544)
  static constexpr std::uint32_t first_shared = 0x64400001;   // 100.64.0.1, of 100.64.0.0/10 (RFC 6598)
  static constexpr std::uint32_t first_private = 0xc0a80001;  // 192.168.0.1, of 192.168.0.0/16 (RFC 1918)

  ip_address new_address(network& in);
  void release(network& in, const ip_address& address);
  template <typename Then>
  void carry(link& over, datagram what, Then then);
  void route(network& in, datagram what);
  void leave(network& from, datagram what);
  void enter(network& to, datagram what);
  void dropped_by(const nat_box& box, const datagram& what);
  void turn_round(network& in, datagram what);
  void arrive(host& at, const datagram& what);
  void refuse(host& at, const datagram& what);

  scheduler& time_;
  trace& log_;
  chance seeds_;
  counters counters_;
  std::vector<std::unique_ptr<network>> networks_;  ///< the internet itself first
  std::vector<std::unique_ptr<host>> hosts_;
  std::unordered_set<std::uint16_t> ports_;  ///< that were given out
};

}  // namespace nat::sim
