// Clients that want peers to send to somebody who has not asked: they speak to natcoord and to the peers themselves,
// name the victim's address as their own in every way there is, and forge packets from it.
#pragma once

#include "nat/seal.hpp"
#include "nat/v2_messages.hpp"

#include "chance.hpp"
#include "connection.hpp"
#include "coordinator_host.hpp"
#include "internet.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nat::sim {

/// What the hostile clients share.
struct conspiracy {
  static constexpr std::string_view prefix = "hostile";  ///< of their names
  static constexpr std::size_t max_forgers = 40;

  std::string topic;
  topic_keys keys;
  ip_address victim;
  bool forges_sealed = false;  ///< PINGs under the seal, with the victim's address as their source
  bool forges_seed = false;    ///< PINGs of the seed protocol
  std::size_t forgers = 0;     ///< that have started; a few do as well as all
  // What one of them hears of those who are not.
  std::map<peer_id, v2_peer> others;
  std::uint64_t forged = 0;  ///< packets
  std::uint64_t joined = 0;  ///< registrations
};

class hostile_client final : public receiver_of_datagrams, public websocket_client {
 public:
  enum class role : std::uint8_t {
    scout,      ///< v2: reads who is there, for all of them
    section_1,  ///< registers the victim's address
    v2,         ///< offers it
    turncoat,   ///< section 1: registers the victim's address, proves itself at its own, and falls silent
    member,     ///< v2: a peer that answers as it should, at its own address, and offers the victim's too
  };

  hostile_client(const surroundings& around, websocket_server& coordinator, host& machine, conspiracy& with, role as,
                 std::uint64_t seed);

  /// From now on it does something each second or two.
  void start();
  /// It says no more, and its connection stays.
  void rest() { rests_ = true; }

  void on_datagram(const endpoint& from, byte_view bytes) override;
  void on_upgraded(bool v2) override;
  void on_refused(const admission& why) override;
  void on_text(const std::string& message) override;
  void on_binary(byte_view) override {}
  void on_ping() override;
  void on_pong() override {}
  void on_close_frame(std::uint16_t code, const std::string& reason) override;

 private:
  using wire = std::shared_ptr<connection>;

  void join();
  void leave();
  void act();
  void say(const v2::client_message& message);
  void announce();
  void introduce();
  void forge();
  void forge_sealed(const v2_peer& at);
  void forge_seed(const v2_peer& at);
  void learn(const v2_peer& who);
  ping_header ping_for(sender_id recipient);
  std::vector<std::uint8_t> sealed(const ping_header& ping);
  endpoint victims_address();
  bool speaks_v2() const { return role_ != role::section_1 && role_ != role::turncoat; }
  bool proves_itself() const;

  surroundings around_;
  websocket_server& coordinator_;
  host& machine_;
  conspiracy& with_;
  role role_;
  chance chance_;
  packet_sealer sealer_;
  std::uint16_t port_ = 0;
  std::string name_;
  wire over_;
  bool registered_ = false;
  bool rests_ = false;
  bool forges_ = false;
  time_point joined_at_{};
  std::uint64_t pings_ = 0;
  std::map<endpoint, sender_id> heard_;  ///< who has PINGed a member
};

}  // namespace nat::sim
