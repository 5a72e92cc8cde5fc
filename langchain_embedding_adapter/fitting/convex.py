"""The linear map as a convex problem: one optimum, reached by L-BFGS without learning rate, epochs or seed."""

from __future__ import annotations

import copy
import functools
import logging
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.devices import pick_device
from langchain_embedding_adapter.fitting.lbfgs import descend
from langchain_embedding_adapter.fitting.problem import Problem, QuestionWeights
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


def fit_linear(
    vectors: PairVectors,
    adapter: LinearAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
) -> tuple[LinearAdapter, History]:
    """Fit a linear map to its optimum.

    Minimises the mean :func:`~langchain_embedding_adapter.losses.multi_positive_softmax` of the scores ``scale ·
    (W q + b) · d`` plus ``ridge · (‖W − W₀‖² + ‖b − b₀‖²)``, with ``W₀, b₀`` what ``adapter`` holds: the identity when
    new, yesterday's map when it is trained again.

    Returns:
        The fitted adapter, and the loss of every evaluation (of those on all questions, where a part of many was fitted
        first). The result is the same bit for bit on any number of threads.
    """

    def problem(part: PairVectors) -> Problem:
        device = pick_device(config.device, "cpu")
        return Problem.of(part, config, device=device, question_weights=question_weights)

    start = adapter
    counting = np.flatnonzero([(question_weights or {}).get(query, 1) > 0 for query in vectors.query_ids])
    if len(counting) > 2 * SAMPLE:
        part = np.sort(np.random.default_rng(config.seed).choice(counting, SAMPLE, replace=False))
        start, _ = minimise(problem(vectors.rows(part)), adapter, adapter, config)
    fitted, losses = minimise(problem(vectors), start, adapter, config)
    return fitted, [{"step": step, "loss": loss} for step, loss in enumerate(losses)]


def minimise(
    problem: Problem, start: LinearAdapter, centre: LinearAdapter, config: TrainingConfig, *, parts: int = PARTS
) -> tuple[LinearAdapter, list[float]]:
    """The optimum for ``config.scale`` and ``config.ridge`` held to ``centre``, looked for from ``start`` on.

    What the fit adds to ``centre`` lies in the span of the passages on the one side and of the questions on the other.
    Where these are fewer than the dimensions, it is looked for there: the same optimum from smaller matrices.

    Args:
        problem: What to minimise.
        start: Where to look first.
        centre: What the ridge holds to.
        config: ``scale``, ``ridge`` and how exact.
        parts: In how many parts an evaluation is shared out. The last bits of the result depend on it, and so it is not
            the number of threads.

    Returns:
        The fitted adapter and the loss of every evaluation.
    """
    middle, first = (_matrix(adapter, problem.queries.device) for adapter in (centre, start))
    if middle.shape[1] > problem.queries.shape[1]:  # the bias: what is learned of an input that is always one
        ones = problem.queries.new_ones(len(problem.queries), 1)
        problem = replace(problem, queries=torch.cat([problem.queries, ones], dim=1))
    losses: list[float] = []
    with SideBySide() as pool:
        questions, answers = problem.query_span, problem.passage_span
        passages, count = answers.vectors, len(problem.queries)
        # d · W q = (d W) · q: passages are fewer than questions, mostly, and so it is they that move.
        offset = questions.coordinates((problem.passages @ middle).T).T
        added = questions.coordinates(answers.coordinates(first - middle).T).T.contiguous()
        blocks = replace(problem, queries=questions.vectors).blocks(parts, config.block_entries)

        def objective(added: Tensor) -> tuple[float, Tensor]:
            moved = pool.product(passages, added, parts).add_(offset).mul_(config.scale)  # (passages, in)

            def of_block(block: Problem) -> tuple[Tensor, Tensor]:
                loss, gradient = block.loss_and_gradient(block.queries @ moved.T)
                return loss, gradient.T @ block.queries

            found_losses, gradients = zip(*pool.map(of_block, blocks), strict=True)
            of_moved = functools.reduce(Tensor.add_, gradients).mul_(config.scale / count)
            gradient = pool.product(passages.T, of_moved, parts).add_(added, alpha=2 * config.ridge)
            held = config.ridge * float(torch.linalg.vector_norm(added)) ** 2
            losses.append(sum(float(loss) for loss in found_losses) / count + held)
            return losses[-1], gradient

        # A function that curves by 2 · ridge at least is this near its minimum.
        def excess(gradient: Tensor) -> float:
            return float(torch.linalg.vector_norm(gradient)) ** 2 / (4 * max(config.ridge, LEAST_RIDGE))

        def converged(loss: float, gradient: Tensor) -> bool:
            return excess(gradient) <= config.tolerance * loss

        added, loss, gradient = descend(objective, added, converged, config.max_steps)
        found = middle + answers.back(questions.back(added.T).T)
    logger.debug(
        "linear fit: %d evaluations, loss %.4f (by at most %.1e above the optimum)", len(losses), loss, excess(gradient)
    )
    if not converged(loss, gradient):
        logger.warning("the linear fit stopped after %d evaluations before it converged", len(losses))
    return _adapter(start, found), losses


def _matrix(adapter: LinearAdapter, device: torch.device) -> Tensor:
    """The map as one matrix, ``(out, in)``, its bias as a last column where it has one."""
    columns = [adapter.weight] if adapter.bias is None else [adapter.weight, adapter.bias[:, None]]
    return torch.from_numpy(np.concatenate(columns, axis=1)).to(device)


def _adapter(like: LinearAdapter, matrix: Tensor) -> LinearAdapter:
    """The adapter of such a matrix."""
    found = copy.copy(like)
    weight = matrix[:, : like.in_features].contiguous().cpu().numpy()
    found.load_arrays({"weight": weight} | ({} if like.bias is None else {"bias": matrix[:, -1].cpu().numpy()}))
    return found
