// A client's dealings with its coordinator: reach it, register, stay registered, come back when the connection breaks.
//
// natcoord.v2 is tried first: it needs no address. A server that knows only the seed protocol ("section 1" of the
// design) answers 400, or takes no subprotocol; then all begins anew, and the address is awaited.
//
//   waiting --time--> reaching --reached--> joining_v2 --joined, v2--> registered
//      ^                 ^  |                   |                          |
//      |                 |  |              400, or no v2                   |
//      |                 +--|-------------------+                          |
//      |                    |                                              |
//      |                    +-reached--> ready --address--> joining --joined--> registered
//      +---- failed, no address, refused, closed: from every state -------------+
#pragma once

#include "nat/backoff.hpp"
#include "nat/bytes.hpp"
#include "nat/endpoint.hpp"
#include "nat/random.hpp"
#include "nat/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace nat {

/// What happens on the connection, told by the program.
namespace coordinator_events {
struct reached {  ///< connected (TCP, and TLS where asked for), not registered yet
  endpoint remote;
};
struct failed {  ///< it cannot be reached, or broke before the answer to the registration
  std::string reason;
};
struct refused {  ///< it answered the registration with an HTTP status that is no upgrade
  unsigned status = 0;
  std::string reason;
  std::optional<std::chrono::seconds> retry_after;
};
struct joined {
  std::optional<endpoint> remote;  ///< the server's address, where a redirect led to another than the one reached
  bool v2 = false;                 ///< it has selected natcoord.v2
};
struct text {  ///< a text message
  std::string_view message;
};
struct binary {  ///< a binary message: under v2, a relayed packet
  byte_view message;
};
struct alive {  ///< any other frame
  bool pong = false;
};
struct closed {  ///< by a close frame with this code, or 1006 without one (RFC 6455, 7.4.1)
  std::uint16_t code = 1006;
  std::string reason;
};
}  // namespace coordinator_events

using coordinator_event =
    std::variant<coordinator_events::reached, coordinator_events::failed, coordinator_events::refused,
                 coordinator_events::joined, coordinator_events::text, coordinator_events::binary,
                 coordinator_events::alive, coordinator_events::closed>;

/// What the program shall do with the connection.
enum class coordinator_command {
  connect,  ///< drop what is left of an earlier connection, resolve the name anew, connect; answer: `reached` or
            ///< `failed`
  join_v2,  ///< offer natcoord.v2 for topic and name alone, with `registration::resume()` as bearer token if it is not
            ///< empty; answer with `joined`, `refused` or `failed`
  join,     ///< send the registration for `registration::address()`, offer nothing; the same answers
  ping,     ///< send a ping frame
  close,    ///< close with 1000; answer with `closed`
  abandon,  ///< drop the connection as it is; no answer
};

/// Something the engine and its user hear about.
namespace registration_events {
struct retry_later {
  enum class cause { unreachable, no_address, refused, lost } why;
  std::string reason;
  duration wait;
};
struct registered {};
struct rejected {  ///< for good: the program ends with this reason
  std::string reason;
};
struct left {};  ///< after `leave()`: the connection is closed
}  // namespace registration_events

using registration_event = std::variant<registration_events::retry_later, registration_events::registered,
                                        registration_events::rejected, registration_events::left>;

class registration {
 public:
  explicit registration(random_source& random) : random_(random) {}

  static constexpr duration ping_interval = std::chrono::seconds(5);  // the seed's
  // Three pings unanswered, by a server that is known to answer them.
  static constexpr duration pong_timeout = std::chrono::seconds(16);
  // The first registration needs an address; natcoord's own handshake deadline is 10 s.
  static constexpr duration first_address_timeout = std::chrono::seconds(6);
  // On a reconnect, time for STUN's first three requests (0, 500, 1500 ms), then the last known address does.
  static constexpr duration fresh_address_timeout = std::chrono::seconds(2);
  static constexpr duration first_backoff = std::chrono::milliseconds(250);
  static constexpr duration backoff_cap = std::chrono::seconds(30);
  // A connection that lived this long was a success; one that closes at once goes on backing off.
  static constexpr duration stable_after = std::chrono::seconds(10);
  static constexpr duration longest_retry_after = std::chrono::seconds(60);
  static constexpr duration leave_timeout = std::chrono::seconds(1);
  // So long a server that was found to know section 1 alone is not asked for v2 again.
  static constexpr duration section_1_memory = std::chrono::seconds(60);

  // Coming back to a v2 server, while it or the way to it is likely to return soon: then every second a try.
  static constexpr duration quick_period = std::chrono::minutes(2);
  static constexpr duration quick_first_backoff = std::chrono::milliseconds(50);
  static constexpr duration quick_backoff_cap = std::chrono::seconds(1);
  // What connecting may take: the kernel sends a second SYN after 1 s (RFC 6298, 2.1), and a new try beats a third.
  static constexpr duration quick_connect_timeout = std::chrono::seconds(2);
  static constexpr duration connect_timeout = std::chrono::seconds(10);
  // TCP's second retransmission is there by then (RFC 6298, RFC 8985), over a path of some 100 ms. Each time that it
  // was too short for the server, which may be slow, it is doubled, up to the cap.
  static constexpr duration probe_timeout = std::chrono::seconds(1);
  static constexpr duration probe_timeout_cap = std::chrono::seconds(8);
  static constexpr duration probe_spacing = std::chrono::milliseconds(500);
  // A network that changes all the time does not have us connect all the time.
  static constexpr duration network_change_spacing = std::chrono::milliseconds(250);

  void start() { reach(); }
  /// The public address is known, or known again (`fresh`: asked since the last `connect`).
  void on_address(time_point now, const endpoint& address);
  void on_event(time_point now, const coordinator_event& event);
  void on_time(time_point now);
  deadline next_deadline() const;
  /// The machine's addresses or its way out have changed: what hangs on the old ones is dead, whatever TCP believes.
  /// Under v2 the connection is abandoned, and where there is none, connecting begins anew at once. A registration with
  /// a section-1 server is left to TCP, as ever.
  void on_network_changed(time_point now);
  /// The connection is in doubt (somebody is not heard any more over it): under v2 it must show a sign of life within
  /// `probe_timeout` or a multiple of it, or is abandoned. To be called as often as the doubt arises: a probe under way
  /// is not prolonged. `extra`: what a sign of life takes longer over this connection, as far as it is known.
  void probe(time_point now, duration extra = {});
  /// v2's `welcome` has come.
  void on_welcome(std::string resume) { resume_ = std::move(resume); }
  /// Closes the connection for good.
  void leave(time_point now);

  std::optional<coordinator_command> next_command();
  std::optional<registration_event> next_event();

  /// What to register, and what is registered (nothing under v2, where addresses are messages).
  const std::optional<endpoint>& address() const { return address_; }
  const std::optional<endpoint>& joined_address() const { return joined_address_; }
  bool is_registered() const { return state_ == state::registered; }
  /// Says goodbye: whoever asks is to find nobody.
  bool is_leaving() const { return state_ == state::leaving; }
  /// Whether the present registration, or the last one while there is none, is with natcoord.v2.
  bool is_v2() const { return is_v2_; }
  /// Whether the connection under way was begun only because the server of the one before knows section 1 alone:
  /// nothing has happened that an address would have to be asked for anew.
  bool is_fallback() const { return is_fallback_; }
  /// Takes the name back from our own old connection; empty: none was given.
  const std::string& resume() const { return resume_; }
  /// How long the connection to be made now may take to be there; the handshakes on it, as long again.
  duration connect_patience() const { return comes_back_quickly_ ? quick_connect_timeout : connect_timeout; }
  bool over_loopback() const { return over_loopback_; }
  bool ever_registered() const { return ever_registered_; }

 private:
  enum class state { idle, waiting, reaching, joining_v2, ready, joining, registered, rejoining, leaving, ended };

  void handle(time_point now, const coordinator_events::reached& event);
  void handle(time_point now, const coordinator_events::failed& event);
  void handle(time_point now, const coordinator_events::refused& event);
  void handle(time_point now, const coordinator_events::joined& event);
  void handle(time_point now, const coordinator_events::text& event);
  void handle(time_point now, const coordinator_events::binary& event);
  void handle(time_point now, const coordinator_events::alive& event);
  void handle(time_point now, const coordinator_events::closed& event);

  void reach();
  void remember_section_1(time_point now);
  void join();
  void join_v2();
  void rejoin(time_point now);
  void give_up(time_point now, std::string reason);
  duration next_wait(time_point now);
  void heard(time_point now);
  void retry(time_point now, registration_events::retry_later::cause why, std::string reason, duration at_least = {});
  void end(registration_event why);

  random_source& random_;
  state state_ = state::idle;
  deadline wake_;  ///< meaning depends on the state; in `registered` the next ping
  backoff backoff_{first_backoff, backoff_cap};
  std::optional<endpoint> address_;
  std::optional<endpoint> joined_address_;  ///< what the present registration was made with
  bool address_is_fresh_ = false;
  bool over_loopback_ = false;
  bool ever_registered_ = false;
  bool answers_pings_ = false;
  bool is_v2_ = false;
  bool is_fallback_ = false;
  bool comes_back_quickly_ = false;
  backoff quick_backoff_{quick_first_backoff, quick_backoff_cap};
  deadline offline_since_;    ///< the end of the last connection that was a success
  deadline section_1_until_;  ///< no v2 is tried before
  deadline probed_at_;
  bool probing_ = false;
  duration probe_patience_ = probe_timeout;  ///< of the next one
  deadline probe_ends_;                      ///< of the one under way
  deadline network_changed_at_;
  std::string resume_;
  time_point registered_at_{};
  time_point last_heard_{};
  std::optional<coordinator_command> command_;
  std::optional<registration_event> event_;
};

}  // namespace nat
