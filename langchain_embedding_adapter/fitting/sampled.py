"""The convex fit of a linear map where there are too many questions and passages to compare all of them.

Blocks of neighbouring questions compete for pools of passages (:mod:`~langchain_embedding_adapter.fitting.pools`), and
vectors are streamed from memory or disk. The estimate is as convex as what it stands for, and so the same descent finds
its optimum. A part of the questions is fitted first, and larger parts start where the last one ended: they need few
evaluations, and draw their pools by what the map so far confuses.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.convex import History, as_matrix, moved_by, to_the_optimum
from langchain_embedding_adapter.fitting.lbfgs import entrywise, no_curvature
from langchain_embedding_adapter.fitting.problem import QuestionWeights
from langchain_embedding_adapter.fitting.products import multiplying
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.ridge_path import lightest_ridge
from langchain_embedding_adapter.fitting.sampled_problem import SampledProblem
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

FIRST, GROWTH = 8192, 8
"""Questions that are fitted first, up to twice as many, and how much larger each further part is."""


def fit_linear_sampled(
    vectors: PairVectors,
    adapter: LinearAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
    ranks: Ranks | None = None,
    lighten: bool = False,
) -> tuple[LinearAdapter, History]:
    """Fit a linear map as :func:`~langchain_embedding_adapter.fitting.fit_linear` does, with sampled negatives.

    Args:
        vectors: Questions and passages, in memory or mapped from files.
        adapter: The map to hold to.
        config: The settings; ``memory`` bounds what is held, ``negatives_drawn`` says how many passages a question
            competes with.
        question_weights: How much questions count, by id.
        ranks: The processes that fit together, if there are several: each takes its share of the blocks.
        lighten: Whether to take a lighter ridge, if that helps with questions about other passages
            (:mod:`~langchain_embedding_adapter.fitting.ridge_path`).

    Returns:
        The fitted adapter, and the loss of every evaluation on all questions, with the ridge.
    """
    ranks = ranks or Ranks()
    with multiplying(config.precision):
        problem = SampledProblem(vectors, adapter, config, question_weights)
        point, ridge, losses = _optimum(problem, ranks, lighten=lighten)
    history = [{"step": step, "loss": loss, "ridge": ridge} for step, loss in enumerate(losses)]
    return moved_by(adapter, point), history


def _optimum(problem: SampledProblem, ranks: Ranks, *, lighten: bool) -> tuple[Tensor, float, list[float]]:
    """What to add to the centre, the ridge of all questions, and the loss of every evaluation on all of them."""
    config = problem.config
    order = np.random.default_rng(config.seed).permutation(problem.counting)
    point = torch.zeros_like(as_matrix(problem.centre, problem.device))
    known = no_curvature()
    ridge, dot = config.ridge, ranks.agreed(entrywise)
    *parts, everything = _sizes(len(order))
    for size in parts[:-1] if lighten else parts:
        level = problem.level(np.sort(order[:size]), point, ranks)
        point = to_the_optimum(level.objective([], ranks, ridge), point, config, dot, known)
    if lighten:
        ridge, point = lightest_ridge(problem, order, parts[-1] if parts else everything, point, known, ranks)
    level = problem.level(np.sort(order), point, ranks)
    losses: list[float] = []
    point = to_the_optimum(level.objective(losses, ranks, ridge), point, config, dot, known)
    logger.info("fitted to %d questions, ridge %.2g, in %d evaluations", everything, ridge, len(losses))
    return point, ridge, losses


def _sizes(count: int) -> list[int]:
    """How many questions to fit, one part after the other.

    >>> _sizes(1_000_000)
    [15625, 125000, 1000000]
    """
    sizes = [count]
    while sizes[0] > 2 * FIRST:
        sizes.insert(0, sizes[0] // GROWTH)
    return sizes
