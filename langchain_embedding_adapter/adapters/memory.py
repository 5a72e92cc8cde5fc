"""A linear map with a memory of training questions: what a linear map cannot hold."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, identity_matrix


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

    Attributes:
        weight: ``W``, ``(out_features, in_features)``.
        keys: ``(size, in_features)``, of unit length; rows of zeros are unused.
        values: ``(size, out_features)``.
    """

    kind = "memory"
    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "keys", "values")

    def __init__(
        self, in_features: int, out_features: int, size: int, temperature: float = 0.05, strength: float = 0.5
    ) -> None:
        super().__init__(in_features, out_features)
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size must be a positive whole number, got {size!r}")
        if not (temperature > 0 and strength >= 0):
            raise ValueError(f"expected temperature > 0 and strength ≥ 0, got {temperature!r} and {strength!r}")
        self.size = size
        self.temperature = temperature
        self.strength = strength
        self.weight: Floats = identity_matrix(out_features, in_features)
        self.keys: Floats = np.zeros((size, in_features), dtype=np.float32)
        self.values: Floats = np.zeros((size, out_features), dtype=np.float32)

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``."""
        mapped = queries @ self.weight.T
        lengths = ((mapped * mapped).sum(1) ** 0.5).clip(1e-12)
        nearness = math.e ** ((queries @ self.keys.T - 1) / self.temperature)  # (n, size)
        return mapped / lengths[:, None] + self.strength * (nearness @ self.values)
