"""The linear map as a convex problem: one optimum, reached by L-BFGS without learning rate, epochs or seed."""

from __future__ import annotations

import copy
import functools
import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.devices import pick_device
from langchain_embedding_adapter.fitting.lbfgs import Curvature, Dot, Objective, descend
from langchain_embedding_adapter.fitting.map_space import MapSpace, dot
from langchain_embedding_adapter.fitting.problem import Problem, QuestionWeights
from langchain_embedding_adapter.fitting.products import inner
from langchain_embedding_adapter.fitting.threads import SideBySide
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

History = list[dict[str, float]]

SAMPLE = 2048
"""With more than twice as many questions, so many are fitted first: most of the way, at a small part of the cost."""
PARTS = 4
"""In so many parts threads share out an evaluation; more cost more than they save."""
LEAST_RIDGE = 1e-3
"""Convergence is judged as if the ridge were no smaller."""


def fit_linear_exactly(
    vectors: PairVectors,
    adapter: LinearAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
) -> tuple[LinearAdapter, History]:
    """:func:`~langchain_embedding_adapter.fitting.fit_linear`, all scores looked at one by one.

    Returns:
        The fitted adapter, and the loss of every evaluation (of those on all questions, where a part of many was fitted
        first). The result is the same bit for bit on any number of threads.
    """
    device = pick_device(config.device, "cpu")

    def problem(part: PairVectors) -> Problem:
        return Problem.of(part, config, device=device, question_weights=question_weights)

    with SideBySide(brief=True):  # the problem too is made in it: idle threads of other products would be in its way
        counting = np.flatnonzero([(question_weights or {}).get(query, 1) > 0 for query in vectors.query_ids])
        if len(counting) > 2 * SAMPLE:
            part = np.sort(np.random.default_rng(config.seed).choice(counting, SAMPLE, replace=False))
            first, _, _ = LinearProblem.of(problem(vectors.rows(part)), adapter, config).minimise(config)
            whole = LinearProblem.of(problem(vectors), adapter, config, any_start=True)
            fitted, _, losses = whole.minimise(config, whole.point(first))
        else:
            fitted, _, losses = LinearProblem.of(problem(vectors), adapter, config).minimise(config)
    return fitted, [{"step": step, "loss": loss} for step, loss in enumerate(losses)]


@dataclass(frozen=True)
class LinearProblem:
    """A problem to be solved by a linear map, for any scale and ridge.

    Attributes:
        problem: Questions, passages and pairs; where the map has a bias, the last entry of every question is one.
        centre: The map that the ridge holds to.
        space: Where to search.
        offset: ``(passages, columns)``, what the centre gives before anything is added to it.
    """

    problem: Problem
    centre: LinearAdapter
    space: MapSpace
    offset: Tensor

    @classmethod
    def of(
        cls, problem: Problem, centre: LinearAdapter, config: TrainingConfig, *, any_start: bool = False
    ) -> LinearProblem:
        """The problem of a map that is held to ``centre``.

        Args:
            problem: Questions, passages and pairs.
            centre: The map to hold to.
            config: ``block_entries`` bounds the memory.
            any_start: Whether the search is to start from any map; else only from the centre or what it has found.
        """
        queries, passages = problem.queries, problem.passages
        matrix = as_matrix(centre, queries.device)
        if centre.bias is not None:
            queries = torch.cat([queries, queries.new_ones(len(queries), 1)], dim=1)
        if any_start:
            space = MapSpace.of_dimensions(queries, passages)
        else:
            space = MapSpace.cheapest(queries, passages, config.block_entries)
        new = matrix.shape[0] == matrix.shape[1] and torch.equal(matrix, torch.eye(len(matrix), device=matrix.device))
        mapped = passages if new else inner(passages, matrix.T)
        offset = mapped if space.of_queries is None else inner(mapped, queries)
        return cls(replace(problem, queries=queries), centre, space, offset)

    def point(self, adapter: LinearAdapter) -> Tensor:
        """Where the search starts if it starts from this map, which may be any if the problem was made for it."""
        device = self.offset.device
        return (as_matrix(adapter, device) - as_matrix(self.centre, device))[None]

    def minimise(
        self, config: TrainingConfig, start: Tensor | None = None, *, parts: int = PARTS
    ) -> tuple[LinearAdapter, Tensor, list[float]]:
        """The optimum for ``config.scale`` and ``config.ridge``.

        Args:
            config: ``scale``, ``ridge`` and how exact.
            start: The point to start from, the centre by default.
            parts: In how many parts an evaluation is shared out among threads, where parts are made side by side. The
                last bits of the result depend on it, and so it is not the number of threads.

        Returns:
            The fitted adapter, its point, and the loss of every evaluation.
        """
        space, count = self.space, len(self.problem.queries)
        losses: list[float] = []
        with SideBySide(brief=True) as pool:
            blocks = self.problem.blocks(1 if pool.one_by_one else parts, config.block_entries)

            def multiply(left: Tensor, right: Tensor) -> Tensor:
                return pool.inner(left, right, parts)

            def of_block(job: tuple[Problem, Tensor]) -> tuple[Tensor, Tensor]:
                block, moved = job
                if space.of_queries is not None:  # the gradient takes the place of the scores
                    return block.loss_and_gradient(moved.T)
                loss, gradient = block.loss_and_gradient(inner(moved, block.queries).T)
                return loss, inner(gradient.T, block.queries.T)

            def objective(point: Tensor) -> tuple[float, Tensor]:
                moved = space.by_passage(point, multiply).add_(self.offset).mul_(config.scale)  # (passages, columns)
                if space.of_queries is None:
                    found, gradients = zip(*pool.map(of_block, [(block, moved) for block in blocks]), strict=True)
                    moved = functools.reduce(Tensor.add_, gradients)
                else:
                    columns = moved.split([len(block.queries) for block in blocks], dim=1)
                    found, _ = zip(*pool.map(of_block, zip(blocks, columns, strict=True)), strict=True)
                gradient = space.gradient(moved.mul_(config.scale / count), multiply)
                losses.append(sum(float(loss) for loss in found) / count + config.ridge * dot(point, point))
                return losses[-1], gradient.add_(point, alpha=2 * config.ridge)

            found = to_the_optimum(objective, space.origin if start is None else start, config, dot)
            fitted = moved_by(self.centre, space.matrix(found))
        return fitted, found, losses


def to_the_optimum(
    objective: Objective,
    start: Tensor,
    config: TrainingConfig,
    dot: Dot,
    known: Curvature | None = None,
) -> Tensor:
    """The point where a function is least that curves by twice the ridge at least, near enough by that.

    Args:
        objective: Value and gradient at a point.
        start: The first point.
        config: ``ridge`` and how exact.
        dot: The inner product of two points.
        known: What the descent of a similar function has told of its curvature; this one adds to it.
    """
    evaluations = 0

    def counted(point: Tensor) -> tuple[float, Tensor]:
        nonlocal evaluations
        evaluations += 1
        return objective(point)

    def excess(gradient: Tensor) -> float:
        return dot(gradient, gradient) / (4 * max(config.ridge, LEAST_RIDGE))

    def converged(loss: float, gradient: Tensor) -> bool:
        return excess(gradient) <= config.tolerance * loss

    found, loss, gradient = descend(counted, start, converged, config.max_steps, dot, known)
    logger.debug(
        "linear fit: %d evaluations, loss %.4f (by at most %.1e above the optimum)", evaluations, loss, excess(gradient)
    )
    if not converged(loss, gradient):
        logger.warning("the linear fit stopped after %d evaluations before it converged", evaluations)
    return found


def as_matrix(adapter: LinearAdapter, device: torch.device | str) -> Tensor:
    """The map as one matrix, ``(out, in)``, its bias as a last column where it has one."""
    columns = [adapter.weight] if adapter.bias is None else [adapter.weight, adapter.bias[:, None]]
    return torch.from_numpy(np.concatenate(columns, axis=1)).to(device)


def moved_by(adapter: LinearAdapter, added: Tensor) -> LinearAdapter:
    """The adapter with this added to its matrix."""
    found, matrix = copy.copy(adapter), as_matrix(adapter, added.device) + added
    weight = matrix[:, : adapter.in_features].contiguous().cpu().numpy()
    found.load_arrays({"weight": weight} | ({} if adapter.bias is None else {"bias": matrix[:, -1].cpu().numpy()}))
    return found
