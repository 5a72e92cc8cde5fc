"""Base against adapted: the questions of a dataset are asked, and what comes back is counted.

The ranking is exact (cosine over every passage). It takes the adaptation as a callable on query vectors, so that the
trainer can examine an adapter before anything is wrapped around it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter._files import write_atomically, write_json
from langchain_embedding_adapter.metrics import compute_metrics, top_k
from langchain_embedding_adapter.pairs import QADataset
from langchain_embedding_adapter.tables import comparison
from langchain_embedding_adapter.vectors import Floats, PairVectors, VectorCache, embed_dataset, unit

logger = logging.getLogger(__name__)

DEFAULT_KS = (5, 10)
BLOCK = 512
RESAMPLES = 9_999
MANY = 100
"""From so many differences on the sum of their random signs is as good as normal."""

Scores = dict[str, NDArray[np.float64]]
Adapt = Callable[[Floats], Floats]


@runtime_checkable
class SupportsAdapt(Protocol):
    """What makes embeddings adapted: the base they wrap, and the map of its query vectors."""

    embeddings: Embeddings

    def adapt(self, queries: Floats) -> Floats:
        """Map query vectors ``(n, in_features)`` to ``(n, out_features)``."""


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
    """

    query_ids: tuple[str, ...]
    passages: int
    base_scores: Scores
    adapted_scores: Scores | None = None

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
        )

    def to_dict(self) -> dict[str, Any]:
        """Counts and rows, as JSON can hold them."""
        return {
            "questions": len(self.query_ids),
            "passages": self.passages,
            "metrics": [asdict(row) for row in self.rows],
        }

    def to_markdown(self) -> str:
        """The table in Markdown, with a line that says over what."""
        return f"{len(self.query_ids)} questions, {self.passages} passages\n\n{comparison(self.to_dict()['metrics'])}"

    def save(self, path: str | Path) -> None:
        """Write the report: ``.json`` for :meth:`to_dict`, ``.md`` for the table.

        Raises:
            ValueError: If the path ends in neither.
        """
        path = Path(path)
        if path.suffix == ".json":
            write_json(path, self.to_dict())
        elif path.suffix == ".md":
            write_atomically(path, self.to_markdown() + "\n")
        else:
            raise ValueError(f"expected a path that ends in .json or .md, got {path}")

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


def evaluate_retrieval(
    embeddings: Embeddings,
    dataset: QADataset,
    *,
    ks: Sequence[int] = DEFAULT_KS,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> RetrievalReport:
    """Rank a dataset's passages for each of its questions and count what comes back.

    Args:
        embeddings: Any LangChain embeddings. With ``AdaptedEmbeddings`` the report sets base against adapted; each
            text is embedded once, by the base.
        dataset: Questions that training has not seen.
        ks: The cut-offs.
        cache: Where vectors are looked up and kept.
        show_progress: Progress bars; by default where standard error is a terminal.

    Returns:
        Hit rate, recall, MRR, nDCG and MAP at each cut-off; base against adapted with a paired randomisation test.

    Raises:
        ValueError: If the dataset has no question, or query and passage vectors differ in length.
    """
    if dataset.pseudo_styles:
        logger.warning(
            "%d of these questions are pseudo-questions: a gain on them is no gain", len(dataset.pseudo_styles)
        )
    if isinstance(embeddings, SupportsAdapt):
        vectors = embed_dataset(embeddings.embeddings, dataset, cache=cache, show_progress=show_progress)
        return compare(vectors, embeddings.adapt, ks)
    return compare(embed_dataset(embeddings, dataset, cache=cache, show_progress=show_progress), None, ks)


def compare(vectors: PairVectors, adapt: Adapt | None, ks: Sequence[int] = DEFAULT_KS) -> RetrievalReport:
    """The report on vectors that are at hand; ``adapt`` maps query vectors ``(n, in)`` to ``(n, out)``."""
    if not len(vectors.query_ids):
        raise ValueError("there is no question to evaluate with")
    return RetrievalReport(
        query_ids=vectors.query_ids,
        passages=len(vectors.passage_ids),
        base_scores=retrieval_scores(vectors, vectors.queries, ks),
        adapted_scores=None if adapt is None else retrieval_scores(vectors, adapt(vectors.queries), ks),
    )


def retrieval_scores(vectors: PairVectors, queries: Floats, ks: Sequence[int]) -> Scores:
    """Every metric of every question when ``queries`` (``(questions, passage dimensions)``) rank the passages."""
    if queries.shape[1] != vectors.passages.shape[1]:
        raise ValueError(
            f"queries of {queries.shape[1]} dimensions cannot rank passages of {vectors.passages.shape[1]}"
        )
    return ranking_scores(vectors, nearest_passages(vectors, queries, max(ks)), ks)


def nearest_passages(vectors: PairVectors, queries: Floats, k: int) -> NDArray[np.intp]:
    """Rows of the ``k`` passages nearest to each of these query vectors, nearest first, ``(questions, k)``."""
    passages, queries = unit(vectors.passages), unit(queries)
    return np.concatenate([top_k(queries[at : at + BLOCK] @ passages.T, k) for at in range(0, len(queries), BLOCK)])


def ranking_scores(vectors: PairVectors, rankings: NDArray[np.intp], ks: Sequence[int]) -> Scores:
    """Every metric of every question when its passages come back in this order, ``(questions, depth)`` rows."""
    shape = len(rankings), max(ks)
    gains, ideal = np.zeros(shape), np.zeros(shape)
    for row, ranking in enumerate(rankings[:, : max(ks)]):
        grade = dict(zip(vectors.relevant[row].tolist(), vectors.grades[row].tolist(), strict=True))
        gains[row, : len(ranking)] = [grade.get(passage, 0.0) for passage in ranking.tolist()]
        best = np.sort(vectors.grades[row])[::-1][: max(ks)]
        ideal[row, : len(best)] = best
    return compute_metrics(gains, ideal, np.array([len(found) for found in vectors.relevant]), ks)


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
