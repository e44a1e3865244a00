"""The base of the laboratory's own tests."""
import unittest

from lab import names
from lab.network import Network


class LabCase(unittest.TestCase):
    """Skipped, with the reason, where no laboratory can be built. Its networks are removed after each test."""

    @classmethod
    def setUpClass(cls):
        reason = names.why_not()
        if reason:
            raise unittest.SkipTest(reason)
        names.end_on_signals(at_once=True)
        names.remove_leftovers()

    def setUp(self):
        self.networks = []

    @property
    def helpers(self):
        """The programs, whose words the runner shows when the test fails."""
        return [program for network in self.networks for program in network.programs]

    def network(self):
        network = Network()
        self.networks.append(network)
        self.addCleanup(network.close)
        return network.__enter__()
