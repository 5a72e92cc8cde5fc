"""The two-layer network with a bounded activation, for adapters that were trained elsewhere."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from langchain_embedding_adapter.adapters.base import ArrayAdapter, Floats, passed_through


class BoundedTwoLayerAdapter(ArrayAdapter):
    """``q' = q + W₂ a(W₁ q + b₁) + b₂``, where ``a`` is the sigmoid or the hyperbolic tangent; with or without ``q``.

    It is here for LlamaIndex's networks with these activations. ``TwoLayerAdapter`` is the network to train; this one
    holds zeros until arrays are loaded.

    Args:
        in_features: Dimensions of the query vectors.
        hidden_features: Width of the hidden layer.
        out_features: Dimensions of the passage vectors.
        activation: ``"sigmoid"`` or ``"tanh"``.
        residual: Whether ``q`` is added; else it starts as the map to zero, not as the identity.

    Attributes:
        hidden_weight: ``W₁``, ``(hidden_features, in_features)``.
        hidden_bias: ``b₁``, ``(hidden_features,)``.
        weight: ``W₂``, ``(out_features, hidden_features)``.
        bias: ``b₂``, ``(out_features,)``.
    """

    kind = "bounded-two-layer"
    parameter_names: ClassVar[tuple[str, ...]] = ("hidden_weight", "hidden_bias", "weight", "bias")

    def __init__(
        self, in_features: int, hidden_features: int, out_features: int, activation: str = "tanh", residual: bool = True
    ) -> None:
        super().__init__(in_features, out_features)
        if not isinstance(hidden_features, int) or hidden_features < 1:
            raise ValueError(f"hidden_features must be a positive whole number, got {hidden_features!r}")
        if activation not in ("sigmoid", "tanh"):
            raise ValueError(f"expected the activation 'sigmoid' or 'tanh', got {activation!r}")
        self.hidden_features = hidden_features
        self.activation = activation
        self.residual = residual
        self.hidden_weight: Floats = np.zeros((hidden_features, in_features), dtype=np.float32)
        self.hidden_bias: Floats = np.zeros(hidden_features, dtype=np.float32)
        self.weight: Floats = np.zeros((out_features, hidden_features), dtype=np.float32)
        self.bias: Floats = np.zeros(out_features, dtype=np.float32)

    def forward(self, queries: Any) -> Any:
        """``(n, in_features)`` to ``(n, out_features)``."""
        steepness = 2 if self.activation == "tanh" else 1  # tanh x = 2 sigmoid 2x − 1
        hidden = steepness * (queries @ self.hidden_weight.T + self.hidden_bias)
        hidden = steepness / (1 + math.e ** -hidden.clip(-80, 80)) - (steepness - 1)
        adapted = hidden @ self.weight.T + self.bias
        return adapted + passed_through(queries, self.out_features) if self.residual else adapted
