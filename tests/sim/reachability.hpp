// What theory says about two NATs: which pairs the seed protocol (design, section 1) must connect.
#pragma once

#include "nat_box.hpp"

#include <span>
#include <string_view>

namespace nat::sim {

enum class verdict : std::uint8_t {
  cannot,  ///< no packet with the registered source address ever comes in
  may,     ///< depends on who is first, or on luck
  must,
};

/// A host's way out: the NATs it passes, its own first. Empty: a public address.
struct way_out {
  std::span<const nat_config* const> boxes;
};

/// Whether DATA from `from` reaches `to` and is taken by it: it has to come from exactly the address that `from` has
/// registered (which STUN, at another address than any peer, told it), and every NAT of `to` has to let it in.
/// `shared_outermost`: both are behind one and the same outermost NAT (so packets between them turn round there).
verdict delivers(const way_out& from, const way_out& to, bool shared_outermost);

/// Whether two of ours hear each other, both or neither, where a server of section 1 tells them nothing but registered
/// addresses: they know each other by their sealed PINGs, whatever address these come from, and answer there. So it
/// takes one that gets a PING in, and a way back for the answer.
verdict connects(const way_out& one, const way_out& other, bool shared_outermost);

std::string_view to_string(verdict what);

}  // namespace nat::sim
