"""The chunkserver: replicas on disk, mutations in one order, record append (GFS §3, §5.2).

Read in this order: `blocks`, `metalog`, `log`, `redo`, `replica`, `store` (part A: storage that notices damage),
`buffer`, `dataflow` (part B: data flows in a chain), `serials`, `mutations` (part C: one order for all),
`forwarding`, `leases`, `primary` (part D: record append; its `write` belongs to part C), `versions`, `heartbeat`,
`staging`, `cloning` (part E: life with the master; granting a lease belongs to part D). `server` puts them
together; `open_files` and `workers` are given, and spare it opening files and starting threads.
"""

from chunkserver.mutations import Secondary
from chunkserver.primary import Primary
from chunkserver.server import Chunkserver, start

__all__ = ["Chunkserver", "Primary", "Secondary", "start"]
