// The least that carries a pipe over UDP: what one read brings goes out as one datagram, and what comes in is written.
// natpeer's latency is measured beside it. Nothing is encrypted, ordered or sent again.
//
//   datagram_relay send PORT      stdin to 127.0.0.1:PORT
//   datagram_relay receive        tells its port on stderr; what comes there to stdout
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr std::size_t largest = 65'507;  // bytes of a datagram's payload

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void send_all(int socket, std::uint16_t port) {
  const auto to = loopback(port);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
  std::array<char, largest> buffer;
  ssize_t size = 0;
  while ((size = ::read(STDIN_FILENO, buffer.data(), buffer.size())) > 0) {
    if (::send(socket, buffer.data(), static_cast<std::size_t>(size), 0) < 0) fail("send");
  }
}

void receive_all(int socket) {
  auto at = loopback(0);
  socklen_t length = sizeof at;
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind");
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&at), &length) != 0) fail("getsockname");
  std::fprintf(stderr, "port %d\n", ntohs(at.sin_port));
  std::array<char, largest> buffer;
  ssize_t size = 0;
  while ((size = ::recv(socket, buffer.data(), buffer.size(), 0)) >= 0) {
    if (::write(STDOUT_FILENO, buffer.data(), static_cast<std::size_t>(size)) != size) return;
  }
}

}  // namespace

int main(int count, char** words) {
  const std::string_view what = count > 1 ? words[1] : "";
  const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) fail("socket");
  if (what == "receive" && count == 2) {
    receive_all(socket);
  } else if (what == "send" && count == 3) {
    send_all(socket, static_cast<std::uint16_t>(std::strtoul(words[2], nullptr, 10)));
  } else {
    std::fputs("usage: datagram_relay send PORT | datagram_relay receive\n", stderr);
    return 2;
  }
}
