"""Proves the shape of the house (docs/ARCHITECTURE.md): which file may include which, and what the core never names.

    check.py ROOT     prints each breach as FILE:LINE: what is wrong; exit status 1 if there is one
"""
import pathlib
import re
import sys

# The rank of each core header. A file includes only headers of a lower rank than its own, so includes point one way.
# A header that is not here fails the check: give it the lowest rank that works.
RANKS = [
    ["bytes", "error", "fifo", "queue_level", "text", "time"],  # words every other file uses
    ["endpoint", "random", "stream_limits", "token_bucket"],
    ["header_cipher", "topic_keys"],
    # one format or one mechanism each
    ["ack_runs", "address_tokens", "backoff", "bbr", "coordinator_url", "header_streams", "join_query",
     "list_pacer", "note", "outbox", "output_format", "pacer", "relay_meter", "replay_window", "roster",
     "sealed_header", "send_log", "start_gate", "stun", "unproven_allowance", "v2_messages", "wire"],
    ["challenges", "path_mtu", "record_formatter", "relay_frame", "seal", "v2_client"],  # a format within another
    ["topic_roster"],  # rosters of clients
    # one conversation or one table each
    ["delivery", "input_splitter", "nat_probe", "path_set", "peer_table", "registration", "relay_queue",
     "stream_inbox", "stun_client", "stun_server", "topic_schedule", "topic_view"],
    ["session"],  # one peer of ours: its keys, its paths
    ["session_table"],
    ["progress_report", "receiver", "sender", "status_report"],  # what goes out, to whom, how fast; what the user is told
    ["coordinator", "peer"],  # the engines: everything one program decides
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
# A class whose code fills several files: file -> header.
PART_OF = {"bbr_phases": "bbr", "coordinator_v2": "coordinator", "delivery_loss": "delivery", "peer_coordinator": "peer",
           "peer_packets": "peer", "peer_pings": "peer", "peer_status": "peer", "peer_streams": "peer",
           "sender_left_behind": "sender", "stream_inbox_gaps": "stream_inbox"}
ENGINE_RANK = len(RANKS) - 1
# What net may use of the core: words, addresses and formats; nothing that decides.
NET_RANK = RANK["seal"]

# Reading a clock, the environment or randomness, logging, sockets: engines are told, they never ask.
CORE_NEVER_NAMES = re.compile(
    r"::now\s*\(|(?<![\w.>])(?:std::|::)?(?:time|clock|rand|srand|getenv|printf|fprintf|puts|fopen|sleep|usleep)\s*\("
    r"|clock_gettime|gettimeofday|timerfd|random_device|getrandom|RAND_bytes|randombytes|mt19937"
    r"|spdlog|std::(?:cout|cerr|clog|cin|this_thread|thread\b|mutex\b)|co_await|environ\b")
CORE_NEVER_INCLUDES = re.compile(
    r"nat/net/|boost/(?:asio|beast)|spdlog|CLI/|openssl/(?!(?:core_names|evp|params)\.h)|sys/|netinet/|arpa/|netdb\.h|unistd\.h|fcntl\.h|poll\.h|pthread"
    r"|linux/|^(?:iostream|fstream|cstdio|stdio\.h|ctime|time\.h|random|thread|mutex|filesystem)$")

LONGEST_FILE = 450  # lines; about 400 is where a room wants a wall
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
CODE = {".cpp", ".hpp", ".py", ".js"}


def without_comments_and_strings(text):
    """The same lines with comments and literals blanked, so that only code is judged."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\'', re.S)
    return token.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def core_name(include):
    """`nat/stun.hpp` -> `stun`; anything else -> None."""
    match = re.fullmatch(r"nat/(\w+)\.hpp", include)
    return match[1] if match else None


class Checker:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.breaches = []
        self.seen = 0

    def breach(self, path, line, what):
        self.breaches.append(f"{path.relative_to(self.root)}:{line}: {what}")

    def files(self, folder, pattern):
        found = sorted((self.root / folder).glob(pattern))
        self.seen += len(found)
        return found

    def includes(self, path):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if match := INCLUDE.match(line):
                yield number, match[1]

    def check_core(self, path, is_header):
        stem = PART_OF.get(path.stem, path.stem)
        rank = RANK.get(stem)
        if rank is None:
            self.breach(path, 1, f"'{path.stem}' has no rank in tests/structure/check.py")
            return
        for number, include in self.includes(path):
            if CORE_NEVER_INCLUDES.search(include):
                self.breach(path, number, f"the core includes {include}")
            name = core_name(include)
            if name is None or (name == stem and not is_header):
                continue
            if RANK.get(name, ENGINE_RANK) >= rank:
                self.breach(path, number, f"'{path.stem}' includes '{name}', which is not below it")
        code = without_comments_and_strings(path.read_text())
        for number, line in enumerate(code.splitlines(), 1):
            if not INCLUDE.match(line) and (match := CORE_NEVER_NAMES.search(line)):
                self.breach(path, number, f"the core names {match[0].strip()}")

    def check_net(self, path):
        for number, include in self.includes(path):
            name = core_name(include)
            if name and RANK.get(name, ENGINE_RANK) > NET_RANK:
                self.breach(path, number, f"net includes '{name}', which decides things")

    def check_program(self, path):
        other = "natpeer" if path.parent.name == "natcoord" else "natcoord"
        forbidden = {"natpeer": "coordinator", "natcoord": "peer"}[path.parent.name]
        for number, include in self.includes(path):
            if include.startswith(f"{other}/") or core_name(include) == forbidden:
                self.breach(path, number, f"{path.parent.name} includes {include}, the other program's")

    def check_length(self, path):
        lines = len(path.read_text().splitlines())
        if lines > LONGEST_FILE:
            self.breach(path, lines, f"{lines} lines, the limit is {LONGEST_FILE}")

    def check(self):
        for path in self.files("include/nat", "*.hpp"):
            self.check_core(path, is_header=True)
        for path in self.files("src/core", "*.[ch]pp"):
            self.check_core(path, is_header=False)
        for path in self.files("include/nat/net", "*.hpp") + self.files("src/net", "*.[ch]pp"):
            self.check_net(path)
        for program in ("natpeer", "natcoord"):
            for path in self.files(f"src/{program}", "*.[ch]pp"):
                self.check_program(path)
        for folder in ("include", "src", "tests"):
            for path in sorted((self.root / folder).rglob("*")):
                if path.suffix in CODE:
                    self.check_length(path)
        return self.breaches


def main():
    checker = Checker(sys.argv[1])
    for breach in checker.check():
        print(breach)
    print(f"{checker.seen} files judged, {len(checker.breaches)} breaches")
    return 1 if checker.breaches or checker.seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
