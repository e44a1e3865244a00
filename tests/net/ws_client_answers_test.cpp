// What a client makes of answers that are no upgrade: refusals and redirects.
#include "ws_client_fixture.hpp"

#include <chrono>
#include <optional>

namespace nat::net {
namespace {

class ws_client_answers_test : public ws_client_test {
 protected:
  /// Answers one request a connection, in this order; the empty answer is the upgrade. What was asked for is kept.
  boost::asio::awaitable<void> serve(std::vector<std::string> answers) {
    for (const auto& answer : answers) {
      const auto peer = co_await server.next_connection();
      const auto request = co_await peer->read_request();
      asked.push_back(request.substr(4, request.find(" HTTP/") - 4));
      const auto bytes = answer.empty() ? accept_upgrade(request) : answer;
      co_await peer->write(bytes);
      if (answer.empty()) peers.push_back(peer);
    }
  }

  join_result answer_to(std::vector<std::string> answers) {
    const auto serving = loop.start(serve(std::move(answers)));
    client = make_client();
    loop.finish(client->connect(url("ws://" + server.address() + "/base")));
    return loop.finish(client->join("q=1"));
  }

  ws_refused refusal(const std::string& answer) { return std::get<ws_refused>(answer_to({answer})); }

  static std::string redirect(const std::string& location, const std::string& status = "302 Found") {
    return "HTTP/1.1 " + status + "\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n";
  }

  hand_made_server server{loop.io};
  std::shared_ptr<ws_client> client;
  std::vector<std::string> asked;
  std::vector<std::shared_ptr<ws_peer>> peers;
};

TEST_F(ws_client_answers_test, a_refusal_gives_its_status_and_one_line) {
  const auto taken =
      refusal("HTTP/1.1 409 Conflict\r\nRetry-After: 12\r\nContent-Length: 27\r\n\r\nthe name is taken\nby others");
  EXPECT_EQ(taken.status, 409U);
  EXPECT_EQ(taken.reason, "the name is taken");
  EXPECT_EQ(taken.retry_after, std::chrono::seconds(12));
}

TEST_F(ws_client_answers_test, a_refusal_without_a_body_gives_the_status_lines_phrase) {
  const auto lost = refusal("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(lost.status, 404U);
  EXPECT_EQ(lost.reason, "Not Found");
  EXPECT_EQ(lost.retry_after, std::nullopt);
}

TEST_F(ws_client_answers_test, a_refusal_may_end_with_its_connection) {
  EXPECT_EQ(refusal("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno topic\r\n").reason, "no topic");
}

TEST_F(ws_client_answers_test, a_long_reason_is_cut) {
  const auto page = std::string(100'000, 'x');
  EXPECT_EQ(refusal("HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n" + page).reason, page.substr(0, 200));
}

TEST_F(ws_client_answers_test, a_retry_after_that_is_no_number_of_seconds_is_not_there) {
  for (const auto* value : {"Wed, 21 Oct 2099 07:28:00 GMT", "-1", "1.5", "", "99999999999999999999"}) {
    const auto busy =
        refusal("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: " + std::string(value) + "\r\n\r\n");
    EXPECT_EQ(busy.status, 503U);
    EXPECT_EQ(busy.retry_after, std::nullopt) << value;
  }
}

TEST_F(ws_client_answers_test, an_answer_that_is_no_http_is_an_error) {
  for (const auto* nonsense : {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/9.9 what\r\n\r\n", "\r\n\r\n"}) {
    const auto answer = answer_to({nonsense});
    ASSERT_TRUE(std::holds_alternative<ws_error>(answer)) << nonsense;
    const auto beginning = server.address() + " did not answer as a websocket server: ";
    EXPECT_TRUE(std::get<ws_error>(answer).reason.starts_with(beginning)) << std::get<ws_error>(answer).reason;
  }
}

TEST_F(ws_client_answers_test, a_server_that_closes_at_once_is_an_error) {
  auto accepted = loop.start(server.next_connection());
  client = make_client();
  loop.finish(client->connect(url("ws://" + server.address())));
  auto answer = loop.start(client->join("q=1"));
  auto peer = loop.finish(std::move(accepted));
  loop.finish(peer->read_request());
  peer.reset();
  EXPECT_EQ(std::get<ws_error>(loop.finish(std::move(answer))).reason,
            server.address() + " did not answer as a websocket server: the connection was closed");
}

TEST_F(ws_client_answers_test, an_upgrade_with_the_wrong_key_is_an_error) {
  const auto answer = answer_to({accept_upgrade("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")});
  EXPECT_FALSE(std::holds_alternative<ws_client::joined>(answer));
}

TEST_F(ws_client_answers_test, follows_redirects_relative_and_absolute) {
  const auto answer = answer_to({redirect("other?q=2"), redirect("http://" + server.address() + "/far/away?q=3"),
                                 redirect("/at/last", "308 Permanent Redirect"), ""});
  EXPECT_TRUE(std::holds_alternative<ws_client::joined>(answer));
  EXPECT_EQ(asked, (std::vector<std::string>{"/base/websocket?q=1", "/base/other?q=2", "/far/away?q=3", "/at/last"}));
  loop.finish(peers.at(0)->write(server_frame(opcodes::text, "hello")));
  EXPECT_EQ(loop.finish(next(*client)), "text hello");
}

TEST_F(ws_client_answers_test, follows_three_redirects_at_most) {
  const auto answer = answer_to({redirect("/1"), redirect("/2"), redirect("/3"), redirect("/4"), ""});
  ASSERT_TRUE(std::holds_alternative<ws_refused>(answer));
  EXPECT_EQ(std::get<ws_refused>(answer).status, 302U);
  EXPECT_EQ(std::get<ws_refused>(answer).reason, "redirected to /4, which is not followed");
  EXPECT_EQ(asked.size(), 4U);
}

TEST_F(ws_client_answers_test, does_not_follow_a_redirect_to_what_is_no_websocket) {
  for (const auto* location : {"ftp://127.0.0.1/", "http://", "http://user@127.0.0.1/", "http://127.0.0.1:99999/"}) {
    const auto answer = answer_to({redirect(location)});
    ASSERT_TRUE(std::holds_alternative<ws_refused>(answer)) << location;
    EXPECT_EQ(std::get<ws_refused>(answer).status, 302U);
  }
}

TEST_F(ws_client_answers_test, a_redirect_to_nobody_is_an_error) {
  const auto answer = answer_to({redirect("http://" + std::string(64, 'x') + ".invalid/")});
  ASSERT_TRUE(std::holds_alternative<ws_error>(answer));
}

}  // namespace
}  // namespace nat::net
