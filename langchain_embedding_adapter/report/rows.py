"""A report's figures as rows with intervals: every metric, and the questions in groups.

Groups are by what training had seen of their passages, by the way they ask, their length and their document.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.details import Details
from langchain_embedding_adapter.report.intervals import bootstrap_intervals
from langchain_embedding_adapter.report.page.data import Breakdown, Estimate, Row, Status
from langchain_embedding_adapter.report.page.texts import clean
from langchain_embedding_adapter.report.story import TrainingStory

Array = NDArray[np.float64]
MOST_GROUPS = 12
"""Documents that are told apart: those with the most questions."""
LENGTHS = ((5, "up to 5 words"), (10, "6 to 10 words"), (15, "11 to 15 words"), (10**9, "more than 15 words"))
SEEN, NEAR, UNSEEN = "passages seen in training", "other passages of documents seen", "documents never seen"


class Reported(Protocol):
    """What a page needs of a report."""

    @property
    def query_ids(self) -> Sequence[str]:
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
    259
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


def kinds_of(report: Reported, dataset: QADataset, story: TrainingStory) -> dict[str, str]:
    """For each question whether training saw its passage, or at least another one of its document."""
    learned = story.questions.intersection(report.query_ids)
    renamed = any(passage not in story.seen for query in learned for passage in dataset.relevant_docs[query])
    if not story.seen or renamed:  # in a store, say, passages have ids of their own
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


def seen_of(
    report: Reported, kinds: Mapping[str, str], base: Array, adapted: Array | None, story: TrainingStory | None
) -> Breakdown | None:
    """The questions by what training had seen of their passages; ``None`` where nobody knows."""
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


def groups_of(report: Reported, dataset: QADataset, base: Array, adapted: Array | None) -> list[Breakdown]:
    """The questions by style, by length and by document, each where there are several."""
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
