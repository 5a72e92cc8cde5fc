"""The loss against a plain double loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from langchain_embedding_adapter.losses import HARDEST, listwise_kl, margin, margin_mse, multi_positive_softmax

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


LISTS = [[0, 2], [1, 3, 4], [2]]


def lists(by_question: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [row for row, found in enumerate(by_question) for _ in found]
    return torch.tensor(rows), torch.tensor([passage for found in by_question for passage in found])


def test_the_margin_is_asked_of_the_hardest_negatives() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 40))
    expected, number = 0.0, 0
    for row, found in enumerate(POSITIVES):
        negatives = np.sort(np.delete(scores[row], found))[::-1][:HARDEST]
        for column in found:
            number += 1
            expected += number / 10 * np.maximum(0, 1 + negatives - scores[row, column]).mean()
    assert float(margin(torch.tensor(scores), *pairs(POSITIVES))) == pytest.approx(expected)


def test_a_margin_that_is_kept_costs_nothing() -> None:
    scores = torch.zeros(3, 6)
    rows, columns, weights = pairs(POSITIVES)
    scores[rows, columns] = 1.0
    assert margin(scores, rows, columns, weights) == 0
    scores[rows, columns] = 0.5
    assert margin(scores, rows, columns, weights) == pytest.approx(0.5 * float(weights.sum()))


def test_the_listwise_distance_is_the_divergence_of_two_softmaxes() -> None:
    random = np.random.default_rng(0)
    rows, columns = lists(LISTS)
    scores, opinions, weights = random.normal(size=(3, 6)), random.normal(size=len(rows)), np.array([1.0, 2.0, 3.0])
    expected, at = 0.0, 0
    for row, found in enumerate(LISTS):
        ours, theirs = (np.exp(x) / np.exp(x).sum() for x in (scores[row, found], opinions[at : at + len(found)]))
        expected += weights[row] * float(np.sum(theirs * np.log(theirs / ours)))
        at += len(found)
    own = torch.tensor(scores)[rows, columns]
    assert float(listwise_kl(own, rows, torch.tensor(opinions), torch.tensor(weights))) == pytest.approx(expected)
    assert float(listwise_kl(own + 7, rows, own, torch.tensor(weights))) == pytest.approx(0, abs=1e-12)


def test_the_margin_error_compares_how_far_the_right_one_is_ahead() -> None:
    rows, columns = lists(LISTS)
    scores = torch.tensor(np.random.default_rng(0).normal(size=(3, 6)))
    opinions = torch.tensor(np.random.default_rng(1).normal(size=len(rows)))
    answers = torch.tensor([True, False, False, True, False, False])  # the third question has no right passage listed
    own = scores[rows, columns]
    ahead, theirs = own[0] - own[1], opinions[0] - opinions[1]
    second = [(own[3] - own[k] - opinions[3] + opinions[k]) ** 2 for k in (2, 4)]
    expected = 1 * (ahead - theirs) ** 2 + 2 * sum(second) / 2
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert float(margin_mse(own, rows, opinions, weights, answers)) == pytest.approx(float(expected))
    assert float(margin_mse(opinions + 3, rows, opinions, weights, answers)) == pytest.approx(0, abs=1e-12)
