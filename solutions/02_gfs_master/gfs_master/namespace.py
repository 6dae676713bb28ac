"""The namespace: full path names of files, each with its array of chunk handles (GFS §2.6.1, §4.1).

There is no tree. A file is found by its whole path in one table; a directory is a path that may have
others below it, and for now `/` is the only one. Pure: nothing here logs, waits or sends. What changes
the namespace is logged first (see state.py), so every change below has a `check_` that can say no before.

Invariant: every path in the table is valid and its parent is a directory; a file's chunks are numbered
0 .. count-1 without gaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labkit.errors import FileExists, InvalidPath, NoSuchChunk, NoSuchFile

ROOT = "/"
MAX_PATH = 4096  # bytes of UTF-8


@dataclass
class File:
    """A file's chunks, in order."""

    chunks: list[int] = field(default_factory=list[int])


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
    if path != ROOT and any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise InvalidPath(f"{path!r} has an empty, `.` or `..` component")
    return path


def parent(path: str) -> str:
    """The directory a valid path other than `/` lies in: `/a/b` -> `/a`, `/a` -> `/`."""
    return path.rpartition("/")[0] or ROOT


class Namespace:
    """Path -> file. Paths passed in need not be valid: InvalidPath says so."""

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._directories: set[str] = {ROOT}

    def check_create(self, path: str) -> None:
        """Whether a file could be made there now. InvalidPath; FileExists, of directories too; NoSuchFile
        when the parent is no directory."""
        # lab 2 part A: check the path, then whether it is taken, then its parent
        check_path(path)
        if path in self._files or path in self._directories:
            raise FileExists(f"{path} exists already")
        if parent(path) not in self._directories:
            raise NoSuchFile(f"there is no directory {parent(path)}")

    def create(self, path: str) -> None:
        """Make an empty file. Errors of `check_create`."""
        # lab 2 part A: replay calls this too, so it checks again and never changes half
        self.check_create(path)
        self._files[path] = File()

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
        # lab 2 part A: `/ab` does not lie below `/a`
        if check_path(path) not in self._directories:
            raise NoSuchFile(f"there is no directory {path}")
        below = path if path == ROOT else path + "/"
        names = [*self._files, *self._directories]
        return sorted(name for name in names if name.startswith(below) and name != path)

    def handle_at(self, path: str, index: int) -> int:
        """Handle of the chunk at `index`. NoSuchChunk when the file has none there; errors of `file`."""
        # lab 2 part A: a negative index is not counted from the end
        chunks = self.file(path).chunks
        if not 0 <= index < len(chunks):
            raise NoSuchChunk(f"{path} has {len(chunks)} chunks, none at {index}")
        return chunks[index]

    def add_chunk(self, path: str, index: int, handle: int) -> None:
        """Put `handle` behind the last chunk. NoSuchChunk when `index` is not the number of chunks."""
        # lab 2 part A: no gaps, nothing overwritten
        chunks = self.file(path).chunks
        if index != len(chunks):
            raise NoSuchChunk(f"{path} has {len(chunks)} chunks, the next is not {index}")
        chunks.append(handle)
