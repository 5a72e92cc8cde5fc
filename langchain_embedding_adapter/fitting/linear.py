"""The convex fit of a linear map: exact where that is feasible, else with sampled negatives."""

from __future__ import annotations

import logging

import numpy as np

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.engines import RayEngine
from langchain_embedding_adapter.fitting.convex import History, fit_linear_exactly
from langchain_embedding_adapter.fitting.on_ray import fit_linear_on_ray
from langchain_embedding_adapter.fitting.problem import QuestionWeights
from langchain_embedding_adapter.fitting.sampled import fit_linear_sampled
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)

COPIES = 3
"""So many times the vectors are held by the exact fit, at most."""


def fit_linear(
    vectors: PairVectors,
    adapter: LinearAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
    lighten: bool = False,
    engine: RayEngine | None = None,
) -> tuple[LinearAdapter, History]:
    """Fit a linear map to its optimum.

    Minimises the mean :func:`~langchain_embedding_adapter.losses.multi_positive_softmax` of the scores ``scale ·
    (W q + b) · d`` plus ``ridge · (‖W − W₀‖² + ‖b − b₀‖²)``, with ``W₀, b₀`` what ``adapter`` holds: the identity when
    new, yesterday's map when it is trained again. Where there are more scores than ``config.exact_entries``, or the
    vectors are more than ``config.memory`` holds, what a question competes with is sampled.

    Args:
        vectors: Questions and passages, in memory or mapped from files.
        adapter: The map to hold to.
        config: The settings.
        question_weights: How much questions count, by id.
        lighten: Whether a sampled fit may take a lighter ridge than ``config.ridge``, where that helps with questions
            about other passages that it holds out to see: the more questions, the less a ridge is needed.
        engine: A Ray cluster whose workers fit together, each with a part of the passages or of the questions.

    Returns:
        The fitted adapter, and the loss of every evaluation (of those on all questions, where a part of many was fitted
        first), with the ridge where it may be another. The result is the same bit for bit on any number of threads.
    """
    if engine is not None:
        whole = vectors.folder or vectors  # a folder is read by each worker, and nothing is sent
        return fit_linear_on_ray(
            whole, adapter, config, engine=engine, question_weights=question_weights, lighten=lighten
        )
    if feasible(vectors, config):
        return fit_linear_exactly(vectors, adapter, config, question_weights=question_weights)
    return fit_linear_sampled(vectors, adapter, config, question_weights=question_weights, lighten=lighten)


def feasible(vectors: PairVectors, config: TrainingConfig) -> bool:
    """Whether all scores can be looked at one by one."""
    questions, inputs = vectors.queries.shape
    competing, outputs = vectors.passages.shape
    if config.negatives == "asked":
        competing = len(np.unique(vectors.relevant.flat))
    held = 4 * COPIES * (questions * inputs + competing * outputs)
    return bool(questions * competing <= config.exact_entries and held <= config.memory_bytes)
