"""Maps with a closed form from one embedding model's space into another's, from texts that both have embedded.

The yardsticks of a change of models, and where its ranking objective starts. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.vectors import Floats

Matrix = NDArray[np.floating[Any]]

RIDGE = 0.03
"""Of :func:`ridge_regression`, as a multiple of the mean eigenvalue of the vectors' second moment."""
LEAST_RIDGE = 0.003
"""Of the others, likewise: it only keeps the inverse of a moment finite."""


def ridge_regression(new: Matrix, old: Matrix) -> Floats:
    """Least squares from the new model's vectors to the old one's: ``W`` with ``W n ≈ o``.

    The usual way, and the baseline. It shrinks what it cannot predict, and with it what tells neighbours apart.

    Args:
        new: ``(texts, in)``, unit vectors of the new model.
        old: ``(texts, out)``, unit vectors of the old model.

    Returns:
        ``(out, in)``, as all maps here.
    """
    return _float32(_cross(new, old) @ _power(new, -1.0, RIDGE))


def reverse_regression(new: Matrix, old: Matrix) -> Floats:
    """Least squares the other way, ``A`` with ``A o ≈ n``, read backwards: ``W = Aᵀ``.

    ``(W q) · o = q · (A o) ≈ q · n``: the score of a mapped question is the score that the new model itself would give.
    So it keeps the new model's opinion, where it is the better of the two.
    """
    return _float32(_power(old, -1.0, LEAST_RIDGE) @ _cross(new, old))


def symmetric_whitening(new: Matrix, old: Matrix) -> Floats:
    """Half-way between both regressions: the correlations of vectors that are whitened on both sides."""
    return _float32(_power(old, -0.5, LEAST_RIDGE) @ _cross(new, old) @ _power(new, -0.5, LEAST_RIDGE))


def procrustes(new: Matrix, old: Matrix) -> Floats:
    """The map with orthonormal rows or columns that brings centred vectors nearest to each other.

    Schönemann, 1966, "A generalized solution of the orthogonal Procrustes problem".
    """
    left, _, right = np.linalg.svd(_cross(new - new.mean(axis=0), old - old.mean(axis=0)), full_matrices=False)
    return _float32(left @ right)


ALIGNMENTS: Mapping[str, Callable[[Matrix, Matrix], Floats]] = {
    "ridge regression": ridge_regression,
    "procrustes": procrustes,
    "reverse regression": reverse_regression,
    "symmetric whitening": symmetric_whitening,
}


def _cross(new: Matrix, old: Matrix) -> NDArray[np.float64]:
    """``(out, in)``, the second moment across both models."""
    moment: NDArray[np.float64] = old.astype(np.float64).T @ new.astype(np.float64) / len(new)
    return moment


def _power(vectors: Matrix, exponent: float, ridge: float) -> NDArray[np.float64]:
    """``(dimensions, dimensions)``, a power of the second moment, ``ridge`` of its mean eigenvalue added."""
    values, directions = np.linalg.eigh(_cross(vectors, vectors))
    values = np.maximum(values, 0)
    power: NDArray[np.float64] = (directions * (values + ridge * values.mean()) ** exponent) @ directions.T
    return power


def _float32(matrix: NDArray[np.float64]) -> Floats:
    return matrix.astype(np.float32)
