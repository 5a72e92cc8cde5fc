"""Metrics against hand arithmetic, and against ir-measures."""

from __future__ import annotations

from collections.abc import Callable
from math import log2

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG

from langchain_embedding_adapter import metrics

# Each row is a question: the grades of its first three results.
GAINS = np.array([[0, 2, 1], [0, 0, 0], [1, 0, 1]], dtype=float)
RELEVANT = np.array([2, 1, 4])
IDEAL = np.array([[2, 1, 0], [1, 0, 0], [3, 1, 1]], dtype=float)

FIRST_NDCG = (2 / log2(3) + 1 / log2(4)) / (2 / log2(2) + 1 / log2(3))
THIRD_NDCG = (1 + 1 / 2) / (3 + 1 / log2(3) + 1 / 2)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (lambda: metrics.hit_rate(GAINS), [1, 0, 1]),
        (lambda: metrics.recall(GAINS, RELEVANT), [1, 0, 2 / 4]),
        (lambda: metrics.reciprocal_rank(GAINS), [1 / 2, 0, 1]),
        (lambda: metrics.ndcg(GAINS, IDEAL), [FIRST_NDCG, 0, THIRD_NDCG]),
        (lambda: metrics.average_precision(GAINS, RELEVANT), [(1 / 2 + 2 / 3) / 2, 0, (1 + 2 / 3) / 4]),
    ],
    ids=["hit rate", "recall", "reciprocal rank", "nDCG", "average precision"],
)
def test_by_hand(metric: Callable[[], np.ndarray], expected: list[float]) -> None:
    assert metric() == pytest.approx(expected)


def test_the_best_order_scores_one() -> None:
    gains = np.array([[3, 2, 1, 0, 0]], dtype=float)
    found = metrics.compute_metrics(gains, gains, np.array([3]), [3, 5])
    assert {key: value.tolist() for key, value in found.items()} == {key: [1.0] for key in found}


def test_every_metric_at_every_cut_off_looks_no_further() -> None:
    found = metrics.compute_metrics(GAINS, IDEAL, RELEVANT, [1, 3])
    assert set(found) == {f"{name}@{k}" for name in metrics.METRICS for k in (1, 3)}
    assert found["hit_rate@1"].tolist() == [0, 0, 1]
    assert found["recall@1"].tolist() == [0, 0, 1 / 4]
    assert found["ndcg@1"].tolist() == [0, 0, 1 / 3]
    assert found["ndcg@3"] == pytest.approx([FIRST_NDCG, 0, THIRD_NDCG])


@pytest.mark.parametrize("k", [1, 3, 10, 50])
@pytest.mark.parametrize("seed", range(4))
def test_agreement_with_ir_measures(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    questions, passages = 12, 40
    scores = rng.permuted(np.tile(np.linspace(-1, 1, passages), (questions, 1)), axis=1)  # no ties
    grades = rng.choice([0, 0, 0, 0, 1, 2, 3], size=(questions, passages))
    grades[np.arange(questions), rng.integers(passages, size=questions)] = 1  # every question has an answer

    depth = min(k, passages)
    gains = np.take_along_axis(grades, metrics.top_k(scores, k), axis=1).astype(float)
    ideal = -np.sort(-grades, axis=1)[:, :depth].astype(float)
    ours = metrics.compute_metrics(gains, ideal, (grades > 0).sum(axis=1), [depth])

    judges = {"ndcg": nDCG @ k, "map": AP @ k, "mrr": RR @ k, "recall": R @ k, "hit_rate": Success @ k}
    qrels = {f"q{q}": {f"p{p}": int(g) for p, g in enumerate(row)} for q, row in enumerate(grades)}
    run = {f"q{q}": {f"p{p}": float(s) for p, s in enumerate(row)} for q, row in enumerate(scores)}
    theirs = {(str(row.measure), row.query_id): row.value for row in ir_measures.iter_calc(judges.values(), qrels, run)}
    for name, judge in judges.items():
        expected = [theirs[str(judge), f"q{q}"] for q in range(questions)]
        assert ours[f"{name}@{depth}"] == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize("ks", [[], [0], [-1, 2], [2, 4]])
def test_bad_cut_offs_are_refused(ks: list[int]) -> None:
    with pytest.raises(ValueError, match="between 1 and 3"):
        metrics.compute_metrics(GAINS, IDEAL, RELEVANT, ks)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 9])
def test_equal_scores_keep_the_order_of_the_columns(k: int) -> None:
    scores = np.array([[0.5, 0.9, 0.5, 0.5, 0.1], [1, 1, 1, 1, 1], [0, 0, 2, 0, 2]])
    expected = np.array([[1, 0, 2, 3, 4], [0, 1, 2, 3, 4], [2, 4, 0, 1, 3]])
    assert metrics.top_k(scores, k).tolist() == expected[:, :k].tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_k_is_the_start_of_the_whole_order(dtype: type) -> None:
    scores = np.random.default_rng(0).integers(-5, 5, size=(30, 60)).astype(dtype)  # many ties
    whole = metrics.top_k(scores, 60)
    for k in (1, 7, 59):
        assert (metrics.top_k(scores, k) == whole[:, :k]).all()


def test_top_k_of_no_question() -> None:
    assert metrics.top_k(np.empty((0, 5)), 2).shape == (0, 2)


@pytest.mark.parametrize("k", [0, -1])
def test_top_k_wants_at_least_one(k: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        metrics.top_k(np.eye(3), k)


def test_every_metric_has_a_label() -> None:
    labels = [metrics.label(f"{name}@5") for name in metrics.METRICS]
    assert labels == ["hit rate@5", "recall@5", "MRR@5", "nDCG@5", "MAP@5"]
