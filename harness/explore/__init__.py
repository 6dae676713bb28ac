"""Systematic, then random: every single fault at every protocol point of a scenario, pairs of them, and whatever chance adds.

points    what passes and what is written while a few appends run cleanly: the places where a fault can strike
schedule  faults at points, as data: it can be stored, replayed and shrunk
nemesis   carries a schedule out on a running GFS
trial     one scenario under one schedule, healed in the end, and judged by the checker
explorer  which schedules to try within a budget, side by side
report    the first failure, and the schedule it came of
shrink    the smallest part of a failing schedule that still fails
"""

from harness.explore.explorer import Explorer
from harness.explore.report import survives
from harness.explore.schedule import Deed, Schedule, Strike
from harness.explore.trial import Trial, attempt

__all__ = ["Deed", "Explorer", "Schedule", "Strike", "Trial", "attempt", "survives"]
