"""Pairs from logs and feedback: what people asked, and the passage they clicked or confirmed.

The other start of the journey, where questions are asked already and need no LLM. Rows come from a file, a DataFrame or
any iterable of mappings; they leave as a ``QADataset`` with what training should know beside it: how much each question
counts, and when it was asked. Bad numbers and times are errors; rows that say nothing are left out and counted.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from langchain_embedding_adapter.chunks import text_id
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.pairs.rows import (
    Corpus,
    Rows,
    few,
    ids_in,
    listed,
    moment_in,
    number,
    passages_of,
    plain,
    read_rows,
    same_question,
    utc,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoggedPairs:
    """What logs taught: the pairs, how much each question counts, and when it was asked.

    Args:
        dataset: The questions, graded, with the whole corpus.
        question_weights: Question id to how much it counts, for ``AdapterTrainer.train(weights=…)``: the logarithm of
            what the rows in favour weigh together, 1 on average.
        times: Question id to when it was last asked, in UTC; questions of unknown time are not in it.
        first_times: Question id to when it was first asked, likewise.
        skipped: What was left out, by reason, and how many of it.
    """

    dataset: QADataset
    question_weights: dict[str, float]
    times: dict[str, datetime]
    first_times: dict[str, datetime]
    skipped: dict[str, int]

    def __str__(self) -> str:
        parts = [str(self.dataset)]
        if self.times:
            parts.append(f", asked {min(self.first_times.values()):%Y-%m-%d} to {max(self.times.values()):%Y-%m-%d}")
        if self.skipped:
            parts.append(f"; left out: {listed(self.skipped)}")
        return "".join(parts)

    def weights_for(self, dataset: QADataset) -> dict[str, float]:
        """The weights of those questions that a part of the dataset holds, for training on that part."""
        return {query: self.question_weights[query] for query in dataset.queries if query in self.question_weights}

    def split_by_time(self, test_size: float = 0.2, *, cut: datetime | None = None) -> tuple[QADataset, QADataset]:
        """Train on what was asked first, test on what came up later.

        A question belongs to where it was *first* asked, so none that was asked before the cut is in the test. One of
        unknown time counts as training. Grades are those of all rows, later ones too; and passages may be in both
        parts, as they will be in use: this is the test for ``train(expect="same passages")``.

        Args:
            test_size: Share of the questions with a time for the test part, met as nearly as equal times allow.
            cut: In its place: the moment from which on questions are the test; without a time zone, in UTC.

        Returns:
            ``(train, test)``.

        Raises:
            ValueError: If there are no times, or all questions fall on one side.
        """
        if not self.first_times:
            raise ValueError(
                "the rows hold no times to split by: expected a column of them (pairs_from_logs(…, time=…)); "
                "without times, split by document with `.dataset.split()`"
            )
        start = self._cut(test_size) if cut is None else utc(cut)
        later = {query for query, first in self.first_times.items() if first >= start}
        earlier = self.dataset.queries.keys() - later
        if not later or not earlier:
            raise ValueError(
                f"nothing would be left to {'train on' if later else 'test with'}: the questions were first asked from "
                f"{min(self.first_times.values())} to {max(self.first_times.values())}, and the cut is at {start}"
            )
        return self.dataset.subset(earlier), self.dataset.subset(later)

    def _cut(self, test_size: float) -> datetime:
        """The first time of a question that leaves most nearly ``test_size`` of the questions at or after it."""
        if not 0 < test_size < 1:
            raise ValueError(f"expected test_size between 0 and 1, got {test_size}")
        times = sorted(self.first_times.values())
        later = {start: len(times) - bisect_left(times, start) for start in times if start > times[0]}
        return min(later, key=lambda start: abs(later[start] - test_size * len(times)), default=times[0])


def pairs_from_logs(
    rows: Rows,
    corpus: Corpus,
    *,
    question: str = "question",
    passage: str = "passage_id",
    weight: str = "weight",
    time: str = "time",
    most_per_passage: int | None = None,
    min_weight: float = 0.0,
) -> LoggedPairs:
    """Read question–passage pairs from logs or feedback.

    A question asked many times, in whatever case and spacing, becomes one, in its heaviest wording. Its rows' weights
    add up for every passage, votes against included; the sum *w* becomes the grade log2(1 + *w*). One click counts 1
    and ten thousand count 13, since clicks beget clicks (people click what is shown on top). The question's own weight
    is damped likewise: a question asked by all teaches more than a rare one, and does not drown it.

    Args:
        rows: A ``.csv``, ``.tsv`` or ``.jsonl`` file (a CSV may be separated by ``,``, ``;``, tabs or ``|``), a pandas
            or polars DataFrame, or mappings.
        corpus: What the ids of the rows mean: passage id to its text, or LangChain ``Document`` objects with these
            ids. It should hold whatever the index holds.
        question: The column of the question's text.
        passage: The column of the passage's id, or of a list of ids (in a CSV, a JSON list).
        weight: The column of clicks or votes; 1 where there is none.
        time: The column of times: ISO 8601, ``datetime`` or Unix seconds, in UTC where no time zone is given.
        most_per_passage: At most so many questions that are mostly about one passage, so that popular ones do not crowd
            out the rest. The heaviest stay, then the latest. A question goes whole or stays with all its passages: one
            that answers is never left to look as if it did not. It is mostly about its heaviest passage; of equally
            heavy ones, the least asked about.
        min_weight: Passages whose weights add up to less do not count as answers; 0 or less never do.

    Raises:
        ValueError: If a column is missing, a weight or time is not one, no row is about a passage of the corpus, or
            nothing is left.
        TypeError: If the rows are none of the kinds above.

    Example:
        >>> logged = pairs_from_logs(
        ...     [
        ...         {"question": "Mars year?", "passage_id": "p1", "weight": 2, "time": "2025-03-01"},
        ...         {"question": "mars  year?", "passage_id": "p1", "weight": 1, "time": "2025-05-01"},
        ...         {"question": "Which way does Venus turn?", "passage_id": "p2", "time": "2025-06-01"},
        ...     ],
        ...     {"p1": "A Mars year lasts 687 days.", "p2": "Venus turns backwards."},
        ... )
        >>> print(logged)
        2 questions about 2 of 2 passages, asked 2025-03-01 to 2025-06-01
        >>> train, test = logged.split_by_time()
        >>> print(list(train.queries.values()), list(test.queries.values()))
        ['Mars year?'] ['Which way does Venus turn?']
    """
    if most_per_passage is not None and most_per_passage < 1:
        raise ValueError(f"expected most_per_passage of 1 or more, or None for no limit, got {most_per_passage}")
    passages, documents = passages_of(corpus)
    log = _Log(passages, question, passage, weight, time)
    for place, row in read_rows(rows):
        log.add(place, row)
    log.check()
    log.keep_answers(min_weight)
    if most_per_passage is not None:
        log.cap(most_per_passage)
    return log.result(documents)


@dataclass
class _Asked:
    """One question, gathered from its rows."""

    wordings: dict[str, float] = field(default_factory=dict)  # what the rows in favour weigh, by wording
    weights: dict[str, float] = field(default_factory=dict)  # by passage
    first: datetime | None = None
    last: datetime | None = None

    def text(self) -> str:
        """The heaviest wording; of equally heavy ones, the first in the alphabet."""
        return min(self.wordings, key=lambda wording: (-self.wordings[wording], wording))

    def weight(self) -> float:
        """What the rows in favour weigh together; one that names many passages counts once."""
        return sum(self.wordings.values())

    def rank(self) -> tuple[float, float, str]:
        """Sorts the heaviest question first, then the one asked last."""
        return -self.weight(), -self.last.timestamp() if self.last else math.inf, self.text()


class _Log:
    """The rows so far, gathered by question."""

    def __init__(self, passages: dict[str, str], question: str, passage: str, weight: str, time: str) -> None:
        self.passages = passages
        self.question, self.passage, self.weight, self.time = question, passage, weight, time
        self.asked: dict[str, _Asked] = {}
        self.columns: dict[str, None] = {}
        self.unknown: dict[str, None] = {}
        self.skipped: Counter[str] = Counter()

    def add(self, place: str, row: Mapping[str, Any]) -> None:
        """Enter a row; ``place`` says where it stands, for errors."""
        self.columns.update(dict.fromkeys(row))
        text, ids = plain(row.get(self.question)), ids_in(row.get(self.passage))
        weight = number(row.get(self.weight), 1.0, place, self.weight)
        moment = moment_in(row.get(self.time), place, self.time)
        if text is None or not ids:
            self.skipped["rows without a question" if text is None else "rows without a passage"] += 1
            return
        if not isinstance(text, str):
            raise ValueError(f"{place}: expected a question's text as {self.question!r}, got {text!r}")
        known = [passage for passage in ids if passage in self.passages]
        unknown = [passage for passage in ids if passage not in self.passages]
        asked = self.asked.setdefault(same_question(text), _Asked())
        wording = " ".join(text.split())
        asked.wordings[wording] = asked.wordings.get(wording, 0) + (max(weight, 0) if known else 0)
        if moment is not None:
            asked.first, asked.last = min(asked.first or moment, moment), max(asked.last or moment, moment)
        for passage in known:
            asked.weights[passage] = asked.weights.get(passage, 0) + weight
        if unknown:
            self.unknown.update(dict.fromkeys(unknown))
            self.skipped["mentions of passages that are not in the corpus"] += len(unknown)

    def check(self) -> None:
        """Raise a ``ValueError`` if a column is missing or no row is about the corpus."""
        if not self.columns:
            raise ValueError("there are no rows: expected at least one with a question and the id of a passage")
        named = {"question": self.question, "passage": self.passage, "weight": self.weight, "time": self.time}
        for role, column in named.items():
            optional = role in ("weight", "time") and column == role
            if column not in self.columns and not optional:
                raise ValueError(
                    f"expected the {role} in a column {column!r}, and the rows have {few(self.columns, 20)}; "
                    f"name it with {role}=…"
                )
        if self.unknown and not any(asked.weights for asked in self.asked.values()):
            raise ValueError(
                f"no row is about a passage of the corpus: the rows name {few(self.unknown)}, the corpus has "
                f"{few(self.passages)}; give the passages the ids of the rows (Document(id=…), or a dict of id to text)"
            )

    def keep_answers(self, min_weight: float) -> None:
        """Leave out what does not weigh enough to be an answer, and questions without one."""
        for asked in self.asked.values():
            for passage, weight in list(asked.weights.items()):
                if weight <= 0 or weight < min_weight:
                    del asked.weights[passage]
                    self.skipped["pairs of weight 0 or less" if weight <= 0 else "pairs below min_weight"] += 1
        self.asked = {key: asked for key, asked in self.asked.items() if asked.weights}

    def cap(self, most: int) -> None:
        """Leave out questions, the lightest first, until no passage has more than ``most`` that are mostly about it."""
        asked_about = Counter(passage for asked in self.asked.values() for passage in asked.weights)
        taken: Counter[str] = Counter()
        kept = set()
        for key in sorted(self.asked, key=lambda key: self.asked[key].rank()):
            weights = self.asked[key].weights
            mostly = min(weights, key=lambda passage: (-weights[passage], asked_about[passage], passage))
            if taken[mostly] < most:
                taken[mostly] += 1
                kept.add(key)
        if len(kept) < len(self.asked):
            self.skipped["questions over most_per_passage"] += len(self.asked) - len(kept)
        self.asked = {key: asked for key, asked in self.asked.items() if key in kept}

    def result(self, documents: dict[str, str]) -> LoggedPairs:
        """The questions that are left, graded and weighted."""
        if not self.asked:
            raise ValueError(f"no question is left; left out: {listed(self.skipped)}")
        if self.skipped:
            named = f" (such as {few(self.unknown)})" if self.unknown else ""
            logger.warning("left out of the logs: %s%s", listed(self.skipped), named)
        asked = {text_id(key): question for key, question in self.asked.items()}
        grades = {
            query: {passage: _damped(question.weights[passage]) for passage in _heaviest_first(question.weights)}
            for query, question in asked.items()
        }
        importance = {query: _damped(question.weight()) for query, question in asked.items()}
        mean = sum(importance.values()) / len(importance)
        dataset = QADataset(
            queries={query: question.text() for query, question in asked.items()},
            corpus=self.passages,
            relevant_docs={query: list(row) for query, row in grades.items()},
            documents=documents,
            grades={query: row for query, row in grades.items() if set(row.values()) != {1.0}},
            origin={"how": "from a log of what people asked and took"},
        )
        return LoggedPairs(
            dataset=dataset,
            question_weights={query: value / mean for query, value in importance.items()},
            times={query: question.last for query, question in asked.items() if question.last},
            first_times={query: question.first for query, question in asked.items() if question.first},
            skipped=dict(self.skipped),
        )


def _damped(weight: float) -> float:
    """1 for a weight of 1, and one more each time that 1 + weight doubles."""
    return math.log1p(weight) / math.log(2)


def _heaviest_first(weights: dict[str, float]) -> list[str]:
    return sorted(weights, key=lambda passage: -weights[passage])
