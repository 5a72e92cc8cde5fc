"""What evaluation counts: hit rate, recall, MRR, nDCG and MAP at k.

Arrays only. Every function takes the *gains* of the top results, an array ``(queries, k)`` that holds the grade of the
passage at each rank (0 where it does not answer the question), and returns one figure a question, ``(queries,)``.
The definitions are trec_eval's, with the grade itself as gain; fitting and evaluation both read them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

METRICS: Mapping[str, str] = {
    "hit_rate": "hit rate",
    "recall": "recall",
    "mrr": "MRR",
    "ndcg": "nDCG",
    "map": "MAP",
}
"""Every metric's key and the label that tables print."""

SIGNIFICANT = 1.645
"""So many standard errors are significant: five per cent, on one side."""


def label(key: str) -> str:
    """The printed name of a metric key.

    >>> label("ndcg@10")
    'nDCG@10'
    """
    name, _, k = key.partition("@")
    return f"{METRICS[name]}@{k}"


def top_k(scores: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    """Columns of the ``k`` highest scores of each row, best first; equal scores keep the order of the columns.

    Args:
        scores: ``(queries, passages)``.
        k: How many to return; all of them where there are fewer.

    Returns:
        ``(queries, min(k, passages))``.

    Raises:
        ValueError: If ``k`` is below 1.

    >>> top_k(np.array([[0.1, 0.9, 0.5]]), 2)
    array([[1, 2]])
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    passages = scores.shape[1]
    if k >= passages:
        return np.argsort(-scores, axis=1, kind="stable")
    # A partition alone would cut through equal scores in any order, so everything at the threshold competes by column.
    threshold = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    rows = []
    for row, limit in zip(scores, threshold, strict=True):
        candidates = np.flatnonzero(row >= limit)
        rows.append(candidates[np.argsort(-row[candidates], kind="stable")[:k]])
    return np.asarray(rows, dtype=np.intp).reshape(len(scores), k)


def hit_rate(gains: Floats) -> Floats:
    """1 where any result answers the question."""
    return np.asarray((gains > 0).any(axis=1), dtype=np.float64)


def recall(gains: Floats, relevant: NDArray[np.integer]) -> Floats:
    """Share of the ``relevant`` passages of each question, ``(queries,)``, that were found."""
    return np.asarray((gains > 0).sum(axis=1) / relevant)


def reciprocal_rank(gains: Floats) -> Floats:
    """1 / rank of the first result that answers; 0 where none does."""
    found = gains > 0
    return np.where(found.any(axis=1), 1.0 / (found.argmax(axis=1) + 1), 0.0)


def ndcg(gains: Floats, ideal: Floats) -> Floats:
    """Discounted gain over that of the best possible order.

    Args:
        gains: ``(queries, k)``.
        ideal: ``(queries, k)``, the grades of each question's passages, highest first, padded with zeros.
    """
    discount = 1.0 / np.log2(np.arange(2, gains.shape[1] + 2))
    return np.asarray((gains * discount).sum(axis=1) / (ideal[:, : gains.shape[1]] * discount).sum(axis=1))


def average_precision(gains: Floats, relevant: NDArray[np.integer]) -> Floats:
    """Mean over a question's relevant passages of the precision at the rank where each was found, 0 if it was not."""
    found = gains > 0
    precision = found.cumsum(axis=1) / np.arange(1, gains.shape[1] + 1)
    return np.asarray(np.where(found, precision, 0.0).sum(axis=1) / relevant)


def compute_metrics(
    gains: Floats, ideal: Floats, relevant: NDArray[np.integer], ks: Sequence[int]
) -> dict[str, Floats]:
    """Every metric at every k.

    Args:
        gains: ``(queries, max(ks))`` grades of the results, best first.
        ideal: ``(queries, max(ks))`` grades of the best possible order.
        relevant: ``(queries,)`` how many passages answer each question.
        ks: The cut-offs.

    Returns:
        ``{"hit_rate@5": (queries,), …}``.

    Raises:
        ValueError: If a cut-off is below 1 or beyond the columns of ``gains``.
    """
    if not ks or min(ks) < 1 or max(ks) > gains.shape[1]:
        raise ValueError(f"cut-offs must lie between 1 and {gains.shape[1]}, got {list(ks)}")
    metrics: dict[str, Floats] = {}
    for k in ks:
        metrics[f"hit_rate@{k}"] = hit_rate(gains[:, :k])
        metrics[f"recall@{k}"] = recall(gains[:, :k], relevant)
        metrics[f"mrr@{k}"] = reciprocal_rank(gains[:, :k])
        metrics[f"ndcg@{k}"] = ndcg(gains[:, :k], ideal[:, :k])
        metrics[f"map@{k}"] = average_precision(gains[:, :k], relevant)
    return metrics
