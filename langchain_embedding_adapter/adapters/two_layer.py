"""The two-layer network with a residual."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, passed_through


class TwoLayerAdapter(ArrayAdapter):
    """``q' = q + W₂ ReLU(W₁ q + b₁) + b₂``. It starts as the identity: ``W₂`` and ``b₂`` are zero.

    Where the dimensions differ, the residual ``q`` is cut or padded with zeros. It needs more pairs than a linear map:
    thousands.

    Args:
        in_features: Dimensions of the query vectors.
        hidden_features: Width of the hidden layer.
        out_features: Dimensions of the passage vectors.
        seed: Of the random first layer.

    Attributes:
        hidden_weight: ``W₁``, ``(hidden_features, in_features)``.
        hidden_bias: ``b₁``, ``(hidden_features,)``.
        weight: ``W₂``, ``(out_features, hidden_features)``.
        bias: ``b₂``, ``(out_features,)``.
    """

    kind = "two-layer"
    parameter_names: ClassVar[tuple[str, ...]] = ("hidden_weight", "hidden_bias", "weight", "bias")

    def __init__(self, in_features: int, hidden_features: int, out_features: int, seed: int = 0) -> None:
        super().__init__(in_features, out_features)
        if not isinstance(hidden_features, int) or hidden_features < 1:
            raise ValueError(f"hidden_features must be a positive whole number, got {hidden_features!r}")
        self.hidden_features = hidden_features
        random = np.random.default_rng(seed)
        bound = 1 / np.sqrt(in_features)  # torch.nn.Linear's own start
        self.hidden_weight: Floats = random.uniform(-bound, bound, (hidden_features, in_features)).astype(np.float32)
        self.hidden_bias: Floats = random.uniform(-bound, bound, hidden_features).astype(np.float32)
        self.weight: Floats = np.zeros((out_features, hidden_features), dtype=np.float32)
        self.bias: Floats = np.zeros(out_features, dtype=np.float32)

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``."""
        hidden = (queries @ self.hidden_weight.T + self.hidden_bias).clip(0)
        return passed_through(queries, self.out_features) + hidden @ self.weight.T + self.bias
