"""The candidate that was chosen, fitted to all questions."""

from __future__ import annotations

from typing import Any

from langchain_embedding_adapter.adapters import (
    BaseAdapter,
    LayeredMemoryAdapter,
    MemoryAdapter,
)
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.engines import RayEngine
from langchain_embedding_adapter.fitting import (
    CLOSED_FORMS,
    History,
    QuestionWeights,
    as_tensor,
    fit_linear,
    fit_memory,
    mean_answers,
    memory_for,
    question_memory,
)
from langchain_embedding_adapter.selection.candidates import (
    BASE,
    DESCENDING,
    WHOLE,
    Candidate,
    is_identity,
    linear_part,
    memory_size,
)
from langchain_embedding_adapter.selection.fold_ranking import FitByDescent, moved
from langchain_embedding_adapter.vectors import PairVectors


def fit_chosen(
    vectors: PairVectors,
    chosen: Candidate,
    start: BaseAdapter,
    config: TrainingConfig,
    *,
    question_weights: QuestionWeights | None = None,
    fit_by_descent: FitByDescent | None = None,
    engine: RayEngine | None = None,
    lighten: bool = True,
) -> tuple[BaseAdapter, History]:
    """The winner, fitted to all questions; its history has a row an evaluation of the objective.

    Args:
        vectors: All questions.
        chosen: The winner.
        start: Where training starts.
        config: The settings.
        question_weights: How much questions count, by id.
        fit_by_descent: Fits an adapter of a kind that has no optimum to solve for.
        engine: A Ray cluster that fits a linear map.
        lighten: Whether the ridge may be lighter than the winner's where the fit is sampled and held-out questions gain
            by it: not where a gain on them is no gain.
    """
    if chosen == BASE:
        return start, [{"step": 0}]
    if fit_by_descent is not None and chosen.map.method in DESCENDING:
        return fit_by_descent(chosen.map.method, vectors), [{"step": 0}, {"step": 1}]
    linear = linear_part(start)
    history: History = [{"step": 0}, {"step": 1}]
    if chosen.map.method == "convex":
        settings = chosen.map.settings(config)
        options: dict[str, Any] = {"question_weights": question_weights, "lighten": lighten, "engine": engine}
        fitted, history = fit_linear(vectors, linear, settings, **options)
        linear = moved(linear, fitted, chosen.map.strength)
    elif chosen.map.method in CLOSED_FORMS:
        fitted = CLOSED_FORMS[chosen.map.method](*map(as_tensor, mean_answers(vectors)))
        linear = moved(linear, fitted, chosen.map.strength)
    if chosen.memory is None:
        return linear, history
    temperature, strength = chosen.memory
    if isinstance(start, MemoryAdapter) and chosen.map == WHOLE:
        above = memory_for(start.in_features, start.out_features, memory_size(vectors, config), temperature, strength)
        return LayeredMemoryAdapter.over(start, fit_memory(vectors, above, config.seed, below=start)), history
    if isinstance(start, MemoryAdapter) and not is_identity(start):
        size = min(config.memory_size, start.size + len(vectors.query_ids))
        known: MemoryAdapter | None = start
    else:
        size, known = memory_size(vectors, config), None
    memory = question_memory(start.in_features, start.out_features, size, temperature, strength)
    memory.weight = linear.weight
    return fit_memory(vectors, memory, config.seed, known=known), history
