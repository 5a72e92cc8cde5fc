"""The linear map ``W q + b``."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, identity_matrix


class LinearAdapter(ArrayAdapter):
    """``q' = W q``, or ``W q + b``. It starts as the identity.

    Args:
        in_features: Dimensions of the query vectors.
        out_features: Dimensions of the passage vectors.
        bias: Whether to add ``b``. It mostly learns to prefer the passages that have training questions.

    Attributes:
        weight: ``(out_features, in_features)``.
        bias: ``(out_features,)``, or ``None``.

    Example:
        >>> LinearAdapter(2, 2).adapt(np.array([[0.6, 0.8]], dtype=np.float32))
        array([[0.6, 0.8]], dtype=float32)
    """

    kind = "linear"
    parameter_names: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def __init__(self, in_features: int, out_features: int, bias: bool = False) -> None:
        super().__init__(in_features, out_features)
        self.weight: Floats = identity_matrix(out_features, in_features)
        self.bias: Floats | None = np.zeros(out_features, dtype=np.float32) if bias else None

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``."""
        adapted = queries @ self.weight.T
        return adapted if self.bias is None else adapted + self.bias
