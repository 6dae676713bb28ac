"""Lab 4: the client of the cluster, and what it may promise (GFS §2.7).

Read in this order:

    records.py       B   a record, and how to find it among padding, fragments and copies
    locations.py     A   the cache of the master's answers
    patience.py      A   how long to try, how long to rest
    master.py        A   the master, seen through the cache
    chunkservers.py      the chunkservers (given)
    reader.py        A B choice of replica, reading, scanning
    retry.py         C   what an error means, what to do next
    follower.py      B   a reader that follows a growing file
    writer.py        A   plain writes
    appender.py      C   record append
    client.py            the whole (given, but for one method)
    failures.py          its errors (given)
    scenarios.py     D   how to make a correct system go wrong
    leased.py        E   reads that are never stale
    book.py          E   what a replica tells its primary
    strict.py        E   a chunkserver that leaves no duplicates, and nothing half done; it is built from the classes of
                         lab 3's starter, and imported only where it runs
"""

from consistency.client import Client
from consistency.failures import AppendFailed, BadReply, ReadFailed, WriteFailed
from consistency.records import Found, Record, RecordId

__all__ = [
    "AppendFailed",
    "BadReply",
    "Client",
    "Found",
    "ReadFailed",
    "Record",
    "RecordId",
    "WriteFailed",
]
