"""What every solver minimises: questions, passages and pairs as tensors, and the loss of adapted query vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.products import inner
from langchain_embedding_adapter.losses import (
    listwise_kl,
    listwise_kl_and_gradient,
    loss_and_gradient,
    margin,
    margin_mse,
    multi_positive_softmax,
)
from langchain_embedding_adapter.stores import Metric
from langchain_embedding_adapter.vectors import NO_ROWS, NO_SCORES, Floats, PairVectors, unit

QuestionWeights = Mapping[str, float]
"""How much questions count, by id; 1 where one is not named."""
MOST_QUESTIONS = 16_384
"""Of a block: torch sums up more numbers in parts, one a thread."""


@dataclass(frozen=True)
class Problem:
    """Questions, the passages they compete for, and which pairs are right.

    Attributes:
        queries: ``(questions, in)``, of unit length.
        passages: ``(passages, out)``, of unit length: the positives and negatives.
        rows: ``(pairs,)``, the question of each pair, ascending.
        columns: ``(pairs,)``, the passage of each pair.
        weights: ``(pairs,)``. Over all pairs they sum to the number of questions.
        masked_rows: ``(masked,)``, the question of each passage that is no negative of it though it is no positive
            either: near-duplicates of a positive and, where asked for, likely positives that nobody labelled.
        masked_columns: ``(masked,)``, that passage.
        listed_rows: ``(listed,)``, the question of each passage that a teacher has scored; nothing without a teacher.
        listed_columns: ``(listed,)``, that passage.
        opinions: ``(listed,)``, the teacher's scores.
        teacher_share: How much of the loss is the teacher's, 0 without one.
    """

    queries: Tensor
    passages: Tensor
    rows: Tensor
    columns: Tensor
    weights: Tensor
    masked_rows: Tensor
    masked_columns: Tensor
    listed_rows: Tensor
    listed_columns: Tensor
    opinions: Tensor
    teacher_share: float

    @classmethod
    def of(
        cls,
        vectors: PairVectors,
        config: TrainingConfig,
        *,
        device: str = "cpu",
        question_weights: QuestionWeights | None = None,
    ) -> Problem:
        """The problem of these questions; the settings say which passages are negatives."""
        if config.negatives == "asked":
            vectors = vectors.asked_about()
        queries, passages = (as_tensor(part).to(device) for part in (unit(vectors.queries), vectors.targets))
        rows = torch.from_numpy(vectors.pair_rows).to(device)
        columns = torch.from_numpy(vectors.relevant.flat.astype(np.int64)).to(device)
        listed, opinions = (vectors.listed, vectors.opinions) if config.teacher_share else (NO_ROWS, NO_SCORES)
        masked_rows, masked_columns = no_negatives(queries, passages, rows, columns, config, vectors.metric)
        return cls(
            queries=queries,
            passages=passages,
            rows=rows,
            columns=columns,
            weights=torch.from_numpy(pair_weights(vectors, question_weights or {})).to(device),
            masked_rows=masked_rows,
            masked_columns=masked_columns,
            listed_rows=torch.from_numpy(listed.rows).to(device),
            listed_columns=torch.from_numpy(listed.flat.astype(np.int64)).to(device),
            opinions=torch.from_numpy(opinions.flat.astype(np.float32)).to(device),
            teacher_share=config.teacher_share if listed else 0.0,
        )

    def take(self, questions: Tensor) -> Problem:
        """Some of the questions, in the order given."""
        place = torch.full((len(self.queries),), -1, dtype=torch.long, device=self.rows.device)
        place[questions] = torch.arange(len(questions), device=self.rows.device)
        kept, masked, listed = (place[rows] >= 0 for rows in (self.rows, self.masked_rows, self.listed_rows))
        return replace(
            self,
            queries=self.queries[questions],
            rows=place[self.rows][kept],
            columns=self.columns[kept],
            weights=self.weights[kept],
            masked_rows=place[self.masked_rows][masked],
            masked_columns=self.masked_columns[masked],
            listed_rows=place[self.listed_rows][listed],
            listed_columns=self.listed_columns[listed],
            opinions=self.opinions[listed],
        )

    def blocks(self, parts: int, entries: int) -> list[Problem]:
        """The questions in so many blocks, or more, whose scores are at most ``entries`` numbers (or one question)."""
        size = max(1, min(-(-len(self.queries) // parts), entries // len(self.passages), MOST_QUESTIONS))
        if size >= len(self.queries):
            return [self]
        questions = torch.arange(len(self.queries), device=self.rows.device)
        return [self.take(block) for block in questions.split(size)]

    def loss(self, scores: Tensor, config: TrainingConfig) -> Tensor:
        """Sum over the questions of their loss, given ``(questions, passages)`` scaled scores."""
        competing = scores
        if len(self.masked_rows):
            competing = scores.index_put((self.masked_rows, self.masked_columns), scores.new_tensor(-torch.inf))
        by_labels = margin if config.loss == "margin" else multi_positive_softmax
        loss = by_labels(competing, self.rows, self.columns, self.weights)
        return loss if not self.teacher_share else self._shared(loss, self._distance(scores, config.teacher_loss))

    def loss_and_gradient(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The convex loss and its gradient with respect to the scores, which are overwritten."""
        distance = scores.new_zeros(())
        if self.teacher_share:
            own = scores[self.listed_rows, self.listed_columns]
            distance, pull = listwise_kl_and_gradient(own, self.listed_rows, self.opinions, self._importance)
        if len(self.masked_rows):
            scores[self.masked_rows, self.masked_columns] = -torch.inf
        loss, gradient = loss_and_gradient(scores, self.rows, self.columns, self.weights)
        if self.teacher_share:
            gradient *= 1 - self.teacher_share
            gradient[self.listed_rows, self.listed_columns] += self.teacher_share * pull
        return self._shared(loss, distance), gradient

    def _shared(self, by_labels: Tensor, by_teacher: Tensor) -> Tensor:
        return (1 - self.teacher_share) * by_labels + self.teacher_share * by_teacher

    def _distance(self, scores: Tensor, loss: str) -> Tensor:
        """How far the scores are from the teacher's."""
        own = scores[self.listed_rows, self.listed_columns]
        if loss == "listwise-kl":
            return listwise_kl(own, self.listed_rows, self.opinions, self._importance)
        width = len(self.passages)
        answers = torch.isin(self.listed_rows * width + self.listed_columns, self.rows * width + self.columns)
        return margin_mse(own, self.listed_rows, self.opinions, self._importance, answers)

    @property
    def _importance(self) -> Tensor:
        """``(questions,)``, how much each counts."""
        return self.weights.new_zeros(len(self.queries)).index_add_(0, self.rows, self.weights)


def as_tensor(vectors: Floats) -> Tensor:
    """A tensor of the vectors, entries that cannot matter (below 1e-15) set to zero.

    Their products would be denormal numbers, which processors multiply several times slower.
    """
    return torch.hardshrink(torch.from_numpy(vectors), 1e-15)


def pair_weights(vectors: PairVectors, question_weights: QuestionWeights) -> NDArray[np.float32]:
    """Grades as shares of their question, times the question's weight, which is 1 on average."""
    importance = np.ones(len(vectors.query_ids))
    if question_weights:
        importance = np.array([question_weights.get(query, 1.0) for query in vectors.query_ids])
    if not (importance >= 0).all() or not importance.sum() > 0:
        raise ValueError("question weights must be 0 or above, and not all of them 0")
    importance = importance / importance.mean()
    weights: NDArray[np.float64] = importance[vectors.pair_rows] * vectors.shares
    return weights.astype(np.float32)


def no_negatives(
    queries: Tensor, passages: Tensor, rows: Tensor, columns: Tensor, config: TrainingConfig, metric: Metric
) -> tuple[Tensor, Tensor]:
    """Question and passage of every entry to leave out of the negatives, without the positives themselves."""
    found: list[Tensor] = []
    size = max(1, config.block_entries // len(passages))
    if config.duplicates_above is not None:
        asked, place = columns.unique(return_inverse=True)
        directions = passages if metric != "dot" else torch.nn.functional.normalize(passages)
        by_passage = torch.argsort(place, stable=True)
        starts = torch.searchsorted(place[by_passage], torch.arange(len(asked) + 1, device=place.device))
        for block in torch.arange(len(asked), device=place.device).split(size):
            alike = inner(directions[asked[block]], directions) >= config.duplicates_above
            alike[torch.arange(len(block), device=place.device), asked[block]] = False
            for passage, twin in zip(*(part.tolist() for part in alike.nonzero(as_tuple=True)), strict=True):
                first = int(block[0]) + passage
                pairs = by_passage[starts[first] : starts[first + 1]]
                found.append(torch.stack([rows[pairs], torch.full_like(rows[pairs], twin)]))
    if config.false_negatives_above is not None:
        best = torch.full((len(queries),), -torch.inf, device=queries.device)
        best = best.scatter_reduce(0, rows, (queries[rows] * passages[columns]).sum(dim=1), "amax")
        for block in torch.arange(len(queries), device=rows.device).split(size):
            limit = config.false_negatives_above * best[block].clamp(min=0)
            near = (inner(queries[block], passages) > limit[:, None]) & (best[block] > 0)[:, None]
            row, column = near.nonzero(as_tuple=True)
            found.append(torch.stack([block[row], column]))
    if not found:
        return rows[:0], columns[:0]
    entries = torch.cat(found, dim=1)
    keys = (entries[0] * len(passages) + entries[1]).unique()
    keys = keys[~torch.isin(keys, rows * len(passages) + columns)]
    return keys // len(passages), keys % len(passages)
