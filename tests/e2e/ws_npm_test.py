"""natcoord seen by a websocket library that others wrote: the npm package `ws`."""
import json
import os
import shutil
import subprocess
import unittest

from support import v2
from support.programs import ProgramTest
from support.waiting import eventually
from support.websocket import connect, join_path

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ws_client.js")
ENVIRONMENT = {"NODE_PATH": "/usr/share/nodejs"}  # where Debian's node-ws lies


def has_ws():
    if not shutil.which("node"):
        return False
    return subprocess.run(["node", "-e", "require('ws')"], env={**os.environ, **ENVIRONMENT}, capture_output=True,
                          check=False).returncode == 0


@unittest.skipUnless(has_ws(), "node and its package ws (Debian: nodejs, node-ws) are not installed")
class NpmWsTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.coordinator = self.natcoord()

    def client(self, path, *subprotocols):
        return self.start("node", SCRIPT, self.coordinator.url(path=path), *subprotocols, env=ENVIRONMENT)

    def events(self, client, kind):
        lines = bytes(client.out.data).decode().split("\n")[:-1]  # the last may be half a line
        return [event[1:] for event in map(json.loads, lines) if event[0] == kind]

    def wait_event(self, client, kind, accept=lambda *_: True):
        return eventually(lambda: next((e for e in self.events(client, kind) if accept(*e)), None), f"{kind} at ws")

    def wait_names(self, client, *names):
        def has_them(is_binary, text):
            return not is_binary and [peer["name"] for peer in json.loads(text)["peers"]] == list(names)
        self.wait_event(client, "message", has_them)

    def test_it_registers_is_told_of_others_and_gets_pongs(self):
        one = self.client(join_path(name="öne 🙂", port=1))
        self.wait_names(one, "öne 🙂")
        self.assertEqual(self.wait_event(one, "open"), ["", ""], "no deflate, no subprotocol")
        self.assertEqual(self.wait_event(one, "pong"), ["are you there"])
        two = self.client(join_path(name="two", port=2))
        self.wait_names(two, "öne 🙂", "two")
        self.wait_names(one, "öne 🙂", "two")
        two.close_stdin()
        self.assertEqual(self.wait_event(two, "close")[0], 1000)
        self.wait_names(one, "öne 🙂")

    def test_it_speaks_the_subprotocol_it_offers(self):
        client = self.client(v2.path(name="öne 🙂"), "natcoord.v3", v2.SUBPROTOCOL)
        self.assertEqual(self.wait_event(client, "open"), ["", v2.SUBPROTOCOL])
        for kind in ("welcome", "snapshot"):
            self.wait_event(client, "message", lambda is_binary, text, kind=kind:
                            not is_binary and json.loads(text)["type"] == kind)

    def test_it_understands_refusals_and_goodbyes(self):
        holder = self.own(connect(self.coordinator.port, join_path(name="a", port=1)))
        refused = self.client(join_path(name="a", port=2))
        self.assertIn("409", self.wait_event(refused, "error")[0])
        other = self.client(join_path(name="b", port=2))
        holder.list_of("a", "b")
        self.wait_names(other, "a", "b")
        replaced_by = self.own(connect(self.coordinator.port, join_path(name="b", port=2)))
        self.assertEqual(self.wait_event(other, "close")[0], 1008)
        replaced_by.next_list()
        last = self.client(join_path(name="c", port=3))
        self.wait_names(last, "a", "b", "c")
        self.coordinator.stop()
        self.assertEqual(self.wait_event(last, "close")[0], 1001)
