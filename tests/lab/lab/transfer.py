"""A stream of known bytes from one natpeer to another, which neither side of the test holds in memory."""
import hashlib
import math
import os
import random
import re
import subprocess
import threading

from lab.built import program
from lab.cell import REGISTERED
from support.waiting import eventually

CHUNK = 1 << 18  # bytes
SEED = 1
TOPIC = "transfer"


class Transfer:
    """`size` bytes from a host to another, or, without a size, as many as there are until `finish`. `sent` and
    `received`: how many have gone in here and come out there so far. `options`: more of the sender's."""

    def __init__(self, net, source, destination, size=math.inf, options=()):
        self.size, self.sent, self.received = size, 0, 0
        self.finished = threading.Event()
        self.sums = {}  # of what went in, of what came out
        ours_out, stdout = os.pipe()
        self.receiver = self.peer(net, destination, "receiver", "--quit-on-end", stdin=subprocess.DEVNULL, stdout=stdout)
        os.close(stdout)
        self.receiver.wait_err("registered")
        stdin, ours_in = os.pipe()
        self.sender = self.peer(net, source, "sender", "--quit-on-eof", *options, stdin=stdin,
                                stdout=subprocess.DEVNULL)
        os.close(stdin)
        self.threads = [threading.Thread(target=work, args=[end], daemon=True)
                        for work, end in ((self.feed, ours_in), (self.drain, ours_out))]
        for each in self.threads:
            each.start()

    @staticmethod
    def peer(net, host, name, *options, **pipes):
        coordinator = net.coordinator()
        return host.start([program("NATPEER"), "--topic", TOPIC, "--name", name, "--coordinator", coordinator.url,
                           "--stun", coordinator.stun, *options], **pipes)

    def feed(self, end):
        made, total = random.Random(SEED), hashlib.sha256()
        try:
            while self.sent < self.size and not self.finished.is_set():
                chunk = memoryview(made.randbytes(min(CHUNK, self.size - self.sent)))
                total.update(chunk)
                self.sent += len(chunk)
                while chunk:
                    chunk = chunk[os.write(end, chunk):]
        except BrokenPipeError:
            return  # the sender has ended, and says why
        finally:
            os.close(end)
        self.sums["in"] = total.hexdigest()

    def drain(self, end):
        total = hashlib.sha256()
        while chunk := os.read(end, CHUNK):
            total.update(chunk)
            self.received += len(chunk)
        os.close(end)
        self.sums["out"] = total.hexdigest()

    def finish(self):
        """What has gone in by now is all."""
        self.finished.set()

    def wait_share(self, share, deadline):
        """Until so much of it has come out."""
        eventually(lambda: self.received >= share * self.size or self.has_failed(), f"{share:.0%} of the bytes", deadline)

    def wait_more(self, size, deadline):
        """Until so many bytes more than now have come out."""
        until = self.received + size
        eventually(lambda: self.received >= until or self.has_failed(), f"{size} more bytes", deadline)

    def wait_path(self, path, deadline):
        eventually(lambda: self.path() == path or self.has_failed(), f"the path is {path}", deadline)

    def has_failed(self):
        return any(not each.is_running() and each.process.returncode != 0 for each in (self.sender, self.receiver))

    def path(self):
        """How the sender last said that it reaches the receiver: `direct, lan`, `by relay`, ..., or None. That there is
        no path any more does not count: it says so at the end, when the receiver was quicker to leave."""
        told = re.findall(r"peer receiver: (direct, [a-z0-9]+|by relay)", self.sender.err.text())
        return told[-1] if told else None

    def registrations(self):
        """How often each of the two has registered so far."""
        return [len(re.findall(REGISTERED, each.err.text())) for each in (self.sender, self.receiver)]

    def wait_end(self, deadline):
        """The exit statuses of both, once both have ended and all bytes are counted."""
        statuses = self.sender.wait_exit(deadline), self.receiver.wait_exit(deadline)
        for each in self.threads:
            each.join(deadline)
        return statuses
