"""Where the linear fit searches: however a map is written, the optimum is the same, and few vectors make it cheaper."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from langchain_embedding_adapter import LinearAdapter, QADataset, TrainingConfig
from langchain_embedding_adapter.fitting import LinearProblem, Problem
from langchain_embedding_adapter.fitting.map_space import MapSpace, dot
from langchain_embedding_adapter.vectors import PairVectors

PLENTY = 2**22


def some_vectors(questions: int, passages: int, dimensions: int) -> PairVectors:
    random = np.random.default_rng(0)
    relevant = {f"q{number}": [f"p{number % passages}"] for number in range(questions)}
    corpus = {f"p{number}": f"passage {number}" for number in range(passages)}
    draw = lambda rows: random.normal(size=(rows, dimensions)).astype(np.float32)  # noqa: E731
    dataset = QADataset({query: query for query in relevant}, corpus, relevant)
    return PairVectors.from_arrays(dataset, draw(questions), draw(passages))


def random_matrices(*rows: int, dimensions: int) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(count, dimensions) for count in rows]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("by_question", "by_passage"), list(product([False, True], repeat=2)))
def test_every_way_to_write_the_map_finds_the_same_optimum(by_question: bool, by_passage: bool, bias: bool) -> None:
    config = TrainingConfig(scale=10, tolerance=1e-7)
    centre = LinearAdapter(8, 8, bias=bias)
    centre.weight = centre.weight + np.float32(0.1)
    problem = Problem.of(some_vectors(20, 12, 8), config)
    plain = LinearProblem.of(problem, centre, config, any_start=True)
    expected, _, losses = plain.minimise(config)

    queries, passages = plain.space.queries, plain.space.passages
    space = replace(
        plain.space,
        of_queries=queries @ queries.T if by_question else None,
        of_passages=passages @ passages.T if by_passage else None,
    )
    mapped = plain.offset if space.of_queries is None else plain.offset @ queries.T
    found, point, same = replace(plain, space=space, offset=mapped).minimise(config)
    assert found.weight == pytest.approx(expected.weight, abs=1e-3)
    assert same[0] == pytest.approx(losses[0], rel=1e-5)
    assert same[-1] == pytest.approx(losses[-1], rel=1e-5)
    of_bias = [] if found.bias is None else [found.bias[:, None]]
    added = np.concatenate([found.weight - centre.weight, *of_bias], axis=1)
    assert space.matrix(point).numpy() == pytest.approx(added, abs=1e-5)
    assert dot(point, point) == pytest.approx((added**2).sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("questions", "passages", "by_question", "by_passage"),
    [(2000, 2000, False, False), (2000, 40, False, True), (40, 2000, True, False), (60, 40, True, True)],
)
def test_few_vectors_are_what_the_map_is_written_in(
    questions: int, passages: int, by_question: bool, by_passage: bool
) -> None:
    space = MapSpace.cheapest(*random_matrices(questions, passages, dimensions=256), PLENTY)
    assert (space.of_queries is not None, space.of_passages is not None) == (by_question, by_passage)
    assert space.origin.shape == (
        1 + (by_question or by_passage),
        passages if by_passage else 256,
        questions if by_question else 256,
    )


def test_a_map_that_would_be_too_large_so_is_written_in_its_dimensions() -> None:
    queries, passages = random_matrices(60, 40, dimensions=256)
    space = MapSpace.cheapest(queries, passages, most_entries=2 * 60 * 40 - 1)
    assert (space.of_queries, space.of_passages) == (None, None)
