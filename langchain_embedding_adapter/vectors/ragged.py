"""Rows of different lengths in one flat array: what ten million questions' passages are kept in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)
Rows = Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]


class Ragged(Sequence[NDArray[Number]], Generic[Number]):
    """A sequence of arrays that lie end to end.

    Args:
        flat: All entries, ``(entries,)``; may be mapped from a file.
        offsets: ``(rows + 1,)``: row ``i`` is ``flat[offsets[i]:offsets[i + 1]]``.

    >>> rows = Ragged.of([np.array([1, 2]), np.array([3])])
    >>> len(rows), rows[0].tolist(), rows.counts.tolist()
    (2, [1, 2], [2, 1])
    """

    __slots__ = ("flat", "offsets")

    def __init__(self, flat: NDArray[Number], offsets: NDArray[np.int64]) -> None:
        if offsets.ndim != 1 or not len(offsets) or offsets[-1] != len(flat):
            raise ValueError(f"expected offsets that end at {len(flat)}, the number of entries; got {offsets[-3:]}")
        self.flat, self.offsets = flat, offsets

    @classmethod
    def of(cls, parts: Iterable[NDArray[Number]], dtype: type[Number] | None = None) -> Ragged[Number]:
        """These arrays, copied one after the other; ``dtype`` where there may be none."""
        parts = list(parts)
        flat: NDArray[Any] = np.concatenate(parts) if parts else np.zeros(0, dtype=dtype or np.float64)
        return cls(flat if dtype is None else flat.astype(dtype, copy=False), _ends([len(part) for part in parts]))

    @classmethod
    def in_rows(cls, flat: NDArray[Number], counts: Sequence[int] | NDArray[np.integer[Any]]) -> Ragged[Number]:
        """A flat array in rows of these lengths."""
        return cls(flat, _ends(counts))

    @classmethod
    def empty(cls, rows: int, dtype: type[Number]) -> Ragged[Number]:
        """So many rows with nothing in them."""
        return cls(np.zeros(0, dtype=dtype), np.zeros(rows + 1, dtype=np.int64))

    @property
    def counts(self) -> NDArray[np.int64]:
        """``(rows,)``, how long each is."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> NDArray[np.int64]:
        """``(entries,)``, the row of each entry."""
        return np.repeat(np.arange(len(self)), self.counts)

    def take(self, rows: Rows) -> Ragged[Number]:
        """These rows, in this order."""
        places = self.places(rows)
        return Ragged(self.flat[places.flat], places.offsets)

    def places(self, rows: Rows) -> Ragged[np.int64]:
        """Where the entries of these rows are in :attr:`flat`."""
        chosen = np.asarray(rows)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.int64, copy=False)
        starts = self.offsets[chosen]
        counts = self.offsets[chosen + 1] - starts
        ends = _ends(counts)
        return Ragged(np.arange(ends[-1]) + np.repeat(starts - ends[:-1], counts), ends)

    def where(self, kept: NDArray[np.bool_]) -> Ragged[Number]:
        """The entries to keep, ``(entries,)`` says which, each in its row."""
        return Ragged(self.flat[kept], np.concatenate([[0], np.cumsum(kept)])[self.offsets])

    def like(self, flat: NDArray[Any]) -> Ragged[Any]:
        """Other entries, ``(entries,)``, in rows as long as these."""
        return Ragged(flat, self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[NDArray[Number]]:
        ends = self.offsets.tolist()
        return (self.flat[start:end] for start, end in pairwise(ends))

    @overload
    def __getitem__(self, row: int) -> NDArray[Number]: ...

    @overload
    def __getitem__(self, row: slice) -> Ragged[Number]: ...

    def __getitem__(self, row: int | slice) -> NDArray[Number] | Ragged[Number]:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        if not -len(self) <= row < len(self):
            raise IndexError(f"expected a row below {len(self)}, got {row}")
        row %= len(self)
        return self.flat[self.offsets[row] : self.offsets[row + 1]]


def _ends(counts: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
