"""What a training's report knows beyond scores: its story, and what each question found.

Where candidates were cross-validated, each question's list is by the winner fitted without it, once more, when somebody
asks: the training itself pays nothing for it.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._version import __version__
from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.evaluation.evaluate import adapter_name
from langchain_embedding_adapter.evaluation.ranking import light, look_up
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.details import DEPTH, NOTHING, Details, Found, Lists
from langchain_embedding_adapter.report.story import TrainingStory
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.selection.candidates import BASE, DESCENDING, Future, is_identity
from langchain_embedding_adapter.selection.choice import Selection, folds_of
from langchain_embedding_adapter.selection.crossvalidation import TOLERANCE
from langchain_embedding_adapter.selection.fitted import fit_chosen
from langchain_embedding_adapter.selection.fold_ranking import ranked_passages
from langchain_embedding_adapter.selection.folds import Fold
from langchain_embedding_adapter.selection.training import Task, Trained
from langchain_embedding_adapter.selection.unseen import unseen
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged

_BEFORE = ", with the adapter that training started from"
PACKAGES = ("langchain-core", "numpy", "torch", "scipy")
"""Whose versions are told beside Python's and ours."""


def with_details(
    result: TrainingResult,
    task: Task,
    trained: Trained,
    expect: Future,
    validation: QADataset | None,
    given: Mapping[str, Any],
) -> TrainingResult:
    """The result, its report with what a page shows beyond scores.

    Args:
        result: The result of training.
        task: What was learned from.
        trained: What came of it.
        expect: What tomorrow's questions will be about.
        validation: The questions that decided, if some were given.
        given: What else was asked for, by name; what is ``None`` or false was not.
    """
    report, selection = trained.report, trained.selection
    asked: Literal["folds", "deciding", "pseudo"] = "deciding"
    details = report.details or Details()
    if selection is not None:
        vectors = task.validation
        if task.pseudo_styles and vectors is None:
            pseudo = report.adapted_scores is None
            asked = "pseudo" if pseudo else "deciding"
            vectors = task.vectors.take(dict.fromkeys(report.query_ids))
        if vectors is not None and not light(vectors):
            pass  # what the report has, as far as it goes
        elif vectors is not None:
            lists = partial(_by_winner, vectors, task.start, trained.adapter)
            details = replace(details, lists=lists)
        else:
            asked = "folds"
            kind = next((kind for kind, found in selection.reports.items() if found is report), None)
            turned_down = kind is None and not trained.improved
            if selection.chosen.map.method in DESCENDING or turned_down or not light(task.vectors):
                details = replace(details, lists=None)
            elif kind is None:  # they were examined once more, by distance
                details = replace(details, lists=partial(_by_parts, task, trained, expect))
            else:
                details = replace(details, lists=partial(_by_folds, task, selection, kind))
    apart = set(report.query_ids) if asked == "deciding" and task.validation is None else set()
    story = story_of(result, task, trained, expect, apart, given)
    details = replace(
        details,
        dataset=task.dataset if validation is None else validation,
        story=story,
        asked=asked,
        base_model=f"{story.base_model}{_BEFORE * story.retrained}",
        adapter=story.adapter,
    )
    return replace(result, report=replace(report, details=details))


def story_of(
    result: TrainingResult,
    task: Task,
    trained: Trained,
    expect: Future,
    apart: Collection[str],
    given: Mapping[str, Any],
) -> TrainingStory:
    """How the adapter came about, in plain values; ``apart`` are the questions of the dataset that only decided."""
    dataset, selection = task.dataset or QADataset({}, {}, {}), trained.selection
    metric = task.config.metric
    learned = [query for query in dataset.queries if query not in apart]
    seen = {passage for query in learned for passage in dataset.relevant_docs[query]}
    told = {} if selection is None else selection.to_dict()
    futures = {}
    for kind, report in {} if selection is None else selection.reports.items():
        if report.adapted_scores is not None and not dataset.pseudo_styles:
            sides = ("base", report.base_scores), ("adapted", report.adapted_scores)
            futures[kind] = {side: np.round(scores[metric], 4).tolist() for side, scores in sides}
    return TrainingStory(
        verdict=result.verdict,
        improved=trained.improved,
        metric=metric,
        chosen=told.get("chosen"),
        candidates=tuple(told.get("candidates", ())),
        given_up=tuple(told.get("given_up", ())),
        futures=futures,
        history=tuple(trained.history),
        counts={
            **task.counts,
            **({"documents": len(set(dataset.documents.values()))} if dataset.documents else {}),
        },
        pseudo_questions=len(dataset.pseudo_styles),
        origin=dict(dataset.origin),
        digest=task.digest,
        settings=asdict(task.config),
        expect=expect,
        retrained=selection is not None and not is_identity(task.start),
        asked_for=given["adapter"] if isinstance(given.get("adapter"), str) else None,
        given=tuple(name for name, value in given.items() if value and not isinstance(value, str)),
        teacher=None if result.teacher is None else result.teacher.reason,
        base_model=model_name(result.embeddings.embeddings),
        adapter=adapter_name(result.embeddings),
        versions=dict(_versions()),
        questions=frozenset(learned),
        seen=frozenset(seen),
        seen_documents=frozenset(map(dataset.document, seen)),
    )


def _by_winner(vectors: PairVectors, start: BaseAdapter, adapter: BaseAdapter) -> Lists:
    """What questions find that decided, or that nobody asked."""
    return look_up(replace(vectors, queries=start.adapt(vectors.queries)), adapter.adapt(vectors.queries))


def _by_parts(task: Task, trained: Trained, expect: Future) -> Lists | None:
    """What the questions left out find among all passages, each by an adapter fitted without it."""
    return _joined(
        [
            look_up(replace(vectors, queries=task.start.adapt(vectors.queries)), queries)
            for vectors, queries in unseen(task, trained, expect)
        ]
    )


def _by_folds(task: Task, selection: Selection, kind: str) -> Lists | None:
    """What the cross-validated questions find, each by the winner fitted without it, among what its fold ranks."""
    parts = []
    config = replace(task.config, tolerance=TOLERANCE)
    for fold in folds_of(task.vectors, task.config, selection.sampled)[kind]:
        adapter = task.start
        if selection.chosen != BASE:
            adapter, _ = fit_chosen(fold.fitted, selection.chosen, task.start, config, question_weights=task.weights)
        queries = fold.examined.queries
        parts.append(_of_fold(fold, task.config.seed, task.start.adapt(queries), adapter.adapt(queries)))
    return _joined(parts)


def _of_fold(fold: Fold, seed: int, base: Floats, adapted: Floats) -> Lists:
    """What a fold's questions find among the passages that it ranks, hidden ones passed over."""
    rows = np.sort(np.concatenate(ranked_passages(fold, seed)))
    relevant = Ragged.of(np.concatenate(both) for both in zip(fold.examined.relevant, fold.hidden, strict=True))
    vectors = replace(
        fold.examined,
        queries=base,
        passages=fold.examined.passages[rows],
        passage_ids=tuple(fold.examined.passage_ids[row] for row in rows.tolist()),
        relevant=relevant.like(np.searchsorted(rows, relevant.flat)),
        grades=relevant.like(np.ones(len(relevant.flat))),
    )
    most = max((len(found) for found in fold.hidden), default=0)
    lists = look_up(vectors, adapted, DEPTH + most)
    if not most:
        return lists
    counts = fold.examined.relevant.counts.tolist()
    right = tuple(rows[:count] for rows, count in zip(lists.right, counts, strict=True))
    hidden = [set(rows[count:]) for rows, count in zip(lists.right, counts, strict=True)]
    sides = [None if side is None else _without(side, hidden, counts) for side in (lists.base, lists.adapted)]
    return replace(lists, right=right, base=sides[0] or lists.base, adapted=sides[1])


def _without(found: Found, hidden: Sequence[set[int]], counts: Sequence[int]) -> Found:
    """The lists without each question's hidden passages, whose ranks stand behind those of its right ones."""
    passages = np.full((len(hidden), DEPTH), NOTHING, dtype=np.intp)
    scores = np.zeros((len(hidden), DEPTH), dtype=np.float32)
    ranks = []
    for row, (left_out, count) in enumerate(zip(hidden, counts, strict=True)):
        kept = [place for place, passage in enumerate(found.passages[row].tolist()) if passage not in left_out][:DEPTH]
        passages[row, : len(kept)], scores[row, : len(kept)] = found.passages[row, kept], found.scores[row, kept]
        own, others = found.ranks[row][:count], found.ranks[row][count:]
        ranks.append(tuple(rank - sum(other < rank for other in others) for rank in own))
    return Found(passages, scores, tuple(ranks))


def _joined(parts: Sequence[Lists]) -> Lists | None:
    """The lists of several folds as one; passages of folds that rank different ones get numbers of their own."""
    if not parts:
        return None
    numbers: dict[str, int] = {}
    renumbered = [
        np.array([numbers.setdefault(passage, len(numbers)) for passage in part.passage_ids] or [0], dtype=np.intp)
        for part in parts
    ]

    def side(found: Sequence[Found]) -> Found:
        width = max(one.passages.shape[1] for one in found)
        passages = [
            _wide(np.where(one.passages == NOTHING, NOTHING, rows[one.passages]), width, NOTHING)
            for one, rows in zip(found, renumbered, strict=True)
        ]
        scores = [_wide(one.scores, width, 0) for one in found]
        return Found(np.concatenate(passages), np.concatenate(scores), tuple(r for one in found for r in one.ranks))

    adapted = [part.adapted for part in parts if part.adapted is not None]
    return Lists(
        query_ids=tuple(query for part in parts for query in part.query_ids),
        passage_ids=tuple(numbers),
        right=tuple(
            tuple(rows[list(right)].tolist())
            for part, rows in zip(parts, renumbered, strict=True)
            for right in part.right
        ),
        base=side([part.base for part in parts]),
        adapted=side(adapted) if len(adapted) == len(parts) else None,
    )


def _wide(table: NDArray[Any], width: int, filled: int) -> NDArray[Any]:
    """A table with as many columns as the widest has."""
    return np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=filled)


@cache
def _versions() -> dict[str, str]:
    """Of Python, ours and those that figures depend on."""
    found = {"Python": platform.python_version(), "langchain-embedding-adapter": __version__}
    return found | {package: version(package) for package in PACKAGES}
