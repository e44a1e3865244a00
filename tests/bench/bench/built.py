"""Where the built programs are: those of the release preset, unless the environment names others."""
import os

from bench import ROOT

RELEASE = ROOT / "build" / "release"
PLACES = {"NATCOORD": "src/natcoord", "NATPEER": "src/natpeer", "NATPEER_WIRE": "tests/lab/natpeer_wire"}


def use_release():
    """For the laboratory and the end-to-end tests' support, which ask the environment."""
    for variable, place in PLACES.items():
        os.environ.setdefault(variable, str(RELEASE / place))


def program_path(variable):
    return os.environ[variable]


def bench_program(name):
    return str(RELEASE / "tests" / "bench" / name)
