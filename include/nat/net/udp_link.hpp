// One UDP socket, IPv4 and IPv6, that receives and sends datagrams in batches.
#pragma once

#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>

namespace nat::net {

struct udp_options {
  /// `::` takes IPv4 too, and falls back to 0.0.0.0 on a machine without IPv6.
  ip_address bind;
  std::uint16_t port = 0;  ///< 0: any free port
  /// Tells for each datagram which of this machine's addresses it came to, so that an answer can leave from there.
  bool tell_destination = false;
  /// Uses one plain system call a datagram, as on systems without batches; tests run both ways.
  bool portable = false;
  /// Called by `receive` for each address of which ICMP says that it cannot be reached. Whoever sees our datagrams can
  /// make the kernel believe so. Only Linux tells; elsewhere it is never called.
  std::function<void(const endpoint&)> on_unreachable;
  /// The same for each address of which ICMP says, or the kernel knows, that no more than so many bytes of IP pass at
  /// once on the way there.
  std::function<void(const ip_address&, std::size_t mtu)> on_too_large;
};

/// Which of this machine's addresses a datagram came to, or shall leave from; interface 0: let the kernel choose.
struct local_path {
  ip_address address;
  unsigned interface = 0;

  friend bool operator==(const local_path&, const local_path&) = default;
};

struct datagram_in {
  byte_view bytes;
  endpoint from;
  local_path to;  ///< set only with `tell_destination`
};

/// Whether a datagram may leave in pieces of IP. Where the system leaves no choice, `never` is refused, and the others
/// are one.
enum class fragments : std::uint8_t {
  as_usual,  ///< whole, but in pieces once the kernel was told that the path does not carry so much
  never,     ///< whole or not at all
  allowed,   ///< whole where it fits, and routers may cut it
};

struct datagram_out {
  byte_view bytes;
  endpoint to;
  local_path from;
  net::fragments fragments = net::fragments::as_usual;
};

struct udp_counters {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t send_errors = 0;  ///< datagrams the kernel refused for good (unreachable, too big, no buffers), and
                                  ///< what it would have to send whole
};

class udp_link {
 public:
  /// Opens and binds. Throws `std::system_error` with the address in its text.
  udp_link(boost::asio::io_context& io, const udp_options& options);
  ~udp_link();

  /// The bound address; `::` stands for every address of the machine.
  endpoint local() const;

  /// Waits for datagrams and returns at least one, at most a batch (64 KiB x 16 as the kernel hands them out). The
  /// views hold until the next call.
  boost::asio::awaitable<std::span<const datagram_in>> receive();

  /// Sends from the front what the kernel takes now and returns how many datagrams are done with. Fewer than all: its
  /// buffer is full, await `writable()`. What it refuses for another reason is counted and dropped: an unreachable peer
  /// never ends the program. Neighbours of one size to one destination leave in one segmentation-offloaded call.
  std::size_t send(std::span<const datagram_out> datagrams);
  boost::asio::awaitable<void> writable();

  void close();
  const udp_counters& counters() const;

 private:
  class batches;
  boost::asio::ip::udp::socket socket_;
  std::unique_ptr<batches> batches_;
  std::function<void(const endpoint&)> on_unreachable_;
  std::function<void(const ip_address&, std::size_t)> on_too_large_;
};

}  // namespace nat::net
