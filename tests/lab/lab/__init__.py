"""The NAT laboratory: real programs behind real NATs, in network namespaces of this machine."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
# The other ends of the programs' protocols and the waiting are the end-to-end tests'.
sys.path.insert(1, str(ROOT / "tests" / "e2e"))
