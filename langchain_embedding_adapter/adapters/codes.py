"""What a memory of product-quantised entries recalls.

As in :mod:`~langchain_embedding_adapter.adapters.cells`, a far cell is recalled as a whole and the entries of the near
ones one by one. These are codes: a part of a vector, a few dimensions of it, is the number of the entry of a book that
is nearest to it (Jégou, Douze and Schmid, 2011). A question's cosine with an entry is then a sum of numbers from a
table, made once for the question, and no entry is ever decoded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.uint8]

BOOK = 256
"""Entries of a book: a code is a byte."""
ONE_BY_ONE = 3 * 2**19
"""Codes, of keys and values, that are read one entry at a time for a question."""
IN_CACHE = 512
"""Entries at a time."""
LOUDEST = 1024
"""Entries whose own values are recalled; the others of the near cells have the mean value of their cell."""


class CodedCells:
    """A memory's entries by cells, as codes of how they differ from the mean of their cell.

    Args:
        counts: ``(cells,)``, how many entries each has; they lie cell by cell.
        means: ``(cells, in_features)``, the mean key of each.
        ways: ``(cells, out_features)``, its mean value.
        key_book: ``(parts, 256, width)``.
        key_codes: ``(size, parts)``.
        gains: ``(size,)``, what a product with a key's codes is multiplied with, which are shorter than what they stand
            for. A key then has a cosine of one with itself: without, a question that has been asked before would be
            taken for one that is merely similar.
        value_book: ``(parts, 256, width)``.
        value_codes: ``(size, parts)``.
        temperature: Of the kernel ``exp((cos − 1) / temperature)``.
    """

    def __init__(
        self,
        counts: NDArray[np.integer[Any]],
        means: Floats,
        ways: Floats,
        *,
        key_book: Floats,
        key_codes: Codes,
        gains: Floats,
        value_book: Floats,
        value_codes: Codes,
        temperature: float,
    ) -> None:
        self.means, self.ways, self.gains, self.temperature = means, ways, gains, temperature
        self.key_book, self.key_codes = np.ascontiguousarray(key_book.transpose(0, 2, 1)), key_codes
        self.value_book, self.value_codes = value_book, value_codes
        self.counts = counts.astype(np.int64)
        self.ends = np.cumsum(self.counts)
        # The mean of exp(x / t) over a cell, x normal around the mean key's cosine: exp(mean / t + variance / 2 t²).
        spread = np.maximum(0, 1 - np.einsum("cd,cd->c", means, means)) / means.shape[1]
        self.offsets = (spread / (2 * temperature) - 1).astype(np.float32)
        self.near = max(1, ONE_BY_ONE // (key_codes.shape[1] + value_codes.shape[1]))

    def recall(self, query: Floats) -> Floats:
        """``Σᵢ k(q, qᵢ) vᵢ`` for one unit query, ``(in_features,)`` to ``(out_features,)``."""
        cosines = self.means @ query
        order = np.argsort(-cosines)
        nearest = order[: 1 + int(np.searchsorted(np.cumsum(self.counts[order]), self.near))]
        weights = self.counts * np.exp(np.minimum(0, (cosines + self.offsets) / self.temperature))
        rows = np.concatenate([np.arange(self.ends[cell] - self.counts[cell], self.ends[cell]) for cell in nearest])
        cell = np.repeat(np.arange(len(nearest)), self.counts[nearest])
        near = self._nearness(query, cosines[nearest], rows, cell)
        weights[nearest] = np.bincount(cell, near, minlength=len(nearest))
        recalled: Floats = weights.astype(np.float32) @ self.ways + self._own_ways(near, rows)
        return recalled

    def _nearness(self, query: Floats, cosines: Floats, rows: NDArray[np.int64], cell: NDArray[np.int64]) -> Floats:
        """The kernel of the query and each of these entries."""
        parts, width, _ = self.key_book.shape
        padded = np.zeros(parts * width, dtype=np.float32)
        padded[: len(query)] = query
        table = (padded.reshape(parts, 1, width) @ self.key_book).ravel()  # (parts · 256)
        begin, together = places(parts), np.ones(parts, dtype=np.float32)
        differing = np.concatenate(
            [
                table.take(self.key_codes[rows[start : start + IN_CACHE]] + begin, mode="wrap") @ together
                for start in range(0, len(rows), IN_CACHE)
            ]
        )
        found = cosines[cell] + self.gains[rows] * differing
        nearness: Floats = np.exp((np.minimum(1, found) - 1) / np.float32(self.temperature))
        return nearness

    def _own_ways(self, near: Floats, rows: NDArray[np.int64]) -> Floats:
        """What the values of the loudest entries add to those of their cells: each book's entries, by their weight."""
        if len(rows) > LOUDEST:
            loudest = np.argpartition(near, -LOUDEST)[-LOUDEST:]
            near, rows = near[loudest], rows[loudest]
        parts = len(self.value_book)
        codes = (self.value_codes[rows] + places(parts)).ravel()
        by_code = np.bincount(codes, np.repeat(near, parts), minlength=parts * BOOK).reshape(parts, 1, BOOK)
        added: Floats = (by_code.astype(np.float32) @ self.value_book).ravel()[: self.ways.shape[1]]
        return added


def places(parts: int) -> NDArray[np.intp]:
    """``(parts,)``, where the book of each part begins in a table of all of them."""
    return BOOK * np.arange(parts)
