"""Scores move when queries are adapted, and thresholds that were set on the base's scores with them.

A calibration maps a score of the adapted query to the score at which the base's hits are right as often: two isotonic
regressions (Barlow, Bartholomew, Bremner and Brunk, *Statistical Inference under Order Restrictions*, 1972) of whether
a hit is right, one on the base's scores and one on the adapted, the second read through the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreCalibration:
    """A rising map from adapted to base scores, both cosines, straight between its knots and beyond them.

    Attributes:
        adapted: ``(knots,)``, scores with adapted queries, rising.
        base: ``(knots,)``, the scores of the base that mean the same, never falling.
    """

    adapted: tuple[float, ...]
    base: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.adapted) != len(self.base) or not self.adapted:
            raise ValueError(f"expected as many scores on both sides, got {len(self.adapted)} and {len(self.base)}")
        if not np.isfinite([*self.adapted, *self.base]).all():
            raise ValueError("the scores of a calibration must be finite numbers")
        if np.any(np.diff(self.adapted) <= 0) or np.any(np.diff(self.base) < 0):
            raise ValueError("the scores of a calibration must rise")

    def __call__(self, score: float) -> float:
        """The base's score that an adapted score stands for; at most 1, which stays 1.

        >>> ScoreCalibration((0.5, 0.7), (0.25, 0.75))(0.6)
        0.5
        """
        return _read(score, self.adapted, self.base)

    def inverse(self, score: float) -> float:
        """The least adapted score that stands for a score of the base: where to put a threshold on raw scores."""
        return _read(score, self.base, self.adapted)

    def to_dict(self) -> dict[str, list[float]]:
        """As JSON can hold it."""
        return {"adapted": list(self.adapted), "base": list(self.base)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Sequence[float]]) -> ScoreCalibration:
        """What :meth:`to_dict` gave.

        Raises:
            ValueError: If it is something else.
        """
        sides = [data.get(name) for name in ("adapted", "base")] if isinstance(data, Mapping) else [None]
        if not all(isinstance(side, list | tuple) and all(map(_is_score, side)) for side in sides):
            raise ValueError(f"expected a calibration with 'adapted' and 'base' scores, two lists, got {data!r:.80}")
        return cls(*(tuple(map(float, side or ())) for side in sides))

    @classmethod
    def fit(cls, base: tuple[Array, NDArray[np.bool_]], adapted: tuple[Array, NDArray[np.bool_]]) -> ScoreCalibration:
        """Fit it to hits of questions that the adapter has not learned from.

        Args:
            base: The scores of the base's hits, and which of these are right.
            adapted: Likewise with adapted queries.

        Raises:
            ValueError: If no hit of one of them is right, or all are: nothing tells scores apart then.
            ImportError: If scipy is not installed (the extra ``train``).
        """
        for right in (base[1], adapted[1]):
            if not right.any() or right.all():
                raise ValueError("expected hits that are right and hits that are not: their scores are told apart")
        (base_scores, base_rates), (adapted_scores, adapted_rates) = _steps(*base), _steps(*adapted)
        meant = np.interp(adapted_rates, base_rates, base_scores)
        inside = (adapted_rates >= base_rates[0]) & (adapted_rates <= base_rates[-1])
        if not inside.any():  # the one is always right more often than the other: only the ends meet
            inside[np.abs(adapted_rates - base_rates.mean()).argmin()] = True
        return cls(tuple(adapted_scores[inside].tolist()), tuple(np.maximum.accumulate(meant[inside]).tolist()))


@dataclass(frozen=True)
class ScoreShift:
    """How far the scores of the best hits moved, as cosines.

    Attributes:
        base: Their quartiles with the base: a quarter, a half and three quarters of the questions are at or below.
        adapted: Likewise with adapted queries.
    """

    base: tuple[float, float, float]
    adapted: tuple[float, float, float]

    @classmethod
    def of(cls, base: Array, adapted: Array) -> ScoreShift:
        """From the best hit's score of each question."""
        lower, upper = (tuple(np.quantile(scores, [0.25, 0.5, 0.75]).tolist()) for scores in (base, adapted))
        return cls(lower, upper)

    def __str__(self) -> str:
        first, then = (f"{low:.3f} / {middle:.3f} / {high:.3f}" for low, middle, high in (self.base, self.adapted))
        return f"score of the best hit, quartiles: {first} → {then}"


def _steps(scores: Array, right: NDArray[np.bool_]) -> tuple[Array, Array]:
    """The isotonic regression's steps: mean score and share of right hits, both rising."""
    require_extra("scipy", "train")
    from scipy.optimize import isotonic_regression

    order = np.argsort(scores, kind="stable")
    fitted = isotonic_regression(right[order].astype(float))
    starts = fitted.blocks[:-1]
    sizes = np.diff(fitted.blocks)
    means = np.add.reduceat(scores[order], starts) / sizes
    rates = fitted.x[starts]
    rising = np.concatenate([[True], (np.diff(rates) > 0) & (np.diff(means) > 0)])
    return means[rising], rates[rising]


def _is_score(value: object) -> bool:
    """A number that a score can be: cosines, whose size is about one, with room."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _read(score: float, places: Sequence[float], values: Sequence[float]) -> float:
    """Straight between the knots, by the same distance beyond them, and never above 1."""
    if score < places[0]:
        return float(values[0] + score - places[0])
    if score > places[-1]:  # towards 1, which stays
        rest = (1 - values[-1]) / (1 - places[-1]) if places[-1] < 1 else 0.0
        return float(min(1.0, values[-1] + rest * (score - places[-1])))
    return float(np.interp(score, places, values))
