"""natcoord.v2 as its clients see it: the subprotocol, who is in the topic, tokens, resuming."""
import os
import signal
import socket

from support import stun, v2, websocket
from support.programs import NATCOORD, ProgramTest, eventually
from support.websocket import Refused, connect, join_path


class V2Case(ProgramTest):
    options = ()

    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord(*self.options)

    def join(self, name, **more):
        return self.own(v2.Client(self.coordinator.port, name, **more))

    def seed(self, name, **more):
        query = {key: more.pop(key) for key in ("topic", "ip", "port") if key in more}
        return self.own(connect(self.coordinator.port, join_path(name=name, **query), **more))

    def udp(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(30)
        return sock

    def proven(self, sock):
        """A candidate with its proof."""
        return v2.candidate(*self.address_and_token(sock))

    def address_and_token(self, sock):
        mapped, token = v2.proven_address(sock, ("127.0.0.1", self.coordinator.stun_port))
        return mapped, "reflexive", token


class SubprotocolTest(V2Case):
    def test_it_is_selected_only_where_it_is_offered(self):
        offered = self.seed("a", headers={"Sec-WebSocket-Protocol": "chat, natcoord.v2"})
        self.assertEqual(offered.handshake["sec-websocket-protocol"], "natcoord.v2")
        for headers in ({}, {"Sec-WebSocket-Protocol": "natcoord.v3, NATCOORD.V2"}):
            plain = self.seed("b", topic=str(len(headers)), headers=headers)
            self.assertNotIn("sec-websocket-protocol", plain.handshake)
            self.assertEqual([peer["name"] for peer in plain.next_list()], ["b"])

    def test_it_needs_no_address_and_section_1_does(self):
        self.join("a")
        with self.assertRaises(Refused) as refused:
            connect(self.coordinator.port, v2.path(name="b"))
        self.assertEqual(refused.exception.status, 400)

    def test_the_welcome_says_what_a_client_needs(self):
        welcome = self.join("a").welcome
        self.assertEqual(welcome["seen"], "127.0.0.1")
        self.assertTrue(welcome["relay"])
        self.assertEqual(welcome["relay_rate"], 32_000_000)
        self.assertEqual(welcome["stun_ports"][0], self.coordinator.stun_port)
        self.assertEqual(len(set(welcome["stun_ports"])), 3)
        self.assertGreaterEqual(len(welcome["resume"]), 32)

    def test_a_message_that_is_too_long_is_1009(self):
        client = self.join("a")
        client.socket.send_frame(websocket.BINARY, bytes(4000))
        self.assertEqual(client.socket.wait_closed().code, 1009)

    def test_who_does_not_speak_it_is_closed_with_1013(self):
        client = self.join("a")
        for _ in range(16):
            client.socket.send_text("what is this?")
        self.assertEqual(client.socket.wait_closed().code, 1013)


class PeersTest(V2Case):
    def test_a_newcomer_gets_a_snapshot_and_the_others_a_delta(self):
        a = self.join("a")
        self.assertEqual(a.met, {})
        b = self.join("b")
        self.assertEqual(b.met, {"a": {"id": a.id, "name": "a", "candidates": []}})
        delta = a.wait_delta(lambda message: any(peer["id"] == b.id for peer in message["joined"]))
        self.assertLessEqual(delta["from"], delta["to"])
        b.socket.close()
        self.assertEqual(a.wait_delta(lambda message: message["left"])["left"], [b.id])

    def test_topics_do_not_see_each_other(self):
        self.join("a", topic="one")
        self.assertEqual(self.join("a", topic="two").met, {})

    def test_addresses_are_told_and_told_again_when_they_change(self):
        a, b = self.join("a"), self.join("b")
        for ip in ("192.168.7.1", "192.168.7.2"):
            b.announce(v2.candidate((ip, 4000), kind="host"), nat={"mapping": "dependent", "shifts": True})

            def tells_it(message, ip=ip):
                return any(one["ip"] == ip for peer in message["joined"] + message["changed"]
                           for one in peer["candidates"])
            a.wait_delta(tells_it)
        peer = a.others()["b"]
        self.assertEqual(peer["candidates"], [{"ip": "192.168.7.2", "port": 4000, "kind": "host"}])
        self.assertEqual(peer["nat"], {"mapping": "dependent", "shifts": True})

    def test_a_punch_is_passed_on(self):
        a, b = self.join("a"), self.join("b")
        b.send(type="punch", to=a.id)
        while (message := a.next_message())["type"] != "punch":
            pass
        self.assertEqual(message["from"], b.id)


class MixTest(V2Case):
    def test_seed_clients_see_lists_of_those_with_an_address_and_nothing_else(self):
        seed = self.seed("seed", ip="192.0.2.1", port=1000)
        seed.list_of("seed")
        silent, client = self.join("silent"), self.join("client")
        client.announce(self.proven(self.udp()))
        peers = seed.list_of("seed", "client")  # all it got is lists: next_list reads nothing else
        self.assertEqual(list(peers[1]), ["ip", "port", "name", "last_seen"])
        silent.relay(b"to everybody")
        client.socket.close()
        seed.list_of("seed")

    def test_v2_clients_see_seed_clients(self):
        client = self.join("client")
        self.seed("seed", ip="192.0.2.1", port=1000)
        delta = client.wait_delta(lambda message: message["joined"])
        peer = delta["joined"][0]
        self.assertTrue(peer["seed"])
        self.assertEqual(peer["candidates"], [{"ip": "192.0.2.1", "port": 1000, "kind": "reflexive"}])


class ResumeTest(V2Case):
    def test_its_token_takes_a_name_back_at_once_from_any_address(self):
        first = self.join("a")
        second = self.join("a", source="127.0.0.7", resume=first.resume)
        self.assertNotEqual(second.id, first.id)
        first.socket.wait_closed()
        self.assertEqual({name: peer["id"] for name, peer in self.join("b").met.items()}, {"a": second.id})

    def test_without_it_the_name_is_taken(self):
        first = self.join("a")
        for resume in (None, "", "0" * 32, first.resume[:-1], first.resume + "0"):
            with self.assertRaises(Refused) as refused:
                self.join("a", resume=resume)
            self.assertEqual(refused.exception.status, 409)
        first.in_step()


class ProvenTest(V2Case):
    def test_a_stun_token_makes_a_candidate_proven(self):
        a, b = self.join("a"), self.join("b")
        sock = self.udp()
        b.announce(self.proven(sock))
        a.wait_delta(lambda message: any(peer["candidates"] for peer in message["joined"] + message["changed"]))
        ip, port = sock.getsockname()
        self.assertEqual(a.others()["b"]["candidates"],
                         [{"ip": ip, "port": port, "kind": "reflexive", "proven": True}])

    def test_the_token_of_another_address_proves_nothing(self):
        a, b = self.join("a"), self.join("b")
        mapped, _, token = self.address_and_token(self.udp())
        b.announce(v2.candidate((mapped[0], mapped[1] ^ 1), token=token))
        a.wait_delta(lambda message: any(peer["candidates"] for peer in message["joined"] + message["changed"]))
        self.assertNotIn("proven", a.others()["b"]["candidates"][0])

    def test_nobody_gets_a_token_who_did_not_ask_for_it(self):
        answer = stun.ask(self.udp(), ("127.0.0.1", self.coordinator.stun_port))
        self.assertEqual(list(answer.attributes), [stun.XOR_MAPPED_ADDRESS])


class UnprovenTest(ProgramTest):
    def status(self, policy, ip):
        coordinator = self.natcoord("--unproven", policy)
        try:
            self.own(connect(coordinator.port, join_path(ip=ip)))
            return 101
        except Refused as refused:
            self.assertIn("address", refused.body)
            return refused.status

    def test_the_policy_says_which_seed_clients_come_in(self):
        self.assertEqual(self.status("allow", "192.0.2.1"), 101)
        self.assertEqual(self.status("same-ip", "192.0.2.1"), 403)
        self.assertEqual(self.status("same-ip", "127.0.0.1"), 101)
        self.assertEqual(self.status("deny", "127.0.0.1"), 403)


class StunPortsTest(V2Case):
    def ask_with_copy(self):
        """What arrives, in order, as (port it came from, attributes)."""
        sock, transaction = self.udp(), os.urandom(12)
        request = stun.message(stun.REQUEST, transaction, [
            (v2.TOKEN_ATTRIBUTE, bytes(v2.TOKEN_SIZE)), (v2.PROBE_ATTRIBUTE, bytes(v2.PROBE_SIZE))])
        sock.sendto(request, ("127.0.0.1", self.coordinator.stun_port))
        return [stun.Answer(*sock.recvfrom(2048)) for _ in range(2)], len(request)

    def test_all_three_ports_answer(self):
        sock = self.udp()
        for port in self.join("a").welcome["stun_ports"]:
            answer = stun.ask(sock, ("127.0.0.1", port))
            self.assertEqual(answer.source, ("127.0.0.1", port))
            self.assertEqual(answer.mapped, sock.getsockname())

    def test_the_copy_comes_first_from_the_third_port_and_has_no_token(self):
        ports = self.join("a").welcome["stun_ports"]
        (copy, answer), asked = self.ask_with_copy()
        self.assertEqual([copy.source[1], answer.source[1]], [ports[2], ports[0]])
        self.assertEqual(list(copy.attributes), [stun.XOR_MAPPED_ADDRESS])
        self.assertEqual(len(answer.attributes[v2.TOKEN_ATTRIBUTE]), v2.TOKEN_SIZE)
        self.assertLessEqual(copy.size + answer.size, asked + 24)

    def test_one_port_is_enough_where_its_neighbour_is_taken(self):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as taken:
            taken.bind(("::", 0))
            port = taken.getsockname()[1] - 2
            alone = self.natcoord(stun_port=port)
            self.assertEqual(alone.stun_port, port)
            alone.wait_err("warning.*STUN on one port only")
            client = self.own(v2.Client(alone.port, "a"))
            self.assertEqual(client.welcome["stun_ports"], [port])
            stun.mapped_address(self.udp(), ("127.0.0.1", port))

    def test_switched_off_there_are_none(self):
        off = self.natcoord(stun_port="off")
        self.assertEqual(self.own(v2.Client(off.port, "a")).welcome["stun_ports"], [])


class CountersTest(V2Case):
    def silent_natcoord(self):
        """One that does not say on which port it is, with a client; another program may be faster to take that port."""
        for _ in range(10):
            with socket.socket() as closing:
                closing.bind(("127.0.0.1", 0))
                port = closing.getsockname()[1]
            program = self.start(NATCOORD, "--port", port, "--stun-port", "off", "--log-level", "off")

            def answers(port=port, program=program):
                try:
                    return not program.is_running() or self.own(v2.Client(port, "a"))
                except OSError:
                    return None
            if eventually(answers, "natcoord on its port") is not True:
                return program
        return self.fail("natcoord did not start")

    def test_sigusr1_prints_them_whatever_the_level_of_the_log(self):
        quiet = self.silent_natcoord()
        os.kill(quiet.pid, signal.SIGUSR1)
        quiet.wait_err(r"(?m)^counters: clients=1 ")
        self.assertEqual(quiet.stop(), 0)

    def test_sigusr1_prints_them_in_one_line(self):
        a = self.join("a")
        self.seed("b").next_list()
        os.kill(self.coordinator.pid, signal.SIGUSR1)
        line = self.coordinator.wait_err(r"counters: (.*)")[1]
        counters = dict(pair.split("=") for pair in line.split())
        self.assertEqual((counters["clients"], counters["clients_v2"], counters["joined"]), ("2", "1", "2"))
        os.kill(self.coordinator.pid, signal.SIGUSR1)
        self.coordinator.wait_err("counters: ", count=2)
        a.in_step()
