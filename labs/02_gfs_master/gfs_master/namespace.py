"""The namespace: full path names of files and directories, a file's array of chunk handles (GFS §2.6.1, §4.1).

There is no tree to walk: a file is found by its whole path in one table, and so is a directory, with the
full names that lie directly in it. Pure: nothing here logs, waits or sends. What changes the namespace is
logged first (see state.py), so every change below has a `check_` that can say no before.

What is deleted moves to a hidden name below HIDDEN (§4.4.1), a directory that no listing shows unless it is
asked for by name. What lies there can be read, renamed back, and deleted for good, and not changed otherwise.

Invariant: every path is in one of the two tables, and its parent is a directory that names it; a file's
chunks are numbered 0 .. count-1 without gaps. A file's array only grows, or is replaced by another one: who
has taken the array and its length has a picture of the file that stays as it is.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

ROOT = "/"
HIDDEN = "/.deleted"
MAX_PATH = 4096  # bytes of UTF-8
NO_NAMES = frozenset(("", ".", ".."))


def no_handles() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class File:
    """A file's chunks, in order, as 64-bit handles."""

    chunks: array[int] = field(default_factory=no_handles)


def check_path(path: object) -> str:
    """`path` itself when it is valid, else InvalidPath.

    Valid: a str that is `/`, or begins with `/` and whose components between the slashes are neither
    empty nor `.` nor `..`; no NUL character; at most MAX_PATH bytes of UTF-8. So `/a/`, `//a` and `a` are not.
    """
    raise NotImplementedError(
        "lab 2 part A: one path, one spelling: whatever would let two strings mean the same file is invalid"
    )


def parent(path: str) -> str:
    """The directory a valid path other than `/` lies in: `/a/b` -> `/a`, `/a` -> `/`."""
    return path.rpartition("/")[0] or ROOT


def is_below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or lies below it at any depth; `/ab` does not lie below `/a`."""
    return path == directory or path.startswith(directory if directory == ROOT else directory + "/")


def is_hidden(path: str) -> bool:
    """Whether a path is a hidden name of something deleted, or lies below one."""
    return path != HIDDEN and is_below(path, HIDDEN)


class Namespace:
    """Path -> file, and path -> directory. Paths passed in need not be valid: InvalidPath says so."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._directories: dict[str, set[str]] = {ROOT: set(), HIDDEN: set()}

    # ---- questions

    def file(self, path: str) -> File:
        """The file at `path`. InvalidPath; NoSuchFile, of directories too."""
        raise NotImplementedError("lab 2 part A: a directory is no file")

    def list(self, path: str) -> list[str]:
        """Full paths of everything below the directory `path`, at any depth, sorted. InvalidPath; NoSuchFile
        when `path` is no directory."""
        raise NotImplementedError("lab 2 part A: look only at what lies below, not at all files there are")

    def handle_at(self, path: str, index: int) -> int:
        """Handle of the chunk at `index`. NoSuchChunk when the file has none there; errors of `file`."""
        raise NotImplementedError("lab 2 part A: a negative index is not counted from the end")

    def __contains__(self, path: object) -> bool:
        return path in self._files or path in self._directories

    def below(self, path: str) -> Iterator[str]:
        """All paths below a directory, a directory before what lies in it; none when `path` is a file."""
        raise NotImplementedError(
            "lab 2 part A: go down through the sets of names; paths may be deeper than Python's stack"
        )

    def handles(self, path: str) -> Iterator[int]:
        """The handles of all chunks of the file at `path`, or of all files below it, one for each place they are at."""
        for name in (path, *self.below(path)):
            if name in self._files:
                yield from self._files[name].chunks

    def files(self) -> Iterable[tuple[str, File]]:
        """Every path and its file."""
        return self._files.items()

    def directories(self) -> Iterable[str]:
        """Every directory but the two that always exist. None comes before its parent: tables keep their order,
        and whatever is put into this one has its parent there already."""
        return list(self._directories)[2:]

    # ---- what could be done now

    def check_create(self, path: str) -> None:
        """Whether a file or directory could be made there. InvalidPath, below HIDDEN too; FileExists, of
        files and directories; NoSuchFile when the parent is no directory."""
        raise NotImplementedError("lab 2 part A: check the path, then whether it is taken, then its parent")

    def check_move(self, source: str, target: str) -> None:
        """Whether the file or directory `source` could become, or be copied to, `target`. Errors of
        `check_create` for the target; InvalidPath also when `source` is `/` or HIDDEN, when the target lies below it, or
        when something below would get too long a name; NoSuchFile when there is no `source`."""
        raise NotImplementedError("lab 2 part A: a directory cannot lie below itself")

    def check_there(self, path: str) -> None:
        """Whether `path` is a file or directory that could be moved away. InvalidPath, of `/` and HIDDEN too; NoSuchFile."""
        raise NotImplementedError("lab 2 part A: what always exists stays")

    # ---- changes; replay makes them too, so each checks again and never changes half

    def create(self, path: str) -> None:
        """Make an empty file. Errors of `check_create`."""
        raise NotImplementedError("lab 2 part A: in its table, and in its directory's set")

    def make_directory(self, path: str) -> None:
        """Make an empty directory. Errors of `check_create`."""
        raise NotImplementedError("lab 2 part A: likewise")

    def rename(self, source: str, target: str) -> None:
        """Give a file, or a directory with all that lies below it, another name. Errors of `check_move`."""
        raise NotImplementedError("lab 2 part A: check, then move")

    def hide(self, path: str, hidden: str) -> None:
        """Give it a hidden name, directly below HIDDEN and free. Errors of `check_there`."""
        raise NotImplementedError("lab 2 part E: as a rename, to where nobody else can name anything")

    def remove(self, path: str) -> None:
        """Take it out of the tables with all that lies below it. Errors of `check_there`."""
        raise NotImplementedError("lab 2 part A: the names first, then the directory's own set")

    def copy(self, source: str, target: str) -> None:
        """Make `target` a copy of `source` with all that lies below it; its files have the same chunks. Errors of
        `check_move`."""
        raise NotImplementedError("lab 2 part F: arrays of their own, since each will grow for itself")

    def add_chunk(self, path: str, index: int, handle: int) -> None:
        """Put `handle` behind the last chunk. NoSuchChunk when `index` is not the number of chunks."""
        raise NotImplementedError("lab 2 part A: no gaps, nothing overwritten")

    def replace_chunk(self, path: str, index: int, handle: int) -> None:
        """Put `handle` in the place of the chunk at `index`. Errors of `handle_at`."""
        raise NotImplementedError("lab 2 part F: the invariant says in which array")

    def put_file(self, path: str, chunks: array[int]) -> None:
        """A file that is known to fit."""
        raise NotImplementedError("lab 2 part A: both tables")

    def put_directory(self, path: str) -> None:
        """A directory that is known to fit."""
        raise NotImplementedError("lab 2 part A: both tables")
