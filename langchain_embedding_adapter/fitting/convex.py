"""The linear map as a convex problem: one optimum, reached by L-BFGS without learning rate, epochs or seed."""

from __future__ import annotations

import copy
import logging

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

    Returns:
        The fitted adapter and the loss of every evaluation.
    """
    passages = problem.passages
    parameters = [torch.from_numpy(array.copy()).to(passages.device) for array in start.to_arrays().values()]
    centres = [torch.from_numpy(array.copy()).to(passages.device) for array in centre.to_arrays().values()]
    blocks = problem.blocks(config.block_entries)
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=config.max_steps,
        max_eval=config.max_steps,
        tolerance_grad=config.tolerance,
        tolerance_change=config.tolerance * 1e-4,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    losses: list[float] = []

    with SideBySide() as pool:

        def objective() -> Tensor:
            # d · (W q + b) = (d W) · q + d · b: passages are fewer than questions, mostly, and so it is they that move.
            moved = [config.scale * (passages @ parameter) for parameter in parameters]  # (passages, in), (passages,)

            def of_block(block: Problem) -> tuple[Tensor, list[Tensor]]:
                scores = block.queries @ moved[0].T
                if len(moved) > 1:
                    scores += moved[1]
                loss, gradient = block.loss_and_gradient(scores)
                return loss, [gradient.T @ block.queries, gradient.sum(dim=0)][: len(moved)]

            results = pool.map(of_block, blocks)
            total = sum(loss for loss, _ in results) / len(problem.queries)
            for number, (parameter, middle) in enumerate(zip(parameters, centres, strict=True)):
                away = parameter - middle
                of_moved = sum(gradients[number] for _, gradients in results) * (config.scale / len(problem.queries))
                parameter.grad = (passages.T @ of_moved).add_(away, alpha=2 * config.ridge)
                total += config.ridge * (away**2).sum()
            losses.append(float(total))
            return torch.as_tensor(total)

        optimizer.step(objective)
    steepest = max(float(parameter.grad.abs().max()) for parameter in parameters if parameter.grad is not None)
    logger.debug("linear fit: %d evaluations, loss %.4f, gradient %.1e", len(losses), losses[-1], steepest)
    if len(losses) >= config.max_steps and steepest > 100 * config.tolerance:
        logger.warning("the linear fit stopped after %d evaluations before it converged", len(losses))
    fitted = copy.copy(start)
    fitted.load_arrays({name: array.cpu().numpy() for name, array in zip(start.to_arrays(), parameters, strict=True)})
    return fitted, losses
