"""The loss against a plain double loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from langchain_embedding_adapter.losses import multi_positive_softmax

POSITIVES = [[0], [1, 4], [2, 3, 5]]


def pairs(positives: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rows = [row for row, found in enumerate(positives) for _ in found]
    weights = [(1 + number) / 10 for number in range(len(rows))]
    return torch.tensor(rows), torch.tensor([p for found in positives for p in found]), torch.tensor(weights)


def by_hand(scores: np.ndarray, positives: list[list[int]]) -> float:
    total, number = 0.0, 0
    for row, found in enumerate(positives):
        negatives = [scores[row, column] for column in range(scores.shape[1]) if column not in found]
        for column in found:
            number += 1
            total -= (
                number
                / 10
                * np.log(np.exp(scores[row, column]) / (np.exp(scores[row, column]) + np.exp(negatives).sum()))
            )
    return total


def test_it_is_the_cross_entropy_of_each_positive_among_the_negatives() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 6))
    loss = multi_positive_softmax(torch.tensor(scores), *pairs(POSITIVES))
    assert float(loss) == pytest.approx(by_hand(scores, POSITIVES), rel=1e-6)


def test_other_positives_of_a_question_are_no_negatives() -> None:
    scores = torch.zeros(3, 6, dtype=torch.float64)
    raised = scores.clone()
    raised[1, 4] = 9.0
    rows, columns, weights = pairs(POSITIVES)
    only_first = torch.where((rows == 1) & (columns == 1), weights, 0)
    assert multi_positive_softmax(raised, rows, columns, only_first) == multi_positive_softmax(
        scores, rows, columns, only_first
    )


def test_gradients_stay_finite_where_every_passage_answers() -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    loss = multi_positive_softmax(scores, *pairs([[0, 1, 2], [0]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(scores.grad).all()
