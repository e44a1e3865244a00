// A client's dealings with its coordinator: reach it, register, stay registered, come back when the connection breaks.
//
//   waiting --time--> reaching --reached--> ready --address--> joining --joined--> registered
//      ^                 |                    |                   |                    |
//      +----- failed ----+---- no address ----+---- refused ------+------ closed ------+
#pragma once

#include "nat/backoff.hpp"
#include "nat/endpoint.hpp"
#include "nat/random.hpp"
#include "nat/time.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
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
};
struct text {  ///< a text message
  std::string_view message;
};
struct alive {  ///< any other frame
  bool pong = false;
};
struct closed {  ///< by a close frame with this code, or 1006 without one (RFC 6455, 7.4.1)
  std::uint16_t code = 1006;
  std::string reason;
};
}  // namespace coordinator_events

using coordinator_event = std::variant<coordinator_events::reached, coordinator_events::failed,
                                       coordinator_events::refused, coordinator_events::joined,
                                       coordinator_events::text, coordinator_events::alive, coordinator_events::closed>;

/// What the program shall do with the connection.
enum class coordinator_command {
  connect,  ///< drop what is left of an earlier connection, resolve the name anew, connect; answer: `reached` or
            ///< `failed`
  join,     ///< send the registration for `registration::address()`; answer with `joined`, `refused` or `failed`
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

  void start() { reach(); }
  /// The public address is known, or known again (`fresh`: asked since the last `connect`).
  void on_address(time_point now, const endpoint& address);
  void on_event(time_point now, const coordinator_event& event);
  void on_time(time_point now);
  deadline next_deadline() const;
  /// Closes the connection for good.
  void leave(time_point now);

  std::optional<coordinator_command> next_command();
  std::optional<registration_event> next_event();

  /// What to register, and what is registered.
  const std::optional<endpoint>& address() const { return address_; }
  const std::optional<endpoint>& joined_address() const { return joined_address_; }
  bool over_loopback() const { return over_loopback_; }
  bool ever_registered() const { return ever_registered_; }

 private:
  enum class state { idle, waiting, reaching, ready, joining, registered, rejoining, leaving, ended };

  void handle(time_point now, const coordinator_events::reached& event);
  void handle(time_point now, const coordinator_events::failed& event);
  void handle(time_point now, const coordinator_events::refused& event);
  void handle(time_point now, const coordinator_events::joined& event);
  void handle(time_point now, const coordinator_events::text& event);
  void handle(time_point now, const coordinator_events::alive& event);
  void handle(time_point now, const coordinator_events::closed& event);

  void reach();
  void join();
  void rejoin(time_point now);
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
  time_point registered_at_{};
  time_point last_heard_{};
  std::optional<coordinator_command> command_;
  std::optional<registration_event> event_;
};

}  // namespace nat
