// Both ends of a stream, outside natpeer: what a sender's stdin gives, and what comes out of a reader's stdout.
#pragma once

#include "nat/input_splitter.hpp"
#include "nat/output_format.hpp"

#include "chance.hpp"
#include "peer_host.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nat::sim {

/// What one sender says.
struct speech {
  input_mode mode = input_mode::bytes;
  std::string input;                 ///< all of stdin
  std::string payload;               ///< what of it is in packets: of lines not their ends
  std::vector<std::size_t> records;  ///< lines: of the payload, each one's size

  /// What a reader gets whose part begins at this offset of the payload. As text it may have newlines where there was a
  /// pause, so none count.
  std::string heard_as(output_mode output, std::uint64_t offset) const;
};

/// What bytes a speech is made of, so that a reader can tell whose they are.
enum class alphabet : std::uint8_t {
  low,        ///< all below 128
  high,       ///< all others
  printable,  ///< ASCII, as any output writes it
};
/// Bytes: about one in 60 is a newline, where there is one. Lines: of a few bytes, or of a few hundred thousand.
speech random_speech(chance& random, input_mode mode, alphabet of, std::size_t bytes);

class stream_user final : public pipe_user {
 public:
  /// Our stream for one peer.
  struct service {
    std::uint64_t first = 0;   ///< packet
    std::uint64_t offset = 0;  ///< in the payload, of its first byte
    bool is_inside = false;    ///< of a record that began before
    bool was_cut = false;      ///< it began anew: something in between will never come
    bool may_be_cut = false;   ///< the peer was away for longer than its part is kept
  };
  struct hearing {
    std::string payload;
    std::vector<std::size_t> records;  ///< of text and JSON: sizes
  };

  /// `senders`: the bytes of the first are low ones, those of the second high, where there are two and the output is
  /// raw.
  stream_user(const surroundings& around, std::string name, output_mode output, std::vector<std::string> senders)
      : around_(around), name_(std::move(name)), output_(output), senders_(std::move(senders)) {}

  /// From now on it comes, evenly over this time.
  void speak(speech what, duration over);
  const std::optional<speech>& speaks() const { return speech_; }
  output_mode output() const { return output_; }
  const std::string& name() const { return name_; }

  const std::map<std::string, service>& served() const { return served_; }
  /// Bytes of the payload that were said while nobody was there.
  std::uint64_t unheard() const { return unheard_; }
  const hearing& heard_of(const std::string& sender) { return heard_[sender]; }
  const std::optional<ending>& ended() const { return ended_; }
  /// When it began to leave: it takes nothing more.
  deadline left_at() const { return left_at_; }
  bool has_begun() const { return has_begun_; }  ///< to send

  byte_view next_input(std::size_t most) override;
  bool input_is_over() const override { return !speech_ || read_ == speech_->input.size(); }
  void on_output(byte_view bytes) override;
  void on_event(const peer& engine) override;
  void on_ended(const ending& how) override;

 private:
  std::size_t available() const;
  void count_unheard(const peer& engine);
  void on_line(std::string_view line);
  void on_record(const std::string& sender, std::string_view bytes);

  surroundings around_;
  std::string name_;
  output_mode output_;
  std::vector<std::string> senders_;
  std::optional<speech> speech_;
  time_point began_at_{};
  duration over_{};
  std::size_t read_ = 0;
  std::size_t counted_ = 0;    ///< of the input
  std::size_t line_ends_ = 0;  ///< in that
  std::uint64_t unheard_ = 0;
  std::map<std::string, service> served_;
  std::map<std::string, hearing> heard_;
  std::string unread_;  ///< a line's beginning
  std::optional<ending> ended_;
  deadline left_at_;
  bool has_begun_ = false;
};

/// Whether `reader` has all of `sender`'s stream that is for it.
bool has_all(const stream_user& sender, stream_user& reader);
/// What comes out is what went in, from where it began for this reader; `whole`: all of it.
void check_heard(audit& check, const stream_user& sender, stream_user& reader, bool whole);

}  // namespace nat::sim
