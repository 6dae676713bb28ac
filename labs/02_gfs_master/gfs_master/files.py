"""What clients do with names: make, delete, rename, look (GFS §4.1, §4.4.1). Glue between locks, namespace and log.

Every change: locks on the paths, then one section in which it is checked and recorded. The locks are kept
until the section has waited for the log.
"""

from __future__ import annotations

from gfs_master.locks import PathLocks
from gfs_master.metadata import Metadata

LONGEST_NAME = 100  # characters of a name that its hidden name begins with


class Files:
    def __init__(self, metadata: Metadata, locks: PathLocks) -> None:
        self._metadata = metadata
        self._locks = locks

    def create(self, path: str) -> None:
        """Make an empty file. Errors of Namespace.check_create."""
        raise NotImplementedError("lab 2 part A: locks, one section, check, record")

    def make_directory(self, path: str) -> None:
        """Make an empty directory. Errors of Namespace.check_create."""
        raise NotImplementedError("lab 2 part A: likewise")

    def rename(self, source: str, target: str) -> None:
        """Give a file or directory another name; a hidden one is undeleted. Errors of Namespace.check_move."""
        raise NotImplementedError("lab 2 part A: both are written")

    def delete(self, path: str) -> str | None:
        """Give a file or directory a hidden name, and return it. What has one already is gone for good: None.

        Errors of Namespace.check_there; NoSuchFile for a path below a hidden name: it goes with the rest.
        """
        raise NotImplementedError("lab 2 part E: a hidden name nobody has; Delete, or Reclaim")

    def list(self, path: str) -> list[str]:
        """What lies below a directory. Errors of Namespace.list; TooLarge when one answer cannot hold it."""
        raise NotImplementedError("lab 2 part A: one section; a header holds MAX_HEADER bytes")

    def chunks(self, path: str) -> int:
        """How many chunks a file has. Errors of Namespace.file."""
        raise NotImplementedError("lab 2 part A: readers need a section as well")
