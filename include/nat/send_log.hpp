// What was sealed and may have to be sent again: one copy for all peers, in the order of packet numbers (design, 2.4).
//
//      begin()                                       end()
//        |  packet n | n+1 | n+2 | ...                 |
//        '-- the slowest peer has not written it       '-- the next number
#pragma once

#include "nat/bytes.hpp"
#include "nat/fifo.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace nat {

class send_log {
 public:
  /// `max_bytes` counts packets with their headers, and what is kept about each. Of these the last `keep` bytes stay,
  /// whoever has them.
  explicit send_log(std::size_t max_bytes, std::size_t keep = 0) : max_bytes_(max_bytes), keep_(keep) {}

  struct record {
    const std::uint8_t* at = nullptr;
    std::uint64_t offset = 0;  ///< in the stream, of the payload
    std::uint32_t size = 0;    ///< with the header
    std::uint16_t payload = 0;
    bool begins = true;  ///< a record, or one that is no record's part
    std::uint64_t end_offset() const { return offset + payload; }
  };

  /// The lowest number that is kept, and the one that `append` gives next. Numbers begin with 1.
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return begin_ + records_.size() - dropped_; }
  std::uint64_t begin_offset() const { return empty() ? end_offset_ : at(begin_).offset; }
  std::uint64_t end_offset() const { return end_offset_; }
  bool holds(std::uint64_t number) const { return number >= begin_ && number < end(); }
  bool empty() const { return begin_ == end(); }

  bool has_room(std::size_t size) const { return held_ + size + sizeof(record) <= max_bytes_; }
  /// A packet of `payload` bytes behind a header of `header` bytes, to be filled at once. Requires `has_room`.
  /// `continues`: its record goes on in the next one.
  byte_span append(std::size_t header, std::size_t payload, bool continues = false);

  /// The stream goes on behind a number and bytes that nobody ever gets: a gap for whoever had all before. Requires
  /// `empty`.
  void skip(std::size_t payload, bool continues);

  const record& at(std::uint64_t number) const { return records_[dropped_ + (number - begin_)]; }
  byte_view packet(std::uint64_t number) const { return {at(number).at, at(number).size}; }
  /// Where a stream may begin that is to have what is kept from `number` on, and records whole: the first record that
  /// begins there. Where none has begun since: the one that goes on, if its beginning is kept, else the end, which
  /// `is_inside` it.
  std::uint64_t entry(std::uint64_t number) const;
  /// Whether the packet with this number, which is kept or the next one, goes on with a record.
  bool is_inside(std::uint64_t number) const { return number == end() ? !next_begins_ : !at(number).begins; }
  /// From this number on no less than `keep` bytes are there, if there is so much.
  std::uint64_t last() const { return last_; }
  /// Of the packet with this number, which is kept, or of the next one.
  std::uint64_t offset_of(std::uint64_t number) const { return number == end() ? end_offset_ : at(number).offset; }

  /// Everything below this number is done with: nobody refers to it any more. What is from `last` on stays.
  void trim(std::uint64_t first);

  std::uint64_t packets() const { return packets_; }  ///< that were appended since the start
  std::size_t held_bytes() const { return held_; }
  std::size_t max_bytes() const { return max_bytes_; }

 private:
  // What is asked of the system at once. A few stay for what comes next; a large backlog goes back.
  static constexpr std::size_t chunk_size = 256U << 10;
  static constexpr std::size_t spare_chunks = 16;

  struct chunk {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::uint64_t last = 0;  ///< the highest number in it
  };

  static std::size_t cost(const record& of) { return of.size + sizeof(record); }

  std::size_t max_bytes_;
  std::size_t keep_;
  std::size_t held_ = 0;
  std::uint64_t begin_ = 1;
  std::uint64_t last_ = 1;
  std::size_t held_from_last_ = 0;  ///< of `held_`
  std::uint64_t end_offset_ = 0;
  std::uint64_t packets_ = 0;
  bool next_begins_ = true;  ///< a record
  std::vector<record> records_;
  std::size_t dropped_ = 0;  ///< of `records_`, from the front
  fifo<chunk> chunks_;
  std::vector<std::unique_ptr<std::uint8_t[]>> spare_;
  std::size_t used_ = chunk_size;  ///< of the last chunk
};

}  // namespace nat
