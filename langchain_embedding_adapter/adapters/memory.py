"""A linear map with a memory of training questions: what a linear map cannot hold."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, identity_matrix
from langchain_embedding_adapter.adapters.cells import Cells

MOST_CELLS = 2048
"""Half precision holds their numbers up to here."""


class MemoryAdapter(ArrayAdapter):
    """``q' = unit(W q) + strength · Σᵢ k(q, qᵢ) vᵢ`` with ``k = exp((cos(q, qᵢ) − 1) / temperature)``.

    Each key ``qᵢ`` is a training question, its value ``vᵢ`` the way from there to the passages that answer it. Near
    a question it has seen, the adapter goes where its answer was; elsewhere the kernel is silent and the linear map
    remains.
    It starts as the identity: ``W`` is, and every value is zero.

    Args:
        in_features: Dimensions of the query vectors.
        out_features: Dimensions of the passage vectors.
        size: How many questions it can hold; a query costs a product with each.
        temperature: How near a question must be to count.
        strength: How far to go.
        cells: Into how many cells of neighbouring questions the entries are sorted. A question then recalls the near
            ones one by one and the far cells as wholes (:mod:`~langchain_embedding_adapter.adapters.cells`), which
            bounds its cost; with none, every entry by itself.

    Attributes:
        weight: ``W``, ``(out_features, in_features)``.
        keys: ``(size, in_features)``, of unit length; rows of zeros are unused.
        values: ``(size, out_features)``.
        cell: ``(size,)``, the number of each entry's cell, never falling; ``None`` without cells.
    """

    kind = "memory"
    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "keys", "values", "cell")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        size: int,
        temperature: float = 0.05,
        strength: float = 0.5,
        cells: int = 0,
    ) -> None:
        super().__init__(in_features, out_features)
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size must be a positive whole number, got {size!r}")
        if not (temperature > 0 and strength >= 0):
            raise ValueError(f"expected temperature > 0 and strength ≥ 0, got {temperature!r} and {strength!r}")
        if not isinstance(cells, int) or not 0 <= cells <= MOST_CELLS:
            raise ValueError(f"cells must be a whole number up to {MOST_CELLS}, got {cells!r}")
        self.size = size
        self.cells = cells
        self.temperature = temperature
        self.strength = strength
        self.weight: Floats = identity_matrix(out_features, in_features)
        self.keys: Floats = np.zeros((size, in_features), dtype=np.float32)
        self.values: Floats = np.zeros((size, out_features), dtype=np.float32)
        self.cell: Floats | None = np.zeros(size, dtype=np.float32) if cells else None
        self._recalling: tuple[Floats, Cells] | None = None

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`to_arrays` gave; see :meth:`BaseAdapter.load_arrays`."""
        super().load_arrays(arrays)
        self.warm()

    def warm(self) -> None:
        """Sort the entries by cells now, and not while the first question waits."""
        if self.cell is not None:
            self._by_cells()

    def _by_cells(self) -> Cells:
        """The entries by cells, sorted once for as long as the keys are these."""
        found = self._recalling
        if found is None or found[0] is not self.keys:
            if self.cell is None:
                raise ValueError("this memory has no cells")
            found = self.keys, Cells(self.keys, self.values, self.cell, self.temperature)
            self._recalling = found
        return found[1]

    def _forward_arrays(self, queries: Floats) -> Floats:
        if self.cell is None:
            return super()._forward_arrays(queries)
        cells = self._by_cells()
        mapped = self._mapped(queries)
        lengths = np.linalg.norm(mapped, axis=1, keepdims=True).clip(1e-12)
        recalled = np.stack([cells.recall(query) for query in queries]) if len(queries) else mapped
        adapted: Floats = mapped / lengths + np.float32(self.strength) * recalled
        return adapted

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``, every entry by itself."""
        mapped = self._mapped(queries)
        lengths = ((mapped * mapped).sum(1) ** 0.5).clip(1e-12)
        nearness = math.e ** ((queries @ self.keys.T - 1) / self.temperature)  # (n, size)
        return mapped / lengths[:, None] + self.strength * (nearness @ self.values)

    def _mapped(self, queries: Any) -> Any:
        """Where a question goes that is near no key, of any length."""
        return queries @ self.weight.T
