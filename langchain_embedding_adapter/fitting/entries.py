"""What a memory may hold, a block at a time: a million questions are never all at hand as vectors of our own."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import BaseAdapter, MemoryAdapter
from langchain_embedding_adapter.adapters.base import passed_through
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged, unit

BLOCK = 2**23
"""Numbers, of keys and values, that are made at a time."""
ON_DISK = 2**30
"""Bytes of an array that are held in a scratch file if there are more."""

Rows = NDArray[np.integer[Any]]


class Entries:
    """Keys and values of the training questions, made as they are read.

    A key is a question's unit vector, its value the way from there to the mean of its passages by grade.

    Args:
        vectors: The questions; arrays may be mapped from files.
        out_features: Dimensions of the passage vectors.
        below: An adapter from where it leads the way goes, if it is not from the question itself.
        known: A memory whose entries come first.
    """

    def __init__(
        self,
        vectors: PairVectors | None,
        out_features: int,
        *,
        below: BaseAdapter | None = None,
        known: MemoryAdapter | None = None,
    ) -> None:
        self.vectors, self.below = vectors, below
        if known is None:
            in_features = 0 if vectors is None else vectors.queries.shape[1]
            self.made = (np.zeros((0, in_features), dtype=np.float32), np.zeros((0, out_features), dtype=np.float32))
        else:
            used = known.keys.any(axis=1)
            self.made = known.keys[used], known.values[used]

    @classmethod
    def of(cls, keys: Floats, values: Floats) -> Entries:
        """Entries that are at hand, ``(entries, in)`` and ``(entries, out)``."""
        entries = cls(None, values.shape[1])
        entries.made = keys, values
        return entries

    def __len__(self) -> int:
        return len(self.made[0]) + (0 if self.vectors is None else len(self.vectors.queries))

    @property
    def features(self) -> tuple[int, int]:
        """Dimensions of keys and of values."""
        return self.made[0].shape[1], self.made[1].shape[1]

    def at(self, rows: Rows) -> tuple[Floats, Floats]:
        """The entries in these rows, ascending: ``(n, in)`` and ``(n, out)``."""
        split = int(np.searchsorted(rows, len(self.made[0])))
        made = self.made[0][rows[:split]], self.made[1][rows[:split]]
        if self.vectors is None or split == len(rows):
            return made
        keys, values = self._asked(self.vectors, rows[split:] - len(self.made[0]))
        return (np.concatenate([made[0], keys]), np.concatenate([made[1], values])) if split else (keys, values)

    def blocks(self, rows: Rows | None = None) -> Iterator[tuple[Rows, Floats, Floats]]:
        """All of them, or those in these rows, ascending: rows, keys and values of so many at a time as are handy."""
        rows = np.arange(len(self)) if rows is None else rows
        size = max(256, BLOCK // sum(self.features))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], *self.at(rows[start : start + size])

    def _asked(self, vectors: PairVectors, rows: Rows) -> tuple[Floats, Floats]:
        keys = unit(vectors.queries[rows])
        answers = answers_of(vectors.passages, vectors.relevant.take(rows), vectors.grades.take(rows))
        start = passed_through(keys, answers.shape[1]) if self.below is None else self.below.adapt(keys)
        return keys, answers - start


def answers_of(passages: Floats, relevant: Ragged[np.intp], grades: Ragged[np.float64]) -> Floats:
    """For each question the mean of its passages' directions by grade, ``(questions, dimensions)``."""
    if not len(relevant):
        return np.zeros((0, passages.shape[1]), dtype=np.float32)
    rows = relevant.rows
    shares = grades.flat / np.bincount(rows, grades.flat)[rows]
    found: Floats = np.add.reduceat(
        shares.astype(np.float32)[:, None] * unit(passages[relevant.flat]), relevant.offsets[:-1]
    )
    return found


def room(shape: tuple[int, ...]) -> Floats:
    """An array of zeros, in a scratch file that is gone with it if it is large."""
    if 4 * math.prod(shape) <= ON_DISK:
        return np.zeros(shape, dtype=np.float32)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
