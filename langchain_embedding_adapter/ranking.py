"""Questions rank passages, and what comes back is counted: vectors in, a report out.

The ranking is exact: every passage is compared, as the metric of the vectors says. It takes the adaptation as a
callable on query vectors, so that the trainer can examine an adapter before anything is wrapped around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import compute_metrics, top_k
from langchain_embedding_adapter.report import RetrievalReport, Scores
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

DEFAULT_KS = (5, 10)
BLOCK = 512

Adapt = Callable[[Floats], Floats]
"""Maps query vectors ``(n, in)`` to ``(n, out)``."""


def compare(vectors: PairVectors, adapt: Adapt | None, ks: Sequence[int] = DEFAULT_KS) -> RetrievalReport:
    """The report on vectors that are at hand; ``adapt`` maps query vectors ``(n, in)`` to ``(n, out)``."""
    if not len(vectors.query_ids):
        raise ValueError("there is no question to evaluate with")
    base = _rank(vectors, vectors.queries, max(ks))
    if adapt is None:
        return RetrievalReport(vectors.query_ids, len(vectors.passage_ids), ranking_scores(vectors, base, ks))
    queries = adapt(vectors.queries)
    adapted = _rank(vectors, queries, max(ks))
    best = [_best_scores(vectors, *side) for side in ((vectors.queries, base), (queries, adapted))]
    return RetrievalReport(
        query_ids=vectors.query_ids,
        passages=len(vectors.passage_ids),
        base_scores=ranking_scores(vectors, base, ks),
        adapted_scores=ranking_scores(vectors, adapted, ks),
        best_scores=np.stack(best),
    )


def retrieval_scores(vectors: PairVectors, queries: Floats, ks: Sequence[int]) -> Scores:
    """Every metric of every question when ``queries`` (``(questions, passage dimensions)``) rank the passages."""
    return ranking_scores(vectors, _rank(vectors, queries, max(ks)), ks)


def nearest_passages(vectors: PairVectors, queries: Floats, k: int) -> NDArray[np.intp]:
    """Rows of the ``k`` passages nearest to each of these query vectors, nearest first, ``(questions, k)``."""
    passages, offsets = vectors.passages, np.float32(0)
    if vectors.metric == "cosine":
        passages, queries = unit(passages), unit(queries)
    elif vectors.metric == "l2":  # |q - d|² = |q|² - 2 (q·d - |d|²/2)
        offsets = np.einsum("ij,ij->i", passages, passages) / 2
    blocks = (queries[at : at + BLOCK] @ passages.T - offsets for at in range(0, len(queries), BLOCK))
    return np.concatenate([top_k(block, k) for block in blocks])


def ranking_scores(vectors: PairVectors, rankings: NDArray[np.intp], ks: Sequence[int]) -> Scores:
    """Every metric of every question when its passages come back in this order, ``(questions, depth)`` rows."""
    shape = len(rankings), max(ks)
    gains, ideal = np.zeros(shape), np.zeros(shape)
    for row, ranking in enumerate(rankings[:, : max(ks)]):
        grade = dict(zip(vectors.relevant[row].tolist(), vectors.grades[row].tolist(), strict=True))
        gains[row, : len(ranking)] = [grade.get(passage, 0.0) for passage in ranking.tolist()]
        best = np.sort(vectors.grades[row])[::-1][: max(ks)]
        ideal[row, : len(best)] = best
    return compute_metrics(gains, ideal, np.array([len(found) for found in vectors.relevant]), ks)


def _rank(vectors: PairVectors, queries: Floats, k: int) -> NDArray[np.intp]:
    """:func:`nearest_passages` of queries that have as many dimensions as these."""
    if queries.shape[1] != vectors.passages.shape[1]:
        raise ValueError(
            f"queries of {queries.shape[1]} dimensions cannot rank passages of {vectors.passages.shape[1]}"
        )
    return nearest_passages(vectors, queries, k)


def _best_scores(vectors: PairVectors, queries: Floats, rankings: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(questions,)``, the cosine of each question and its best hit."""
    best = unit(vectors.passages[rankings[:, 0]])
    scores: NDArray[np.float64] = np.einsum("ij,ij->i", unit(queries), best).astype(np.float64)
    return scores
