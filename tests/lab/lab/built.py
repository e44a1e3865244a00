"""Where the built programs are."""
import os

from lab import ROOT
from lab.names import LabError

PLACES = {"NATCOORD": "src/natcoord", "NATPEER": "src/natpeer", "NATPEER_WIRE": "tests/lab/natpeer_wire"}
PRESETS = ("dev", "release")


def program(variable):
    """The path of a program: what the environment says, else the first build that has it."""
    if os.environ.get(variable):
        return os.environ[variable]
    for preset in PRESETS:
        path = ROOT / "build" / preset / PLACES[variable]
        if os.access(path, os.X_OK):
            return str(path)
    name = os.path.basename(PLACES[variable])
    raise LabError(f"{name} is not built: cmake --preset dev && cmake --build --preset dev")


def check():
    """Raises LabError where a program is missing."""
    for variable in PLACES:
        program(variable)
