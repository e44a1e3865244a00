// The ways to one peer: which are tried, which work, which one DATA takes (design, 2.3). Candidates of all kinds are
// tried side by side; the relay carries until one of them works.
//
//   offered or learned --dense PINGs--> its challenge came back: valid --silence--> in doubt --> lost, tried again
#pragma once

#include "nat/endpoint.hpp"
#include "nat/path_mtu.hpp"
#include "nat/time.hpp"
#include "nat/token_bucket.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace nat {

enum class path_kind : std::uint8_t {
  lan,             ///< an address of the peer's machine, private or IPv4
  ipv6,            ///< a public IPv6 address
  public_address,  ///< as STUN saw it
  reflexive,       ///< where a packet of the peer came from
  relay,
};

std::string_view to_string(path_kind kind);

/// What was asked last, to be echoed.
struct path_question {
  std::uint64_t challenge = 0;
  std::uint64_t asker = 0;      ///< the sender id it came from
  std::uint32_t timestamp = 0;  ///< the asker's; 0: none
  time_point at{};
};

struct path {
  path_kind kind = path_kind::relay;
  endpoint at{};         ///< meaningless on the relay
  bool offered = false;  ///< the peer names it as a candidate; else it was learned

  // What we ask.
  int probes = 0;            ///< PINGs since it was known, lost or woken
  deadline next_probe;       ///< none: not now
  deadline asked_at;         ///< of the oldest PING since the last echo
  deadline echoed_at;        ///< our challenge came back
  time_point valid_since{};  ///< meaningful while valid
  duration rtt{};            ///< smoothed (RFC 6298, 2); 0: not measured
  duration keepalive{};      ///< between two PINGs while idle
  duration keepalive_ceiling{};

  // What the peer asked.
  path_question question;
  deadline heard_at;

  path_mtu mtu;          ///< of the relay it is never found out
  bool refused = false;  ///< ICMP called it unreachable since its last echo
  double loss = 0;       ///< share of PINGs that came to nothing while valid, the last few weighing most
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;

  bool is_relay() const { return kind == path_kind::relay; }
};

/// An address that the peer offers.
struct path_offer {
  endpoint at;
  path_kind kind = path_kind::public_address;
};

/// Why the path in use is in use.
enum class choice_reason : std::uint8_t {
  nothing_yet,      ///< none: no path has worked
  nothing_left,     ///< none: the last one fell silent
  relay_answered,   ///< relay: nothing else has answered yet
  direct_silent,    ///< relay: the direct path fell silent
  direct_answered,  ///< direct: the first address that answered
  better,           ///< direct: its round trip (and its kind) is better than that of the one before
  other_silent,     ///< direct: the one before fell silent
};
struct path_choice {
  choice_reason why = choice_reason::nothing_yet;
  time_point since{};
  std::uint64_t number = 0;  ///< counts the choices: several may be of one moment
};

/// Where DATA goes now: one of both, both while in doubt, or nowhere.
struct route {
  const path* direct = nullptr;
  bool relay = false;
};

class path_set {
 public:
  // Consent (RFC 7675, 5.1): an address whose owner has not answered for so long gets nothing but probes.
  static constexpr duration consent = std::chrono::seconds(30);
  // Dense while both sides open their NATs: ten within a second, then ten in three, then ever rarer, for ever.
  static constexpr int dense_probes = 10;
  static constexpr duration dense_interval = std::chrono::milliseconds(100);
  static constexpr int eager_probes = 20;
  static constexpr duration eager_interval = std::chrono::milliseconds(300);
  static constexpr duration longest_interval = std::chrono::seconds(30);
  // The relay keeps what it carries in order and loses little: repeated more slowly.
  static constexpr duration relay_interval = std::chrono::milliseconds(250);
  // While DATA flows, and while a PING is unanswered.
  static constexpr duration active_interval = std::chrono::milliseconds(500);
  // On the relay: when it is silent, nothing else carries.
  static constexpr duration active_relay_interval = std::chrono::milliseconds(300);
  static constexpr duration active_for = std::chrono::seconds(3);
  // A valid path that answers nothing: carried in parallel after this and three round trips, lost after that.
  static constexpr duration doubt_after = std::chrono::milliseconds(250);
  static constexpr duration lost_after = std::chrono::seconds(3);
  // The relay is TCP twice: its packets come late, rather than never; and it leads to nobody else.
  static constexpr duration relay_lost_after = std::chrono::seconds(10);
  // A path that was not asked for so long is asked again before it is relied on alone.
  static constexpr duration fresh_for = std::chrono::milliseconds(1500);
  // Idle PINGs: rare at first, ever rarer, below the 30 s of common NATs; half as often on a path that idleness has
  // cost.
  static constexpr duration first_keepalive = std::chrono::seconds(5);
  static constexpr duration longest_keepalive = std::chrono::seconds(25);
  // Choice by round-trip time: a handicap by kind, and what a path has to be better by to replace the one in use: that,
  // and an eighth of the time of the one in use (a slow path's times vary by more), but where its kind is preferred.
  static constexpr duration public_handicap = std::chrono::milliseconds(5);
  static constexpr duration reflexive_handicap = std::chrono::milliseconds(6);
  static constexpr duration hysteresis = std::chrono::milliseconds(2);
  // Of the loss that is shown, one PING counts so much.
  static constexpr double loss_weight = 1.0 / 16;

  static constexpr std::size_t max_offered = 16;  ///< and as many that are no longer offered and still work
  static constexpr std::size_t max_learned = 8;   ///< beyond them the one heard longest ago makes room
  // Two peers behind one NAT that gives a port to each new destination, and sends packets back in, would else answer
  // each other's new ports with ever newer ones.
  static constexpr allowance learning{1, std::chrono::seconds(1), max_learned};

  path_set();

  /// Takes over what the peer offers. A path it no longer offers stays while it works.
  void offer(time_point now, std::span<const path_offer> offers);
  /// The relay leads to this peer, or does not.
  void set_relay(time_point now, bool works);
  /// Direct paths are not tried before `release` (the peer is to ping first), or this moment.
  void hold(time_point until);
  void release(time_point now);
  /// What was tried in vain is tried again, and what works is asked: the network is another, or the peer pings.
  void wake(time_point now);

  path& relay() { return paths_.front(); }
  bool has_relay() const { return relay_works_; }
  /// The path to this address, or null.
  path* find(const endpoint& at);
  /// The path a packet came by; a new one is learned. Null: there is no room for one more, or too many came lately.
  path* learn(time_point now, const endpoint& from);
  /// A packet came by it.
  void on_heard(time_point now, path& by);
  /// Its challenge came back. `round_trip`: 0 where it was not measured. `choose` is due.
  void on_echo(time_point now, path& by, duration round_trip);
  /// ICMP says that nobody listens there. Anybody can say so: it is asked at once, and the relay carries meanwhile.
  void on_unreachable(time_point now, path& at);
  /// ICMP says that no more than `mtu` bytes of IP pass on the way to this address. Whether some path leads there.
  bool on_too_large(time_point now, const ip_address& to, std::size_t mtu);
  /// DATA goes to the peer or comes from it.
  void on_data(time_point now);

  /// Nothing is proved any more: another program has the peer's name.
  void forget_proofs(time_point now);

  /// The next path that a PING is due on, which counts as sent. Null: none.
  path* next_due(time_point now);
  /// A PING that wants an answer left, though it was not due.
  void on_pinged(time_point now, path& by);
  /// It was due, and could not leave: nothing is owed for it.
  void on_not_pinged(time_point now, path& by);
  /// Gives up what is silent, and chooses. To be called at `next_deadline` and after news. No pointer to a path
  /// survives it, or `offer`, or `learn`.
  void choose(time_point now);
  deadline next_deadline() const;

  nat::route route(time_point now) const;
  /// The path in use: direct, else the relay if it is valid; null: none.
  const path* chosen() const;
  /// The direct path in use; null: none. Its size is looked for from then on.
  path* to_be_sized(time_point now);
  /// Whether a direct path is in use, and nothing speaks against it.
  bool works_directly(time_point now) const;
  /// Whether the relay owes an echo for longer than it should.
  bool relay_is_silent(time_point now) const;
  /// Since when it is in use, and why.
  const path_choice& choice() const { return choice_; }
  /// Whether some address has not been asked often enough to give up hope.
  bool is_trying(time_point now) const;
  /// Over all paths there were, headers included.
  std::uint64_t bytes_sent() const;
  std::uint64_t bytes_received() const;
  bool is_valid(time_point now, const path& of) const;
  const std::vector<path>& all() const { return paths_; }

 private:
  bool in_doubt(time_point now, const path& of) const;
  bool is_held(time_point now, const path& of) const;
  bool is_active(time_point now) const { return active_until_ && now < *active_until_; }
  duration interval(time_point now, const path& of) const;
  void begin(time_point now, path& of);
  void schedule(time_point now, path& of);
  static duration patience(const path& of);
  void lose(time_point now, path& of);
  void remove(std::size_t index);
  void drop_unoffered(time_point now);
  std::optional<std::size_t> best(time_point now) const;
  void choose_direct(time_point now);
  void note_choice(time_point now);

  std::vector<path> paths_;  ///< the relay first
  bool relay_works_ = false;
  std::optional<std::size_t> chosen_;  ///< a direct path
  path_choice choice_;
  bool used_relay_ = false;       ///< what `choice_` is about: this,
  std::optional<endpoint> used_;  ///< or this, or nothing
  path_kind used_kind_ = path_kind::relay;
  std::uint64_t forgotten_sent_ = 0;  ///< bytes of paths that are no more
  std::uint64_t forgotten_received_ = 0;
  token_bucket learned_;
  deadline active_until_;
  deadline held_until_;
};

}  // namespace nat
