"""Candidates examined on questions that their fit has not seen.

Folds are brief: they are examined one after the other, or side by side on one thread each
(:class:`~langchain_embedding_adapter.fitting.SideBySide`), and the result is the same on any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import DEFAULT_KS
from langchain_embedding_adapter.fitting import (
    QuestionWeights,
    SideBySide,
    as_tensor,
)
from langchain_embedding_adapter.metrics import compute_metrics
from langchain_embedding_adapter.report.retrieval import RetrievalReport, Scores
from langchain_embedding_adapter.selection.candidates import (
    BASE,
    WHOLE,
    Candidate,
    QueryMap,
)
from langchain_embedding_adapter.selection.fold_ranking import FitByDescent, FoldRanking, Ranks, passages_asked_about
from langchain_embedding_adapter.selection.folds import Fold
from langchain_embedding_adapter.vectors import NO_ROWS, NO_SCORES, PairVectors, Ragged

BEHIND = 0.5
"""A map is given up when, after the first folds, its best candidate is behind by so many standard errors everywhere."""
TOLERANCE = 0.3
"""Of the convex fit in a fold, by a bound that lies well above the truth: the ranking has long settled by then."""


@dataclass(frozen=True)
class Examined:
    """What one kind of folds found.

    Attributes:
        vectors: The examined questions of every fold, one fold after the other, each question once.
        passages: How many passages were ranked.
        ranks: For each candidate that was not given up the rank, from 0, of every right passage; beyond the cut-offs
            of reports and of the metric that decides it may be told too low.
    """

    vectors: PairVectors
    passages: int
    ranks: Mapping[Candidate, Ranks]

    def scores(self, candidate: Candidate, ks: Sequence[int]) -> Scores:
        """Every metric of every question, ``(questions,)``, with this candidate."""
        rows, grades, counts, in_order = self._pairs
        best = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        gains, ideal = (
            _placed(rows, ranks, found, len(counts), max(ks))
            for ranks, found in ((self.ranks[candidate], grades), (best, in_order))
        )
        return compute_metrics(gains, ideal, counts, ks)

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Each right passage's question and grade, how many a question has, and its grades from the highest on."""
        rows, grades = self.vectors.pair_rows, self.vectors.grades.flat
        return rows, grades, np.bincount(rows), grades[np.lexsort((-grades, rows))]

    def report(self, candidate: Candidate, ks: Sequence[int] = DEFAULT_KS) -> RetrievalReport:
        """Base against a candidate, question by question."""
        return RetrievalReport(
            query_ids=self.vectors.query_ids,
            passages=self.passages,
            base_scores=self.scores(BASE, ks),
            adapted_scores=self.scores(candidate, ks),
        )


def cross_validate(
    kinds: Mapping[str, Sequence[Fold]],
    choices: Sequence[Candidate],
    start: BaseAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
    fit_by_descent: FitByDescent | None = None,
    abandon: bool = True,
) -> dict[str, Examined]:
    """Examine every candidate on every fold of every kind.

    Args:
        kinds: Folds by the future they stand for.
        choices: The candidates, :data:`BASE` among them.
        start: Where training starts.
        config: The settings.
        question_weights: How much questions count in the fit, by id.
        fit_by_descent: Fits an adapter of a kind that has no optimum to solve for.
        abandon: Whether to give up candidates that are far behind after the first folds.
    """
    fine = replace(config, tolerance=TOLERANCE)
    found: dict[str, list[tuple[Fold, dict[Candidate, Ranks]]]] = {kind: [] for kind in kinds}
    remaining = list(choices)
    passages = as_tensor(next(iter(kinds.values()))[0].examined.targets)  # every fold's

    def examine(job: tuple[str, Fold]) -> tuple[str, Fold, dict[Candidate, Ranks]]:
        kind, fold = job
        ranking = FoldRanking(fold, passages, start, fine, question_weights, fit_by_descent)
        return kind, fold, dict(ranking.of(remaining))

    first = [(kind, folds[0]) for kind, folds in kinds.items()]
    others = [(kind, fold) for kind, folds in kinds.items() for fold in folds[1:]]
    # The loop of descent sets torch's one random state, and has to have it for itself.
    with SideBySide(workers=None if fit_by_descent is None else 1, brief=fit_by_descent is None) as pool:
        for jobs in filter(None, (first, others)):
            for kind, fold, ranks in pool.map(examine, jobs):
                found[kind].append((fold, ranks))
            if abandon and jobs is first and others:
                so_far = {kind: _joined(results, remaining) for kind, results in found.items()}
                remaining = _promising(so_far, remaining, config)
    return {kind: _joined(results, remaining) for kind, results in found.items()}


def _joined(results: Sequence[tuple[Fold, dict[Candidate, Ranks]]], choices: Sequence[Candidate]) -> Examined:
    parts = [fold.examined for fold, _ in results]
    vectors = replace(
        parts[0],
        query_ids=tuple(query for part in parts for query in part.query_ids),
        queries=np.concatenate([part.queries for part in parts]),
        relevant=Ragged.of(found for part in parts for found in part.relevant),
        grades=Ragged.of(found for part in parts for found in part.grades),
        listed=NO_ROWS,
        opinions=NO_SCORES,
    )
    everything = len(parts[0].passages)
    passages = max(len(passages_asked_about(fold)) if fold.among_asked else everything for fold, _ in results)
    return Examined(
        vectors, passages, {choice: np.concatenate([ranks[choice] for _, ranks in results]) for choice in choices}
    )


def _placed(
    rows: NDArray[np.intp], ranks: NDArray[np.integer], grades: NDArray[np.float64], questions: int, deepest: int
) -> NDArray[np.float64]:
    """Grades by question and rank, ``(questions, deepest)``."""
    table = np.zeros((questions, deepest))
    found = ranks < deepest
    table[rows[found], ranks[found]] = grades[found]
    return table


def _promising(so_far: Mapping[str, Examined], choices: Sequence[Candidate], config: TrainingConfig) -> list[Candidate]:
    """The candidates whose map is, in some future, not far behind the best, or costs no fit."""
    kept: set[QueryMap] = {BASE.map, WHOLE}
    for examined in so_far.values():
        scores = {choice: examined.scores(choice, [config.cutoff])[config.metric] for choice in choices}
        best = scores[max(choices, key=lambda choice: float(scores[choice].mean()))]
        for choice in choices:
            behind = best - scores[choice]
            if behind.mean() <= BEHIND * behind.std() / len(behind) ** 0.5:
                kept.add(choice.map)
    return [choice for choice in choices if choice.map in kept]
