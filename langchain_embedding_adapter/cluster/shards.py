"""Shards: the files of work that is spread, each written whole, in a folder on any file system that fsspec knows.

What a shard will hold is gathered in its journal, a small file a part, so that whoever takes the shard over, after a
crash or on another machine, goes on from there. When the shard's own file stands, its journal goes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import lock_file, write_atomically

Rows = list[dict[str, Any]]
AT_A_TIME = 16
"""Files that are read or written side by side."""
JOURNALS = "unfinished"
"""The folder of the journals, within that of the shards."""


class ShardFolder:
    """A folder of shards, on this machine or at ``s3://``, ``gs://``, ``memory://`` and the like.

    It can be pickled, and every process opens its own file system.

    Args:
        path: The folder; made when something is written.
        suffix: How the shards' files end.

    Raises:
        ImportError: If fsspec, or what it needs for such a path, is not installed.
    """

    def __init__(self, path: str | Path, suffix: str = ".jsonl") -> None:
        self.path, self.suffix = str(path), suffix
        require_extra("fsspec", "arrow")
        from fsspec.core import url_to_fs

        self._fs, self._root = url_to_fs(self.path)
        protocol = self._fs.protocol
        self.is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        if self.is_local:
            self.path = self._root  # whole: a worker may stand in another folder

    def __reduce__(self) -> tuple[type[ShardFolder], tuple[str, str]]:
        return type(self), (self.path, self.suffix)

    def __str__(self) -> str:
        return self.path

    @property
    def local_path(self) -> str:
        """Where the folder is on this machine, if it :attr:`is_local`."""
        return str(self._root)

    def within(self, name: str, suffix: str | None = None) -> ShardFolder:
        """A folder within this one."""
        return ShardFolder(f"{self.path.rstrip('/')}/{name}", suffix or self.suffix)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Be the only one who writes to a folder on this machine; an object store knows no such claim.

        Raises:
            RuntimeError: If another process has claimed it.
        """
        if not self.is_local:
            yield
            return
        Path(self.local_path).mkdir(parents=True, exist_ok=True)
        with Path(self._at(".lock")).open("a+b") as file:
            if not lock_file(file):
                raise RuntimeError(f"another process is writing to {self}; wait for it to end, or name another path")
            yield

    def names(self) -> list[str]:
        """The shards whose file stands, by name."""
        return sorted(name.removesuffix(self.suffix) for name in self._listed("") if name.endswith(self.suffix))

    def done(self, name: str) -> bool:
        """Whether a shard's file stands."""
        return self.holds(name + self.suffix)

    def write(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a shard of rows as one JSON object a line, whole or not at all."""
        self.put(name + self.suffix, to_lines(rows))

    def read(self, name: str) -> Rows:
        """The rows of a shard that :meth:`write` wrote."""
        return from_lines(self.get(name + self.suffix))

    def write_many(self, shards: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Write shards, several at a time."""
        side_by_side(lambda name: self.write(name, shards[name]), shards)

    def read_many(self, names: Iterable[str]) -> list[Rows]:
        """The rows of each of these shards, several read at a time."""
        return side_by_side(self.read, names)

    def remove(self, name: str) -> None:
        """Take a shard's file away, if it stands."""
        self.drop(name + self.suffix)

    def journal(self, name: str) -> Journal:
        """The parts of a shard whose file does not stand yet."""
        return Journal(self, f"{JOURNALS}/{name}")

    def unfinished(self) -> list[str]:
        """The shards that have a journal."""
        return sorted(self._listed(JOURNALS))

    def holds(self, file: str) -> bool:
        """Whether there is such a file in the folder."""
        self._fs.invalidate_cache()  # another machine may just have written it
        return bool(self._fs.exists(self._at(file)))

    def put(self, file: str, data: bytes) -> None:
        """Write a file of the folder, whole or not at all."""
        if self.is_local:
            write_atomically(self._at(file), data)
        else:
            self._fs.pipe_file(self._at(file), data)  # an object store shows an object when all of it is there

    def get(self, file: str) -> bytes:
        """Read a file of the folder.

        Raises:
            FileNotFoundError: If there is none.
        """
        self._fs.invalidate_cache()
        return bytes(self._fs.cat_file(self._at(file)))

    def drop(self, file: str) -> None:
        """Take a file or folder away, if it is there."""
        if self.holds(file):
            with contextlib.suppress(FileNotFoundError):  # somebody was faster
                self._fs.rm(self._at(file), recursive=True)

    def _at(self, file: str) -> str:
        return f"{self._root.rstrip('/')}/{file}" if file else self._root

    def _listed(self, folder: str) -> list[str]:
        """The names in a folder; none where there is no such folder. Dots begin the names of what is being written."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._at(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return [name for name in names if not name.startswith(".")]


class Journal:
    """The parts of an unfinished shard, a file each: what has been put here survives whoever put it.

    Args:
        folder: The shards' folder.
        place: The journal's own, within it.
    """

    def __init__(self, folder: ShardFolder, place: str) -> None:
        self._folder, self._place = folder, place

    def put(self, key: str, data: bytes) -> None:
        """Keep a part: when this returns it is there. A part that was there by that key is replaced."""
        self._folder.put(f"{self._place}/{key}", data)

    def parts(self) -> dict[str, bytes]:
        """Every part by its key, in the order of the keys."""
        keys = sorted(self._folder._listed(self._place))
        return dict(zip(keys, side_by_side(lambda key: self._folder.get(f"{self._place}/{key}"), keys), strict=True))

    def append(self, key: str, row: Mapping[str, Any]) -> None:
        """Keep a row as a part."""
        self.put(key, to_lines([row]))

    def rows(self) -> Rows:
        """The rows of all parts."""
        return [row for part in self.parts().values() for row in from_lines(part)]

    def clear(self) -> None:
        """Take all parts away: the shard's own file stands."""
        self._folder.drop(self._place)


def side_by_side(do: Callable[[str], Any], names: Iterable[str]) -> list[Any]:
    """What comes of each name, in their order, several at a time: an object store answers late, and many at once."""
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        return list(threads.map(do, names))


def to_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "surrogatepass")


def from_lines(data: bytes) -> Rows:
    """The objects of :func:`to_lines`."""
    return [json.loads(line) for line in data.decode("utf-8", "surrogatepass").split("\n") if line]
