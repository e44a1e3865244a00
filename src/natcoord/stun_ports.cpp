#include "stun_ports.hpp"

#include "nat/net/clock.hpp"
#include "nat/stun_server.hpp"

#include <exception>
#include <limits>

#include <boost/asio/co_spawn.hpp>
#include <spdlog/spdlog.h>

#include <system_error>

namespace natcoord {
stun_ports::stun_ports(boost::asio::io_context& io, const nat::ip_address& listen, std::uint16_t port,
                       const nat::address_tokens& tokens)
    : io_(io), tokens_(tokens) {
  const auto bind = [&](unsigned at) {
    constexpr unsigned highest = std::numeric_limits<std::uint16_t>::max();
    if (at > highest) throw std::system_error(std::make_error_code(std::errc::invalid_argument), "no further port");
    links_.emplace_back(
        io, nat::net::udp_options{.bind = listen, .port = static_cast<std::uint16_t>(at), .tell_destination = true});
  };
  bind(port);
  try {
    for (unsigned further = 1; further < wanted; ++further) bind(port == 0 ? 0 : port + further);
  } catch (const std::system_error& error) {
    while (links_.size() > 1) links_.pop_back();
    spdlog::warn("STUN on one port only, so clients cannot learn how their NATs map: {}", error.what());
  }
}

std::vector<std::uint16_t> stun_ports::ports() const {
  std::vector<std::uint16_t> out;
  for (const auto& link : links_) out.push_back(link.local().port);
  return out;
}

void stun_ports::start() {
  for (auto& link : links_) {
    boost::asio::co_spawn(io_, pump(link), [this](const std::exception_ptr& error) {
      if (error && !closed_) std::rethrow_exception(error);
    });
  }
}

void stun_ports::close() {
  closed_ = true;
  for (auto& link : links_) link.close();
}

boost::asio::awaitable<void> stun_ports::pump(nat::net::udp_link& link) {
  std::vector<nat::stun_reply> replies;
  std::vector<nat::net::datagram_out> answers, copies;
  for (;;) {
    const auto requests = co_await link.receive();
    replies.clear();
    replies.reserve(requests.size());  // what is sent views them
    answers.clear();
    copies.clear();
    const auto at = nat::net::steady_now();
    for (const auto& request : requests) {
      auto reply = nat::answer_stun(at, request.bytes, request.from, &tokens_);
      if (!reply) continue;
      const auto& kept = replies.emplace_back(*std::move(reply));
      answers.push_back({kept.answer, request.from, request.to});
      if (kept.copy && links_.size() == wanted) copies.push_back({*kept.copy, request.from, request.to});
    }
    // What the kernel does not take now is lost: who asked asks again (RFC 8489, 6.2.1).
    links_.back().send(copies);
    link.send(answers);
  }
}

}  // namespace natcoord
