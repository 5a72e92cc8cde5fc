"""Questions rank passages, and what comes back is counted: vectors in, a report out.

The ranking is exact: every passage is compared, as the metric of the vectors says. It takes the adaptation as a
callable on query vectors, so that the trainer can examine an adapter before anything is wrapped around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import compute_metrics, top_k
from langchain_embedding_adapter.report.details import DEPTH, NOTHING, Details, Found, Lists
from langchain_embedding_adapter.report.retrieval import RetrievalReport, Scores
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit
from langchain_embedding_adapter.vectors.spool import release

DEFAULT_KS = (5, 10)
BLOCK = 512
"""Questions that are ranked at a time."""
PASSAGES = 65_536
"""Looked at at a time, by so many questions."""
KEPT = 2**28
"""Most bytes of passages' vectors, in memory, that a report holds on to for the lists of its page."""

Adapt = Callable[[Floats], Floats]
"""Maps query vectors ``(n, in)`` to ``(n, out)``."""
Nearest = Callable[[PairVectors, Floats, int], NDArray[np.intp]]
"""Finds what :func:`nearest_passages` finds, here or elsewhere."""


def compare(
    vectors: PairVectors, adapt: Adapt | None, ks: Sequence[int] = DEFAULT_KS, *, nearest: Nearest | None = None
) -> RetrievalReport:
    """The report on vectors that are at hand.

    Args:
        vectors: Questions and passages.
        adapt: Maps query vectors ``(n, in)`` to ``(n, out)``; ``None`` to look at the base alone.
        ks: The cut-offs.
        nearest: Who ranks, in place of this process.
    """
    if not len(vectors.query_ids):
        raise ValueError("there is no question to evaluate with")
    base = _rank(vectors, vectors.queries, max(ks), nearest)
    if adapt is None:
        return RetrievalReport(
            query_ids=vectors.query_ids,
            passages=len(vectors.passage_ids),
            base_scores=ranking_scores(vectors, base, ks),
            details=Details(lists=_lists(vectors, None, base, None)),
        )
    queries = adapt(vectors.queries)
    adapted = _rank(vectors, queries, max(ks), nearest)
    best = [_best_scores(vectors, *side) for side in ((vectors.queries, base), (queries, adapted))]
    return RetrievalReport(
        query_ids=vectors.query_ids,
        passages=len(vectors.passage_ids),
        base_scores=ranking_scores(vectors, base, ks),
        adapted_scores=ranking_scores(vectors, adapted, ks),
        best_scores=np.stack(best),
        details=Details(lists=_lists(vectors, queries, base, adapted)),
    )


def look_up(vectors: PairVectors, adapted: Floats | None, depth: int = DEPTH) -> Lists:
    """What each question finds first and where its right passages are, base and, if given, ``adapted`` queries."""

    def found(queries: Floats) -> Found:
        return listed(
            vectors, queries, _rank(vectors, queries, depth), depth=depth, ranks=_right_ranks(vectors, queries)
        )

    return lists_of(vectors, found(vectors.queries), None if adapted is None else found(adapted))


def lists_of(vectors: PairVectors, base: Found, adapted: Found | None) -> Lists:
    """The lists of these questions."""
    right = tuple(tuple(rows.tolist()) for rows in vectors.relevant)
    return Lists(vectors.query_ids, vectors.passage_ids, right, base, adapted)


def listed(
    vectors: PairVectors,
    queries: Floats,
    rankings: NDArray[np.intp],
    *,
    depth: int = DEPTH,
    ranks: tuple[tuple[int, ...], ...] | None = None,
) -> Found:
    """The first of ``rankings``, ``(questions, k)``, with their cosines.

    Args:
        vectors: The passages.
        queries: What ranked them, ``(questions, dimensions)``.
        rankings: Rows of passages; :data:`NOTHING` where there are no more.
        depth: How many of them to list.
        ranks: The ranks of the right ones; by default as far as the rankings tell.
    """
    rows = rankings[:, :depth]
    scores = np.zeros(rows.shape, dtype=np.float32)
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        passages = unit(vectors.passages[part])
        scores[at : at + BLOCK] = np.einsum("qd,qkd->qk", unit(queries[at : at + BLOCK]), passages)
    scores[rows == NOTHING] = 0
    if ranks is None:
        places = [{row: place for place, row in enumerate(found, 1) if row >= 0} for found in rankings.tolist()]
        ranks = tuple(
            tuple(place.get(row, 0) for row in right.tolist())
            for place, right in zip(places, vectors.relevant, strict=True)
        )
    return Found(rows, scores, ranks)


def retrieval_scores(vectors: PairVectors, queries: Floats, ks: Sequence[int]) -> Scores:
    """Every metric of every question when ``queries`` (``(questions, passage dimensions)``) rank the passages."""
    return ranking_scores(vectors, _rank(vectors, queries, max(ks)), ks)


def nearest_passages(vectors: PairVectors, queries: Floats, k: int) -> NDArray[np.intp]:
    """Rows of the ``k`` passages nearest to each of these query vectors, nearest first, ``(questions, k)``."""
    return best_of(vectors, queries, k)[1]


def best_of(vectors: PairVectors, queries: Floats, k: int) -> tuple[Floats, NDArray[np.intp]]:
    """What :func:`nearest_passages` ranks by, of the nearest alone, and their rows: each ``(questions, k)``."""
    best: Floats = np.zeros((len(queries), 0), dtype=np.float32)
    rows: NDArray[np.intp] = np.zeros((len(queries), 0), dtype=np.intp)
    for at, score in _parts(vectors, queries):  # each part of the passages is read once
        found = [
            first_of(scores, np.arange(at, at + scores.shape[1]), k)
            for scores in map(score, range(0, len(queries), BLOCK))
        ]
        best = np.hstack([best, np.concatenate([more for more, _ in found])])
        rows = np.hstack([rows, np.concatenate([which for _, which in found])])
        if at:
            best, rows = first_of(best, rows, k)
    return best, rows


def ranking_scores(vectors: PairVectors, rankings: NDArray[np.intp], ks: Sequence[int]) -> Scores:
    """Every metric of every question when its passages come back in this order, ``(questions, depth)`` rows."""
    shape = len(rankings), max(ks)
    gains, ideal = np.zeros(shape), np.zeros(shape)
    for row, ranking in enumerate(rankings[:, : max(ks)]):
        grade = dict(zip(vectors.relevant[row].tolist(), vectors.grades[row].tolist(), strict=True))
        gains[row, : len(ranking)] = [grade.get(passage, 0.0) for passage in ranking.tolist()]
        best = np.sort(vectors.grades[row])[::-1][: max(ks)]
        ideal[row, : len(best)] = best
    return compute_metrics(gains, ideal, vectors.relevant.counts, ks)


def first_of(scores: Floats, rows: NDArray[np.intp], k: int) -> tuple[Floats, NDArray[np.intp]]:
    """The ``k`` highest scores of each question, best first, and the rows of their passages.

    Args:
        scores: ``(questions, some passages)``.
        rows: Their rows, ``(some passages,)`` or, each question its own, ``(questions, some passages)``.
        k: How many; of equal scores the first in the order of the columns.
    """
    best = top_k(scores, k)
    return np.take_along_axis(scores, best, axis=1), (
        rows[best] if rows.ndim == 1 else np.take_along_axis(rows, best, axis=1)
    )


def _parts(vectors: PairVectors, queries: Floats) -> Iterator[tuple[int, Callable[[int], Floats]]]:
    """A part of the passages after the other: its first row, and what ranks it for the questions from a row on.

    That is ``(questions, passages)``, of as many questions as are ranked at a time.
    """
    if vectors.metric == "cosine":
        queries = unit(queries)
    for at in range(0, len(vectors.passages), PASSAGES):
        passages, offsets = vectors.passages[at : at + PASSAGES], np.float32(0)
        if vectors.metric == "cosine":
            passages = unit(passages)
        elif vectors.metric == "l2":  # |q - d|² = |q|² - 2 (q·d - |d|²/2)
            offsets = np.einsum("ij,ij->i", passages, passages) / 2
        yield at, partial(_scores, queries, passages, offsets)
        release(vectors.passages)


def _scores(queries: Floats, passages: Floats, offsets: Floats | np.float32, at: int) -> Floats:
    scores: Floats = queries[at : at + BLOCK] @ passages.T - offsets
    return scores


def _right_ranks(vectors: PairVectors, queries: Floats) -> tuple[tuple[int, ...], ...]:
    """The rank of every right passage, from 1; of equal scores the first passage comes first, as in the rankings."""
    right, starts = vectors.relevant, range(0, len(queries), BLOCK)
    pairs = [(row, right.offsets[row], right.offsets[min(row + BLOCK, len(right))]) for row in starts]
    rows, own = right.rows, np.zeros(len(right.flat))
    for at, score in _parts(vectors, queries):
        for first, start, end in pairs:
            scores, passages = score(first), right.flat[start:end]
            here = (passages >= at) & (passages < at + scores.shape[1])
            own[start:end][here] = scores[rows[start:end][here] - first, passages[here] - at]
    ranks = np.ones(len(own), dtype=np.int64)
    for at, score in _parts(vectors, queries):
        for first, start, end in pairs:
            scores = score(first)
            for pair in range(start, end):
                of_question = scores[rows[pair] - first]
                ranks[pair] += int((of_question > own[pair]).sum())
                ranks[pair] += int((of_question[: max(0, right.flat[pair] - at)] == own[pair]).sum())
    return tuple(tuple(part.tolist()) for part in right.like(ranks))


def light(vectors: PairVectors) -> bool:
    """Whether a report may hold on to the passages' vectors: they are few, or lie in a file."""
    mapped = any(isinstance(array, np.memmap) for array in (vectors.passages, vectors.passages.base))
    return mapped or vectors.passages.nbytes <= KEPT


def _lists(
    vectors: PairVectors, queries: Floats | None, base: NDArray[np.intp], adapted: NDArray[np.intp] | None
) -> Lists | Callable[[], Lists]:
    """What makes the lists when they are asked for; of very many vectors the lists, as far as the rankings tell."""
    if light(vectors):
        return partial(look_up, vectors, queries)
    found = listed(vectors, vectors.queries, base)
    moved = None if queries is None or adapted is None else listed(vectors, queries, adapted)
    return lists_of(vectors, found, moved)


def _rank(vectors: PairVectors, queries: Floats, k: int, nearest: Nearest | None = None) -> NDArray[np.intp]:
    """:func:`nearest_passages` of queries that have as many dimensions as these."""
    if queries.shape[1] != vectors.passages.shape[1]:
        raise ValueError(
            f"queries of {queries.shape[1]} dimensions cannot rank passages of {vectors.passages.shape[1]}"
        )
    return (nearest or nearest_passages)(vectors, queries, k)


def _best_scores(vectors: PairVectors, queries: Floats, rankings: NDArray[np.intp]) -> NDArray[np.float64]:
    """``(questions,)``, the cosine of each question and its best hit."""
    best = unit(vectors.passages[rankings[:, 0]])
    scores: NDArray[np.float64] = np.einsum("ij,ij->i", unit(queries), best).astype(np.float64)
    return scores
