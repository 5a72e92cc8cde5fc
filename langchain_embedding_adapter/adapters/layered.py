"""A memory over a memory: what answered questions teach, on top of a bridge from another model's index."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters.base import Floats
from langchain_embedding_adapter.adapters.memory import MemoryAdapter


class LayeredMemoryAdapter(MemoryAdapter):
    """``q' = unit(below(q)) + strength · Σᵢ k(q, qᵢ) vᵢ``: a :class:`MemoryAdapter` in the place of its linear map.

    The memory below holds the texts of an index (:func:`bridge_models`) and is loud; the one above holds questions that
    were asked about them, with a temperature and a strength of its own, and corrects what the one below says of
    them. It starts as the memory below: every value above is zero.

    Args:
        in_features: Dimensions of the query vectors.
        out_features: Dimensions of the passage vectors.
        size: How many questions it can hold above.
        temperature: Above.
        strength: Above.
        cells: Above.
        below_size: How many entries the memory below has, and so on.
        below_temperature: Its temperature.
        below_strength: Its strength.
        below_cells: Its cells.

    Attributes:
        weight: The linear map of the memory below, ``(out_features, in_features)``.
        below_keys: ``(below_size, in_features)``.
        below_values: ``(below_size, out_features)``.
        below_cell: ``(below_size,)`` or ``None``.
    """

    kind = "layered-memory"
    parameter_names: ClassVar[tuple[str, ...]] = (
        *MemoryAdapter.parameter_names,
        "below_keys",
        "below_values",
        "below_cell",
    )

    def __init__(
        self,
        in_features: int,
        out_features: int,
        size: int,
        temperature: float = 0.05,
        strength: float = 0.5,
        cells: int = 0,
        *,
        below_size: int,
        below_temperature: float = 0.05,
        below_strength: float = 0.5,
        below_cells: int = 0,
    ) -> None:
        super().__init__(in_features, out_features, size, temperature, strength, cells)
        self._below = MemoryAdapter(
            in_features, out_features, below_size, below_temperature, below_strength, below_cells
        )
        self.below_keys: Floats = self._below.keys
        self.below_values: Floats = self._below.values
        self.below_cell: Floats | None = self._below.cell

    @classmethod
    def over(cls, below: MemoryAdapter, above: MemoryAdapter) -> LayeredMemoryAdapter:
        """``above``, whose linear map counts for nothing, over ``below``."""
        adapter = cls(
            **above.arguments,
            below_size=below.size,
            below_temperature=below.temperature,
            below_strength=below.strength,
            below_cells=below.cells,
        )
        own = {name: array for name, array in above.to_arrays().items() if name != "weight"}
        under = below.to_arrays()
        weight = under.pop("weight")
        adapter.load_arrays({"weight": weight, **own, **{f"below_{name}": array for name, array in under.items()}})
        return adapter

    @property
    def below(self) -> MemoryAdapter:
        """The memory below, with the arrays as they are now."""
        found = self._below
        arrays = found.weight, found.keys, found.values, found.cell
        now = self.weight, self.below_keys, self.below_values, self.below_cell
        if any(one is not other for one, other in zip(arrays, now, strict=True)):
            found = copy.copy(found)
            found.weight, found.keys, found.values, found.cell = now
            self._below = found
        return found

    def load_arrays(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what :meth:`to_arrays` gave; see :meth:`BaseAdapter.load_arrays`."""
        super().load_arrays(arrays)
        self.below.warm()

    def _mapped(self, queries: Any) -> Any:
        return self.below._forward_arrays(queries) if isinstance(queries, np.ndarray) else self.below.forward(queries)
