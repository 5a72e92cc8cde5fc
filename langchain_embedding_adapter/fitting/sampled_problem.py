"""Many questions in blocks, each with what it competes with: the objective, streamed from memory or disk."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.convex import as_matrix
from langchain_embedding_adapter.fitting.devices import pick_device
from langchain_embedding_adapter.fitting.distributed import reduced
from langchain_embedding_adapter.fitting.lbfgs import Objective, entrywise
from langchain_embedding_adapter.fitting.pools import ROWS, Candidates, Indices, Pool
from langchain_embedding_adapter.fitting.problem import Problem, QuestionWeights, as_tensor, no_negatives, pair_weights
from langchain_embedding_adapter.fitting.products import inner, product
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.shelf import Shelf
from langchain_embedding_adapter.fitting.threads import SideBySide
from langchain_embedding_adapter.vectors import NO_ROWS, PairVectors, unit
from langchain_embedding_adapter.vectors.spool import Floats, Spool, release

QUESTIONS = 512
"""Of a block."""
PARTS = 16
"""Work is shared out in so many parts; the last bits of the result depend on it, and not on the number of threads."""


@dataclass(frozen=True)
class Block:
    """Some questions, what they compete for, and which pairs are right.

    Attributes:
        questions: Their rows, in the order of the blocks.
        pool: The passages.
        problem: The pairs, by rows of the block and of the pool, without the vectors.
    """

    questions: slice
    pool: Pool
    problem: Problem


class SampledProblem:
    """What all parts of the questions have in common: the candidates, the pairs and the weights."""

    def __init__(
        self,
        vectors: PairVectors,
        centre: LinearAdapter,
        config: TrainingConfig,
        question_weights: QuestionWeights | None,
    ) -> None:
        self.centre, self.config = centre, config
        self.device = pick_device(config.device, "cpu")
        self.weights = pair_weights(vectors, question_weights or {})
        self.importance = np.bincount(vectors.pair_rows, self.weights, len(vectors.relevant))
        self.counting = np.flatnonzero(self.importance > 0)
        rows = np.arange(len(vectors.passages))
        if config.negatives == "asked":
            rows = np.unique(vectors.relevant.flat)
            vectors = vectors.heard_about(rows)
        self.vectors = vectors
        inputs = vectors.queries.shape[1] + (centre.bias is not None)
        needed = 4 * (len(rows) * vectors.passages.shape[1] + len(self.counting) * inputs)
        self.in_memory = 2 * needed <= config.memory_bytes
        self.candidates = Candidates(vectors, rows, in_memory=self.in_memory, seed=config.seed)
        self.passages = Shelf(self.candidates.vectors, self.device)
        self.columns = self.candidates.places(vectors.relevant.flat)
        self.listed = self.candidates.places(vectors.listed.flat) if config.teacher_share else NO_ROWS.flat

    def level(self, questions: Indices, point: Tensor, ranks: Ranks) -> Level:
        """The problem of some of the questions, pools drawn by the map at ``point``."""
        matrix = as_matrix(self.centre, self.device) + point
        questions = questions[np.argsort(self._cells(questions, matrix), kind="stable")]
        shape = len(questions), matrix.shape[1]
        queries = Shelf(Spool.of(self._queries(questions), shape, in_memory=self.in_memory), self.device)
        starts = range(0, len(questions), QUESTIONS)
        with SideBySide() as pool:
            blocks = pool.map(
                lambda number: self._block(questions, queries, starts[number], matrix),
                range(ranks.rank, len(starts), ranks.count),
            )
        return Level(self, questions, queries, blocks, float(self.importance[questions].sum()))

    def _queries(self, questions: Indices) -> Iterator[Floats]:
        """Unit vectors of these questions, with a last entry of one where the map has a bias; some at a time."""
        for at in range(0, len(questions), ROWS):
            yield self._read(questions[at : at + ROWS])

    def _read(self, questions: Indices) -> Floats:
        block: Floats = as_tensor(unit(self.vectors.queries[questions])).numpy()
        release(self.vectors.queries)
        return block if self.centre.bias is None else np.pad(block, ((0, 0), (0, 1)), constant_values=1)

    def _cells(self, questions: Indices, matrix: Tensor) -> Indices:
        """The cell of candidates to which each question leads."""

        def cells(part: Indices) -> Indices:
            leads = inner(torch.from_numpy(self._read(part)).to(self.device), matrix)
            return self.candidates.nearest(leads.cpu())

        with SideBySide() as pool:
            parts = [questions[at : at + ROWS] for at in range(0, len(questions), ROWS)]
            return np.concatenate(pool.map(cells, parts))

    def _block(self, questions: Indices, queries: Shelf, start: int, matrix: Tensor) -> Block:
        """The block of the questions from ``start`` on, in the order given."""
        part = slice(start, min(start + QUESTIONS, len(questions)))
        pairs = self.vectors.relevant.places(questions[part])
        heard = self.vectors.listed.places(questions[part]) if len(self.listed) else NO_ROWS
        own = [self.columns[pairs.flat], self.listed[heard.flat]]
        certain = np.unique(np.concatenate(own))
        inputs = queries.read(part)
        seed = (self.config.seed, len(questions), start)
        settings = self.config.negatives_drawn, self.config.scale
        pool = self.candidates.draw(inner(inputs, matrix).cpu(), certain, *settings, seed)
        right, taught = (torch.from_numpy(np.searchsorted(certain, places)).to(self.device) for places in own)
        rows = torch.from_numpy(pairs.rows).to(self.device)
        passages = self.passages.read(pool.rows)
        unbiased = inputs[:, : self.vectors.queries.shape[1]]
        masked = no_negatives(unbiased, passages, rows, right, self.config, self.vectors.metric)
        problem = Problem(
            queries=inputs.new_zeros(0, inputs.shape[1]),  # no view, which would hold on to them all
            passages=passages.new_zeros(0, passages.shape[1]),
            rows=rows,
            columns=right,
            weights=torch.from_numpy(self.weights[pairs.flat]).to(self.device),
            masked_rows=masked[0],
            masked_columns=masked[1],
            listed_rows=torch.from_numpy(heard.rows).to(self.device),
            listed_columns=taught,
            opinions=torch.from_numpy(self.vectors.opinions.flat[heard.flat].astype(np.float32)).to(self.device),
            teacher_share=self.config.teacher_share if len(self.listed) else 0.0,
        )
        return Block(part, pool, problem)


@dataclass(frozen=True)
class Level:
    """A part of the questions in blocks.

    Attributes:
        common: What it has in common with the others.
        questions: Their rows among all questions, in the order of the blocks.
        queries: ``(questions, in)``, in the order of the blocks.
        blocks: This process's.
        count: How much its questions count together, those of other processes too.
    """

    common: SampledProblem
    questions: Indices
    queries: Shelf
    blocks: Sequence[Block]
    count: float

    def objective(self, losses: list[float], ranks: Ranks, ridge: float) -> Objective:
        """The loss and its gradient, over all processes; ``losses`` is told the value of every evaluation."""
        config, device = self.common.config, self.common.device
        centre = as_matrix(self.common.centre, device)
        parts = [self.blocks[part::PARTS] for part in range(min(PARTS, len(self.blocks)))]

        def of_part(blocks: Sequence[Block], matrix: Tensor) -> tuple[float, Tensor]:
            gradient = torch.zeros_like(matrix)
            losses = torch.stack([self._add(block, matrix, gradient) for block in blocks])
            return float(losses.cpu().double().sum()), gradient

        def mine(point: Tensor) -> tuple[float, Tensor]:
            with SideBySide() as pool:
                matrix = centre + point
                found = pool.map(lambda part: of_part(part, matrix), parts)
            nothing: tuple[float, Tensor] = 0.0, torch.zeros_like(point)
            return functools.reduce(lambda one, other: (one[0] + other[0], one[1].add_(other[1])), found, nothing)

        over_all = reduced(mine, ranks)

        def objective(point: Tensor) -> tuple[float, Tensor]:
            loss, gradient = over_all(point)
            losses.append(loss / self.count + ridge * entrywise(point, point))
            return losses[-1], gradient.mul_(config.scale / self.count).add_(point, alpha=2 * ridge)

        return objective

    def _add(self, block: Block, matrix: Tensor, gradient: Tensor) -> Tensor:
        """The loss of a block; its gradient is added to ``gradient``, ``(out, in)``."""
        queries, passages, scores = self.scored(block, matrix)
        problem = replace(block.problem, queries=queries, passages=passages)
        loss, of_scores = problem.loss_and_gradient(scores)
        moved = product(passages.T, of_scores, self.common.config.precision)  # (out, block)
        gradient.add_(inner(moved, queries.T))
        return loss

    def scored(self, block: Block, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A block's questions, the passages of its pool, and their scores with the logarithms of the weights."""
        config = self.common.config
        queries, passages = self.queries.read(block.questions), self.common.passages.read(block.pool.rows)
        log_weights = torch.from_numpy(block.pool.log_weights).to(passages.device)
        scores = product(inner(queries, matrix), passages, config.precision)
        return queries, passages, scores.mul_(config.scale).add_(log_weights)
