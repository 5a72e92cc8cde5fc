"""Which kind of adapter is taken: a network where many pairs show what no linear map can hold, and not before."""

from __future__ import annotations

import numpy as np
import pytest

from langchain_embedding_adapter import (
    BaseAdapter,
    LinearAdapter,
    LowRankAdapter,
    QADataset,
    TrainingConfig,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.selection.training import Task, Trained, by_cross_validation
from langchain_embedding_adapter.vectors import PairVectors, unit

DIMENSIONS = 8
CONFIG = TrainingConfig(epochs=25, learning_rate=1e-2, ridge=1e-2, memory_grid=())


def bent(questions: int, bend: float = 1.0) -> tuple[QADataset, PairVectors]:
    """Questions turned away from their passages, one way on one side of the world and the other way on the other."""
    random = np.random.default_rng(0)
    passages = unit(random.normal(size=(200, DIMENSIONS)).astype(np.float32))
    about = np.arange(questions) % len(passages)
    targets = passages[about]
    queries = np.where(targets[:, 4:5] > 0, targets @ turned(bend), targets @ turned(-bend))
    queries = unit((queries + 0.08 * random.normal(size=queries.shape)).astype(np.float32))
    texts = {f"q{row}": f"question {row}" for row in range(questions)}
    corpus = {f"p{row}": f"passage {row}" for row in range(len(passages))}
    dataset = QADataset(texts, corpus, {f"q{row}": [f"p{passage}"] for row, passage in enumerate(about)})
    return dataset, PairVectors.from_arrays(dataset, queries, passages)


def turned(angle: float) -> np.ndarray:
    """A turn in two planes, ``(dimensions, dimensions)``."""
    turn = np.eye(DIMENSIONS)
    for first in (0, 2):
        part = slice(first, first + 2)
        turn[part, part] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return turn


def network(kind: str) -> BaseAdapter:
    if kind == TwoLayerAdapter.kind:
        return TwoLayerAdapter(DIMENSIONS, 64, DIMENSIONS)
    return LowRankAdapter(DIMENSIONS, DIMENSIONS)


def trained_on(questions: int) -> Trained:
    dataset, vectors = bent(questions)
    task = Task(dataset, vectors, LinearAdapter(DIMENSIONS, DIMENSIONS), CONFIG, None, None, False)
    return by_cross_validation(task, family="default", expect="both", further=network)


@pytest.mark.slow
def test_many_pairs_show_what_only_a_network_can_hold() -> None:
    trained = trained_on(1200)
    assert trained.selection is not None
    assert trained.selection.chosen.map.method == TwoLayerAdapter.kind
    assert isinstance(trained.adapter, TwoLayerAdapter)
    assert trained.report["ndcg@10"].gain > 0.1


def test_few_pairs_are_not_enough_for_a_network() -> None:
    trained = trained_on(150)
    assert trained.selection is not None
    assert trained.selection.chosen.map.method != TwoLayerAdapter.kind
    assert not isinstance(trained.adapter, TwoLayerAdapter)
