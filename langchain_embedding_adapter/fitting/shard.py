"""What one rank of a fit holds: its part of the passages, and what the questions have to do with them.

Of the passages a rank reads its own rows alone. Questions are streamed in blocks, which are the same on every rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.problem import QuestionWeights, as_tensor, pair_weights
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.losses import log_softmax_by_row
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit
from langchain_embedding_adapter.vectors.spool import release

LEAST, LEAST_ON_GPU = 64, 1024
"""A block has at least so many questions, for products worth their name and few waits for the other ranks; the scores
of so few take less room than a shard of vectors does, or little more."""
READ = 2**13
"""Passages that are read at a time; after so many questions the memory that mapped ones take is given back."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """Marked places in the matrix of questions and passages, by question.

    Attributes:
        rows: ``(marks,)``, the question of each, ascending.
        columns: ``(marks,)``, the passage of each, counted within its shard.
        values: ``(marks,)``, what is there.
    """

    rows: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, rows: Indices, columns: Indices, values: NDArray[np.float32], device: str) -> Marks:
        """Marks from arrays, on a device."""
        return cls(*(torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in (rows, columns, values)))

    @classmethod
    def within(
        cls, passages: range, rows: Indices, columns: Indices, values: NDArray[np.float32], device: str
    ) -> Marks:
        """Those of the passages of a shard, counted from its first."""
        own = (columns >= passages.start) & (columns < passages.stop)
        return cls.of(rows[own], columns[own] - passages.start, values[own], device)

    def none(self) -> Marks:
        """No marks, on the same device."""
        return Marks(self.rows[:0], self.columns[:0], self.values[:0])

    def split(self, edges: Tensor) -> Iterator[Marks]:
        """The marks of the questions from each edge to the next, counted from that edge."""
        places = torch.searchsorted(self.rows, edges).tolist()
        for first, (start, stop) in zip(edges.tolist(), pairwise(places), strict=False):
            yield Marks(self.rows[start:stop] - first, self.columns[start:stop], self.values[start:stop])


@dataclass(frozen=True)
class Block:
    """Some questions, and what they have to do with the passages of a shard.

    Attributes:
        queries: ``(block, in)``, of unit length; the last entry is one where the map has a bias.
        right: The pairs, their weights.
        masked: What is no negative though it is no positive.
        listed: What a teacher has scored: the logarithm of its belief.
        importance: ``(block,)``, how much each question counts.
    """

    queries: Tensor
    right: Marks
    masked: Marks
    listed: Marks
    importance: Tensor


@dataclass(frozen=True)
class Shard:
    """A rank's part of the passages, and the marks in it.

    Attributes:
        queries: ``(questions, in)``, as the base gave them; read block by block.
        passages: ``(own, out)``, of unit length, or for the inner product of length one on average over all.
        right: The pairs, their weights; over all shards they sum to the number of questions.
        masked: What is no negative though it is no positive.
        listed: What a teacher has scored.
        importance: ``(questions,)``, how much each counts.
        block: Questions of a block.
        bias: Whether the questions have a last entry of one.
        teacher_share: How much of the loss is the teacher's, 0 without one.
    """

    queries: Floats
    passages: Tensor
    right: Marks
    masked: Marks
    listed: Marks
    importance: Tensor
    block: int
    bias: bool
    teacher_share: float

    def blocks(self) -> Iterator[Block]:
        """The questions, some at a time."""
        count, device = len(self.queries), self.passages.device
        edges = torch.tensor([*range(0, count, self.block), count], device=device)
        marks = zip(self.right.split(edges), self.masked.split(edges), self.listed.split(edges), strict=True)
        for start, (right, masked, listed) in zip(range(0, count, self.block), marks, strict=True):
            part = slice(start, start + self.block)
            queries = self.questions(part)
            if self.bias:
                queries = torch.cat([queries, queries.new_ones(len(queries), 1)], dim=1)
            yield Block(queries, right, masked, listed, self.importance[part])
            if start // READ != part.stop // READ:
                release(self.queries)

    def questions(self, part: slice) -> Tensor:
        """Some questions, at unit length, without a last entry."""
        return as_tensor(unit(self.queries[part])).to(self.passages.device)


@dataclass(frozen=True)
class Pairs:
    """The pairs of all questions, and which passages are negatives: what a fit is about, without the vectors.

    Attributes:
        passages: ``(passages,)``, the rows of those that take part, ascending; ``None`` is all of them.
        count: How many those are.
        rows: ``(pairs,)``, the question of each pair, ascending.
        columns: ``(pairs,)``, the passage of each pair, counted among those that take part.
        weights: ``(pairs,)``.
    """

    passages: Indices | None
    count: int
    rows: Indices
    columns: Indices
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: PairVectors, config: TrainingConfig, question_weights: QuestionWeights | None) -> Pairs:
        """Those of all the questions; the settings say which passages take part."""
        columns, passages = vectors.relevant.flat.astype(np.int64), None
        if config.negatives == "asked":
            passages, columns = np.unique(columns, return_inverse=True)
        count = len(vectors.passages) if passages is None else len(passages)
        return cls(passages, count, vectors.pair_rows, columns, pair_weights(vectors, question_weights or {}))

    def share(self, ranks: Ranks) -> list[range]:
        """The passages of each rank: neighbours, as many as of any other or one less.

        >>> none = np.zeros(0, np.int64)
        >>> Pairs(None, 5, none, none, none.astype(np.float32)).share(Ranks(count=2))
        [range(0, 3), range(3, 5)]

        Raises:
            ValueError: If there is not one for each.
        """
        if self.count < ranks.count:
            raise ValueError(
                f"expected a passage for each rank, got {self.count} for {ranks.count} ranks; start fewer of them"
            )
        sizes = [self.count // ranks.count + (rank < self.count % ranks.count) for rank in range(ranks.count)]
        ends = np.cumsum([0, *sizes]).tolist()
        return [range(start, stop) for start, stop in pairwise(ends)]


def read_passages(vectors: PairVectors, pairs: Pairs, own: range, ranks: Ranks) -> Tensor:
    """``(own, out)``: the vectors of a shard's passages and none of the others', as :attr:`PairVectors.targets`."""
    found = torch.empty(len(own), vectors.passages.shape[1], device=ranks.device)
    lengths = 0.0
    for start in range(own.start, own.stop, READ):
        part = slice(start, min(start + READ, own.stop))
        block = vectors.passages[part if pairs.passages is None else pairs.passages[part]]
        if vectors.metric == "dot":
            lengths += float(np.linalg.norm(block, axis=1).sum(dtype=np.float64))
        else:
            block = unit(block)
        place = slice(part.start - own.start, part.stop - own.start)
        found[place] = torch.from_numpy(np.array(block, dtype=np.float32))
        release(vectors.passages)
    length = ranks.total(lengths) / pairs.count if vectors.metric == "dot" else 1.0
    for some in found.split(READ):  # as `as_tensor` does, without holding them twice
        some.copy_(torch.nn.functional.hardshrink(some / (length or 1.0), 1e-15))
    return found


def shard_of(vectors: PairVectors, pairs: Pairs, config: TrainingConfig, ranks: Ranks, *, bias: bool = False) -> Shard:
    """This rank's part of a fit, nothing masked yet.

    Args:
        vectors: All questions and passages, mapped from files where they are many.
        pairs: Of all questions.
        config: How large a block is, how much a teacher counts.
        ranks: All that take part.
        bias: Whether the map has one.

    Raises:
        ValueError: If there are fewer passages than ranks.
    """
    shares = pairs.share(ranks)
    own, count = shares[ranks.rank], len(vectors.queries)
    right = Marks.within(own, pairs.rows, pairs.columns, pairs.weights, ranks.device)
    importance = np.bincount(pairs.rows, pairs.weights, minlength=count).astype(np.float32)
    taught = bool(config.teacher_share and vectors.listed)
    nothing = right.none()
    return Shard(
        queries=vectors.queries,
        passages=read_passages(vectors, pairs, own, ranks),
        right=right,
        masked=nothing,
        listed=_listed(vectors, pairs, own, ranks.device) if taught else nothing,
        importance=torch.from_numpy(importance).to(ranks.device),
        block=max(LEAST_ON_GPU if ranks.device.startswith("cuda") else LEAST, config.block_entries // len(shares[0])),
        bias=bias,
        teacher_share=config.teacher_share if taught else 0.0,
    )


def _listed(vectors: PairVectors, pairs: Pairs, own: range, device: str) -> Marks:
    """What a teacher thinks of a shard's passages, each question's belief being one over all that take part."""
    rows, columns, opinions = vectors.listed.rows, vectors.listed.flat.astype(np.int64), vectors.opinions.flat
    if pairs.passages is not None:
        kept = np.isin(columns, pairs.passages)
        rows, columns, opinions = rows[kept], np.searchsorted(pairs.passages, columns[kept]), opinions[kept]
    scores = torch.from_numpy(opinions.astype(np.float32))
    beliefs = log_softmax_by_row(scores, torch.from_numpy(rows), len(vectors.queries)).numpy()
    return Marks.within(own, rows, columns, beliefs, device)
