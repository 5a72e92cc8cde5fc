"""From a report to what its page shows: verdict, figures, groups, the questions, the choice, the data.

Everything that is told is drawn from the report and its details; what they do not know is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.details import NOTHING, Details, Lists
from langchain_embedding_adapter.report.of_story import choice_of, facts_of, repeat_of, settings_of, use_of
from langchain_embedding_adapter.report.page.data import Example, Page, Shift
from langchain_embedding_adapter.report.page.explorer import explorer_data
from langchain_embedding_adapter.report.page.texts import clean
from langchain_embedding_adapter.report.page.words import rank_in_words, verdict
from langchain_embedding_adapter.report.rows import (
    Reported,
    groups_of,
    kinds_of,
    metric_rows,
    questions_needed,
    row_of,
    seen_of,
)
from langchain_embedding_adapter.report.story import TrainingStory

Array = NDArray[np.float64]
EXAMPLES = 4
"""Questions of each end that are shown as examples."""
BINS = 24


def page_of(report: Reported) -> Page:
    """All that a report's page shows."""
    details = report.details or Details()
    story, dataset, lists = details.story, details.dataset, details.found()
    pseudo = dataset is not None and any(query in dataset.pseudo_styles for query in report.query_ids)
    metric = _main_metric(report, story)
    base = report.base_scores[metric]
    adapted = None if report.adapted_scores is None else report.adapted_scores[metric]
    whole = row_of(label(metric), base, adapted)
    change = None if adapted is None or pseudo else adapted - base
    kinds = {} if dataset is None or story is None or details.asked == "folds" else kinds_of(report, dataset, story)
    groups = [] if dataset is None or pseudo else groups_of(report, dataset, base, adapted)
    explorer = None
    if dataset is not None and lists is not None:
        explorer = explorer_data(dataset, lists, report.query_ids, change, kinds=kinds)
    crossed = story if details.asked == "folds" else None
    seen = None if pseudo else seen_of(report, kinds, base, adapted, crossed)
    improved = None if story is None or (story.retrained and details.asked == "apart") else story.improved
    base_model = details.base_model or (story and story.base_model) or ""
    return Page(
        title=clean(f"Retrieval report{': ' * bool(base_model)}{base_model}", 120),
        base_model=clean(base_model or "the base embeddings", 120),
        adapter=clean(details.adapter or (story and story.adapter) or "", 120),
        questions=len(report.query_ids),
        passages=report.passages,
        metric=label(metric),
        verdict=verdict(
            whole,
            found=_found(report),
            asked=details.asked,
            learned=len(story.questions.intersection(report.query_ids)) if story and story.questions else None,
            improved=improved,
            retrained=story is not None and story.retrained,
            pseudo=pseudo,
            reason=clean(story.verdict, 600) if story is not None else "",
            needed=None if change is None else questions_needed(change),
            parts=() if seen is None else seen.rows,
        ),
        tally=None if pseudo or improved is False else whole.tally,
        metrics=() if pseudo else metric_rows(report, metric),
        seen=seen,
        groups=tuple(groups),
        shift=_shift(report, lists),
        choice=None if story is None else choice_of(story),
        history=() if story is None else tuple(story.history),
        examples=()
        if dataset is None or lists is None or change is None
        else _examples(report, dataset, lists, change),
        explorer=explorer,
        explorer_note=_note(details, pseudo, explorer is not None),
        facts=facts_of(dataset, story),
        use=use_of(story),
        repeat=repeat_of(story),
        settings=settings_of(story),
        versions=() if story is None else tuple(story.versions.items()),
        exact=() if pseudo or not hasattr(report, "exact") else metric_rows(report.exact, metric),
    )


def _main_metric(report: Reported, story: TrainingStory | None) -> str:
    wanted = [story.metric] if story is not None else []
    return next(name for name in (*wanted, "ndcg@10", *report.base_scores) if name in report.base_scores)


def _found(report: Reported) -> tuple[float, float | None] | None:
    if "hit_rate@10" not in report.base_scores:
        return None
    adapted = report.adapted_scores
    return (
        float(report.base_scores["hit_rate@10"].mean()),
        None if adapted is None else float(adapted["hit_rate@10"].mean()),
    )


def _shift(report: Reported, lists: Lists | None) -> Shift | None:
    """How the scores of the best hits moved, from the report or from its lists."""
    if report.best_scores is not None:
        base, adapted = report.best_scores
    elif lists is not None and lists.adapted is not None:
        some = (lists.base.passages[:, 0] != NOTHING) & (lists.adapted.passages[:, 0] != NOTHING)
        base, adapted = (np.float64(side.scores[some, 0]) for side in (lists.base, lists.adapted))
    else:
        return None
    if not len(base) or np.array_equal(base, adapted):
        return None
    both = np.concatenate([base, adapted])
    edges = np.linspace(both.min(), max(both.max(), both.min() + 1e-6), BINS + 1)
    quartile: Callable[[Array], Any] = lambda scores: tuple(np.quantile(scores, [0.25, 0.5, 0.75]).tolist())  # noqa: E731
    return Shift(
        tuple(edges.tolist()),
        tuple(np.histogram(base, edges)[0].tolist()),
        tuple(np.histogram(adapted, edges)[0].tolist()),
        (quartile(base), quartile(adapted)),
    )


def _examples(report: Reported, dataset: QADataset, lists: Lists, change: Array) -> tuple[Example, ...]:
    """The questions that changed most, gains first."""
    rows = {query: row for row, query in reversed(list(enumerate(lists.query_ids)))}
    order = [place for place in np.argsort(-change, kind="stable").tolist() if report.query_ids[place] in rows]
    best = [place for place in order[:EXAMPLES] if change[place] > 0]
    worst = [place for place in order[-EXAMPLES:] if change[place] < 0]
    found = []
    for place in [*best, *worst]:
        query = report.query_ids[place]
        base, adapted = (
            rank_in_words(list(side.ranks[rows[query]])) for side in (lists.base, lists.adapted or lists.base)
        )
        found.append(Example(clean(dataset.queries[query], 200), base, adapted, float(change[place])))
    return tuple(found)


def _note(details: Details, pseudo: bool, listed: bool) -> str:
    if not listed:
        untold = (
            "What each question found is not known here: of adapters fitted in epochs a cross-validation keeps the "
            "scores alone. An evaluation on questions kept apart tells all."
        )
        return untold if details.asked == "folds" else ""
    if pseudo:
        return "Nobody has asked these: the adapter was fitted to them, and what it finds shows how it moves, no gain."
    if details.asked == "folds":
        return (
            "Each question is answered by an adapter that was fitted without it, once more for this page; among the "
            "passages that the cross-validation ranked."
        )
    return ""
