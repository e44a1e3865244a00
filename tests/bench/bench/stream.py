"""One natpeer that sends without end, and some that write what comes to /dev/null."""
import contextlib
import os
import re
import subprocess
import tempfile

from bench import meter
from lab.built import program
from support.waiting import eventually

ENDLESS = 1 << 40  # bytes; of a file without content, which costs nothing to read but the copy
TOPIC = "bench"


@contextlib.contextmanager
def endless_file():
    """A file that never ends, in memory where there is such a place."""
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(ENDLESS)
        yield file


@contextlib.contextmanager
def key_file():
    with tempfile.NamedTemporaryFile() as file:
        file.write(subprocess.run([program("NATPEER"), "keygen"], capture_output=True, check=True).stdout)
        file.flush()
        yield ["--key-file", file.name]


class Stream:
    """Runs until it is closed. `direct`: begins when every receiver is reached directly, else as it is started."""

    def __init__(self, net, source, destinations, options=(), direct=True):
        self.net, self.source, self.destinations = net, source, destinations
        self.options, self.direct = options, direct

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        try:
            self.start()
        except BaseException:
            self.stack.close()
            raise
        return self

    def start(self):
        null = self.stack.enter_context(open(os.devnull, "wb"))
        count = len(self.destinations)
        self.receivers = [self.own(host, f"receiver{number}", stdin=subprocess.DEVNULL, stdout=null)
                          for number, host in enumerate(self.destinations)]
        for receiver in self.receivers:
            receiver.wait_err("registered")
        # cat: a pipe on stdin, as in use.
        self.cat = subprocess.Popen(["cat"], stdin=self.stack.enter_context(endless_file()), stdout=subprocess.PIPE)
        self.stack.callback(self.cat.wait)
        self.stack.callback(self.cat.kill)
        self.sender = self.own(self.source, "sender", "--wait", str(count), stdin=self.cat.stdout,
                               stdout=null)
        self.cat.stdout.close()
        if self.direct:
            eventually(lambda: len({*re.findall(r"peer (\S+): direct", self.sender.err.text())}) == count,
                       "a direct path to every receiver")

    def own(self, host, name, *more, **pipes):
        coordinator = self.net.coordinator()
        started = host.start([program("NATPEER"), "--topic", TOPIC, "--name", name, "--coordinator", coordinator.url,
                              "--stun", coordinator.stun, *self.options, *more], **pipes)
        self.stack.callback(started.end)
        return started

    def __exit__(self, *_error):
        self.stack.close()

    def sample(self):
        return meter.sample(self.sender.pid), [meter.sample(each.pid) for each in self.receivers]
