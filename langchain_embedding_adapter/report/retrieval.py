"""Retrieval quality as a report: a figure for each question, base against adapted, means and significance."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import write_atomically, write_json
from langchain_embedding_adapter.calibration import ScoreShift
from langchain_embedding_adapter.report.details import Details
from langchain_embedding_adapter.tables import comparison

RESAMPLES = 9_999
MANY = 100
"""From so many differences on the sum of their random signs is as good as normal."""

Scores = dict[str, NDArray[np.float64]]
"""For each metric key a figure for each question."""


@dataclass(frozen=True)
class MetricRow:
    """One metric, base against adapted.

    Attributes:
        metric: Its key, ``"ndcg@10"``.
        base: Mean over the questions with the base embeddings.
        adapted: Mean with the adapter; ``None`` where only the base was evaluated, as all that follows.
        gain: ``adapted - base``.
        p_value: Two-sided paired randomisation test of the gain.
        better: Questions that the adapter answers better.
        same: Questions that it answers as well.
        worse: Questions that it answers worse.
    """

    metric: str
    base: float
    adapted: float | None = None
    gain: float | None = None
    p_value: float | None = None
    better: int | None = None
    same: int | None = None
    worse: int | None = None


@dataclass(frozen=True, repr=False)
class RetrievalReport:
    """Retrieval quality on a dataset, with the base embeddings and, where there is an adapter, with it.

    Printed, it is an aligned Markdown table; a notebook renders the same table.

    Attributes:
        query_ids: The questions, in the order of the scores.
        passages: How many passages were ranked.
        base_scores: For each metric key a figure for each question, ``(questions,)``.
        adapted_scores: The same with the adapter; ``None`` where only the base was evaluated.
        best_scores: The score of each question's best hit, as a cosine, with the base and with the adapter:
            ``(2, questions)``; ``None`` where that is not known.
        details: The questions' texts, what they found and how the adapter was trained, for the page; ``None`` where
            that is not known. They hold on to the vectors: ``replace(report, details=None)`` lets go of them.
    """

    query_ids: Sequence[str]
    passages: int
    base_scores: Scores
    adapted_scores: Scores | None = None
    best_scores: NDArray[np.float64] | None = None
    details: Details | None = field(default=None, compare=False)

    @property
    def shift(self) -> ScoreShift | None:
        """How far the scores of the best hits moved: what it means for a threshold."""
        return None if self.best_scores is None else ScoreShift.of(*self.best_scores)

    @property
    def rows(self) -> tuple[MetricRow, ...]:
        """Every metric's means, gain and significance."""
        return tuple(self[metric] for metric in self.base_scores)

    def __getitem__(self, metric: str) -> MetricRow:
        """The row of one metric, by key: ``report["ndcg@10"].gain``."""
        if metric not in self.base_scores:
            raise KeyError(f"no metric {metric!r} in this report; it has {', '.join(self.base_scores)}")
        if metric not in self._rows:
            self._rows[metric] = self._row(metric)
        return self._rows[metric]

    def subset(self, queries: Collection[str]) -> RetrievalReport:
        """The report on some of the questions, by id: those on unseen topics, say.

        Raises:
            ValueError: If none of the ids is in the report.
        """
        wanted = set(queries)
        kept = np.array([row for row, query in enumerate(self.query_ids) if query in wanted], dtype=np.intp)
        if not len(kept):
            raise ValueError("none of these questions is in the report")
        return RetrievalReport(
            query_ids=tuple(self.query_ids[row] for row in kept),
            passages=self.passages,
            base_scores={metric: scores[kept] for metric, scores in self.base_scores.items()},
            adapted_scores=self.adapted_scores
            and {metric: scores[kept] for metric, scores in self.adapted_scores.items()},
            best_scores=None if self.best_scores is None else self.best_scores[:, kept],
            details=self.details,
        )

    def to_dict(self) -> dict[str, Any]:
        """Counts and rows, as JSON can hold them."""
        return {
            "questions": len(self.query_ids),
            "passages": self.passages,
            "metrics": [asdict(row) for row in self.rows],
            "score_shift": None
            if self.shift is None
            else {"base": list(self.shift.base), "adapted": list(self.shift.adapted)},
        }

    def to_markdown(self) -> str:
        """The table in Markdown, with a line that says over what, and one that says how far scores moved."""
        table = comparison([asdict(row) for row in self.rows])
        lines = [f"{len(self.query_ids)} questions, {self.passages} passages", table]
        return "\n\n".join(lines + [str(self.shift)] * (self.shift is not None))

    def to_html(self) -> str:
        """The page that :meth:`save` writes to an ``.html`` file.

        Raises:
            ImportError: If jinja2 is not installed (the extra ``report``).
        """
        require_extra("jinja2", "report")
        from langchain_embedding_adapter.report.of_report import page_of
        from langchain_embedding_adapter.report.page import render

        return render(page_of(self))

    def save(self, path: str | Path) -> None:
        """Write the report: ``.json`` for :meth:`to_dict`, ``.md`` for the table, ``.html`` for a page to judge by.

        The page is one file that asks for nothing from elsewhere: verdict and uncertainty, where the adapter helps,
        every question with what it found, and how the adapter was trained, as far as the report knows.

        Raises:
            ValueError: If the path ends in none of these.
            ImportError: If jinja2 is not installed, for a page (the extra ``report``).
        """
        path = Path(path)
        if path.suffix == ".json":
            write_json(path, self.to_dict())
        elif path.suffix == ".md":
            write_atomically(path, self.to_markdown() + "\n")
        elif path.suffix in (".html", ".htm"):
            write_atomically(path, self.to_html())
        else:
            raise ValueError(f"expected a path that ends in .json, .md or .html, got {path}")

    def __str__(self) -> str:
        return self.to_markdown()

    __repr__ = __str__  # the table says more than the arrays behind it, at a prompt too

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    @cached_property
    def _rows(self) -> dict[str, MetricRow]:
        """Rows that were asked for: their tests take time."""
        return {}

    @cached_property
    def _tests(self) -> dict[bytes, float]:
        """P-values by differences, as metrics often differ alike: with one right passage hit rate is recall."""
        return {}

    def _row(self, metric: str) -> MetricRow:
        base = self.base_scores[metric]
        if self.adapted_scores is None:
            return MetricRow(metric, float(base.mean()))
        adapted = self.adapted_scores[metric]
        difference = adapted - base
        key = difference.tobytes()
        if key not in self._tests:
            self._tests[key] = randomisation_test(difference)
        better, worse = int((difference > 1e-12).sum()), int((difference < -1e-12).sum())
        return MetricRow(
            metric=metric,
            base=float(base.mean()),
            adapted=float(adapted.mean()),
            gain=float(difference.mean()),
            p_value=self._tests[key],
            better=better,
            same=len(difference) - better - worse,
            worse=worse,
        )


def randomisation_test(differences: NDArray[np.float64]) -> float:
    """Two-sided p-value of a mean difference: how often random signs give one as large (Fisher's randomisation).

    Exact where few enough questions differ, else from random samples of the signs with a fixed seed, and where many
    differ from the normal distribution that these sums then have.

    >>> randomisation_test(np.zeros(5))
    1.0
    """
    differing = differences[np.abs(differences) > 1e-12]
    if not len(differing):
        return 1.0
    if len(differing) == 1:
        return 1.0  # either sign is as likely, and both are as large
    require_extra("scipy", "train")
    from scipy.stats import norm, permutation_test

    if len(differing) > MANY:
        return float(2 * norm.sf(abs(differing.sum()) / np.linalg.norm(differing)))
    test = permutation_test(
        (differing,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, 2**22 // len(differing)),
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)
