"""The linear map as a convex problem: one optimum, reached by L-BFGS without learning rate, epochs or seed."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.devices import pick_device
from langchain_embedding_adapter.fitting.problem import Problem, QuestionWeights
from langchain_embedding_adapter.fitting.threads import SideBySide
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

History = list[dict[str, float]]

PARTS = 4
"""In so many parts threads share out an evaluation; more cost more than they save."""
HISTORY = 10
"""Steps that L-BFGS remembers; each costs two matrices of the size of the map."""
FIRST_STEP = 0.3
"""Of Polyak's step; the loss does not come down to zero."""


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
        The fitted adapter, and the loss of every evaluation. The result is the same bit for bit on any number of
        threads.
    """
    problem = Problem.of(vectors, config, device=pick_device(config.device, "cpu"), question_weights=question_weights)
    fitted, losses = minimise(problem, adapter, adapter, config)
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
    device = problem.queries.device
    middles = [torch.from_numpy(array.copy()).to(device) for array in centre.to_arrays().values()]
    starts = [torch.from_numpy(array.copy()).to(device) for array in start.to_arrays().values()]
    losses: list[float] = []
    with SideBySide() as pool:
        questions, answers = problem.query_span, problem.passage_span
        passages = answers.vectors
        # d · (W q + b) = (d W) · q + d · b: passages are fewer than questions, mostly, and so it is they that move.
        offsets = [problem.passages @ middle for middle in middles]
        offsets[0] = questions.coordinates(offsets[0].T).T
        parameters = [answers.coordinates(new - old) for new, old in zip(starts, middles, strict=True)]
        parameters[0] = questions.coordinates(parameters[0].T).T.contiguous()
        count = len(problem.queries)
        blocks = replace(problem, queries=questions.vectors).blocks(parts, config.block_entries)
        tolerance = config.tolerance * config.scale / parameters[0].numel() ** 0.5

        def objective(parameters: list[Tensor]) -> tuple[float, list[Tensor]]:
            moved = [  # (passages, in), (passages,)
                pool.product(passages, parameter, parts).add_(offset).mul_(config.scale)
                for offset, parameter in zip(offsets, parameters, strict=True)
            ]

            def of_block(block: Problem) -> tuple[Tensor, list[Tensor]]:
                scores = block.queries @ moved[0].T
                if len(moved) > 1:
                    scores += moved[1]
                loss, gradient = block.loss_and_gradient(scores)
                return loss, [gradient.T @ block.queries, gradient.sum(dim=0)][: len(moved)]

            results = pool.map(of_block, blocks)
            total = sum(float(loss) for loss, _ in results) / count
            gradients = []
            for parameter, sums in zip(parameters, zip(*(found for _, found in results), strict=True), strict=True):
                of_moved = functools.reduce(Tensor.add_, sums).mul_(config.scale / count)
                gradients.append(pool.product(passages.T, of_moved, parts).add_(parameter, alpha=2 * config.ridge))
                total += config.ridge * float(parameter.square().sum())
            losses.append(total)
            return total, gradients

        parameters, steepest = _descend(objective, parameters, tolerance, config.max_steps)
        parameters[0] = questions.back(parameters[0].T).T
        found = [middle + answers.back(added) for middle, added in zip(middles, parameters, strict=True)]
    logger.debug("linear fit: %d evaluations, loss %.4f, gradient %.1e", len(losses), losses[-1], steepest)
    if len(losses) >= config.max_steps and steepest > 10 * tolerance:
        logger.warning("the linear fit stopped after %d evaluations before it converged", len(losses))
    fitted = copy.copy(start)
    fitted.load_arrays({name: array.cpu().numpy() for name, array in zip(start.to_arrays(), found, strict=True)})
    return fitted, losses


def _descend(
    objective: Callable[[list[Tensor]], tuple[float, list[Tensor]]],
    start: list[Tensor],
    tolerance: float,
    max_evaluations: int,
) -> tuple[list[Tensor], float]:
    """L-BFGS from ``start`` until no entry of the gradient is above ``tolerance``.

    torch's first step has length one in the sum of its entries, whatever the problem; in units of ``stretch`` that
    length is :data:`FIRST_STEP` of the one that would bring a linear loss down to zero (Polyak's).

    Returns:
        The parameters and the largest entry of their gradient.
    """
    loss, gradients = objective(start)
    size = sum(float(gradient.abs().sum()) for gradient in gradients)
    square = sum(float((gradient**2).sum()) for gradient in gradients)
    stretch = FIRST_STEP * loss * size / square if square > 0 else 1.0
    known: tuple[float, list[Tensor]] | None = (loss, gradients)
    parameters = [parameter / stretch for parameter in start]
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=max_evaluations,
        max_eval=max_evaluations - 1,
        tolerance_grad=tolerance * stretch,
        tolerance_change=tolerance * 1e-6,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        nonlocal known
        loss, gradients = known or objective([stretch * parameter for parameter in parameters])
        known = None
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = stretch * gradient
        return loss

    optimizer.step(closure)
    steepest = max(float(parameter.grad.abs().max()) for parameter in optimizer.param_groups[0]["params"])
    return [stretch * parameter for parameter in parameters], steepest / stretch
