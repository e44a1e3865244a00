// Random networks: what a run of a given seed is made of.
#pragma once

#include "world.hpp"

#include <string>
#include <vector>

namespace nat::sim {

struct topology {
  std::vector<network*> networks;  ///< those behind a NAT
  std::vector<host*> hosts;
  std::vector<peer_host*> peers;  ///< not started; one on each host, or
  std::vector<seed_peer*> seeds;  ///< one of these, in some of the open topics
};

/// Draws everything from `in.random()`.
topology random_topology(world& in);

nat_config random_nat(chance& random);
link_config random_line(chance& random);
secret_key random_key(chance& random);

}  // namespace nat::sim
