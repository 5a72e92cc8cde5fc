"""How light a ridge can be: the more questions there are, the less a map has to be held to where it starts.

Candidates are chosen on a sample, and what is best there is too strong for a hundred times as many questions. So a
larger part of them is fitted with lighter and lighter ridges, each from where the last one ended, as long as questions
about other passages profit significantly. All of them are fitted as exactly as the first ridge asks for.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_embedding_adapter.fitting.convex import as_matrix, to_the_optimum
from langchain_embedding_adapter.fitting.lbfgs import Curvature, entrywise
from langchain_embedding_adapter.fitting.pools import Indices
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.sampled_problem import Block, Level, SampledProblem
from langchain_embedding_adapter.fitting.threads import SideBySide
from langchain_embedding_adapter.metrics import SIGNIFICANT

logger = logging.getLogger(__name__)

HELD_OUT = 4000
"""Questions that tell, about."""
MOST = 0.2
"""Of the questions, at most."""
FITTED = 32_768
"""Questions that are fitted to see, at most."""
STEPS, LIGHTER = 4, 10**-0.5
"""How often a lighter ridge is tried at most, and how much lighter each is."""
DEPTH = 10
"""Of the ranking that is counted."""


def lightest_ridge(
    problem: SampledProblem, order: Indices, size: int, point: Tensor, known: Curvature, ranks: Ranks
) -> tuple[float, Tensor]:
    """The lightest ridge that questions about other passages still profit from.

    Args:
        problem: All questions; its ridge is the first that is tried.
        order: The questions in the order in which parts of them are taken.
        size: How many of them to fit.
        point: Where to start.
        known: What is known of the curvature.
        ranks: The processes that fit together.

    Returns:
        The ridge, and the point that the part of the questions came to with it.
    """
    apart = _about_held_out(problem)
    learned, telling = order[~apart[order]][: min(size, FITTED)], np.sort(order[apart[order]])[: 2 * HELD_OUT]
    ridge = lightest = problem.config.ridge
    if not len(learned) or not len(telling):
        return ridge, point
    level = problem.level(np.sort(learned), point, ranks)
    best: NDArray[np.float64] | None = None
    for step in range(STEPS + 1):
        tried = ridge * LIGHTER**step
        losses: list[float] = []
        objective = level.objective(losses, ranks, tried)
        found = to_the_optimum(objective, point, problem.config, ranks.agreed(entrywise), known)
        figures = _figures(problem.level(telling, found, Ranks()), found)
        gain = np.zeros(len(figures)) if best is None else figures - best
        needed = SIGNIFICANT * float(gain.std()) / len(gain) ** 0.5
        logger.info(
            "ridge %.2g: %.4f on %d held-out questions, %d evaluations", tried, figures.mean(), len(gain), len(losses)
        )
        if best is not None and 2 * ranks.total(float(gain.mean() > needed)) <= ranks.count:
            break
        best, point, lightest = figures, found, tried
    return lightest, point


def _about_held_out(problem: SampledProblem) -> NDArray[np.bool_]:
    """``(questions,)``, which are about passages that are held out."""
    relevant = problem.vectors.relevant
    drawn = np.random.default_rng(problem.config.seed).random(len(problem.candidates))
    held = drawn < min(MOST, HELD_OUT / max(1, len(problem.counting)))
    return np.bincount(relevant.rows, held[problem.columns], len(relevant)) > 0


def _figures(level: Level, point: Tensor) -> NDArray[np.float64]:
    """The discounted gain of each question's first right passage, by its estimated rank; in the order of their rows."""
    matrix = as_matrix(level.common.centre, level.common.device) + point
    with SideBySide() as pool:
        found = torch.cat(pool.map(lambda block: _of_block(level, block, matrix), level.blocks)).cpu().double().numpy()
    return found[np.argsort(level.questions)]


def _of_block(level: Level, block: Block, matrix: Tensor) -> Tensor:
    _, _, scores = level.scored(block, matrix)
    log_weights = torch.from_numpy(block.pool.log_weights).to(scores.device)
    stands_for, scores = log_weights.exp(), scores - log_weights
    problem = block.problem
    rows, columns = problem.rows, problem.columns
    best = scores.new_full((len(scores),), -torch.inf)
    best = best.scatter_reduce(0, rows, scores[rows, columns], "amax")
    scores[rows, columns] = -torch.inf
    scores[problem.masked_rows, problem.masked_columns] = -torch.inf
    rank = 1 + (scores > best[:, None]).to(stands_for.dtype) @ stands_for
    return torch.where(rank <= DEPTH, 1 / (1 + rank).log2(), torch.zeros_like(rank))
