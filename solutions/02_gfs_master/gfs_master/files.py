"""What clients do with names: make, delete, rename, look (GFS §4.1, §4.4.1). Glue between locks, namespace and log.

Every change: locks on the paths, then one section in which it is checked and recorded. The locks are kept
until the section has waited for the log.
"""

from __future__ import annotations

from gfs_master.locks import PathLocks
from gfs_master.metadata import Metadata
from gfs_master.namespace import HIDDEN, check_path, is_hidden
from gfs_master.operations import CreateFile, Delete, MakeDirectory, Reclaim, Rename
from labkit.errors import NoSuchFile, TooLarge
from labkit.protocol import MAX_HEADER

LONGEST_NAME = 100  # characters of a name that its hidden name begins with


class Files:
    def __init__(self, metadata: Metadata, locks: PathLocks) -> None:
        self._metadata = metadata
        self._locks = locks

    def create(self, path: str) -> None:
        """Make an empty file. Errors of Namespace.check_create."""
        # lab 2 part A: locks, one section, check, record
        with self._locks.writing(check_path(path)), self._metadata.section():
            self._metadata.state.namespace.check_create(path)
            self._metadata.record(CreateFile(path))

    def make_directory(self, path: str) -> None:
        """Make an empty directory. Errors of Namespace.check_create."""
        # lab 2 part A: likewise
        with self._locks.writing(check_path(path)), self._metadata.section():
            self._metadata.state.namespace.check_create(path)
            self._metadata.record(MakeDirectory(path))

    def rename(self, source: str, target: str) -> None:
        """Give a file or directory another name; a hidden one is undeleted. Errors of Namespace.check_move."""
        # lab 2 part A: both are written
        with self._locks.writing(check_path(source), check_path(target)), self._metadata.section():
            self._metadata.state.namespace.check_move(source, target)
            self._metadata.record(Rename(source, target))

    def delete(self, path: str) -> str | None:
        """Give a file or directory a hidden name, and return it. What has one already is gone for good: None.

        Errors of Namespace.check_there; NoSuchFile for a path below a hidden name: it goes with the rest.
        """
        # lab 2 part E: a hidden name nobody has; Delete, or Reclaim
        with self._locks.writing(check_path(path)), self._metadata.section():
            self._metadata.state.namespace.check_there(path)
            if is_hidden(path):
                if path not in self._metadata.state.hidden:
                    raise NoSuchFile(f"{path} was deleted together with other things")
                self._metadata.record(Reclaim(path))
                return None
            now = self._metadata.clock.now()
            hidden = self._free_name(path, now)
            self._metadata.record(Delete(path, hidden, now))
            return hidden

    def list(self, path: str) -> list[str]:
        """What lies below a directory. Errors of Namespace.list; TooLarge when one answer cannot hold it."""
        # lab 2 part A: one section; a header holds MAX_HEADER bytes
        with self._metadata.section():
            paths = self._metadata.state.namespace.list(path)
        if sum(len(name.encode(errors="surrogatepass")) + 5 for name in paths) > MAX_HEADER - 1024:
            raise TooLarge(f"{len(paths)} names below {path}: list one directory after the other")
        return paths

    def chunks(self, path: str) -> int:
        """How many chunks a file has. Errors of Namespace.file."""
        # lab 2 part A: readers need a section as well
        with self._metadata.section():
            return len(self._metadata.state.namespace.file(path).chunks)

    def _free_name(self, path: str, now: float) -> str:
        """A name directly below HIDDEN that tells what it was and when it was deleted."""
        # lab 2 part E
        name = path.rpartition("/")[2][:LONGEST_NAME]
        number = 0
        while (hidden := f"{HIDDEN}/{name}.{now:.0f}.{number}") in self._metadata.state.namespace:
            number += 1
        return hidden
