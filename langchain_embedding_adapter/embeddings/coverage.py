"""How much of a query lies in directions that training covered: a signal for questions unlike those it learned from.

A linear map has learned nothing about directions in which no training question varied. The covered share of a query is
that of its centred vector in the leading directions of the training questions, each counted as far as these varied in
it; what is usual is told by training questions that were left out when the directions were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

DIRECTIONS = 128
"""Most directions that are kept."""
SAMPLE = 2048
"""Most questions that are looked at."""
FAINT = 0.1
"""A direction in which questions vary by this share of the mean variance counts half."""
FOLDS = 4
LEAST = 8
"""Fewer questions tell nothing about what is usual."""
QUANTILES = np.linspace(0, 1, 21)
OVERSAMPLING, ITERATIONS = 10, 3


@dataclass(frozen=True)
class Coverage:
    """The directions that training covered.

    Attributes:
        mean: ``(in_features,)``, of the training questions' unit vectors.
        directions: ``(kept, in_features)``, orthonormal rows.
        weights: ``(kept,)``, how much a direction counts, from 0 to 1.
        usual: ``(21,)``, the covered shares of training questions that were left out, from the least to the largest.
    """

    mean: Floats
    directions: Floats
    weights: Floats
    usual: Floats

    @classmethod
    def of(cls, queries: Floats, seed: int = 0) -> Coverage | None:
        """From the training questions' vectors, ``(questions, in_features)``; ``None`` where there are too few."""
        random = np.random.default_rng(seed)
        if len(queries) < LEAST:
            return None
        if len(queries) > SAMPLE:
            queries = queries[np.sort(random.choice(len(queries), SAMPLE, replace=False))]
        lengths = np.linalg.norm(queries, axis=1, keepdims=True)
        units = (queries / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        fold = random.permutation(len(units)) % FOLDS
        left_out = [_share(units[fold == out], *_leading(units[fold != out], random)) for out in range(FOLDS)]
        usual = np.quantile(np.concatenate(left_out), QUANTILES).astype(np.float32)
        return cls(*_leading(units, random), usual)

    def share(self, queries: Floats) -> Floats:
        """The covered share of each query.

        Args:
            queries: ``(n, in_features)``, of unit length.

        Returns:
            ``(n,)``, from 0 to 1.
        """
        return _share(queries, self.mean, self.directions, self.weights)

    def familiarity(self, share: float) -> float:
        """The share of training questions, left out when the directions were found, that were covered no better."""
        return float(np.searchsorted(self.usual, share, side="right") / len(self.usual))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As a saved adapter holds it: half precision is plenty."""
        return {
            "coverage.mean": self.mean.astype(np.float16),
            "coverage.directions": self.directions.astype(np.float16),
            "coverage.weights": self.weights.astype(np.float16),
            "coverage.usual": self.usual,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], in_features: int) -> Coverage | None:
        """What :meth:`to_arrays` gave; ``None`` where the adapter was saved without.

        Raises:
            ValueError: If an array is missing, of a wrong shape or not finite.
        """
        names = ("mean", "directions", "weights", "usual")
        if not any(f"coverage.{name}" in arrays for name in names):
            return None
        found = [np.asarray(arrays.get(f"coverage.{name}", ()), dtype=np.float32) for name in names]
        mean, directions, weights, usual = found
        shapes = [array.shape for array in found]
        if shapes != [(in_features,), (len(weights), in_features), (len(weights),), (len(QUANTILES),)]:
            raise ValueError(f"the arrays of the coverage do not fit {in_features} dimensions: {shapes}")
        if not all(np.isfinite(array).all() for array in found):
            raise ValueError("the arrays of the coverage hold values that are not finite")
        return cls(mean, directions, weights, usual)


def _share(queries: Floats, mean: Floats, directions: Floats, weights: Floats) -> Floats:
    centred = queries - mean
    length = np.einsum("qd,qd->q", centred, centred)
    covered: Floats = ((centred @ directions.T) ** 2 @ weights) / np.where(length > 0, length, 1)
    return covered.clip(0, 1)


def _leading(units: Floats, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Mean, leading directions and their weights, by subspace iteration (Halko, Martinsson and Tropp, 2011)."""
    mean = units.mean(axis=0)
    centred = units - mean
    kept = min(DIRECTIONS, *centred.shape)
    wide = min(kept + OVERSAMPLING, *centred.shape)
    basis = centred.T @ random.standard_normal((len(centred), wide)).astype(np.float32)  # (in, wide)
    for _ in range(ITERATIONS):
        basis = centred.T @ (centred @ np.linalg.qr(basis)[0])
    basis = np.linalg.qr(basis)[0]
    _, spread, turn = np.linalg.svd(centred @ basis, full_matrices=False)
    variance = spread[:kept] ** 2 / len(centred)
    faint = FAINT * float(np.einsum("qd,qd->", centred, centred)) / len(centred) / centred.shape[1]
    weights = variance / (variance + faint) if faint > 0 else np.zeros_like(variance)
    return mean, (turn[:kept] @ basis.T).astype(np.float32), weights.astype(np.float32)
