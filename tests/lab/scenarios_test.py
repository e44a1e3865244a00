"""The quick scenarios: each as a test of its own. `scripts/lab run CASE` runs any of them."""
import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import scenarios_changes, scenarios_crowds, scenarios_nats, scenarios_recovery, scenarios_stream  # noqa: E402
from lab.scenarios import SCENARIOS  # noqa: E402
from lab.testing import LabCase  # noqa: E402


def plays(module):
    """Gives a test class a method for each quick scenario of this module."""
    def add_tests(case):
        for name, scenario in SCENARIOS.items():
            if scenario.quick and scenario.play.__module__ == module.__name__:
                def test(_self, scenario=scenario):
                    scenario.run(functools.partial(print, flush=True))
                test.__doc__ = scenario.summary
                setattr(case, f"test_{name.replace('-', '_')}", test)
        return case
    return add_tests


@plays(scenarios_nats)
class NatScenariosTest(LabCase):
    pass


@plays(scenarios_changes)
class ChangeScenariosTest(LabCase):
    pass


@plays(scenarios_recovery)
class RecoveryScenariosTest(LabCase):
    pass


@plays(scenarios_stream)
class StreamScenariosTest(LabCase):
    pass


@plays(scenarios_crowds)
class CrowdScenariosTest(LabCase):
    pass
