"""Ids that stay in Arrow: ten million of them are a file that is mapped, and no Python strings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra

BLOCK = 65_536
TABLE = 2**20
"""Ids in a hash table at a time: it takes some 100 bytes for each."""


class ArrowIds(Sequence[str]):
    """A sequence of strings over an Arrow array; each becomes a Python string when it is asked for.

    Args:
        array: A ``pyarrow.LargeStringArray``, none of it missing.

    >>> ids = ArrowIds.of(["a", "b", "c"])
    >>> len(ids), ids[-1], list(ids.take(np.array([2, 0])))
    (3, 'c', ['c', 'a'])
    """

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    @classmethod
    def mapped(cls, file: Path) -> ArrowIds:
        """What an :class:`IdsFile` has written, mapped."""
        arrow = require_extra("pyarrow", "arrow")
        ends, text = (
            arrow.memory_map(str(path)).read_buffer() if path.stat().st_size else arrow.py_buffer(b"")
            for path in _files(file)
        )
        return cls(arrow.LargeStringArray.from_buffers(len(ends) // 8 - 1, ends, text))

    @classmethod
    def of(cls, ids: Sequence[str]) -> ArrowIds:
        """These ids; as they are where they lie in Arrow already."""
        if isinstance(ids, ArrowIds):
            return ids
        arrow = require_extra("pyarrow", "arrow")
        return cls(arrow.array(ids, arrow.large_string()))

    def take(self, rows: NDArray[np.integer[Any]]) -> ArrowIds:
        """The ids in these rows, in this order."""
        return ArrowIds(self.array.take(require_extra("pyarrow", "arrow").array(rows)))

    def rows_of(self, ids: Any) -> NDArray[np.int64]:
        """The row of each of an Arrow array of ids, ``(ids,)``; -1 where it is none of these."""
        compute = require_extra("pyarrow.compute", "arrow")
        rows = np.full(len(ids), -1, dtype=np.int64)
        for at in range(0, len(self), TABLE):
            some = compute.index_in(ids, value_set=self.array.slice(at, TABLE))
            found = some.fill_null(-1).to_numpy(zero_copy_only=False)
            rows[found >= 0] = found[found >= 0] + at
        return rows

    def first_twice(self) -> str | None:
        """An id that stands in two rows, if there is one; of memory it takes some bytes an id."""
        hashes = np.empty(len(self), dtype=np.int64)
        for at in range(0, len(self), BLOCK):
            some = self.array.slice(at, BLOCK).to_pylist()
            hashes[at : at + len(some)] = np.fromiter(map(hash, some), dtype=np.int64, count=len(some))
        ordered = np.sort(hashes)
        again = ordered[1:][ordered[1:] == ordered[:-1]]
        seen: set[str] = set()
        for row in np.flatnonzero(np.isin(hashes, again)).tolist() if len(again) else ():
            key: str = self[row]
            if key in seen:
                return key
            seen.add(key)
        return None

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[str]:
        for at in range(0, len(self), BLOCK):
            yield from self.array.slice(at, BLOCK).to_pylist()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and require_extra("pyarrow.compute", "arrow").index(self.array, key).as_py() >= 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ArrowIds):
            return bool(self.array.equals(other.array))
        if not isinstance(other, (tuple, list)):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self.array.slice(0, 3).to_pylist()))
        return f"ArrowIds({shown}{', …' * (len(self) > 3)} {len(self)} in all)"

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> ArrowIds: ...

    def __getitem__(self, row: int | slice) -> str | ArrowIds:
        if isinstance(row, slice):
            start, stop, step = row.indices(len(self))
            if step == 1:
                return ArrowIds(self.array.slice(start, max(0, stop - start)))
            return self.take(np.arange(len(self))[row])
        if not -len(self) <= row < len(self):
            raise IndexError(f"expected a row below {len(self)}, got {row}")
        return str(self.array[int(row) % len(self)].as_py())


class IdsFile:
    """Ids written down one batch after the other, for :meth:`ArrowIds.mapped`.

    Args:
        file: Where to, without a suffix: their text goes beside where each ends.
    """

    def __init__(self, file: Path) -> None:
        self._ends, self._text = (path.open("wb") for path in _files(file))
        self._ends.write(bytes(8))
        self._written = 0

    def write(self, array: Any) -> None:
        """Append a ``pyarrow.LargeStringArray``."""
        _, ends, text = array.buffers()
        bounds = np.frombuffer(ends, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
        if not len(array):
            return
        self._ends.write((bounds[1:] - bounds[0] + self._written).tobytes())
        if text is not None:
            self._text.write(memoryview(text)[bounds[0] : bounds[-1]])
        self._written += int(bounds[-1] - bounds[0])

    def close(self) -> None:
        """Close the files."""
        self._ends.close()
        self._text.close()


def ids_at(ids: Sequence[str], rows: NDArray[np.integer[Any]]) -> Sequence[str]:
    """The ids in these rows: a tuple of a tuple's, in Arrow where they are."""
    if isinstance(ids, ArrowIds):
        return ids.take(rows)
    return tuple(ids[row] for row in rows.tolist())


def _files(file: Path) -> tuple[Path, Path]:
    return file.with_suffix(".ends"), file.with_suffix(".text")
