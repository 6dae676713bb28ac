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
    lost_write,
    mingled_write,
    order_cycle,
    outdated_read,
    oversized_record,
    partial_record,
    phantom_record,
    reordered_chunks,
    resurrected_replica,
    sequence_cycle,
    stale_read,
    straddling_record,
    torn_record,
    trace_of_failure,
    unexplained_inconsistency,
    unlinearizable_log,
    unrecovered_record,
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
    lost_write.GUARANTEE,
    mingled_write.GUARANTEE,
    stale_read.GUARANTEE,
    unexplained_inconsistency.GUARANTEE,
)

STRICT: tuple[Guarantee, ...] = (
    duplicate_record.GUARANTEE,
    partial_record.GUARANTEE,
    unrecovered_record.GUARANTEE,
    outdated_read.GUARANTEE,
    trace_of_failure.GUARANTEE,
    reordered_chunks.GUARANTEE,
    sequence_cycle.GUARANTEE,
    unlinearizable_log.GUARANTEE,
)
