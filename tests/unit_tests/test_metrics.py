"""The metrics against hand arithmetic and against ``ir-measures``."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, Success, nDCG

from langchain_embedding_adapter.metrics import (
    average_precision,
    compute_metrics,
    hit_rate,
    label,
    ndcg,
    recall,
    reciprocal_rank,
    top_k,
)

GAINS = np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 1.0]])
IDEAL = np.array([[2, 1, 0, 0], [1, 0, 0, 0], [3, 1, 1, 0.0]])
RELEVANT = np.array([2, 1, 3])


def test_by_hand() -> None:
    assert hit_rate(GAINS).tolist() == [1, 0, 1]
    assert recall(GAINS, RELEVANT) == pytest.approx([1, 0, 2 / 3])
    assert reciprocal_rank(GAINS) == pytest.approx([1 / 2, 0, 1])
    assert average_precision(GAINS, RELEVANT) == pytest.approx([(1 / 2 + 2 / 4) / 2, 0, (1 + 2 / 4) / 3])
    log = np.log2
    first = (1 / log(3) + 2 / log(5)) / (2 / log(2) + 1 / log(3))
    third = (3 / log(2) + 1 / log(5)) / (3 / log(2) + 1 / log(3) + 1 / log(4))
    assert ndcg(GAINS, IDEAL) == pytest.approx([first, 0, third])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [1, 5, 10])
def test_they_agree_with_ir_measures(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(20, 40))
    grades = random.integers(0, 4, size=scores.shape) * (random.random(scores.shape) < 0.1)
    grades[:, 0] = 1  # every question has an answer
    order = top_k(scores, 10)
    ours = compute_metrics(
        np.take_along_axis(grades, order, axis=1).astype(float),
        np.sort(grades, axis=1)[:, ::-1][:, :10].astype(float),
        (grades > 0).sum(axis=1),
        [k],
    )
    qrels = [
        ir_measures.Qrel(str(q), str(p), int(grade))
        for q, row in enumerate(grades)
        for p, grade in enumerate(row)
        if grade
    ]
    run = [ir_measures.ScoredDoc(str(q), str(p), score) for q, row in enumerate(scores) for p, score in enumerate(row)]
    names = {nDCG @ k: "ndcg", AP @ k: "map", RR @ k: "mrr", R @ k: "recall", Success @ k: "hit_rate"}
    judged = list(ir_measures.iter_calc(list(names), qrels, run))
    assert len(judged) == 5 * 20
    for figure in judged:
        assert ours[f"{names[figure.measure]}@{k}"][int(figure.query_id)] == pytest.approx(figure.value, abs=1e-9)


def test_the_best_come_first_and_equals_keep_their_order() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert top_k(scores, 2).tolist() == [[1, 2], [0, 1]]
    assert top_k(scores, 4).tolist() == [[1, 2, 4, 3], [0, 1, 2, 3]]
    assert top_k(scores, 9).tolist() == [[1, 2, 4, 3, 0], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("ks", [[], [0], [5]])
def test_impossible_cutoffs_are_refused(ks: list[int]) -> None:
    with pytest.raises(ValueError, match="cut-offs must lie between 1 and 4"):
        compute_metrics(GAINS, IDEAL, RELEVANT, ks)


def test_labels() -> None:
    assert [label(key) for key in ("hit_rate@5", "mrr@10", "map@1")] == ["hit rate@5", "MRR@10", "MAP@1"]
