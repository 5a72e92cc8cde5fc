"""The identity plus a linear map of low rank, for few pairs or many dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, passed_through


class LowRankAdapter(ArrayAdapter):
    """``q' = q + U V q`` with ``U`` of ``rank`` columns. It starts as the identity: ``U`` is zero.

    Where the dimensions differ, ``q`` is first cut or padded with zeros.

    Args:
        in_features: Dimensions of the query vectors.
        out_features: Dimensions of the passage vectors.
        rank: How many directions may change.
        seed: Of the random ``V``.

    Attributes:
        down: ``V``, ``(rank, in_features)``.
        up: ``U``, ``(out_features, rank)``.
    """

    kind = "low-rank"
    parameter_names: ClassVar[tuple[str, ...]] = ("down", "up")

    def __init__(self, in_features: int, out_features: int, rank: int = 128, seed: int = 0) -> None:
        super().__init__(in_features, out_features)
        if not isinstance(rank, int) or rank < 1:
            raise ValueError(f"rank must be a positive whole number, got {rank!r}")
        bound = 1 / np.sqrt(in_features)
        self.down: Floats = np.random.default_rng(seed).uniform(-bound, bound, (rank, in_features)).astype(np.float32)
        self.up: Floats = np.zeros((out_features, rank), dtype=np.float32)

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``."""
        return passed_through(queries, self.out_features) + (queries @ self.down.T) @ self.up.T
