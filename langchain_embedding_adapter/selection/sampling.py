"""The part of many questions and passages on which candidates are examined, and how large it has to be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import SIGNIFICANT
from langchain_embedding_adapter.selection.fold_ranking import RANKED_PASSAGES
from langchain_embedding_adapter.vectors import PairVectors

LARGEST = 3072
"""Questions that are cross-validated at first, of more a random part."""
GROWTH = 4
"""So many times as many are, at most, where these do not tell the best candidates apart."""
TOLERATED = 0.005
"""So much may be lost by not taking the best candidate, and no more questions are asked for that."""

Gains = NDArray[np.float64]


def sample_of(vectors: PairVectors, questions: int, seed: int) -> PairVectors:
    """At most so many questions, among their passages and at most as many others, drawn at random, as are ranked.

    What is small already is returned as it is; a sample is in memory, wherever the whole may be.
    """
    random = np.random.default_rng(seed)
    part = _some(vectors, questions, random)
    rows = passages_beside(np.unique(part.relevant.flat), len(part.passages), random)
    return part if len(rows) == len(part.passages) else part.among(rows)


def sample_with(
    vectors: PairVectors, validation: PairVectors, questions: int, seed: int
) -> tuple[PairVectors, PairVectors]:
    """At most so many questions, and all of ``validation``; on the same passages if they are so now."""
    if vectors.passages is not validation.passages:
        return sample_of(vectors, questions, seed), sample_of(validation, len(validation.query_ids), seed)
    random = np.random.default_rng(seed)
    part = _some(vectors, questions, random)
    asked = np.union1d(part.relevant.flat, validation.relevant.flat)
    rows = passages_beside(asked, len(part.passages), random)
    fitted = part.among(rows)
    return fitted, replace(validation.among(rows), passages=fitted.passages)


def _some(vectors: PairVectors, questions: int, random: np.random.Generator) -> PairVectors:
    if len(vectors.query_ids) <= questions:
        return vectors
    return vectors.rows(np.sort(random.choice(len(vectors.query_ids), questions, replace=False)))


def passages_beside(asked: NDArray[np.intp], passages: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Rows of these passages and of :data:`RANKED_PASSAGES` others of so many; of all where there are no more."""
    if passages <= len(asked) + RANKED_PASSAGES:
        return np.arange(passages)
    ranked = RANKED_PASSAGES + len(asked)
    some = random.integers(passages, size=2 * ranked) if passages > 4 * ranked else np.arange(passages)
    others = np.setdiff1d(some, asked)
    return np.union1d(asked, random.permutation(others)[:RANKED_PASSAGES])


def enough(differences: Iterable[Sequence[Gains]], examined: int) -> int:
    """How many questions would show that no other candidate is better than the winner by more than is tolerated.

    Args:
        differences: For each other candidate, a future a row, how far the winner is ahead of it on each question.
        examined: On how many questions they were examined.
    """
    needed = examined
    for futures in differences:
        ahead = max(0.0, sum(float(each.mean()) for each in futures))
        error = sum(float(each.var()) / len(each) for each in futures) ** 0.5
        needed = max(needed, int(examined * (SIGNIFICANT * error / (ahead + TOLERATED)) ** 2))
    return needed
