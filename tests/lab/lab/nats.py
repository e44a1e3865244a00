"""The nftables rules of each kind of NAT, in the terms of RFC 4787.

A router has two interfaces, `wan` and `lan`. The rules see packets in this order:

    wan or lan --> prerouting (dnat) --> forward (filter) --> postrouting (srcnat, then `track`) --> lan or wan
                                    \\-> input (filter), for what is addressed to the router

Chains of type nat see only the first packet of a flow; the kernel's connection tracking repeats their decision for the
others. Its flows are matched by address and port of both ends, so a plain masquerade is a NAT with address-and-port-
dependent filtering whose mapping keeps the port, and so looks endpoint-independent, unless that port is taken.

full and addr therefore translate UDP without it, packet by packet, from a map of their own (`untrack` and `translate`):
connection tracking would shift the mapping where a packet in and one out pass the router at the same moment. They keep
the port always, so two hosts behind one must not use the same. ICMP errors find no flow there and do not come in.
"""
import dataclasses

KINDS = ("open", "fw", "full", "addr", "port", "portopen", "sym", "symseq", "cgnat", "noudp")
SUMMARIES = {
    "open": "a public address, no router",
    "fw": "no NAT, a stateful firewall",
    "full": "endpoint-independent mapping and filtering",
    "addr": "endpoint-independent mapping, address-dependent filtering",
    "port": "endpoint-independent mapping, address-and-port-dependent filtering: the common home router",
    "portopen": "as port, but accepts packets that are addressed to itself",
    "sym": "another random port for each destination",
    "symseq": "the next port for each destination",
    "cgnat": "port behind port: two NATs",
    "noudp": "port for TCP; UDP is dropped",
}
PRIVATE = "{ 192.168.0.0/16, 100.64.0.0/10 }"
MAPPED = ("full", "addr")  # the kinds whose UDP goes by a map of their own
# Where it can be asked for. Not cgnat: the kernel does not forward what has become a packet from a host to itself,
# which is what the carrier's router sees between two hosts behind one home router.
HAIRPIN = ("full", "addr", "port", "portopen")
MAPPING_TIMEOUT = 120  # seconds; RFC 4787, REQ-5: not less than two minutes
MAX_MAPPINGS = 65535
STUN_PORT = 3478
SEQUENTIAL_PORTS = range(20000, 22048)  # symseq goes round in these


@dataclasses.dataclass(frozen=True)
class Rules:
    """What decides a router's rules. `public` is its address on `wan`. `hairpin`: packets from inside to a mapped
    public port go to the host there, whatever the kind's filtering. `udp_timeout`: seconds that end a silent mapping,
    else the kernel's times and MAPPING_TIMEOUT. `drop_below`: bytes of UDP payload."""

    kind: str
    public: str
    hairpin: bool = False
    udp_timeout: int | None = None
    drop_below: int | None = None

    @property
    def has_map(self):
        return self.kind in MAPPED or self.hairpin

    def text(self):
        """The router's whole ruleset, for `nft -f`."""
        chains = [self.filters()]
        if self.kind != "fw":
            chains += [self.prerouting(), self.postrouting()]
        if self.kind in MAPPED:
            chains += [self.maps("ipv4_addr"), self.untrack(), self.translate()]
        elif self.has_map:
            chains += [self.maps("ipv4_addr . inet_service"), self.track()]
        return "table ip lab {\n" + "\n".join(chains) + "\n}\n"

    def filters(self):
        forward = ["ct state established,related accept", 'iifname "lan" accept', 'iifname "wan" ct status dnat accept']
        if self.kind == "noudp":
            forward.insert(0, "meta l4proto udp counter drop")
        if self.kind in MAPPED:
            forward.append("ct state untracked accept")
        small = ""
        if self.drop_below:
            # STUN's requests have 20 bytes: a NAT that dropped those too would let nobody register. One rule a port:
            # nft 1.0 makes `sport != X dport != X` a single comparison of both.
            stun = [f"udp dport {STUN_PORT} return", f"udp sport {STUN_PORT} return"]
            small = chain("small", None, None, None, [*stun, "counter drop"])
            forward.insert(0, f"udp length < {8 + self.drop_below} jump small")
        # What is dropped here never becomes a flow, so that it cannot stand in the way of a later one. portopen
        # accepts: the kernel finds no socket and answers with ICMP, as a router without a firewall does.
        own = ["ct state established,related accept", 'iifname "lo" accept']
        if self.kind == "portopen":
            own.append('iifname "wan" meta l4proto udp accept')
        return small + chain("forward", "filter", "forward", "filter", forward, "drop") + \
            chain("input", "filter", "input", "filter", own, "drop")

    def prerouting(self):
        """Stands here empty too: without it the kernel does not undo a masquerade for every flow."""
        rules = []
        if self.hairpin and self.kind not in MAPPED:
            rules.append(f'iifname "lan" ip daddr {self.public} dnat ip to udp dport map @mappings')
        return chain("prerouting", "nat", "prerouting", "dstnat", rules)

    def postrouting(self):
        rules = []
        if self.hairpin and self.kind not in MAPPED:
            # Postrouting does not know the interface a packet came by; only hosts inside have private addresses.
            rules.append(f'oifname "lan" ip saddr {PRIVATE} ct status dnat snat ip to {self.public}')
        if self.kind == "sym":
            rules.append('oifname "wan" masquerade fully-random')
        elif self.kind == "symseq":
            ports = ", ".join(f"{at}: {port}" for at, port in enumerate(SEQUENTIAL_PORTS))
            rules.append(f'oifname "wan" meta l4proto udp snat ip to {self.public}:'
                         f"numgen inc mod {len(SEQUENTIAL_PORTS)} map {{ {ports} }}")
        rules.append('oifname "wan" masquerade')
        return chain("postrouting", "nat", "postrouting", "srcnat", rules)

    def maps(self, inside):
        """`mappings`: public port to `inside`, which is the host or its endpoint; `contacted`: who was sent to from
        which public port."""
        life = f"flags dynamic,timeout; timeout {self.udp_timeout or MAPPING_TIMEOUT}s; size {MAX_MAPPINGS};"
        return (f"  map mappings {{ type inet_service : {inside}; {life} }}\n"
                f"  set contacted {{ type inet_service . ipv4_addr; {life} }}\n")

    def untrack(self):
        """Keeps what is mapped away from connection tracking, and sends what comes in to the host inside."""
        known = f"ip daddr {self.public} ip daddr set udp dport map @mappings notrack"
        allowed = "udp dport . ip saddr @contacted " if self.kind == "addr" else ""
        rules = [f'iifname "wan" {allowed}{known}', 'iifname "lan" meta l4proto udp notrack']
        if self.hairpin:
            rules.append(f'iifname "lan" {known}')
        return chain("untrack", "filter", "prerouting", "raw", rules)

    def translate(self):
        """The public address as the source, of what goes out and of what comes back in by hairpin: nothing else that
        has a private source is routed to either interface."""
        entry = "update @mappings { udp sport : ip saddr } update @contacted { udp sport . ip daddr }"
        packet = f"ip saddr {PRIVATE} ct state untracked"
        return chain("translate", "filter", "postrouting", "srcnat", [f"{packet} {entry} ip saddr set {self.public}"])

    def track(self):
        """Enters and refreshes mappings, for each packet from inside: behind srcnat, where it has its public source."""
        rules = []
        # A flow that the other side opened carries our packets in its reply direction.
        for direction in ("original", "reply"):
            packet = f"ip saddr {self.public} meta l4proto udp ct direction {direction}"
            inside = f"ct {direction} ip saddr . ct {direction} proto-src"
            entry = f"update @mappings {{ udp sport : {inside} }} update @contacted {{ udp sport . ip daddr }}"
            rules.append(f"{packet} {entry}")
        return chain("track", "filter", "postrouting", "srcnat + 10", rules)

    def sysctls(self):
        """(name below /proc/sys/net, value)."""
        settings = [("ipv4/ip_forward", 1)]
        if self.hairpin:
            settings += [("ipv4/conf/all/send_redirects", 0), ("ipv4/conf/default/send_redirects", 0)]
        if self.udp_timeout:
            settings += [("netfilter/nf_conntrack_udp_timeout", self.udp_timeout),
                         ("netfilter/nf_conntrack_udp_timeout_stream", self.udp_timeout)]
        return settings

    def forget(self, tcp=False):
        """The shell commands that lose every UDP mapping, and print the flows among them. With `tcp` its connections,
        too, and nothing that goes on of one makes it known again, as the kernel would have it."""
        # conntrack's status is 1 when there was none.
        lines = ["conntrack -D -p udp 2>/dev/null || true"]
        if tcp:
            loose = "echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose"
            lines = [loose, "conntrack -D -p tcp 2>/dev/null || true", *lines, "conntrack -F 2>/dev/null"]
        if self.has_map:
            lines += ["nft flush map ip lab mappings", "nft flush set ip lab contacted"]
        return "\n".join(lines) + "\n"

    def list_mappings(self):
        """The shell commands that print a line with `sport=` or `elements` while there is a UDP mapping."""
        lines = ["conntrack -L -p udp 2>/dev/null"]
        if self.has_map:
            lines.append("nft list map ip lab mappings")
        return "\n".join(lines) + "\n"


def chain(name, kind, hook, priority, rules, policy="accept"):
    """Without a hook it is one to jump to."""
    body = "".join(f"    {rule}\n" for rule in rules)
    base = f"    type {kind} hook {hook} priority {priority}; policy {policy};\n" if hook else ""
    return f"  chain {name} {{\n{base}{body}  }}\n"


def core_rules():
    """The internet carries public addresses only: a packet that left a NAT untranslated must be lost, not delivered.
    `cut` holds the interfaces whose link is cut; taking them down would cost the routes too. `apart`: whose UDP to
    whom is lost."""
    arriving = [f"ip saddr {PRIVATE} counter drop", f"ip daddr {PRIVATE} counter drop", "iifname @cut drop",
                "meta l4proto udp ip saddr . ip daddr @apart drop"]
    return ("table ip lab {\n  set cut { type ifname; }\n  set apart { type ipv4_addr . ipv4_addr; }\n" +
            chain("prerouting", "filter", "prerouting", "raw", arriving) +
            chain("postrouting", "filter", "postrouting", "filter", ["oifname @cut drop"]) + "}\n")
