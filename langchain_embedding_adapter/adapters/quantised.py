"""A memory of a million questions: what is remembered, in a fraction of the room."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, identity_matrix
from langchain_embedding_adapter.adapters.codes import BOOK, CodedCells, Codes

if TYPE_CHECKING:
    import torch


class QuantisedMemoryAdapter(ArrayAdapter):
    """``q' = unit(W q) + strength · Σᵢ k(q, qᵢ) vᵢ`` as in ``MemoryAdapter``, with keys and values as codes.

    At 384 dimensions an entry takes 196 bytes in place of 3,072, and a question costs about as much whether there are
    a hundred thousand or a million (:mod:`~langchain_embedding_adapter.adapters.codes`). It is filled by
    :func:`~langchain_embedding_adapter.fitting.fit_memory`; of it only ``W`` can be trained by descent.
    It starts as the identity: ``W`` is, and every value is zero.

    Args:
        in_features: Dimensions of the query vectors.
        out_features: Dimensions of the passage vectors.
        size: How many questions it holds.
        cells: Into how many cells of neighbouring questions these are sorted.
        temperature: How near a question must be to count.
        strength: How far to go.
        width: Dimensions of a key or value that are one code.

    Attributes:
        weight: ``W``, ``(out_features, in_features)``.
        counts: ``(cells,)``, how many entries each cell has.
        means: ``(cells, in_features)``, the mean of each cell's keys, which are of unit length.
        ways: ``(cells, out_features)``, the mean of its values.
        key_book: ``(⌈in_features / width⌉, 256, width)``, what the codes of a key stand for.
        value_book: ``(⌈out_features / width⌉, 256, width)``, and those of a value.
        key_codes: ``(size, ⌈in_features / width⌉)``, bytes; of each key's difference from the mean of its cell.
        value_codes: ``(size, ⌈out_features / width⌉)``, bytes.
        gains: ``(size,)``, how much longer a key's difference is than its codes tell, seen from the key.
    """

    kind = "quantised-memory"
    parameter_names: ClassVar[tuple[str, ...]] = (
        *("weight", "counts", "means", "ways"),
        *("key_book", "key_codes", "gains", "value_book", "value_codes"),
    )
    dtypes: ClassVar[Mapping[str, str]] = {"counts": "uint32", "key_codes": "uint8", "value_codes": "uint8"}

    def __init__(
        self,
        in_features: int,
        out_features: int,
        size: int,
        cells: int,
        temperature: float = 0.05,
        strength: float = 0.5,
        width: int = 4,
    ) -> None:
        super().__init__(in_features, out_features)
        sizes = {"size": size, "cells": cells, "width": width}
        for name, value in sizes.items():
            if not isinstance(value, int) or not 1 <= value < 2**32:
                raise ValueError(f"{name} must be a positive whole number, got {value!r}")
        if not (temperature > 0 and strength >= 0):
            raise ValueError(f"expected temperature > 0 and strength ≥ 0, got {temperature!r} and {strength!r}")
        self.size, self.cells, self.width = size, cells, width
        self.temperature, self.strength = temperature, strength
        keys, values = -(-in_features // width), -(-out_features // width)
        self.weight: Floats = identity_matrix(out_features, in_features)
        self.counts: NDArray[np.uint32] = np.zeros(cells, dtype=np.uint32)
        self.counts[0] = size
        self.means: Floats = np.zeros((cells, in_features), dtype=np.float32)
        self.ways: Floats = np.zeros((cells, out_features), dtype=np.float32)
        self.key_book: Floats = np.zeros((keys, BOOK, width), dtype=np.float32)
        self.key_codes: Codes = np.zeros((size, keys), dtype=np.uint8)
        self.gains: Floats = np.ones(size, dtype=np.float32)
        self.value_book: Floats = np.zeros((values, BOOK, width), dtype=np.float32)
        self.value_codes: Codes = np.zeros((size, values), dtype=np.uint8)
        self._recalling: tuple[Codes, CodedCells] | None = None

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`to_arrays` gave; see :meth:`BaseAdapter.load_arrays`.

        Raises:
            ValueError: Also if the cells' entries are not as many as there are.
        """
        counts = arrays.get("counts")
        if counts is not None and counts.shape == (self.cells,) and counts.sum(dtype=np.float64) != self.size:
            raise ValueError(f"expected the entries of the cells to be {self.size:,} in all; the file is damaged")
        super().load_arrays(arrays)
        self._coded_cells()

    def trainable(self, device: str = "cpu") -> tuple[QuantisedMemoryAdapter, torch.nn.Module]:
        """A copy whose ``W`` is a torch parameter; what it remembers stays as it is."""
        require_extra("torch", "train")
        import torch

        twin = copy.copy(self)
        setattr(twin, "weight", torch.nn.Parameter(torch.from_numpy(self.weight.copy()).to(device)))  # noqa: B010
        return twin, twin.module()

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``."""
        mapped = queries @ self.weight.T
        lengths = ((mapped * mapped).sum(1) ** 0.5).clip(1e-12)
        return mapped / lengths[:, None] + self.strength * self._recalled(queries)

    def _recalled(self, queries: Any) -> Any:
        """What is remembered near each query, an array or a tensor as they are."""
        if not isinstance(queries, np.ndarray):
            return queries.new_tensor(self._recalled(queries.detach().cpu().numpy()))
        cells = self._coded_cells()
        found = [cells.recall(query) for query in queries]
        return np.stack(found) if found else np.zeros((0, self.out_features), dtype=np.float32)

    def _coded_cells(self) -> CodedCells:
        """The entries by cells, made ready once for as long as the codes are these."""
        found = self._recalling
        if found is None or found[0] is not self.key_codes:
            names = ("key_book", "key_codes", "gains", "value_book", "value_codes", "temperature")
            options = {name: getattr(self, name) for name in names}
            found = self.key_codes, CodedCells(self.counts, self.means, self.ways, **options)
            self._recalling = found
        return found[1]
