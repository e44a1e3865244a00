// What stands in the HTTP request and answer that open a websocket, or refuse one.
#pragma once

#include "nat/net/ws_server.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>

namespace nat::net {

using request_header = boost::beast::http::request<boost::beast::http::empty_body>;

constexpr std::uint32_t header_limit = 8192;  // bytes of request line and fields
constexpr std::size_t max_subprotocols = 16;  // read from a request; later ones are ignored

ws_answer refuse(boost::beast::http::status status, std::string_view text);

/// What to answer when no request could be read; none: there is nobody to answer.
std::optional<ws_answer> refusal_of(const boost::system::error_code& error);

bool asks_for_websocket(const request_header& request);

/// What is wrong with an opening handshake (RFC 6455, 4.2.1).
std::optional<ws_answer> fault_of_handshake(const request_header& request);

/// The offers of all Sec-WebSocket-Protocol fields (RFC 6455, 11.3.4); views into the request.
std::vector<std::string_view> subprotocols_of(const request_header& request);
std::string_view bearer_of(const request_header& request);

std::string answer_text(const ws_answer& answer, bool with_body);

}  // namespace nat::net
