"""The topology: an internet (`core`), a coordinator on it, and sites of hosts behind routers.

    core -- veth or wire -- router -- bridge -- hosts          fw, full, addr, port, portopen, sym, symseq, noudp
    core -- veth or wire -- carrier -- home router -- hosts    cgnat
    core -- veth or wire -- host                               open, and the coordinator

Addresses: link N to the core is 198.18.N.0/24, hosts behind a firewall are in 198.19.N.0/24 (both from RFC 2544's block
for benchmarks), hosts behind a NAT in 192.168.N.0/24, and 100.64.N.0/24 (RFC 6598) lies between cgnat's two routers.
"""
import subprocess
import sys
import threading

from lab import ROOT, names
from lab.built import program
from lab.hosts import Coordinator, Host
from lab.names import LabError
from lab.nats import HAIRPIN, KINDS, Rules, core_rules
from support.programs import Program

MAX_LINKS = 254  # to the core
MAX_HOSTS = 200  # behind a router
FIRST_HOST = 10  # its address in the network behind a router
SEED_PEER = ROOT / "tests" / "lab" / "seed_peer.py"


PROC = "/proc/sys/net"
NO_IPV6 = ("ipv6/conf/all/disable_ipv6", 1)


class Setup:
    """What one namespace is to be given: addresses and routes, rules, settings of the kernel."""

    def __init__(self, namespace, *links):
        self.namespace = namespace
        self.links = [*links]
        self.rules = ""
        self.sysctls = []

    def script(self):
        # A kernel without IPv6 has no file for it.
        settings = "".join(f"[ ! -e {PROC}/{name} ] || echo {value} >{PROC}/{name}\n" for name, value in self.sysctls)
        rules = f"nft -f - <<'END'\n{self.rules}END\n" if self.rules else ""
        links = "".join(f"{line}\n" for line in self.links)
        return f"set -e\n{settings}ip -batch - <<'END'\n{links}END\n{rules}"


def apply(*setups):
    """All at once: they do not depend on each other."""
    running = []
    for setup in setups:
        shell = subprocess.Popen([*names.enter(setup.namespace), "sh", "-s"], stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        running.append((setup, shell))
    failures = []
    for setup, shell in running:
        said = shell.communicate(setup.script())[1].strip()
        if shell.returncode != 0:
            failures.append(f"{setup.namespace}: {said or shell.returncode}")
    if failures:
        raise LabError("; ".join(failures))


class Site:
    """Hosts behind the routers of one kind of NAT. `routers`: namespaces, the outermost first. `public`: the address
    the internet sees, None where hosts have their own."""

    def __init__(self, network, kind, number, hairpin=False, udp_timeout=None, drop_below=None, wire=None):
        if kind not in KINDS:
            raise LabError(f"no such NAT: {kind!r}; there are {', '.join(KINDS)}")
        self.network, self.kind, self.number, self.wire = network, kind, number, wire
        self.hosts = []
        self.routers = []
        self.links = []  # numbers of the links to the core
        self.public = None if kind in ("open", "fw") else far_address(number)
        self.rules = []
        if kind == "open":
            if hairpin or udp_timeout or drop_below:
                raise LabError("an open site has no router that could do that")
            return
        if hairpin and kind not in HAIRPIN:
            raise LabError(f"the lab has no hairpin for {kind}, only for {', '.join(HAIRPIN)}")
        more = {"hairpin": hairpin, "udp_timeout": udp_timeout, "drop_below": drop_below}
        inner = "port" if kind == "cgnat" else kind
        self.rules = [Rules(inner, far_address(number), **more)]
        if kind == "cgnat":
            self.rules.append(Rules(inner, f"100.64.{number}.2", **more))

    @property
    def inside(self):
        """The network of the hosts, without its last byte."""
        return f"198.19.{self.number}" if self.kind == "fw" else f"192.168.{self.number}"

    def build(self):
        core, number = self.network.core, self.number
        self.routers = [self.network.name(f"{self.kind}{number}{part}") for part in ("", "home")[:len(self.rules)]]
        between = ""
        if self.kind == "cgnat":
            between = f"link add home netns {self.routers[0]} type veth peer name wan netns {self.routers[1]}\n"
        names.make(self.routers, between)
        self.network.add_link(number, self.routers[0], "wan", self.wire)
        self.links.append(number)
        networks = [(f"{far_address(number)}/24", core_address(number), f"{self.inside}.1/24")]
        if self.kind == "cgnat":
            networks = [(networks[0][0], networks[0][1], f"100.64.{number}.1/24"),
                        (f"100.64.{number}.2/24", f"100.64.{number}.1", f"{self.inside}.1/24")]
        routers = [router_setup(*each) for each in zip(self.routers, networks, self.rules)]
        if self.kind == "cgnat":
            routers[0].links.append("link set home master lan up")
        core = core_link_setup(core, number)
        if self.kind == "fw":
            core.links.append(f"route add {self.inside}.0/24 via {far_address(number)}")
        apply(core, *routers)

    def forget_mappings(self, tcp=False):
        """The routers lose every UDP mapping; with `tcp` its connections, too, as one that was restarted does. What they
        had of it, as conntrack(8) lists flows; what full and addr keep in a map of their own is not told."""
        return self.in_routers(lambda rules: rules.forget(tcp))

    def has_mappings(self):
        """Whether a router knows any UDP flow."""
        known = self.in_routers(lambda rules: rules.list_mappings())
        return "sport=" in known or "elements" in known

    def in_routers(self, script):
        """Runs a shell script, made of a router's rules, in each router; what they printed."""
        said = ""
        for router, rules in zip(self.routers, self.rules):
            done = subprocess.run([*names.enter(router), "sh", "-ec", script(rules)], text=True, capture_output=True)
            if done.returncode != 0:
                raise LabError(f"{router}: {done.stderr.strip()}")
            said += done.stdout
        return said

    def narrow(self, mtu):
        """The line to the internet carries no more bytes of IP at once. The router says so."""
        apply(Setup(self.network.core, *[f"link set up{number} mtu {mtu}" for number in self.links]),
              Setup(self.routers[0], f"link set wan mtu {mtu}"))

    def cut(self):
        """Nothing passes between the internet and this site until `mend`."""
        self.change_cut("add")

    def mend(self):
        self.change_cut("delete")

    def change_cut(self, verb):
        links = ", ".join(f'"up{number}"' for number in self.links)
        apply_rules(self.network.core, f"{verb} element ip lab cut {{ {links} }}\n")


class Network:
    """One internet with all that is on it. Its end ends every program on it and removes everything."""

    def __init__(self):
        self.prefix = names.network_prefix()
        self.programs = []
        self.spaces = []
        self.sites = []
        self.link_count = self.host_count = 0
        self.lock = threading.Lock()
        self.coordinator_host = None
        self.core = None

    def __enter__(self):
        try:
            self.core = self.name("core")
            names.make([self.core])
            core = Setup(self.core, "link set lo up")
            core.rules = core_rules()
            core.sysctls = [NO_IPV6, ("ipv4/ip_forward", 1)]
            apply(core)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error):
        self.close()

    def close(self):
        spaces = names.existing(self.prefix)
        # First the processes: a program's own children would keep its pipes open.
        names.end_processes(spaces)
        with self.lock:
            programs, self.programs = self.programs, []
        for each in reversed(programs):
            each.end()
        names.remove(spaces)

    def name(self, role):
        return f"{self.prefix}{role}"

    def own(self, started):
        with self.lock:
            self.programs.append(started)
        return started

    def coordinator(self, options=()):
        """The public host with natcoord, running; the first call makes it."""
        if self.coordinator_host is None:
            host = Coordinator(self, self.name("coordinator"), self.next_host(), options)
            self.add_host(host, self.add_site("open"))
            host.restart()
            self.coordinator_host = host
        return self.coordinator_host

    def site(self, kind, hosts=1, **more):
        """`hosts` machines behind a NAT of this kind (lab.nats.KINDS). More: hairpin, udp_timeout (seconds), drop_below
        (bytes of UDP payload), wire (options of natpeer_wire, for the uplink)."""
        site = self.add_site(kind, **more)
        for _ in range(hosts):
            number = self.next_host()
            self.add_host(Host(self, self.name(f"host{number}"), number), site)
        return site

    def move(self, host, site):
        """The host leaves its network, without a word to anybody, and joins another: new address, new default route."""
        host.site.hosts.remove(host)
        if host.link is not None:
            host.site.links.remove(host.link)
        apply(Setup(host.namespace, "link del eth0"))
        self.attach(host, site)

    def block(self, sender, receiver):
        """No UDP passes from this site's public address to that one's, until `unblock`; what goes elsewhere does."""
        self.change_block("add", sender, receiver)

    def unblock(self, sender, receiver):
        self.change_block("delete", sender, receiver)

    def change_block(self, verb, sender, receiver):
        ends = " . ".join(site.public or site.hosts[0].address for site in (sender, receiver))
        apply_rules(self.core, f"{verb} element ip lab apart {{ {ends} }}\n")

    def natpeer(self, host, name, topic="t", options=()):
        coordinator = self.coordinator()
        return host.start([program("NATPEER"), "--topic", topic, "--name", name, "--coordinator", coordinator.url,
                           "--stun", coordinator.stun, *options])

    def seed_peer(self, host, name, topic="t", options=()):
        """A peer that knows only section 1 of docs/PROTOCOL.md."""
        coordinator = self.coordinator()
        return host.start([sys.executable, SEED_PEER, "--topic", topic, "--name", name, "--coordinator",
                           coordinator.url, "--stun", coordinator.stun, *options])

    # How it is put together.

    def add_site(self, kind, **more):
        # An open site has no router, and its hosts a link each.
        site = Site(self, kind, self.next_link() if kind != "open" else None, **more)
        if kind != "open":
            site.build()
        self.sites.append(site)
        return site

    def next_link(self):
        if self.link_count == MAX_LINKS:
            raise LabError(f"at most {MAX_LINKS} links to the core")
        self.link_count += 1
        return self.link_count

    def next_host(self):
        self.host_count += 1
        return self.host_count

    def add_link(self, number, namespace, interface, wire):
        """From the core, where it is called upNUMBER, to an interface there."""
        core_end = f"up{number}"
        if wire is None:
            names.make([], f"link add {core_end} netns {self.core} type veth peer name {interface} netns {namespace}\n")
            return
        far_end = f"far{number}"
        running = self.own(Program([*names.enter(self.core), program("NATPEER_WIRE"), core_end, far_end, *wire]))
        running.wait_out("ready")
        apply(Setup(self.core, f"link set {far_end} netns {namespace} name {interface}"))

    def add_host(self, host, site):
        names.make([host.namespace])
        own = Setup(host.namespace, "link set lo up")
        own.sysctls = [NO_IPV6]
        apply(own)
        self.attach(host, site)

    def attach(self, host, site):
        host.site, host.link = site, None
        if site.kind == "open":
            host.link = self.next_link()
            self.add_link(host.link, host.namespace, "eth0", site.wire)
            site.links.append(host.link)
            host.address, gateway = far_address(host.link), core_address(host.link)
            there = core_link_setup(self.core, host.link)
        else:
            router, port = site.routers[-1], f"host{host.number}"
            names.make([], f"link add {port} netns {router} type veth peer name eth0 netns {host.namespace}\n")
            host.address, gateway = f"{site.inside}.{self.free_address(site)}", f"{site.inside}.1"
            there = Setup(router, f"link set {port} master lan up")
        apply(there, Setup(host.namespace, f"addr add {host.address}/24 dev eth0", "link set eth0 up",
                           f"route add default via {gateway}"))
        site.hosts.append(host)

    @staticmethod
    def free_address(site):
        taken = {host.address for host in site.hosts}
        for last in range(FIRST_HOST, FIRST_HOST + MAX_HOSTS):
            if f"{site.inside}.{last}" not in taken:
                return last
        raise LabError(f"at most {MAX_HOSTS} hosts behind a router")


def core_address(number):
    return f"198.18.{number}.1"


def far_address(number):
    return f"198.18.{number}.2"


def core_link_setup(core, number):
    return Setup(core, f"addr add {core_address(number)}/24 dev up{number}", f"link set up{number} up")


def router_setup(namespace, addresses, rules):
    """`addresses`: its own on wan and the default gateway there, its own on lan."""
    wan, gateway, lan = addresses
    setup = Setup(namespace, "link set lo up", "link add lan type bridge", f"addr add {lan} dev lan", "link set lan up",
                  f"addr add {wan} dev wan", "link set wan up", f"route add default via {gateway}")
    setup.rules = rules.text()
    setup.sysctls = [NO_IPV6, *rules.sysctls()]
    return setup


def apply_rules(namespace, text):
    done = subprocess.run([*names.enter(namespace), "nft", "-f", "-"], input=text, text=True, capture_output=True)
    if done.returncode != 0:
        raise LabError(f"{namespace}: {done.stderr.strip()}")
