"""The promises of GFS, one module each; adding one is a module and a line here.

Two lists. `BASE` is what every run must keep. `STRICT` is legal to break in GFS, and asked for by the models
of the last lab. Within `BASE` the most specific stands first: when two primaries hand out one offset, some
record is lost as well, but the first thing to read is the cause.
"""

from harness.checker.anomaly import Guarantee
from harness.checker.guarantees import (
    divergent_replicas,
    doubly_acknowledged_offset,
    duplicate_record,
    lost_append,
    order_cycle,
    outdated_read,
    oversized_record,
    partial_record,
    phantom_record,
    resurrected_replica,
    stale_read,
    straddling_record,
    torn_record,
    unexplained_inconsistency,
)

BASE: tuple[Guarantee, ...] = (
    resurrected_replica.GUARANTEE,
    phantom_record.GUARANTEE,
    oversized_record.GUARANTEE,
    straddling_record.GUARANTEE,
    doubly_acknowledged_offset.GUARANTEE,
    divergent_replicas.GUARANTEE,
    order_cycle.GUARANTEE,
    torn_record.GUARANTEE,
    lost_append.GUARANTEE,
    stale_read.GUARANTEE,
    unexplained_inconsistency.GUARANTEE,
)

STRICT: tuple[Guarantee, ...] = (
    duplicate_record.GUARANTEE,
    partial_record.GUARANTEE,
    outdated_read.GUARANTEE,
)
