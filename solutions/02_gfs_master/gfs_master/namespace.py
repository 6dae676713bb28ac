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

from labkit.errors import FileExists, InvalidPath, NoSuchChunk, NoSuchFile

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
    # lab 2 part A: one path, one spelling: whatever would let two strings mean the same file is invalid
    if not isinstance(path, str) or not path.startswith(ROOT) or "\0" in path:
        raise InvalidPath(f"{path!r} is no absolute path")
    if len(path.encode(errors="surrogatepass")) > MAX_PATH:
        raise InvalidPath(f"a path has at most {MAX_PATH} bytes")
    if path != ROOT and not NO_NAMES.isdisjoint(path[1:].split("/")):
        raise InvalidPath(f"{path!r} has an empty, `.` or `..` component")
    return path


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
        # lab 2 part A: a directory is no file
        found = self._files.get(check_path(path))
        if found is None:
            raise NoSuchFile(f"{path} is {'a directory' if path in self._directories else 'not there'}")
        return found

    def list(self, path: str) -> list[str]:
        """Full paths of everything below the directory `path`, at any depth, sorted. InvalidPath; NoSuchFile
        when `path` is no directory."""
        # lab 2 part A: look only at what lies below, not at all files there are
        if check_path(path) not in self._directories:
            raise NoSuchFile(f"there is no directory {path}")
        return sorted(self.below(path))

    def handle_at(self, path: str, index: int) -> int:
        """Handle of the chunk at `index`. NoSuchChunk when the file has none there; errors of `file`."""
        # lab 2 part A: a negative index is not counted from the end
        chunks = self.file(path).chunks
        if not 0 <= index < len(chunks):
            raise NoSuchChunk(f"{path} has {len(chunks)} chunks, none at {index}")
        return chunks[index]

    def __contains__(self, path: object) -> bool:
        return path in self._files or path in self._directories

    def below(self, path: str) -> Iterator[str]:
        """All paths below a directory, a directory before what lies in it; none when `path` is a file."""
        # lab 2 part A: go down through the sets of names; paths may be deeper than Python's stack
        left = list(self._directories.get(path, ()))
        while left:
            name = left.pop()
            yield name
            left.extend(self._directories.get(name, ()))

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
        # lab 2 part A: check the path, then whether it is taken, then its parent
        if is_below(check_path(path), HIDDEN):
            raise InvalidPath(f"{HIDDEN} is for what was deleted")
        if path in self:
            raise FileExists(f"{path} exists already")
        if parent(path) not in self._directories:
            raise NoSuchFile(f"there is no directory {parent(path)}")

    def check_move(self, source: str, target: str) -> None:
        """Whether the file or directory `source` could become, or be copied to, `target`. Errors of
        `check_create` for the target; InvalidPath also when `source` is `/` or HIDDEN, when the target lies below it, or
        when something below would get too long a name; NoSuchFile when there is no `source`."""
        # lab 2 part A: a directory cannot lie below itself
        self.check_there(source)
        if is_below(check_path(target), source) and target != source:
            raise InvalidPath(f"{target} lies below {source}")
        self.check_create(target)
        for name in self.below(source):
            check_path(target + name[len(source) :])

    def check_there(self, path: str) -> None:
        """Whether `path` is a file or directory that could be moved away. InvalidPath, of `/` and HIDDEN too; NoSuchFile."""
        # lab 2 part A: what always exists stays
        if check_path(path) in (ROOT, HIDDEN):
            raise InvalidPath(f"{path} stays where it is")
        if path not in self:
            raise NoSuchFile(f"there is no {path}")

    # ---- changes; replay makes them too, so each checks again and never changes half

    def create(self, path: str) -> None:
        """Make an empty file. Errors of `check_create`."""
        # lab 2 part A: in its table, and in its directory's set
        self.check_create(path)
        self.put_file(path, no_handles())

    def make_directory(self, path: str) -> None:
        """Make an empty directory. Errors of `check_create`."""
        # lab 2 part A: likewise
        self.check_create(path)
        self.put_directory(path)

    def rename(self, source: str, target: str) -> None:
        """Give a file, or a directory with all that lies below it, another name. Errors of `check_move`."""
        # lab 2 part A: check, then move
        self.check_move(source, target)
        self._move(source, target)

    def hide(self, path: str, hidden: str) -> None:
        """Give it a hidden name, directly below HIDDEN and free. Errors of `check_there`."""
        # lab 2 part E: as a rename, to where nobody else can name anything
        self.check_there(path)
        if hidden in self or parent(hidden) != HIDDEN:
            raise FileExists(f"{hidden} cannot be had")
        self._move(path, hidden)

    def remove(self, path: str) -> None:
        """Take it out of the tables with all that lies below it. Errors of `check_there`."""
        # lab 2 part A: the names first, then the directory's own set
        self.check_there(path)
        for name in [path, *self.below(path)]:
            self._files.pop(name, None)
        for name in [path, *self.below(path)]:
            self._directories.pop(name, None)
        self._directories[parent(path)].discard(path)

    def copy(self, source: str, target: str) -> None:
        """Make `target` a copy of `source` with all that lies below it; its files have the same chunks. Errors of
        `check_move`."""
        # lab 2 part F: arrays of their own, since each will grow for itself
        self.check_move(source, target)
        for name in [source, *self.below(source)]:
            new = target + name[len(source) :]
            if name in self._files:
                self.put_file(new, self._files[name].chunks[:])
            else:
                self.put_directory(new)

    def add_chunk(self, path: str, index: int, handle: int) -> None:
        """Put `handle` behind the last chunk. NoSuchChunk when `index` is not the number of chunks."""
        # lab 2 part A: no gaps, nothing overwritten
        chunks = self.file(path).chunks
        if index != len(chunks):
            raise NoSuchChunk(f"{path} has {len(chunks)} chunks, the next is not {index}")
        chunks.append(handle)

    def replace_chunk(self, path: str, index: int, handle: int) -> None:
        """Put `handle` in the place of the chunk at `index`. Errors of `handle_at`."""
        # lab 2 part F: the invariant says in which array
        self.handle_at(path, index)
        chunks = self.file(path).chunks[:]
        chunks[index] = handle
        self.file(path).chunks = chunks

    def put_file(self, path: str, chunks: array[int]) -> None:
        """A file that is known to fit."""
        # lab 2 part A: both tables
        self._files[path] = File(chunks)
        self._directories[parent(path)].add(path)

    def put_directory(self, path: str) -> None:
        """A directory that is known to fit."""
        # lab 2 part A: both tables
        self._directories[path] = set()
        self._directories[parent(path)].add(path)

    def _move(self, source: str, target: str) -> None:
        # lab 2 part A
        names = [source, *self.below(source)]
        files = {name: self._files[name] for name in names if name in self._files}
        for name in names:
            new = target + name[len(source) :]
            if name in files:
                self.put_file(new, files[name].chunks)
            else:
                self.put_directory(new)
        self.remove(source)
