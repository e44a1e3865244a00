#include "ws_handshake.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>

namespace nat::net {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

ws_answer refuse(http::status status, std::string_view text) {
  ws_answer answer;
  answer.status = static_cast<unsigned>(status);
  answer.text = text;
  return answer;
}

std::optional<ws_answer> refusal_of(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refuse(http::status::request_header_fields_too_large, "request line and headers are over 8 KiB");
  }
  const bool gone = error == http::error::end_of_stream || error == http::error::partial_message;
  if (gone || error.category() != make_error_code(http::error::bad_method).category()) return std::nullopt;
  return refuse(http::status::bad_request, "not an HTTP request");
}

bool asks_for_websocket(const request_header& request) {
  return http::token_list(request[http::field::upgrade]).exists("websocket");
}

std::optional<ws_answer> fault_of_handshake(const request_header& request) {
  constexpr std::size_t key_size = 24;  // base64 of 16 bytes
  const auto bad = [](std::string_view why) { return refuse(http::status::bad_request, why); };
  if (request.version() != 11) return bad("a websocket needs HTTP/1.1");
  if (request.method() != http::verb::get) return bad("a websocket needs the method GET");
  if (request.count(http::field::host) == 0) return bad("Host is missing");
  if (!http::token_list(request[http::field::connection]).exists("upgrade")) return bad("Connection lacks upgrade");
  if (request[http::field::sec_websocket_key].size() != key_size)
    return bad("Sec-WebSocket-Key is missing or malformed");
  if (request[http::field::sec_websocket_version] != "13") {
    return refuse(http::status::upgrade_required, "only version 13 of websockets is spoken here");
  }
  return std::nullopt;
}

std::vector<std::string_view> subprotocols_of(const request_header& request) {
  std::vector<std::string_view> out;
  const auto [first, last] = request.equal_range(http::field::sec_websocket_protocol);
  for (auto field = first; field != last; ++field) {
    for (const auto token : http::token_list(field->value())) {
      if (out.size() == max_subprotocols) return out;
      out.emplace_back(token.data(), token.size());
    }
  }
  return out;
}

std::string_view bearer_of(const request_header& request) {
  constexpr std::string_view scheme = "Bearer ";
  const auto found = request[http::field::authorization];
  const std::string_view value(found.data(), found.size());
  // Schemes are named without regard to case (RFC 9110, 11.1).
  if (!beast::iequals(value.substr(0, scheme.size()), scheme)) return {};
  const auto start = value.find_first_not_of(' ', scheme.size());
  return start == std::string_view::npos ? std::string_view() : value.substr(start);
}

std::string answer_text(const ws_answer& answer, bool with_body) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(answer.status));
  std::string out = "HTTP/1.1 " + std::to_string(answer.status) + ' ' + std::string(reason) + "\r\n";
  if (answer.status == 426) out += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";  // RFC 9110, 15.5.22
  if (answer.retry_after) out += "Retry-After: " + std::to_string(answer.retry_after->count()) + "\r\n";
  out += "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: ";
  out += std::to_string(answer.text.size() + 1) + "\r\n\r\n";
  if (with_body) out += answer.text + '\n';
  return out;
}

}  // namespace nat::net
