"""All scenarios beside the grid, by name, in the order in which `scripts/lab list` shows them."""
from lab import scenarios_changes, scenarios_crowds, scenarios_nats, scenarios_recovery, scenarios_stream
from lab.story import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Scenario", "scenarios_changes", "scenarios_crowds", "scenarios_nats", "scenarios_recovery",
           "scenarios_stream"]
