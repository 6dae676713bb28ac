"""The namespace as a tree: a directory is a node with nodes in it, a file a node with chunks."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labkit.errors import FileExists, InvalidPath, NoSuchChunk, NoSuchFile

ROOT = "/"
HIDDEN = "/trash"
MAX_PATH = 4096


def no_handles() -> array[int]:
    return array("Q")


@dataclass
class File:
    chunks: array[int] = field(default_factory=no_handles)


@dataclass
class Directory:
    inside: dict[str, File | Directory] = field(default_factory=dict)


def check_path(path: object) -> str:
    if not isinstance(path, str) or path[:1] != "/" or "\0" in path:
        raise InvalidPath("paths begin with a slash")
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH:
        raise InvalidPath("too long")
    if path != "/" and not {"", ".", ".."}.isdisjoint(path[1:].split("/")):
        raise InvalidPath("there are empty names, or dots, in it")
    return path


def parent(path: str) -> str:
    return path[: path.rindex("/")] or "/"


def is_below(path: str, directory: str) -> bool:
    return directory == "/" or path == directory or path.startswith(f"{directory}/")


def is_hidden(path: str) -> bool:
    return path.startswith(f"{HIDDEN}/")


def _names(path: str) -> list[str]:
    return [] if path == "/" else path[1:].split("/")


class Namespace:
    def __init__(self) -> None:
        self._root = Directory()
        self._trash = Directory()

    # ---- walking

    def _start(self, path: str) -> tuple[Directory, list[str]]:
        names = _names(path)
        if path == HIDDEN or is_hidden(path):
            return self._trash, names[len(_names(HIDDEN)) :]
        return self._root, names

    def _find(self, path: str) -> File | Directory | None:
        node: File | Directory | None
        node, names = self._start(path)
        for name in names:
            if not isinstance(node, Directory) or name not in node.inside:
                return None
            node = node.inside[name]
        return node

    def _home(self, path: str) -> tuple[Directory, str]:
        """The directory that something is in, or would be, and its name there."""
        node = self._find(parent(path))
        if not isinstance(node, Directory):
            raise NoSuchFile(f"no directory {parent(path)}")
        return node, path[path.rindex("/") + 1 :]

    def _all(self, path: str, node: File | Directory) -> Iterator[tuple[str, File | Directory]]:
        left = [(path, node)]
        while left:
            where, found = left.pop()
            yield where, found
            if isinstance(found, Directory):
                above = "" if where == "/" else where
                left += [(f"{above}/{name}", one) for name, one in found.inside.items()]

    # ---- questions

    def file(self, path: str) -> File:
        node = self._find(check_path(path))
        if not isinstance(node, File):
            raise NoSuchFile(f"no file {path}")
        return node

    def list(self, path: str) -> list[str]:
        if not isinstance(self._find(check_path(path)), Directory):
            raise NoSuchFile(f"no directory {path}")
        return sorted(self.below(path))

    def handle_at(self, path: str, index: int) -> int:
        chunks = self.file(path).chunks
        if index not in range(len(chunks)):
            raise NoSuchChunk(f"{index} of {len(chunks)}")
        return chunks[index]

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._find(path) is not None

    def below(self, path: str) -> Iterator[str]:
        node = self._find(path)
        if isinstance(node, Directory):
            yield from (where for where, _ in self._all(path, node) if where != path)

    def handles(self, path: str) -> Iterator[int]:
        node = self._find(path)
        if node is not None:
            for _, one in self._all(path, node):
                if isinstance(one, File):
                    yield from one.chunks

    def _everything(self) -> Iterator[tuple[str, File | Directory]]:
        yield from self._all("/", self._root)
        yield from self._all(HIDDEN, self._trash)

    def files(self) -> Iterable[tuple[str, File]]:
        return [(path, node) for path, node in self._everything() if isinstance(node, File)]

    def directories(self) -> Iterable[str]:
        return [
            path
            for path, node in self._everything()
            if isinstance(node, Directory) and node is not self._root and node is not self._trash
        ]

    # ---- what could be done

    def check_create(self, path: str) -> None:
        check_path(path)
        if path == HIDDEN or is_hidden(path):
            raise InvalidPath("that is where deleted files go")
        if path in self:
            raise FileExists(path)
        self._home(path)

    def check_there(self, path: str) -> None:
        if check_path(path) in ("/", HIDDEN):
            raise InvalidPath("always there")
        if path not in self:
            raise NoSuchFile(path)

    def check_move(self, source: str, target: str) -> None:
        self.check_there(source)
        if check_path(target) != source and is_below(target, source):
            raise InvalidPath("into itself")
        self.check_create(target)
        for name in self.below(source):
            check_path(target + name[len(source) :])

    # ---- changes

    def create(self, path: str) -> None:
        self.check_create(path)
        self.put_file(path, no_handles())

    def make_directory(self, path: str) -> None:
        self.check_create(path)
        self.put_directory(path)

    def rename(self, source: str, target: str) -> None:
        self.check_move(source, target)
        self._move(source, target)

    def hide(self, path: str, hidden: str) -> None:
        self.check_there(path)
        if hidden in self or parent(hidden) != HIDDEN:
            raise FileExists(hidden)
        self._move(path, hidden)

    def remove(self, path: str) -> None:
        self.check_there(path)
        home, name = self._home(path)
        del home.inside[name]

    def copy(self, source: str, target: str) -> None:
        self.check_move(source, target)
        node = self._find(source)
        assert node is not None
        for where, one in self._all(source, node):
            there = target + where[len(source) :]
            if isinstance(one, File):
                self.put_file(there, one.chunks[:])
            else:
                self.put_directory(there)

    def add_chunk(self, path: str, index: int, handle: int) -> None:
        chunks = self.file(path).chunks
        if index != len(chunks):
            raise NoSuchChunk(f"the next one is {len(chunks)}")
        chunks.append(handle)

    def replace_chunk(self, path: str, index: int, handle: int) -> None:
        self.handle_at(path, index)
        file = self.file(path)
        file.chunks = array("Q", [*file.chunks[:index], handle, *file.chunks[index + 1 :]])

    def put_file(self, path: str, chunks: array[int]) -> None:
        home, name = self._home(path)
        home.inside[name] = File(chunks)

    def put_directory(self, path: str) -> None:
        home, name = self._home(path)
        home.inside[name] = Directory()

    def _move(self, source: str, target: str) -> None:
        home, name = self._home(source)
        there, new = self._home(target)
        there.inside[new] = home.inside.pop(name)
