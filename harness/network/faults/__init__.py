"""One class per fault, each with one method. To add one, copy drop.py: the proxy knows none of them by name."""

from harness.network.faults.aim import Aim
from harness.network.faults.base import PASS, Fate, Fault
from harness.network.faults.cut import Cut
from harness.network.faults.delay import Delay
from harness.network.faults.drop import Drop
from harness.network.faults.duplicate import Duplicate
from harness.network.faults.hold import Hold
from harness.network.faults.partition import Partition
from harness.network.faults.reorder import Reorder
from harness.network.faults.slow import Slow
from harness.network.faults.sometimes import Sometimes
from harness.network.faults.watch import Watch
from harness.network.faults.when import When

__all__ = [
    "PASS",
    "Aim",
    "Cut",
    "Delay",
    "Drop",
    "Duplicate",
    "Fate",
    "Fault",
    "Hold",
    "Partition",
    "Reorder",
    "Slow",
    "Sometimes",
    "Watch",
    "When",
]
