"""The winner of a cross-validation on questions that it has not learned from, once more, as the store ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from langchain_embedding_adapter.evaluation.ranking import DEFAULT_KS, Adapt, compare
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.selection.candidates import BASE, DESCENDING, Future
from langchain_embedding_adapter.selection.choice import folds_of
from langchain_embedding_adapter.selection.fitted import fit_chosen
from langchain_embedding_adapter.selection.training import Task, Trained
from langchain_embedding_adapter.vectors import Floats, PairVectors


def unseen(task: Task, trained: Trained, expect: Future) -> Iterator[tuple[PairVectors, Floats]]:
    """Questions, and their vectors adapted by an adapter that was fitted without them.

    Those of ``validation``, or those that the folds leave out, for each of which the winner is fitted anew. None where
    only pseudo-questions are left out, or where the winner is trained in epochs.
    """
    if task.validation is not None:
        yield task.validation, trained.adapter.adapt(task.validation.queries)
        return
    if trained.selection is None or trained.selection.chosen.map.method in DESCENDING or task.pseudo_styles:
        return
    for kind, folds in folds_of(task.vectors, task.config, trained.selection.sampled).items():
        for fold in folds if expect in (kind, "both") else ():
            adapter, _ = fit_chosen(
                fold.fitted, trained.selection.chosen, task.start, task.config, question_weights=task.weights
            )
            yield fold.examined, adapter.adapt(fold.examined.queries)


def examined_by_distance(task: Task, trained: Trained, expect: Future) -> Trained:
    """The winner, or the base where the winner loses by Euclidean distance.

    For vectors of different lengths: the candidates were fitted and examined by direction.
    """
    if trained.selection is None or not trained.improved:
        return trained
    metric, ks = task.config.metric, sorted({*DEFAULT_KS, task.config.cutoff})
    parts = [compare(vectors, _always(queries), ks) for vectors, queries in unseen(task, trained, expect)]
    if not parts:
        return trained
    report = _joined(parts)
    row = report[metric]
    figure = f"{100 * (row.gain or 0.0):+.1f} {label(metric)} × 100"
    gain = f"{figure} by Euclidean distance on {len(report.query_ids)} questions"
    if (row.gain or 0.0) > 0:
        reason = f"{trained.selection.reason} It gains {gain} that the fit had not seen."
        return replace(trained, report=_once(report), selection=replace(trained.selection, reason=reason))
    reason = f"The base is kept: the winner by direction ({trained.selection.chosen}) does {gain}."
    selection = replace(trained.selection, chosen=BASE, reason=reason)
    return Trained(task.start, _once(report), trained.history, improved=False, selection=selection)


def _always(queries: Floats) -> Adapt:
    """An adaptation to vectors that are known."""
    return lambda _: queries


def _once(report: RetrievalReport) -> RetrievalReport:
    """The report with each question once, as it came first: about new passages where both futures count."""
    first = {query: row for row, query in reversed(list(enumerate(report.query_ids)))}
    rows = np.sort(list(first.values()))
    adapted = report.adapted_scores or {}
    return replace(
        report,
        query_ids=tuple(report.query_ids[row] for row in rows),
        base_scores={key: scores[rows] for key, scores in report.base_scores.items()},
        adapted_scores={key: scores[rows] for key, scores in adapted.items()},
    )


def _joined(parts: list[RetrievalReport]) -> RetrievalReport:
    """One report of several on different questions; a question that is in two counts twice."""
    return RetrievalReport(
        query_ids=tuple(query for part in parts for query in part.query_ids),
        passages=parts[0].passages,
        base_scores={key: np.concatenate([part.base_scores[key] for part in parts]) for key in parts[0].base_scores},
        adapted_scores={
            key: np.concatenate([(part.adapted_scores or {})[key] for part in parts]) for key in parts[0].base_scores
        },
    )
