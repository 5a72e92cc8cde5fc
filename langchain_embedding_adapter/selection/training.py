"""The three ways from questions to an adapter that may replace the base.

Linear maps and memories are chosen by cross-validation; what pseudo-questions teach is chosen with caution; every other
adapter is trained in epochs, and questions that were held out decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from langchain_embedding_adapter.adapters import BaseAdapter, LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.engines import RayEngine
from langchain_embedding_adapter.fitting import Follow, History, QuestionWeights, fit_by_descent
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.selection.candidates import DESCENDING, Candidate, Family, Future, QueryMap
from langchain_embedding_adapter.selection.caution import select_cautiously
from langchain_embedding_adapter.selection.choice import Selection, select
from langchain_embedding_adapter.selection.fitted import fit_chosen
from langchain_embedding_adapter.selection.holdout import examine, figure, hold_out, improves
from langchain_embedding_adapter.selection.rule import NEW, SAME, VALIDATION
from langchain_embedding_adapter.vectors import PairVectors


@dataclass(frozen=True)
class Task:
    """What to learn from, and where to start.

    Attributes:
        dataset: The questions; ``None`` where their vectors are all that is known.
        vectors: The same as matrices.
        start: The adapter to start from; it is left as it is.
        config: The settings.
        validation: Questions that decide, if some are given.
        weights: How much questions count in the fit, by id.
        show_progress: Progress bars; by default where standard error is a terminal.
        engine: A Ray cluster that fits what was chosen to all questions.
    """

    dataset: QADataset | None
    vectors: PairVectors
    start: BaseAdapter
    config: TrainingConfig
    validation: PairVectors | None
    weights: QuestionWeights | None
    show_progress: bool | None
    engine: RayEngine | None = None

    @property
    def pseudo_styles(self) -> Mapping[str, str]:
        """Of each pseudo-question its style."""
        return {} if self.dataset is None else self.dataset.pseudo_styles

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of what."""
        return {
            "questions": len(self.vectors.query_ids),
            "passages": len(self.vectors.passage_ids),
            "passages_asked_about": len(np.unique(self.vectors.relevant.flat)),
        }

    @property
    def digest(self) -> str:
        """What tells the questions and their pairs from others."""
        return self.vectors.digest if self.dataset is None else self.dataset.digest

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where the questions come from, as far as is known."""
        return {} if self.dataset is None else self.dataset.origin


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        adapter: The winner, fitted to all questions; what training started from where nothing beat it.
        report: Base against the winner (or what was turned down) on questions that the fit had not seen; the base alone
            where none of these was real.
        history: A row a step or an epoch.
        improved: Whether anything beat the base.
        selection: What was tried, for linear maps and memories.
    """

    adapter: BaseAdapter
    report: RetrievalReport
    history: History
    improved: bool
    selection: Selection | None = None


def by_cross_validation(
    task: Task, *, family: Family, expect: Future, further: Callable[[str], BaseAdapter] | None
) -> Trained:
    """Cross-validate candidates, choose one, fit it to all questions.

    Args:
        task: The task; it starts from a linear or a memory adapter.
        family: What to choose among.
        expect: What tomorrow's questions will be about.
        further: Makes adapters of other kinds, by kind, if these are to be tried too.
    """

    def descend(kind: str, part: PairVectors) -> BaseAdapter:
        return task.start if further is None else _stopped_early(replace(task, start=further(kind), vectors=part))

    selection = select(
        task.vectors,
        task.start,
        task.config,
        expect=expect,
        family=family,
        validation=task.validation,
        question_weights=task.weights,
        further=[] if further is None else [Candidate(QueryMap(kind)) for kind in DESCENDING],
        fit_by_descent=None if further is None else descend,
    )
    fitted, history = fit_chosen(
        task.vectors,
        selection.chosen,
        task.start,
        task.config,
        question_weights=task.weights,
        fit_by_descent=descend,
        engine=task.engine,
    )
    ridge = history[-1].get("ridge", selection.chosen.map.ridge)
    if ridge != selection.chosen.map.ridge:
        told = f"With all {len(task.vectors):,} questions the ridge is {ridge:.2g}: held-out ones gain by it."
        selection = replace(selection, reason=f"{selection.reason} {told}")
    report = selection.reports[VALIDATION if task.validation is not None else SAME if expect == SAME else NEW]
    scores = [report.base_scores, report.adapted_scores or report.base_scores]
    for row, found in zip((history[0], history[-1]), scores, strict=True):
        row[task.config.metric] = float(found[task.config.metric].mean())
    return Trained(fitted, report, history, selection.improved, selection)


def with_caution(task: Task) -> Trained:
    """Learn a linear map from the pseudo-questions; it is checked on the real ones among the questions, if any."""
    styles = task.pseudo_styles
    pseudo = np.array([query in styles for query in task.vectors.query_ids])
    validation = task.validation
    if validation is None and not pseudo.all():
        validation = task.vectors.rows(np.flatnonzero(~pseudo))
    vectors = task.vectors.rows(np.flatnonzero(pseudo))
    selection = select_cautiously(
        vectors, styles, task.start, task.config, validation=validation, question_weights=task.weights
    )
    fitted, history = fit_chosen(
        vectors,
        selection.chosen,
        task.start,
        task.config,
        question_weights=task.weights,
        engine=task.engine,
        lighten=False,  # held-out pseudo-questions would tell, and gain by whatever is learned from others
    )
    ((kind, report),) = selection.reports.items()
    if kind != VALIDATION:
        report = replace(report, adapted_scores=None)
    return Trained(fitted, report, history, selection.improved, selection)


def in_epochs(task: Task, *, checkpoint: str | Path | None, follow: Follow | None = None) -> Trained:
    """Train in epochs with early stopping on questions that are held out, which then decide.

    Args:
        task: The task.
        checkpoint: A file that is written after each epoch and resumed from.
        follow: Is told every row of the history as it comes.
    """
    fitted, held_out = task.vectors, task.validation
    if held_out is None:
        if task.dataset is None:
            raise ValueError("adapters trained in epochs on vectors need questions that decide: validation=…")
        learning, deciding = hold_out(task.dataset, task.config)
        fitted, held_out = task.vectors.take(learning.queries), task.vectors.take(deciding.queries)
    deciders = held_out
    candidate, history = fit_by_descent(
        fitted,
        task.start,
        task.config,
        lambda trained: figure(deciders, trained, task.config),
        question_weights=task.weights,
        checkpoint=checkpoint,
        show_progress=task.show_progress,
        follow=follow,
    )
    report = examine(deciders, candidate, task.config)
    improved = improves(report, task.config)
    kept = candidate if improved else LinearAdapter(task.start.in_features, task.start.out_features)
    return Trained(kept, report, history, improved)


def _stopped_early(task: Task) -> BaseAdapter:
    """An adapter trained in epochs on a part of the questions, stopped by the rest of them."""
    part = task.vectors
    side = np.random.default_rng(task.config.seed).random(len(part.query_ids)) < task.config.validation_size
    if side.all() or not side.any():
        return task.start
    stopping = part.rows(np.flatnonzero(side))
    adapter, _ = fit_by_descent(
        part.rows(np.flatnonzero(~side)),
        task.start,
        task.config,
        lambda trained: figure(stopping, trained, task.config),
        question_weights=task.weights,
        show_progress=False,
    )
    return adapter
