#include "stream_user.hpp"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace nat::sim {
namespace {

constexpr std::uint64_t newline_every = 60;
constexpr double long_record_share = 0.02;
constexpr std::uint64_t long_record = 400'000;
constexpr std::uint64_t short_record = 2'000;

char random_byte(chance& random, alphabet of) {
  switch (of) {
    case alphabet::low: return static_cast<char>(random.below(128));
    case alphabet::high: return static_cast<char>(128 + random.below(128));
    case alphabet::printable: break;
  }
  return static_cast<char>(' ' + random.below(95));
}

std::string without_newlines(std::string text) {
  std::erase(text, '\n');
  return text;
}

std::string decode_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char each : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<std::uint32_t>(digits.find(each));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

}  // namespace

// ---- what is said

speech random_speech(chance& random, input_mode mode, alphabet of, std::size_t bytes) {
  speech out{.mode = mode, .input = {}, .payload = {}, .records = {}};
  if (mode == input_mode::bytes) {
    out.input.resize(bytes);
    for (auto& each : out.input) {
      const bool ends_line = of == alphabet::printable && random.below(newline_every) == 0;
      each = ends_line ? '\n' : random_byte(random, of);
    }
    out.payload = out.input;
    return out;
  }
  while (out.payload.size() < bytes) {
    const auto most = random.happens(long_record_share) ? long_record : short_record;
    const auto size = std::min<std::size_t>(1 + random.below(most), bytes - out.payload.size());
    std::string line(size, '\0');
    for (auto& each : line) {
      do each = random_byte(random, of);
      while (each == '\n' || each == '\r');
    }
    out.input += line + '\n';
    out.payload += line;
    out.records.push_back(size);
  }
  return out;
}

std::string speech::heard_as(output_mode output, std::uint64_t offset) const {
  auto rest = payload.substr(std::min<std::size_t>(payload.size(), offset));
  return output == output_mode::text ? without_newlines(std::move(rest)) : rest;
}

void stream_user::speak(speech what, duration over) {
  speech_ = std::move(what);
  began_at_ = around_.time.now();
  over_ = over;
}

std::size_t stream_user::available() const {
  const auto passed = around_.time.now() - began_at_;
  if (passed >= over_) return speech_->input.size();
  const auto share = static_cast<double>(passed.count()) / static_cast<double>(over_.count());
  return static_cast<std::size_t>(static_cast<double>(speech_->input.size()) * share);
}

byte_view stream_user::next_input(std::size_t most) {
  if (!speech_) return {};
  const auto chunk = as_bytes(speech_->input).subspan(read_, std::min(most, available() - read_));
  read_ += chunk.size();
  return chunk;
}

/// Whom the engine serves, and from where on.
void stream_user::on_event(const peer& engine) {
  if (!left_at_ && engine.coordinator().is_leaving()) left_at_ = around_.time.now();
  if (!speech_) return;
  has_begun_ = has_begun_ || engine.packets_sent() > 0;
  count_unheard(engine);
  const auto look_at = [this](const session& who) {
    const auto* to = who.outgoing();
    if (to == nullptr) return;
    const service begins{to->first(), to->first_offset() + unheard_, to->first_is_inside()};
    auto& known = served_.try_emplace(who.name(), begins).first->second;
    if (who.retired_at && around_.time.now() - *who.retired_at >= sender::keeps_for_return) known.may_be_cut = true;
    known.was_cut = known.was_cut || known.first != to->first();
  };
  engine.sessions().for_each(look_at);
  engine.sessions().for_each_retired(look_at);
}

/// What was taken from stdin and is in no packet: the log counts only what is.
void stream_user::count_unheard(const peer& engine) {
  const auto queues = engine.queues();
  const auto waiting = std::ranges::find(queues, "input bytes", &queue_level::name);
  const auto taken = read_ - waiting->held;
  if (speech_->mode == input_mode::lines) {
    for (; counted_ < taken; ++counted_) line_ends_ += speech_->input[counted_] == '\n' ? 1 : 0;
  }
  unheard_ = taken - line_ends_ - engine.log().end_offset();
}

void stream_user::on_ended(const ending& how) {
  ended_ = how;
  if (!left_at_) left_at_ = around_.time.now();
}

// ---- what is heard

void stream_user::on_output(byte_view bytes) {
  if (output_ != output_mode::raw) {
    unread_ += as_text(bytes);
    std::size_t begin = 0;
    for (auto end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n', begin)) {
      on_line(std::string_view(unread_).substr(begin, end - begin));
      begin = end + 1;
    }
    unread_.erase(0, begin);
    return;
  }
  std::vector<std::string*> whose;
  for (const auto& each : senders_) whose.push_back(&heard_[each].payload);
  for (const auto each : bytes) *whose.at(whose.size() > 1 && each >= 128 ? 1 : 0) += static_cast<char>(each);
}

void stream_user::on_line(std::string_view line) {
  if (output_ == output_mode::text) {
    const auto colon = line.find(": ");
    if (colon == std::string_view::npos) return around_.check.fail(name_, "wrote a line without a name");
    return on_record(std::string(line.substr(0, colon)), line.substr(colon + 2));
  }
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) return around_.check.fail(name_, "wrote what is no JSON");
  const auto from = object.value("from", "");
  if (object.contains("text")) return on_record(from, object["text"].get_ref<const std::string&>());
  on_record(from, decode_base64(object.value("base64", "")));
}

void stream_user::on_record(const std::string& sender, std::string_view bytes) {
  auto& from = heard_[sender];
  from.payload += bytes;
  from.records.push_back(bytes.size());
}

// ---- whether that is the same

namespace {

/// What this reader is to write of it. Of a record whose beginning it does not get, raw alone writes the rest.
std::string due_to(const stream_user& reader, const speech& said, const stream_user::service& from) {
  auto offset = from.offset;
  if (from.is_inside && reader.output() != output_mode::raw) {
    std::uint64_t end = 0;
    for (auto record = said.records.begin(); record != said.records.end() && end <= from.offset; ++record)
      end += *record;
    offset = end;
  }
  return said.heard_as(reader.output(), offset);
}

}  // namespace

bool has_all(const stream_user& sender, stream_user& reader) {
  const auto& to = sender.served().at(reader.name());
  return reader.heard_of(sender.name()).payload == due_to(reader, *sender.speaks(), to);
}

namespace {

/// Records come whole; the first may have begun before the reader came.
bool are_records_whole(const speech& said, const stream_user::hearing& heard) {
  const auto& sizes = heard.records;
  if (sizes.size() > said.records.size()) return false;
  return sizes.empty() || std::equal(sizes.rbegin(), sizes.rend() - 1, said.records.rbegin());
}

}  // namespace

void check_heard(audit& check, const stream_user& sender, stream_user& reader, bool whole) {
  const auto to = sender.served().find(reader.name());
  const auto& heard = reader.heard_of(sender.name());
  if (to == sender.served().end()) {
    if (!heard.payload.empty()) check.fail(reader.name(), "has heard " + sender.name() + ", which does not serve it");
    return;
  }
  if (to->second.was_cut) {
    if (!to->second.may_be_cut) check.fail(reader.name(), "was cut off from a part of " + sender.name() + "'s stream");
    return;
  }
  const auto due = due_to(reader, *sender.speaks(), to->second);
  const auto counted = std::to_string(heard.payload.size()) + " of " + std::to_string(due.size()) + " bytes of " +
                       sender.name() + "'s stream, from " + std::to_string(to->second.offset);
  const auto differ = std::ranges::mismatch(heard.payload, due).in1 - heard.payload.begin();
  if (static_cast<std::size_t>(differ) != heard.payload.size()) {
    check.fail(reader.name(), "has " + counted + ", other ones from " + std::to_string(differ) + " on");
  } else if (whole && heard.payload.size() < due.size()) {
    check.fail(reader.name(), "has " + counted);
  } else if (whole && reader.output() != output_mode::raw && sender.speaks()->mode == input_mode::lines &&
             !are_records_whole(*sender.speaks(), heard)) {
    check.fail(reader.name(), "has records of " + sender.name() + " that begin or end where they should not");
  }
}

}  // namespace nat::sim
