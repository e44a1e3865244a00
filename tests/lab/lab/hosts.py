"""The machines of a network: those of peers, and the coordinator's."""
import signal
import subprocess

from lab import names
from lab.built import program
from lab.nats import STUN_PORT
from support.programs import Program
from support.waiting import DEADLINE

WEBSOCKET_PORT = 6969


class Host:
    """A machine in a namespace of its own. `site` is where it is, `address` its own there (which a NAT hides)."""

    def __init__(self, network, namespace, number):
        self.network, self.namespace, self.number = network, namespace, number
        self.site = self.address = self.link = None

    def start(self, argv, **more):
        """Starts a program here, which the network ends. Call it from a thread that lives as long as the program
        should: the program does not outlive it."""
        return self.network.own(Program([*names.enter(self.namespace), *argv], **more))

    def run(self, argv, timeout=DEADLINE, **more):
        """Runs a command here to its end; its CompletedProcess, with what it wrote as text."""
        return subprocess.run([*names.enter(self.namespace), *map(str, argv)], timeout=timeout, text=True,
                              capture_output=True, **more)

    def pieces_made(self):
        """How many pieces of packets its kernel has made, that would have been too large whole (RFC 4293)."""
        names_of, values = [line.split() for line in self.run(["cat", "/proc/net/snmp"]).stdout.splitlines()
                            if line.startswith("Ip:")]
        return int(values[names_of.index("FragCreates")])

    def socket(self, **more):
        return names.socket_in(self.namespace, **more)


class Coordinator(Host):
    """A public host with natcoord. `url` and `stun` stay the same when it is restarted."""

    def __init__(self, network, namespace, number, options=()):
        super().__init__(network, namespace, number)
        self.options = options
        self.natcoord = None
        self.reports = 0  # of the natcoord that runs

    @property
    def url(self):
        return f"ws://{self.address}:{WEBSOCKET_PORT}"

    @property
    def stun(self):
        return f"{self.address}:{STUN_PORT}"

    def restart(self):
        """Starts natcoord, which must not be running, and waits until it listens."""
        self.natcoord = self.start([program("NATCOORD"), "--listen", self.address, *self.options],
                                   stdin=subprocess.DEVNULL)
        self.natcoord.wait_err(r"listens on ")

    def kill(self):
        """Without a goodbye: its sockets are reset."""
        self.natcoord.end()
        self.reports = 0

    def counters(self):
        """natcoord's, by name, as they are now."""
        self.natcoord.process.send_signal(signal.SIGUSR1)
        self.reports += 1
        line = self.natcoord.wait_err(r"counters: (.*)", count=self.reports)[1]
        return {name: int(value) for name, value in (pair.split("=") for pair in line.split())}
