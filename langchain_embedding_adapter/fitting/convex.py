"""The linear map as a convex problem: one optimum, reached by L-BFGS without learning rate, epochs or seed."""

from __future__ import annotations

import copy
import logging
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

HISTORY = 10
"""Steps that L-BFGS remembers; each costs two matrices of the size of the map."""


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
    problem: Problem, start: LinearAdapter, centre: LinearAdapter, config: TrainingConfig
) -> tuple[LinearAdapter, list[float]]:
    """The optimum for ``config.scale`` and ``config.ridge`` held to ``centre``, looked for from ``start`` on.

    What the fit adds to ``centre`` lies in the span of the passages on the one side and of the questions on the other.
    Where these are fewer than the dimensions, it is looked for there: the same optimum from smaller matrices.

    Returns:
        The fitted adapter and the loss of every evaluation.
    """
    device = problem.queries.device
    middles = [torch.from_numpy(array.copy()).to(device) for array in centre.to_arrays().values()]
    starts = [torch.from_numpy(array.copy()).to(device) for array in start.to_arrays().values()]
    losses: list[float] = []
    with SideBySide() as pool:
        queries, from_queries = _coordinates(problem.queries)
        passages, from_passages = _coordinates(problem.passages)
        # d · (W q + b) = (d W) · q + d · b: passages are fewer than questions, mostly, and so it is they that move.
        offsets = [_times(problem.passages @ middles[0], from_queries), *(problem.passages @ b for b in middles[1:])]
        parameters = [_into(new - old, from_passages) for new, old in zip(starts, middles, strict=True)]
        parameters[0] = _times(parameters[0], from_queries)
        blocks = replace(problem, queries=queries).blocks(config.block_entries)
        tolerance = config.tolerance * config.scale / parameters[0].numel() ** 0.5
        optimizer = torch.optim.LBFGS(
            parameters,
            max_iter=config.max_steps,
            max_eval=config.max_steps,
            tolerance_grad=tolerance,
            tolerance_change=config.tolerance * 1e-5,
            history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            moved = [
                config.scale * (offset + passages @ parameter)  # (passages, in), (passages,)
                for offset, parameter in zip(offsets, parameters, strict=True)
            ]

            def of_block(block: Problem) -> tuple[Tensor, list[Tensor]]:
                scores = block.queries @ moved[0].T
                if len(moved) > 1:
                    scores += moved[1]
                loss, gradient = block.loss_and_gradient(scores)
                return loss, [gradient.T @ block.queries, gradient.sum(dim=0)][: len(moved)]

            results = pool.map(of_block, blocks)
            total = sum(loss for loss, _ in results) / len(queries)
            for number, parameter in enumerate(parameters):
                of_moved = sum(gradients[number] for _, gradients in results) * (config.scale / len(queries))
                parameter.grad = (passages.T @ of_moved).add_(parameter, alpha=2 * config.ridge)
                total += config.ridge * (parameter**2).sum()
            losses.append(float(total))
            return torch.as_tensor(total)

        optimizer.step(objective)
        parameters[0] = _times(parameters[0], None if from_queries is None else from_queries.T)
        found = [
            middle + (added if from_passages is None else from_passages @ added)
            for middle, added in zip(middles, parameters, strict=True)
        ]
    steepest = max(float(parameter.grad.abs().max()) for parameter in optimizer.param_groups[0]["params"])
    logger.debug("linear fit: %d evaluations, loss %.4f, gradient %.1e", len(losses), losses[-1], steepest)
    if len(losses) >= config.max_steps and steepest > 10 * tolerance:
        logger.warning("the linear fit stopped after %d evaluations before it converged", len(losses))
    fitted = copy.copy(start)
    fitted.load_arrays({name: array.cpu().numpy() for name, array in zip(start.to_arrays(), found, strict=True)})
    return fitted, losses


def _coordinates(vectors: Tensor) -> tuple[Tensor, Tensor | None]:
    """Vectors in a basis of their span, ``(n, rank)``, and the basis, ``(dimensions, rank)``.

    Where they are not fewer than their dimensions, the vectors themselves and ``None``.
    """
    if len(vectors) >= vectors.shape[1]:
        return vectors, None
    basis, triangle = torch.linalg.qr(vectors.T)
    return triangle.T.contiguous(), basis


def _times(matrix: Tensor, basis: Tensor | None) -> Tensor:
    return matrix if basis is None else matrix @ basis


def _into(matrix: Tensor, basis: Tensor | None) -> Tensor:
    return matrix if basis is None else basis.T @ matrix
