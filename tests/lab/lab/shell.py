"""`lab shell A B`: a small network, and short commands to use it with."""
import os
import shlex
import shutil
import subprocess
import sys

from lab import names
from lab.built import program
from lab.names import FOLDER, LabError
from lab.network import SEED_PEER, Network

TOPIC = "lab"
NOT_FOUND = 127  # a shell's exit status for a command that does not exist

HELP = """\
The internet is at your hands: a coordinator, host a behind {a_kind}, host b behind {b_kind}.

  a CMD...   b CMD...       run a command on host a or b            {a_address}, {b_address}
  coord CMD...              ... on the coordinator                  {url}, STUN at {stun}
  router_a CMD...           ... on a's router to the internet (router_b likewise; home_a, home_b: cgnat's inner one)
  core CMD...               ... in the middle of the internet
  peer a [OPTION...]        natpeer --topic {topic} --name a on host a, in the foreground
  seed a                    a peer that knows only the seed protocol, on host a
  nat a                     the rules of a's routers, and the flows they know
  forget a                  a's routers forget every UDP mapping
  natlab_help               this page

$LAB_COORDINATOR and $LAB_STUN hold the two addresses.
Two peers at once: `peer b &`, or a tmux started here. `exit` removes it all.
"""


def inside(namespace, *command):
    return ["nsenter", f"--net={FOLDER}/{namespace}", "--", *map(str, command)]


def script(*lines):
    return "#!/bin/sh\n" + "".join(f"{line}\n" for line in lines)


def in_namespace(namespace):
    """A script that runs its arguments there."""
    return script('[ $# -gt 0 ] || { echo "usage: $(basename "$0") COMMAND..." >&2; exit 2; }',
                  f'exec {shlex.join(inside(namespace))} "$@"')


def for_each_host(actions):
    """A script `NAME a|b [ARGUMENT...]`; `actions`: host -> lines."""
    cases = [line for host, lines in actions.items() for line in (f'{host}) shift', *lines, ";;")]
    return script('case "${1-}" in', *cases, '*) echo "usage: $(basename "$0") a|b" >&2; exit 2 ;;', "esac")


def peer_line(net, host, name, *program_words):
    words = [*program_words, "--topic", TOPIC, "--name", name, "--coordinator", net.coordinator().url, "--stun",
             net.coordinator().stun]
    return f'exec {shlex.join(inside(host.namespace, *words))} "$@"'


def show_lines(site):
    """Shell lines that print what a site's routers do and know."""
    if not site.routers:
        return ["echo 'there is no router'"]
    lines = []
    for router in site.routers:
        lines += [f"echo '# {router}'", shlex.join(inside(router, "nft", "list", "ruleset")),
                  shlex.join(inside(router, "conntrack", "-L")) + " 2>/dev/null"]
    return lines


def forget_lines(site):
    lines = [shlex.join(inside(router, "sh", "-ec", rules.forget()))
             for router, rules in zip(site.routers, site.rules)]
    return lines or ["echo 'there is no router'"]


def commands(net, sites):
    """Name -> script, for every command of HELP but the help. `sites`: host name -> its Site."""
    hosts = {name: site.hosts[0] for name, site in sites.items()}
    made = {"coord": in_namespace(net.coordinator().namespace), "core": in_namespace(net.core)}
    for name, site in sites.items():
        made[name] = in_namespace(hosts[name].namespace)
        for role, router in zip(("router", "home"), site.routers):
            made[f"{role}_{name}"] = in_namespace(router)
    made["peer"] = for_each_host({name: [peer_line(net, host, name, program("NATPEER"))]
                                  for name, host in hosts.items()})
    made["seed"] = for_each_host({name: [peer_line(net, host, name, sys.executable, SEED_PEER)]
                                  for name, host in hosts.items()})
    made["nat"] = for_each_host({name: show_lines(site) for name, site in sites.items()})
    made["forget"] = for_each_host({name: forget_lines(site) for name, site in sites.items()})
    return made


def write_commands(folder, scripts, help_text):
    scripts = {**scripts, "natlab_help": script("cat <<'END'", help_text.rstrip("\n"), "END")}
    for name, text in scripts.items():
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)


def run_words(words, environment):
    # The shell must not survive a lab that was killed: its hosts are gone then.
    guarded = ["setpriv", "--pdeathsig", "HUP", "--", *words]
    if not shutil.which(words[0], path=environment["PATH"]):
        print(f"lab: no such command: {words[0]}", file=sys.stderr)
        return NOT_FOUND
    status = subprocess.run(guarded, env=environment).returncode
    return status if status >= 0 else 128 - status


def open_shell(a_kind, b_kind, words):
    """Runs these words, or an interactive bash, with the commands; its exit status."""
    with Network() as net, names.temporary_folder() as folder:
        coordinator = net.coordinator()
        sites = {"a": net.site(a_kind), "b": net.site(b_kind)}
        help_text = HELP.format(a_kind=a_kind, b_kind=b_kind, a_address=sites["a"].hosts[0].address, topic=TOPIC,
                                b_address=sites["b"].hosts[0].address, url=coordinator.url, stun=coordinator.stun)
        write_commands(folder, commands(net, sites), help_text)
        environment = {**os.environ, "PATH": f"{folder}:{os.environ.get('PATH', os.defpath)}", "PS1": r"natlab \w\$ ",
                       "LAB_COORDINATOR": coordinator.url, "LAB_STUN": coordinator.stun}
        if words:
            return run_words(words, environment)
        if not shutil.which("bash"):
            raise LabError("an interactive shell needs bash")
        print(help_text)
        return run_words(["bash", "--norc", "-i"], environment)
