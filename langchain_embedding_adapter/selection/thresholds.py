"""A calibration of the scores from what training has: questions that the adapter has not learned from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.evaluation.ranking import nearest_passages
from langchain_embedding_adapter.selection.candidates import Future
from langchain_embedding_adapter.selection.training import Task, Trained
from langchain_embedding_adapter.selection.unseen import unseen
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

logger = logging.getLogger(__name__)

HITS = 20
"""So many hits of each question are looked at."""

Hits = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Scores, and whether each is of a right passage."""


def calibrate(task: Task, trained: Trained, expect: Future) -> ScoreCalibration | None:
    """Fit a calibration to hits of the validation questions, or of those that the folds leave out.

    Returns:
        ``None``, with a warning, where there is no such question, or where all of their hits are right or none is.
    """
    examined = list(unseen(task, trained, expect))
    if not examined:
        logger.warning("the scores are not calibrated: no question was held out; name some with validation=…")
        return None
    base = [hits(vectors, vectors.queries) for vectors, _ in examined]
    adapted = [hits(vectors, queries) for vectors, queries in examined]
    try:
        return ScoreCalibration.fit(_joined(base), _joined(adapted))
    except ValueError as error:
        logger.warning("the scores are not calibrated: %s", error)
        return None


def _joined(parts: Sequence[Hits]) -> Hits:
    scores, right = zip(*parts, strict=True)
    return np.concatenate(scores), np.concatenate(right)


def hits(vectors: PairVectors, queries: Floats) -> Hits:
    """The scores of the best hits of these query vectors, as cosines, and which of the hits are right."""
    nearest = nearest_passages(vectors, queries, min(HITS, len(vectors.passages)))
    found = unit(vectors.passages)[nearest]
    scores = np.einsum("qd,qkd->qk", unit(queries), found).astype(np.float64)
    right = [np.isin(rows, relevant) for rows, relevant in zip(nearest, vectors.relevant, strict=True)]
    return scores.ravel(), np.concatenate(right)
