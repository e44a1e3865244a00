// A coordinator that says what it likes: wrong names, ids and addresses; it relays packets to others, twice, late,
// changed or not at all, and plays what it has recorded. It can also tell the truth.
#pragma once

#include "nat/v2_messages.hpp"

#include "chance.hpp"
#include "coordinator_host.hpp"
#include "forger.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace nat::sim {

class lying_coordinator final : public websocket_server, public receiver_of_datagrams {
 public:
  enum class manner : std::uint8_t {
    truthful,
    lying,
    replaying,  ///< truthful to all but one, who is told of the others, hears the record, and is hidden from them
  };

  lying_coordinator(const surroundings& around, forger& forges, std::uint64_t seed);

  /// `deceived`: whom it replays to.
  void become(manner now, const std::string& deceived = {});
  /// Its clients are closed; they and others come back to a server that speaks this.
  void speak(protocol what);
  /// Somebody who is no member: where it says that members are.
  void know_outsider(const endpoint& at) { outsider_ = at; }
  /// Where members say they can be reached.
  std::vector<endpoint> addresses() const;

  bool runs() const override { return true; }
  endpoint address() const override { return {machine_.ip(), 6969}; }
  endpoint stun_address() const override { return {machine_.ip(), stun_port}; }
  void on_request(const wire& over, const join_request& request, const ip_address& source,
                  const std::optional<v2_offer>& offer, websocket_client& client) override;
  void on_text(const wire& over, const std::string& message) override;
  void on_binary(const wire& over, byte_view message) override;
  void on_ping(const wire& over) override;
  void on_pong(const wire&) override {}
  void on_close_frame(const wire& over) override;
  void on_datagram(const endpoint& from, byte_view bytes) override;

 private:
  static constexpr std::uint16_t stun_port = 3478;

  struct member {
    wire over;
    websocket_client* client = nullptr;
    std::string name;
    bool v2 = false;
    std::vector<candidate> candidates;
    std::optional<nat_behavior> nat;
    std::size_t replayed = 0;  ///< of the record
  };

  bool is_deceived(const member& who) const { return manner_ == manner::replaying && who.name == deceived_; }
  peer_id id_of(const wire& over) const;
  peer_id any_id();
  void forget(peer_id id);
  void say(const member& to, const std::string& text);
  void deliver(const member& to, peer_id from, byte_view packet);
  void relay(peer_id from, const std::vector<peer_id>& to, byte_view packet);
  void relay_falsely(peer_id from, const member& to, byte_view packet);
  void welcome(peer_id id, const member& to);
  void tell_all();
  void tell(const member& to);
  std::vector<v2_peer> truth(const member& to) const;
  void lie(peer_id id, const member& to);
  std::vector<v2_peer> falsehood(peer_id id, const member& to);
  std::string list_of(const std::vector<v2_peer>& peers) const;
  void replay(member& to);
  void tick();

  surroundings around_;
  forger& forges_;
  host& machine_;
  chance chance_;
  manner manner_ = manner::truthful;
  protocol speaks_ = protocol::v2;
  std::string deceived_;
  endpoint outsider_;
  std::map<peer_id, member> members_;
  peer_id last_id_ = 0;
  std::uint64_t version_ = 0;
};

}  // namespace nat::sim
