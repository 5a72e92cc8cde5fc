"""From a report to what its page shows: figures with intervals, groups of questions, the choice, the data.

Everything that is told is drawn from the report and its details; what they do not know is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.details import NOTHING, Details, Lists
from langchain_embedding_adapter.intervals import bootstrap_intervals
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.page.data import Breakdown, Estimate, Example, Page, Row, Shift, Status
from langchain_embedding_adapter.page.explorer import explorer_data
from langchain_embedding_adapter.page.texts import clean
from langchain_embedding_adapter.page.words import rank_in_words, verdict
from langchain_embedding_adapter.pairs import QADataset
from langchain_embedding_adapter.report_story import choice_of, facts_of, repeat_of, settings_of, use_of
from langchain_embedding_adapter.story import TrainingStory

Array = NDArray[np.float64]
MOST_GROUPS = 12
"""Documents that are told apart: those with the most questions."""
EXAMPLES = 4
"""Questions of each end that are shown as examples."""
LENGTHS = ((5, "up to 5 words"), (10, "6 to 10 words"), (15, "11 to 15 words"), (10**9, "more than 15 words"))
BINS = 24
SEEN, NEAR, UNSEEN = "passages seen in training", "other passages of documents seen", "documents never seen"


class Reported(Protocol):
    """What a page needs of a report."""

    @property
    def query_ids(self) -> tuple[str, ...]:
        """The questions."""

    @property
    def passages(self) -> int:
        """How many were ranked."""

    @property
    def base_scores(self) -> Mapping[str, Array]:
        """By metric."""

    @property
    def adapted_scores(self) -> Mapping[str, Array] | None:
        """By metric."""

    @property
    def best_scores(self) -> Array | None:
        """Of base and adapted."""

    @property
    def details(self) -> Details | None:
        """The questions."""


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
    kinds = {} if dataset is None or story is None or details.asked == "folds" else _kinds(report, dataset, story)
    groups = [] if dataset is None or pseudo else _groups(report, dataset, base, adapted)
    explorer = None
    if dataset is not None and lists is not None:
        explorer = explorer_data(dataset, lists, report.query_ids, change, kinds=kinds)
    seen = None if pseudo else _seen(report, kinds, base, adapted, story)
    unchanged = story is not None and not story.improved
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
            improved=None if story is None else story.improved,
            pseudo=pseudo,
            reason=clean(story.verdict, 600) if story is not None else "",
            needed=None if change is None else questions_needed(change),
            parts=() if seen is None else seen.rows,
        ),
        tally=None if pseudo or unchanged else whole.tally,
        metrics=() if pseudo else metric_rows(report, metric),
        seen=seen,
        groups=tuple(groups),
        shift=_shift(report, lists),
        choice=None if story is None else choice_of(story, row_of),
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


def row_of(name: str, base: Array, adapted: Array | None) -> Row:
    """Questions' figures, ``(questions,)`` with the base and with the adapter, as means with intervals."""
    return rows_of([(name, base, adapted)])[0]


def rows_of(figures: Sequence[tuple[str, Array, Array | None]]) -> list[Row]:
    """The same for several figures of the same questions, which are drawn again together."""
    columns = [
        column
        for _, base, adapted in figures
        for column in ([base] if adapted is None else [base, adapted, adapted - base])
    ]
    estimates = iter(_estimates(np.stack(columns, axis=1)))
    rows = []
    for name, base, adapted in figures:
        of_base = next(estimates)
        if adapted is None:
            rows.append(Row(name, len(base), of_base))
            continue
        of_adapted, gain = next(estimates), next(estimates)
        better, worse = int((adapted - base > 1e-12).sum()), int((adapted - base < -1e-12).sum())
        status: Status = "few"
        if gain.low is not None and gain.high is not None:
            status = "better" if gain.low > 0 else "worse" if gain.high < 0 else "unclear"
        rows.append(
            Row(name, len(base), of_base, of_adapted, gain, status, (better, len(base) - better - worse, worse))
        )
    return rows


def metric_rows(report: Reported, first: str) -> tuple[Row, ...]:
    """Every metric over all questions, ``first`` first; those that count alike on every question share a row."""
    adapted = report.adapted_scores or {}
    alike: dict[bytes, list[str]] = {}
    for metric in sorted(report.base_scores, key=lambda metric: metric != first):
        sides = [report.base_scores[metric], adapted.get(metric, report.base_scores[metric])]
        alike.setdefault(np.stack(sides).tobytes(), []).append(metric)
    return tuple(
        rows_of(
            [
                (" · ".join(map(label, metrics)), report.base_scores[metrics[0]], adapted.get(metrics[0]))
                for metrics in alike.values()
            ]
        )
    )


def questions_needed(change: Array) -> int | None:
    """How many questions would tell a mean change as this from chance, four times in five; ``None`` where it is 0.

    >>> questions_needed(np.array([0.5, -0.3, 0.0, 0.0]))
    258
    """
    mean = float(change.mean())
    if abs(mean) < 1e-3:
        return None
    return int(np.ceil(((1.96 + 0.84) * float(change.std()) / mean) ** 2))


def _estimates(values: Array) -> list[Estimate]:
    low, high = bootstrap_intervals(values)
    return [
        Estimate(mean, None if np.isnan(below) else below, None if np.isnan(above) else above)
        for mean, below, above in zip(values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    ]


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


def _kinds(report: Reported, dataset: QADataset, story: TrainingStory) -> dict[str, str]:
    """For each question whether training saw its passage, or at least another one of its document."""
    if not story.seen:
        return {}
    kinds = {}
    for query in report.query_ids:
        right = dataset.relevant_docs[query]
        if any(passage in story.seen for passage in right):
            kinds[query] = SEEN
        elif any(dataset.document(passage) in story.seen_documents for passage in right):
            kinds[query] = NEAR
        else:
            kinds[query] = UNSEEN
    return kinds


def _seen(
    report: Reported, kinds: Mapping[str, str], base: Array, adapted: Array | None, story: TrainingStory | None
) -> Breakdown | None:
    if kinds:
        rows = _by(report.query_ids, kinds, base, adapted, names=[SEEN, NEAR, UNSEEN])
        intro = "An adapter knows best what it has learned from. Those it has not seen tell how it does with new ones."
        return Breakdown("seen", "Seen and unseen passages", intro, tuple(rows))
    if story is not None and story.futures:
        rows = [
            row_of(future, np.asarray(sides["base"]), np.asarray(sides["adapted"]))
            for future, sides in story.futures.items()
            if adapted is not None
        ]
        intro = "In cross-validation: questions about passages that the fit had not seen, and new questions about "
        return Breakdown("seen", "Seen and unseen passages", intro + "passages that it had.", tuple(rows))
    return None


def _groups(report: Reported, dataset: QADataset, base: Array, adapted: Array | None) -> list[Breakdown]:
    ids = report.query_ids
    styles = {query: clean(style, 60) for query, style in {**dataset.styles, **dataset.pseudo_styles}.items()}
    lengths = {
        query: next(name for most, name in LENGTHS if len(dataset.queries[query].split()) <= most) for query in ids
    }
    documents = {query: dataset.document(dataset.relevant_docs[query][0]) for query in ids} if dataset.documents else {}
    count = len(set(documents.values()))
    told = "" if count <= MOST_GROUPS else f" The {MOST_GROUPS} of {count:,} documents with the most questions."
    kinds: list[tuple[str, str, str, Mapping[str, str], list[str] | None]] = [
        ("style", "By style", "How the question asks.", styles, None),
        ("length", "By length", "How many words the question has.", lengths, [name for _, name in LENGTHS]),
        ("document", "By document", f"Where its passage is from.{told}", documents, None),
    ]
    found = []
    for key, title, intro, of, names in kinds:
        rows = _by(ids, of, base, adapted, names=names)
        if len(rows) > 1:
            found.append(Breakdown(key, title, intro, tuple(rows)))
    return found


def _by(
    ids: Sequence[str], of: Mapping[str, str], base: Array, adapted: Array | None, *, names: Collection[str] | None
) -> list[Row]:
    """A row for each value; in the order of ``names``, or from the most questions on."""
    places: dict[str, list[int]] = {name: [] for name in names or ()}
    for place, query in enumerate(ids):
        if query in of:
            places.setdefault(of[query], []).append(place)
    groups = [(name, found) for name, found in places.items() if found]
    if names is None:
        groups = sorted(groups, key=lambda group: (-len(group[1]), group[0]))[:MOST_GROUPS]
    return [row_of(clean(name, 80), base[found], None if adapted is None else adapted[found]) for name, found in groups]


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
