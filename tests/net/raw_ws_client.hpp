// A websocket client made by hand, so that tests can also send what no client library would.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

namespace nat::net {

struct ws_frame {
  std::uint8_t opcode = 0;  // RFC 6455, 5.2
  std::string payload;
};

namespace opcode {
constexpr std::uint8_t continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10;
}

constexpr bool final = true;
constexpr bool more = false;

/// A frame of a client, masked (RFC 6455, 5.3) with zeros, which change nothing.
inline std::string client_frame(std::uint8_t op, std::string_view payload, bool fin = final) {
  std::string out(1, static_cast<char>((fin ? 0x80 : 0) | op));
  const auto size = payload.size();
  if (size < 126) {
    out += static_cast<char>(0x80 | size);
  } else {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(size >> 8);
    out += static_cast<char>(size & 0xff);
  }
  return out.append(4, '\0').append(payload);
}

/// The payload of a close frame.
inline std::string close_payload(std::uint16_t code, std::string_view reason = "") {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)}.append(reason);
}

/// `fields`: further header fields, each with its line end.
inline std::string ws_request_text(std::string_view target, std::string_view fields = "") {
  return "GET " + std::string(target) +
         " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
         std::string(fields) + "\r\n";
}

/// Lives on the server's io_context: what it receives is read whenever that runs.
class raw_ws_client : public std::enable_shared_from_this<raw_ws_client> {
 public:
  explicit raw_ws_client(boost::asio::io_context& io) : socket_(io, boost::asio::ip::tcp::v4()) {}

  /// Bytes; the kernel doubles them, and has a minimum. Before `connect`.
  void set_receive_buffer(int size) { socket_.set_option(boost::asio::socket_base::receive_buffer_size(size)); }

  void connect(std::uint16_t port, bool reads = true) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
    if (reads) read();
  }

  void send(std::string_view bytes) {
    boost::system::error_code closed_meanwhile;
    boost::asio::write(socket_, boost::asio::buffer(bytes), closed_meanwhile);
  }

  /// Reads all that comes, until the connection ends.
  void read() {
    socket_.async_read_some(
        boost::asio::buffer(buffer_),
        [this, self = shared_from_this()](const boost::system::error_code& error, std::size_t bytes) {
          received_.append(buffer_.data(), bytes);
          if (!error) return read();
          ended_ = true;
          reset_ = error != boost::asio::error::eof;
        });
  }

  void end() { socket_.close(); }
  /// Ends with a TCP reset.
  void reset() {
    socket_.set_option(boost::asio::socket_base::linger(true, 0));
    socket_.close();
  }

  const std::string& received() const { return received_; }
  bool ended() const { return ended_; }
  bool was_reset() const { return reset_; }

  /// The status of the HTTP answer; 0 before it is complete.
  int status() const {
    const auto end = received_.find("\r\n\r\n");
    return end == std::string::npos ? 0 : std::stoi(received_.substr(9, 3));
  }
  std::string body() const { return received_.substr(received_.find("\r\n\r\n") + 4); }

  /// The complete frames behind the HTTP answer.
  std::vector<ws_frame> frames() const {
    std::vector<ws_frame> out;
    if (status() == 0) return out;
    const std::string_view all = received_;
    auto rest = all.substr(all.find("\r\n\r\n") + 4);
    while (rest.size() >= 2) {
      const auto at = [&](std::size_t i) { return std::uint64_t{static_cast<std::uint8_t>(rest[i])}; };
      std::uint64_t size = at(1);
      const std::size_t wide = size == 127 ? 8 : size == 126 ? 2 : 0;
      if (rest.size() < 2 + wide) break;
      if (wide != 0) size = 0;
      for (std::size_t i = 0; i < wide; ++i) size = size << 8 | at(2 + i);
      if (rest.size() - 2 - wide < size) break;
      out.push_back({static_cast<std::uint8_t>(at(0) & 0xf), std::string(rest.substr(2 + wide, size))});
      rest.remove_prefix(2 + wide + size);
    }
    return out;
  }

 private:
  boost::asio::ip::tcp::socket socket_;
  std::vector<char> buffer_ = std::vector<char>(1 << 16);
  std::string received_;
  bool ended_ = false;
  bool reset_ = false;
};

}  // namespace nat::net
