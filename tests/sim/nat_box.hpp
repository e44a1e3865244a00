// A NAT, or a firewall, in virtual time. Behaviour in the terms of RFC 4787.
#pragma once

#include "nat/endpoint.hpp"
#include "nat/time.hpp"

#include "chance.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

namespace nat::sim {

/// Which packets from one inside endpoint share an outside port (RFC 4787, 4.1).
enum class mapping_behavior : std::uint8_t {
  none,  ///< addresses are not translated: a firewall
  endpoint_independent,
  address_dependent,
  address_and_port_dependent,
  // What Linux does: a mapping for each destination, but one outside port may serve many destinations. So it looks
  // endpoint-independent, as long as no other session uses the same port towards the same destination.
  per_session,
};

/// Whose packets a mapping lets in (RFC 4787, 5).
enum class filtering_behavior : std::uint8_t { endpoint_independent, address_dependent, address_and_port_dependent };

/// Which outside port a new mapping gets (RFC 4787, 4.2).
enum class port_allocation : std::uint8_t {
  preserving,  ///< the inside port, or the next free one above it
  sequential,  ///< the one after the last given
  random,
  block,  ///< a random one of the few ports this subscriber has (RFC 7422); when all are taken, new mappings are
          ///< refused
};

struct nat_config {
  mapping_behavior mapping = mapping_behavior::endpoint_independent;
  filtering_behavior filtering = filtering_behavior::address_and_port_dependent;
  port_allocation ports = port_allocation::preserving;
  duration lifetime = std::chrono::seconds(120);  ///< of a mapping, and of what it lets in, after the last packet out
  bool hairpin = false;              ///< inside hosts reach each other by their outside addresses (RFC 4787, 6)
  std::size_t min_payload = 0;       ///< drops UDP datagrams with a smaller payload, but for STUN's port 3478
  std::size_t block_size = 16;       ///< ports, with port_allocation::block
  bool accepts_unsolicited = false;  ///< with per_session: a packet to the box itself makes a session, which is in the
                                     ///< way of a later mapping to the same destination with the same port
  bool drops_udp = false;

  /// "mapping=ei filtering=apd ports=random life=20s", and a word for each thing that is not as usual: "hairpin".
  std::string to_string() const;
};

class nat_box {
 public:
  // As many as a home router holds. Beyond it new mappings are refused.
  static constexpr std::size_t max_mappings = 65'536;
  static constexpr std::uint16_t first_port = 1024;  ///< RFC 4787, REQ-3: mappings get none of the well-known ones

  struct counters {
    std::uint64_t mapped = 0;     ///< mappings made
    std::uint64_t filtered = 0;   ///< packets from outside that nothing let in
    std::uint64_t exhausted = 0;  ///< packets from inside for which no port was left
    std::uint64_t small = 0;      ///< dropped for being small
  };

  /// `outside` is the box's own address there; a firewall has none that it uses.
  nat_box(const nat_config& config, const ip_address& outside, std::uint64_t seed);

  /// A datagram from `inside` to `remote` leaves: its source as seen outside, or nothing when it is dropped. Makes or
  /// refreshes the mapping.
  std::optional<endpoint> outbound(time_point now, const endpoint& inside, const endpoint& remote, std::size_t payload);
  /// A datagram from `remote` to `outside` arrives: its destination inside, or nothing when it is dropped. Does not
  /// refresh (RFC 4787, REQ-6).
  std::optional<endpoint> inbound(time_point now, const endpoint& outside, const endpoint& remote, std::size_t payload);
  /// All mappings are lost, as by a restart. What ports come next is not reset.
  void forget();
  bool has_forgotten() const { return forgotten_; }

  const nat_config& config() const { return config_; }
  const ip_address& outside() const { return outside_; }
  const counters& counts() const { return counters_; }
  std::size_t mappings() const { return by_outside_.size(); }  ///< expired ones included, until they are swept

 private:
  struct flow {
    endpoint local;
    endpoint remote;

    friend bool operator==(const flow&, const flow&) = default;
  };
  struct flow_hash {
    std::size_t operator()(const flow& of) const noexcept {
      return std::hash<endpoint>{}(of.local) * 31 + std::hash<endpoint>{}(of.remote);
    }
  };
  struct mapping {
    flow from;  ///< inside, and what of the destination belongs to the mapping
    flow key;   ///< in `by_outside_`
    std::uint16_t port = 0;
    bool is_own = false;  ///< leads to the box itself
    time_point expires{};
  };

  bool passes(const endpoint& remote, std::size_t payload);
  endpoint mapping_scope(const endpoint& remote) const;
  endpoint filter_scope(const endpoint& remote) const;
  void permit(time_point now, const endpoint& local, const endpoint& remote);
  mapping* find_or_map(time_point now, const flow& from, const endpoint& remote);
  flow outside_key(std::uint16_t port, const endpoint& remote) const;
  bool is_taken(time_point now, std::uint16_t port, const endpoint& remote);
  std::optional<std::uint16_t> allocate(time_point now, std::uint16_t wanted, const endpoint& remote);
  bool lets_in(time_point now, const endpoint& local, const endpoint& remote) const;
  void accept(time_point now, const endpoint& outside, const endpoint& remote);
  void erase(mapping& old);
  void sweep(time_point now);

  nat_config config_;
  ip_address outside_;
  chance chance_;
  counters counters_;
  std::uint32_t block_base_ = 0;
  std::uint32_t next_port_ = 0;  ///< counted from the first
  bool forgotten_ = false;
  time_point next_sweep_{};
  // Nothing iterates over these in an order that matters.
  std::unordered_map<flow, mapping, flow_hash> by_outside_;
  std::unordered_map<flow, mapping*, flow_hash> by_inside_;
  std::unordered_map<flow, time_point, flow_hash> permissions_;  ///< until when whom is let in
};

}  // namespace nat::sim
