"""A peer that knows only section 1 of docs/PROTOCOL.md, as a program: stdin -> peers -> stdout.

Each non-empty line of stdin is one DATA packet to each peer, without its line ending. The payload of each DATA packet
from exactly a listed address is a line of stdout. Nothing comes back after a break, and nothing is sent twice. It ends
with status 1 where STUN or the coordinator does not answer, 3 on a packet that crashes the programs out there."""
import argparse
import os
import signal
import sys
import types
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import websocket  # noqa: E402
from support.seed_peer import DATA, HEADER, SeedPeer  # noqa: E402

CRASHED = 3  # exit status


class PrintingPeer(SeedPeer):
    """Prints what it gets instead of keeping it: a run may be long."""

    def on_datagram(self, datagram, source):
        if datagram[:8] != DATA:
            return
        if len(datagram) < HEADER:
            sys.stderr.write(f"crashed by a DATA packet of {len(datagram)} bytes from {source}\n")
            os._exit(CRASHED)  # this is a thread's end, not the program's
        if source in list(self.peers.values()):
            os.write(1, datagram[HEADER:] + b"\n")

    def follow_lists(self):
        super().follow_lists()
        sys.stderr.write("the coordinator is gone\n")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--coordinator", required=True, metavar="ws://IP:PORT")
    parser.add_argument("--stun", required=True, metavar="IP:PORT")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    coordinator = urllib.parse.urlsplit(arguments.coordinator)
    stun_host, _, stun_port = arguments.stun.rpartition(":")
    ports = types.SimpleNamespace(port=coordinator.port, stun_port=int(stun_port))
    try:
        peer = PrintingPeer(ports, arguments.name, arguments.topic, bind="0.0.0.0", host=coordinator.hostname,
                            stun_host=stun_host)
    except (AssertionError, OSError, websocket.Closed, websocket.Refused) as error:
        sys.stderr.write(f"cannot join: {error}\n")
        return 1
    sys.stderr.write("joined as {}:{}\n".format(*peer.public))
    for line in sys.stdin.buffer:
        if stripped := line.rstrip(b"\r\n"):
            peer.say(stripped)
    while True:  # stdin's end is not the program's
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
