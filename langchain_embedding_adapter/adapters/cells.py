"""What a large memory recalls, at a cost that hardly grows with it.

Entries are kept in cells of neighbouring questions. Those of the cells nearest to a question are recalled one by one,
each farther cell as a whole, from its mean key. That is a fast multipole method of two levels (Greengard and Rokhlin,
1987): what is far away is smooth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ONE_BY_ONE = 3 * 2**20
"""Numbers, of keys and values, that are read one entry at a time for a question."""


class Cells:
    """A memory's entries by cells, ready to recall.

    Args:
        keys: ``(size, in_features)``, of unit length, cell by cell; rows of zeros are unused.
        values: ``(size, out_features)``.
        cell: ``(size,)``, the number of each entry's cell, never falling.
        temperature: Of the kernel ``exp((cos − 1) / temperature)``.

    Raises:
        ValueError: If the cells' numbers fall, or are none.
    """

    def __init__(self, keys: Floats, values: Floats, cell: Floats, temperature: float) -> None:
        numbers = cell.astype(np.int64)
        if np.any(numbers != cell) or np.any(np.diff(numbers) < 0) or (len(numbers) and numbers[0] < 0):
            raise ValueError("expected the cells of a memory as whole numbers that never fall; the file is damaged")
        _, starts = np.unique(numbers, return_index=True)
        self.keys, self.values, self.temperature = keys, values, temperature
        self.counts = np.diff([*starts, len(keys)])
        self.starts = starts
        self.means = np.add.reduceat(keys, starts) / self.counts[:, None].astype(np.float32)
        self.sums = np.add.reduceat(values, starts)
        # The mean of exp(x / t) over a cell, x normal around the mean key's cosine: exp(mean / t + variance / 2 t²).
        spread = np.maximum(0, 1 - np.einsum("cd,cd->c", self.means, self.means)) / keys.shape[1]
        self.offsets = (spread / (2 * temperature) - 1).astype(np.float32)
        self.near = max(1, ONE_BY_ONE // (keys.shape[1] + values.shape[1]))

    def recall(self, query: Floats) -> Floats:
        """``Σᵢ k(q, qᵢ) vᵢ`` for one unit query, ``(in_features,)`` to ``(out_features,)``."""
        cosines = self.means @ query
        order = np.argsort(-cosines)
        nearest = order[: 1 + int(np.searchsorted(np.cumsum(self.counts[order]), self.near))]
        weights = np.exp((cosines + self.offsets) / self.temperature)
        weights[nearest] = 0
        recalled: Floats = weights @ self.sums
        for start, count in zip(self.starts[nearest].tolist(), self.counts[nearest].tolist(), strict=True):
            near = np.exp((self.keys[start : start + count] @ query - 1) / self.temperature)
            recalled += near @ self.values[start : start + count]
        return recalled
