"""A natpeer stream and a TCP download on one link, in the same direction: how much of it each gets."""
import dataclasses
import json
import os
import subprocess
import time

from lab import names
from lab.built import program
from lab.network import Network

RATE, ONE_WAY = 50e6, 0.010  # bit/s, seconds
DELAY_PRODUCT = RATE / 8 * 2 * ONE_WAY  # bytes
HEAD_START = 3.0  # seconds that the first has the link for itself
SETTLING = 5  # seconds of both together that are not counted
COUNTED = 20  # seconds
PORT = 5201


@dataclasses.dataclass(frozen=True)
class Shares:
    ours: float  # bit/s
    tcp: float
    rtt: float  # milliseconds; natpeer's, at the end
    # Of the bytes that natpeer sent, to some tenths of a per cent: its two ends are asked one after the other. Its PINGs
    # would not tell: a short one fits where a long one does not.
    loss: float
    resent: int  # TCP's segments, in all

    @property
    def share(self):
        return self.ours / (self.ours + self.tcp)

    def __str__(self):
        return (f"natpeer {self.ours / 1e6:.1f}, TCP {self.tcp / 1e6:.1f} Mbit/s: {self.share:.0%} "
                f"(round trip {self.rtt:.0f} ms; lost: {self.loss:.2%} of our bytes, {self.resent} of TCP's segments)")


def controls():
    """TCP's congestion controls that the kernel has."""
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control", encoding="ascii") as file:
        return file.read().split()


def written(process):
    """Bytes that it has written so far."""
    with open(f"/proc/{process.pid}/io", encoding="ascii") as file:
        fields = dict(line.split(": ") for line in file)
    return int(fields["wchar"])


def peer(net, host, name, folder, **pipes):
    coordinator = net.coordinator()
    return host.start([program("NATPEER"), "--topic", "share", "--name", name, "--coordinator", coordinator.url,
                       "--stun", coordinator.stun, "--status-socket", os.path.join(folder, name)], **pipes)


def path_of(host, folder, name):
    """What this natpeer, which is on `host`, says of its only peer."""
    return json.loads(host.run([program("NATPEER"), "status", os.path.join(folder, name), "--json"]).stdout)["peers"][0]


def start_stream(net, source, destination, folder):
    """The receiver."""
    with open(os.devnull, "wb") as null, open("/dev/zero", "rb") as zeros:
        receiver = peer(net, destination, "downloader", folder, stdin=subprocess.DEVNULL, stdout=null)
        receiver.wait_err("registered")
        sender = peer(net, source, "server", folder, stdin=zeros, stdout=null)
        sender.wait_err("peer downloader: direct")
    return receiver


def start_download(source, destination, control, seconds):
    server = source.start(["iperf3", "--server", "--one-off", "--forceflush", "--port", str(PORT)],
                          stdin=subprocess.DEVNULL)
    server.wait_out("listening")
    return destination.start(["iperf3", "--client", source.address, "--port", str(PORT), "--reverse", "--congestion",
                              control, "--time", str(seconds), "--json"], stdin=subprocess.DEVNULL)


def play(queue_products, control, tcp_first):
    """`queue_products`: what waits before the link, in bandwidth-delay products; `control`: TCP's, as the kernel calls
    it."""
    wire = ["--rate", f"{RATE / 1e6:.0f}mbit", "--delay", f"{ONE_WAY * 1000:.0f}ms",
            "--queue", f"{max(queue_products * DELAY_PRODUCT, 10e3) / 1000:.0f}kB"]
    with names.temporary_folder() as folder, Network() as net:
        net.coordinator()
        destination = net.site("open", wire=wire).hosts[0]
        servers = [net.site("open").hosts[0] for _ in range(2)]


        def counted():
            """Bytes that one has sent, and that the other has received."""
            return (path_of(servers[1], folder, "server")["bytes_sent"],
                    path_of(destination, folder, "downloader")["bytes_received"])

        duration = int(2 * HEAD_START) + SETTLING + COUNTED + 5
        if tcp_first:
            download = start_download(servers[0], destination, control, duration)
            time.sleep(HEAD_START)
            receiver = start_stream(net, servers[1], destination, folder)
        else:
            receiver = start_stream(net, servers[1], destination, folder)
            time.sleep(HEAD_START)
            download = start_download(servers[0], destination, control, duration)
        began_together = time.time()
        time.sleep(SETTLING)
        before, since = written(receiver), time.time()
        sent, arrived = counted()
        time.sleep(COUNTED)
        after, until = written(receiver), time.time()
        sent, arrived = (now - then for now, then in zip(counted(), (sent, arrived)))
        rtt = path_of(servers[1], folder, "server")["rtt_ms"] or 0.0
        download.wait_exit()
        told = json.loads(bytes(download.out.data))
    used = told["end"]["sender_tcp_congestion"]
    assert used == control, f"the download used {used}, not {control}"
    start = told["start"]["timestamp"]["timesecs"]
    inside = [each["sum"] for each in told["intervals"]
              if start + each["sum"]["start"] >= began_together + SETTLING - 1
              and start + each["sum"]["end"] <= until + 1]
    tcp = 8 * sum(each["bytes"] for each in inside) / sum(each["seconds"] for each in inside)
    resent = told["end"]["sum_sent"]["retransmits"]
    return Shares(8 * (after - before) / (until - since), tcp, rtt, 1 - arrived / sent, resent)
