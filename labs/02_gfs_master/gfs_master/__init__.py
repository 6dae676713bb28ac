"""The GFS master: one node that knows where everything is and stores none of it (GFS §2.4, §2.6, §4).

Read in this order: `namespace`, `locks`, `files` (part A), `chunks`, `replicas`, `servers`, `placement`, `creation` (part B),
`steady`, `leases`, `granting` (part C), `operations`, `state`, `oplog`, `checkpoint`, `metadata` (part D), `heartbeats`,
`rereplication` (part E), `snapshot`, `shadow` (part F).

Pure are `namespace`, `chunks`, `replicas`, `servers`, `placement`, `leases`, `operations`, `state`: they are told
the time, and neither log, nor wait, nor send. `server` and `chunkservers` are the two doors to the network.
"""

from gfs_master.server import Master, start
from gfs_master.shadow import Shadow, start_shadow

__all__ = ["Master", "Shadow", "start", "start_shadow"]
