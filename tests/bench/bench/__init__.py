"""How fast the stream is, beside what the same machine does without it, in the laboratory of tests/lab."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(1, str(ROOT / "tests" / "lab"))
