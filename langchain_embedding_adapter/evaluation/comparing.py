"""Two adapters on the same questions: the base, each of them, and the difference between them with its significance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.evaluation.evaluate import evaluate_retrieval
from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.models import model_name
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.tables import aligned, format_p_value, start_of
from langchain_embedding_adapter.vector_cache import VectorCache, cache_of
from langchain_embedding_adapter.vectors import Floats, embed_dataset, unit

KS = (5, 10)


@dataclass(frozen=True)
class Difference:
    """A question that two adapters answer differently.

    Attributes:
        question: Its text.
        passage: The text of a passage that answers it.
        ranks: Of the first passage that answers: with the base of the first adapter, with that adapter, and with the
            second one.
        change: What the first adapter scores more than the second, by the metric that was asked for.
    """

    question: str
    passage: str
    ranks: tuple[int, int, int]
    change: float


@dataclass(frozen=True)
class Comparison:
    """Two adapters on the same questions.

    Attributes:
        names: What the two are called.
        first: The base and the first adapter.
        second: The base and the second adapter.
        metric: What the questions are sorted by.
        differences: The questions that differ most, the first adapter's gains before its losses.
        one_base: Whether both stand on the same base model.
    """

    names: tuple[str, str]
    first: RetrievalReport
    second: RetrievalReport
    metric: str
    differences: tuple[Difference, ...]
    one_base: bool = True

    @property
    def between(self) -> RetrievalReport:
        """The first adapter against the second, which stands in the place of a base."""
        return RetrievalReport(
            query_ids=self.first.query_ids,
            passages=self.first.passages,
            base_scores=self.second.adapted_scores or self.second.base_scores,
            adapted_scores=self.first.adapted_scores or self.first.base_scores,
        )

    @property
    def verdict(self) -> str:
        """One sentence: which of the two is ahead, and whether that may be chance."""
        row = self.between[self.metric]
        gain, p_value = row.gain or 0.0, row.p_value or 0.0
        figures = f"{label(self.metric)} {gain:+.3f}, p {format_p_value(p_value)}"
        if not row.better and not row.worse:
            return f"Both answer every one of {len(self.first.query_ids)} questions alike."
        ahead, behind = self.names if gain > 0 else self.names[::-1]
        if p_value >= 0.05:
            return f"No clear difference between {self.names[0]} and {self.names[1]} ({figures}): it may be chance."
        return f"{ahead} is ahead of {behind} ({figures})."

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "names": list(self.names),
            "verdict": self.verdict,
            "first": self.first.to_dict(),
            "second": self.second.to_dict(),
            "difference": self.between.to_dict()["metrics"],
            "metric": self.metric,
            "questions": [asdict(each) for each in self.differences],
        }

    def __str__(self) -> str:
        one, two = self.names
        bases = ["base"] if self.one_base else [f"base of {one}", f"base of {two}"]
        header = ["metric", *bases, one, two, "difference", "p", "better", "same", "worse"]
        rows = []
        for row in self.between.rows:
            first, second = self.first[row.metric], self.second[row.metric]
            rows.append(
                [
                    label(row.metric),
                    *(f"{side.base:.3f}" for side in (first, second)[: len(bases)]),
                    f"{row.adapted:.3f}",
                    f"{row.base:.3f}",
                    f"{row.gain:+.3f}",
                    format_p_value(1.0 if row.p_value is None else row.p_value),
                    *(str(count) for count in (row.better, row.same, row.worse)),
                ]
            )
        asked = f"{len(self.first.query_ids)} questions, {self.first.passages} passages; difference: {one} − {two}"
        parts = [self.verdict, asked, aligned(header, rows)]
        if self.differences:
            parts += [f"Ranks of the right passage where {label(self.metric)} differs most:", self._questions()]
        return "\n\n".join(parts)

    def _questions(self) -> str:
        rows = [
            [*(f"{rank}" for rank in each.ranks), f"{each.change:+.3f}", start_of(each.question, 60)]
            for each in self.differences
        ]
        return aligned(["base", *self.names, "change", "question"], rows)


def compare_adapters(
    first: AdaptedEmbeddings,
    second: AdaptedEmbeddings,
    dataset: QADataset,
    *,
    names: tuple[str, str] = ("A", "B"),
    metric: str = "ndcg@10",
    most: int = 10,
    cache: VectorCache | None = None,
    show_progress: bool | None = None,
) -> Comparison:
    """Ask two adapters, each on its own base, the same questions.

    Args:
        first: The one.
        second: The other; where its base model is the same, nothing is embedded a second time.
        dataset: Questions that neither training has seen.
        names: What the two are called.
        metric: What the questions that differ most are sorted by.
        most: How many of them to show.
        cache: Where vectors are looked up and kept.
        show_progress: Progress bars; by default where standard error is a terminal.

    Raises:
        ValueError: If the dataset has no question, or the metric is none that is counted.
    """
    cache = VectorCache() if cache is None else cache
    ks = tuple(sorted({*KS, *(int(k) for k in [metric.partition("@")[2]] if k.isdecimal() and int(k))}))
    reports = [
        evaluate_retrieval(each, dataset, ks=ks, cache=cache, show_progress=show_progress) for each in (first, second)
    ]
    if metric not in reports[0].base_scores:
        raise ValueError(f"unknown metric {metric!r}; expected one of {', '.join(reports[0].base_scores)}")
    one_base = first.embeddings is second.embeddings or model_name(first.embeddings) == model_name(second.embeddings)
    comparison = Comparison(names, reports[0], reports[1], metric, (), one_base)
    between = comparison.between
    changes = (between.adapted_scores or {})[metric] - between.base_scores[metric]
    order = np.argsort(-np.abs(changes), kind="stable")
    rows = [row for row in order[:most].tolist() if abs(changes[row]) > 1e-12]
    rows.sort(key=lambda row: -changes[row])
    asked = [between.query_ids[row] for row in rows]
    differences = _differences(dataset, asked, changes[rows], first, second, cache) if asked else ()
    return Comparison(names, reports[0], reports[1], metric, differences, one_base)


def _differences(
    dataset: QADataset,
    asked: Sequence[str],
    changes: NDArray[np.float64],
    first: AdaptedEmbeddings,
    second: AdaptedEmbeddings,
    cache: VectorCache,
) -> tuple[Difference, ...]:
    few = dataset.subset(asked)
    ranks = []
    for embeddings, ways in ((first, (None, first)), (second, (second,))):
        ranks += [_first_ranks(few, asked, embeddings, way, cache) for way in ways]
    return tuple(
        Difference(
            question=dataset.queries[query],
            passage=dataset.corpus[dataset.relevant_docs[query][0]],
            ranks=(ranks[0][row], ranks[1][row], ranks[2][row]),
            change=float(changes[row]),
        )
        for row, query in enumerate(asked)
    )


def _first_ranks(
    dataset: QADataset,
    asked: Sequence[str],
    embeddings: AdaptedEmbeddings,
    way: AdaptedEmbeddings | None,
    cache: VectorCache,
) -> list[int]:
    """From 1, where each question finds the first passage that answers it."""
    index = embeddings.document_embeddings
    asking = index if way is None else embeddings.embeddings
    kept = cache if way is not None else cache_of(index, cache, embeddings.embeddings)
    vectors = embed_dataset(asking, dataset, document_embeddings=index, cache=kept, show_progress=False)
    queries: Floats = vectors.queries if way is None else way.adapt(vectors.queries)
    scores = unit(queries) @ unit(vectors.passages).T
    places: Mapping[str, int] = {query: row for row, query in enumerate(vectors.query_ids)}
    found = []
    for query in asked:
        row = places[query]
        best = scores[row, vectors.relevant[row]].max()
        found.append(1 + int((scores[row] > best).sum()))
    return found
