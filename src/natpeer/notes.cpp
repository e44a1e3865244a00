#include "notes.hpp"

#include "nat/text.hpp"

#include <spdlog/spdlog.h>

namespace natpeer {
namespace {

double seconds(nat::duration time) { return std::chrono::duration<double>(time).count(); }

std::string peer(const nat::note& note) {
  constexpr std::size_t longest_name = 128;  // bytes, natcoord's own limit; a server without one shall not fill a log
  auto name = nat::visible(note.name);
  name.resize(nat::utf8_cut(name, longest_name));
  return "peer " + name + (note.where.port == 0 ? "" : " at " + note.where.to_string());
}

}  // namespace

void log_note(const nat::note& note, const std::string& coordinator) {
  using nat::note_kind;
  const auto text = nat::visible(note.text);  // much of it was said by strangers
  const auto where = note.where.to_string();
  switch (note.kind) {
    case note_kind::public_address: return spdlog::info("public address {}", where);
    case note_kind::address_changed: return spdlog::info("public address is {} now", where);
    case note_kind::stun_silent:
      return spdlog::warn("no public address yet: {}", text.empty() ? "no STUN server has answered" : text);
    case note_kind::registered:
      return spdlog::info("registered with {}{}", coordinator, note.where.port == 0 ? "" : " as " + where);
    case note_kind::connect_failed:
      return spdlog::warn("coordinator {} cannot be reached: {}; next try in {:.1f} s", coordinator, text,
                          seconds(note.wait));
    case note_kind::refused:
      return spdlog::warn("coordinator {} refused us: {}; next try in {:.1f} s", coordinator, text, seconds(note.wait));
    case note_kind::connection_lost:
      return spdlog::warn("connection to {} lost: {}; next try in {:.1f} s", coordinator, text, seconds(note.wait));
    case note_kind::list_rejected: return spdlog::warn("the coordinator sent a list that cannot be read: {}", text);
    case note_kind::entries_skipped: return spdlog::warn("{} entries of the coordinator's list are unusable", text);
    case note_kind::peer_appeared: return spdlog::info("{} appeared", peer(note));
    case note_kind::peer_heard: return spdlog::info("{} heard", peer(note));
    case note_kind::peer_left: return spdlog::info("{} left", peer(note));
    case note_kind::no_path: return spdlog::warn("{}: {}", peer(note), text);
    case note_kind::path_changed: return spdlog::info("{}: {}", peer(note), text);
    case note_kind::alone_with_key:
      return spdlog::warn("nobody else is in this topic; if others are, they have another key or none: ours is {}",
                          text);
    case note_kind::later_version: return spdlog::warn("{} sends packets of a later version of natpeer", where);
    case note_kind::left_behind:
      return spdlog::warn("{} is left behind: it was too slow, or away for too long", peer(note));
    case note_kind::gap: return spdlog::warn("{}: {} packets are missing here", peer(note), text);
    case note_kind::input_open: return spdlog::debug("reading stdin: {}", text);
    case note_kind::input_lost: return spdlog::warn("what is read from stdin reaches nobody: no peer can be reached");
    case note_kind::output_full:
      return spdlog::warn("stdout is not read fast enough: what peers of the seed protocol send is being dropped");
    case note_kind::notes_suppressed: return spdlog::warn("{} lines were left out here", text);
  }
}

}  // namespace natpeer
