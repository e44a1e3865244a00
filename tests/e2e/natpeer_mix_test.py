"""natpeers and seed peers in one topic: everything that one says, all the others print."""
import hashlib
import os

from support.fake_coordinator import FakeCoordinator
from support.programs import NATPEER, ProgramTest
from support.seed_peer import SeedPeer
from support.waiting import eventually
from support.websocket import connect, join_path


class MixTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def peer(self, name, *options, **more):
        return self.natpeer(self.coordinator, name, *options, **more)

    def seed(self, name):
        return self.own(SeedPeer(self.coordinator, name))

    def test_two_natpeers_talk_both_ways(self):
        alice, bob = self.peer("alice"), self.peer("bob")
        alice.write("from alice\n")
        bob.wait_out("from alice\n")
        bob.write("from bob\n")
        alice.wait_out("from bob\n")
        alice.write("again\n")
        bob.wait_out("from alice\nagain\n")
        self.assertEqual(bytes(alice.out.data), b"from bob\n", "nobody hears himself")

    def test_a_natpeer_and_a_seed_peer_talk_both_ways(self):
        alice, seed = self.peer("alice"), self.seed("seed")
        seed.wait_peers("alice")
        alice.wait_err(r"peer seed at \S+ heard")
        alice.write("to the seed\n")
        seed.wait_data(b"to the seed\n", seed.peers["alice"])
        seed.say("to alice")
        alice.wait_out("to alice")
        self.assertEqual(seed.faults, [])

    def test_two_of_each_all_hear_all(self):
        names = ["peer-1", "peer-2"], ["seed-1", "seed-2"]
        peers = {name: self.peer(name, "--wait", 3, "--output", "lines") for name in names[0]}
        seeds = {name: self.seed(name) for name in names[1]}
        everybody = [*names[0], *names[1]]
        for name, seed in seeds.items():
            seed.wait_peers(*(other for other in everybody if other != name))
        for name, peer in peers.items():
            peer.wait_err(r"peer \S+( at \S+)? heard", count=3)
        for name, peer in peers.items():
            peer.write(f"hello from {name}\n")
        for name, seed in seeds.items():
            seed.say(f"hello from {name}")
        for name in everybody:
            for other in everybody:
                if other == name:
                    continue
                if other in peers:
                    peers[other].wait_out(f"hello from {name}\n")
                else:
                    seeds[other].wait_data(f"hello from {name}".encode())
        for seed in seeds.values():
            self.assertEqual(seed.faults, [])
            self.assertEqual(len(seed.headers), len(seed.pings) + len(seed.data), "headers are random, each its own")

    def test_a_file_arrives_whole_at_all(self):
        content = b"".join(b"%d %s\n" % (i, os.urandom(40).hex().encode()) for i in range(20000))  # 1.7 MB
        receivers = [self.peer(name) for name in ("bob", "carol")]
        seed = self.seed("seed")
        # A seed peer gets no more than its rate, whatever the others get.
        self.peer("alice", "--wait", 3, "--seed-rate", "20M", stdin=self.file(content))
        for receiver in receivers:
            eventually(lambda r=receiver: len(r.out.data) >= len(content), "the file", deadline=60)
            self.assertEqual(hashlib.sha256(receiver.out.data).hexdigest(), hashlib.sha256(content).hexdigest())
        eventually(lambda: b"".join(seed.payloads()) == content, "the file at the seed peer", deadline=60)
        self.assertEqual(seed.faults, [])

    def test_each_peer_is_named_when_it_appears_is_heard_and_leaves(self):
        alice = self.peer("alice")
        seed = self.seed("seed")
        address = r"127\.0\.0\.1:%d" % seed.public[1]
        alice.wait_err(f"peer seed at {address} appeared")
        alice.wait_err(f"peer seed at {address} heard")
        seed.end()
        alice.wait_err(f"peer seed at {address} left")
        self.assertNotIn("peer alice", alice.err.text(), "itself is no peer")

    def test_its_own_public_address_and_registration_are_told(self):
        alice = self.peer("alice")
        public = alice.wait_err(r"public address 127\.0\.0\.1:(\d+)")
        alice.wait_err(r"registered with ws://127\.0\.0\.1:%d" % self.coordinator.port)
        watcher = self.own(connect(self.coordinator.port, join_path(name="watcher", ip="127.0.0.1", port=9)))
        listed = watcher.entry_of("alice")  # listed once its address came there, before or after the watcher
        self.assertEqual((listed["ip"], listed["port"]), ("127.0.0.1", int(public[1])))

    def test_strange_names_are_names(self):
        names = ['a "quoted" name', "100%", "%41%0a", "spaces  inside", "🙂 grüße", "a&b=c;d#e+f", "back\\slash", "{}"]
        first = self.peer("first", "--output", "text", "--wait", len(names))
        others = [self.peer(name, "--wait", 0) for name in names]
        watcher = self.own(connect(self.coordinator.port, join_path(topic="t", name="w", ip="127.0.0.1", port=9)))
        while {peer["name"] for peer in watcher.next_list()} != {"first", "w", *names}:
            pass
        for name, other in zip(names, others):
            other.wait_err(r"peer first( at \S+)? heard")
            other.write(f"I am {name}\n")
            first.wait_out(f"{name}: I am {name}\n")

    def test_two_peers_with_one_name_the_second_is_refused_with_the_reason(self):
        self.peer("twin").wait_err("registered")
        second = self.peer("twin")
        self.assert_failure(second, "409", "taken")

    def test_topics_are_apart(self):
        alice = self.peer("alice", topic="one")
        bob, other = self.peer("bob", topic="one"), self.peer("bob", "--wait", 0, topic="two")
        other.wait_err("registered")
        alice.write("for topic one\n")
        bob.wait_out("for topic one\n")
        self.assertEqual(bytes(other.out.data), b"")
        self.assertNotIn("appeared", other.err.text())

    def test_data_goes_on_while_the_coordinator_is_away_and_it_is_found_again(self):
        alice, bob, seed = self.peer("alice"), self.peer("bob"), self.seed("seed")
        alice.wait_err(r"peer \S+( at \S+)? heard", count=2)
        bob.wait_err(r"peer \S+( at \S+)? heard", count=2)
        self.coordinator.process.kill()
        self.coordinator.wait_exit()
        for i in range(3):
            alice.write(f"line {i} without a coordinator\n")
            bob.wait_out(f"line {i} without a coordinator\n")
            seed.wait_data(f"line {i} without a coordinator\n".encode())
        self.natcoord(port=self.coordinator.port, stun_port=self.coordinator.stun_port)
        for peer in (alice, bob):
            peer.wait_err("registered with", count=2, deadline=90)
        carol = self.peer("carol", "--wait", 2)
        carol.wait_err(r"peer \S+( at \S+)? heard", count=2)
        carol.write("carol is new\n")
        for peer in (alice, bob):
            peer.wait_out("carol is new\n")


class PathTest(ProgramTest):
    def test_urls_of_each_scheme_and_with_a_path_register_there(self):
        for scheme, path, wanted in (
                ("ws", "", "/websocket"), ("http", "", "/websocket"), ("ws", "/", "/websocket"),
                ("http", "/some/base", "/some/base/websocket"), ("ws", "/base/", "/base/websocket")):
            with self.subTest(scheme=scheme, path=path):
                server = self.own(FakeCoordinator())
                self.start(NATPEER, "--topic", "a topic/ä&b", "--name", "n%20 \"x\"", "--coordinator",
                           server.url(scheme, path), "--stun", f"127.0.0.1:{server.stun_port}")
                server.wait_joined()
                self.assertEqual(server.paths[0].partition("?")[0], wanted)
                query = server.queries()[0]
                self.assertEqual({k: query[k] for k in ("topic", "name", "ip")},
                                 {"topic": "a topic/ä&b", "name": 'n%20 "x"', "ip": "127.0.0.1"})
                self.assertEqual(set(query), {"topic", "name", "ip", "port"})
                self.assertNotIn("+", server.paths[0], "percent-encoded, as section 1 says")


class NatpeerMemoryTest(ProgramTest):
    """Registered by CMake only where no sanitizer multiplies the memory."""

    def test_an_idle_peer_has_less_than_10_mb_of_its_own(self):
        coordinator = self.natcoord()
        alice, _ = self.natpeer(coordinator, "alice"), self.natpeer(coordinator, "bob")
        alice.wait_err(r"peer bob( at \S+)? heard")
        with open(f"/proc/{alice.pid}/status") as status:
            anonymous_kb = next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))
        self.assertLess(anonymous_kb, 10 * 1024)
