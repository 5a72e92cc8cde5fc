"""The fit with sampled negatives: an unbiased estimate, as good as the exact fit, within the memory it is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langchain_embedding_adapter import LinearAdapter, TrainingConfig
from langchain_embedding_adapter.config import in_bytes
from langchain_embedding_adapter.evaluation.ranking import retrieval_scores
from langchain_embedding_adapter.fitting import feasible, fit_linear, sampled
from langchain_embedding_adapter.fitting.clustering import along_a_path, find_centres, nearest_centre
from langchain_embedding_adapter.fitting.convex import fit_linear_exactly
from langchain_embedding_adapter.fitting.pools import Candidates, inclusion
from langchain_embedding_adapter.fitting.products import multiplying, product
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.sampled import fit_linear_sampled
from langchain_embedding_adapter.fitting.sampled_problem import SampledProblem
from langchain_embedding_adapter.fitting.shelf import Shelf
from langchain_embedding_adapter.vectors import PairVectors, Ragged, unit
from langchain_embedding_adapter.vectors.spool import Spool

DIMENSIONS = 24
EXACT = TrainingConfig(scale=20, ridge=0.05, tolerance=1e-6)
START = LinearAdapter(DIMENSIONS, DIMENSIONS)


def made(questions: int = 1500, passages: int = 1200, metric: str = "cosine", seed: int = 0) -> PairVectors:
    """Questions turned away from their passages, one to three each, and noise."""
    random = np.random.default_rng(seed)
    spread = np.arange(1.0, DIMENSIONS + 1) ** -0.5
    targets = unit((random.normal(size=(passages, DIMENSIONS)) * spread).astype(np.float32))
    counts = 1 + np.arange(questions) % 3
    about = random.integers(passages, size=counts.sum())
    about[np.cumsum(counts) - 1] = random.integers(passages, size=questions)
    relevant = Ragged.of([np.unique(part) for part in Ragged.in_rows(about, counts)])
    turn = np.eye(DIMENSIONS) + 1.2 * random.normal(size=(DIMENSIONS, DIMENSIONS)) / DIMENSIONS**0.5
    first = np.array([rows[0] for rows in relevant])
    queries = targets[first] @ turn + 0.4 * random.normal(size=(questions, DIMENSIONS)) * spread / spread.sum() ** 0.5
    lengths = random.uniform(0.5, 2, size=(passages, 1)) if metric == "dot" else 1
    return PairVectors(
        tuple(f"q{row}" for row in range(questions)),
        tuple(f"p{row}" for row in range(passages)),
        queries.astype(np.float32),
        (targets * lengths).astype(np.float32),
        relevant,
        relevant.like(random.uniform(1, 3, len(relevant.flat))),
        metric=metric,  # type: ignore[arg-type]
    )


def exact_loss(vectors: PairVectors, adapter: LinearAdapter, config: TrainingConfig) -> float:
    """The exact objective at a map: what one evaluation from there says."""
    _, history = fit_linear_exactly(vectors, adapter, replace(config, max_steps=1, ridge=0.0))
    moved = adapter.weight - np.eye(DIMENSIONS)
    return history[0]["loss"] + config.ridge * float((moved**2).sum())


def test_the_chances_are_in_proportion_and_add_up() -> None:
    parts = np.random.default_rng(0).exponential(size=200) ** 3
    chances = inclusion(parts, 50)
    assert chances.sum() == pytest.approx(50)
    assert chances.max() == 1
    open_ones = chances < 1
    assert np.allclose(chances[open_ones] / parts[open_ones], (chances / parts)[open_ones][0])
    assert parts[~open_ones].min() >= parts[open_ones].max()
    assert inclusion(parts, 200).tolist() == [1.0] * 200


def test_a_pool_stands_for_all_passages() -> None:
    """The mean of the estimated sums over many draws is the sum, and a draw by chance alone would stray farther."""
    vectors = made()
    candidates = Candidates(vectors, np.arange(1200), in_memory=True, seed=0)
    queries = torch.from_numpy(unit(vectors.queries))
    queries = queries[(queries @ queries[0]).argsort(descending=True)[:40]]  # a block is of neighbours
    every = (queries @ torch.from_numpy(candidates.vectors.array).T * 20).exp()
    truth = every.sum(dim=1).numpy()
    estimates = []
    for seed in range(400):
        pool = candidates.draw(queries, np.array([3, 7]), 200, 20.0, (seed,))
        assert (pool.rows[:2].tolist(), pool.log_weights[:2].tolist()) == ([3, 7], [0, 0])
        assert not np.isin(pool.rows[2:], [3, 7]).any()
        estimated = every[:, pool.rows.astype(int)] @ torch.from_numpy(pool.log_weights).exp()
        estimates.append(estimated.numpy())
    found = np.array(estimates)
    error = found.std(axis=0) / len(found) ** 0.5
    assert (np.abs(found.mean(axis=0) - truth) < 4 * error).all()
    by_chance = every.numpy().std(axis=1) * 1200 / 200**0.5
    assert np.median(found.std(axis=0) / by_chance) < 0.5


def test_with_every_passage_in_its_pool_the_fit_is_the_exact_one() -> None:
    for metric, bias, negatives in (("cosine", False, "asked"), ("dot", True, "all")):
        vectors = made(metric=metric)
        config = replace(EXACT, negatives=negatives, negatives_drawn=1200, duplicates_above=0.95)
        centre = LinearAdapter(DIMENSIONS, DIMENSIONS, bias=bias)
        weights = {"q0": 0.0, "q1": 5.0, "q2": 0.0}
        exact, _ = fit_linear_exactly(vectors, centre, config, question_weights=weights)
        found, _ = fit_linear_sampled(vectors, centre, config, question_weights=weights)
        assert np.linalg.norm(found.weight - exact.weight) < 2e-3 * np.linalg.norm(exact.weight - centre.weight)
        if bias:
            assert np.abs(found.bias - exact.bias).max() < 1e-4  # type: ignore[operator]


def test_a_teacher_is_heard() -> None:
    vectors = made(questions=300, passages=200)
    random = np.random.default_rng(1)
    listed = Ragged.of(np.sort(random.choice(200, 5, replace=False)) for _ in range(300))
    taught = replace(vectors, listed=listed, opinions=listed.like(random.normal(size=1500)))
    config = replace(EXACT, negatives="all", negatives_drawn=200, teacher_share=0.4)
    exact, _ = fit_linear_exactly(taught, START, config)
    found, _ = fit_linear_sampled(taught, START, config)
    untaught, _ = fit_linear_sampled(vectors, START, config)
    assert np.abs(found.weight - exact.weight).max() < 1e-3
    assert np.abs(untaught.weight - exact.weight).max() > 1e-2


def test_a_teacher_is_heard_about_the_passages_that_take_part() -> None:
    """Of 600 passages a fifth are asked about, and its lists hold others too."""
    vectors = made(questions=60, passages=600)
    random = np.random.default_rng(1)
    listed = Ragged.of(np.union1d(right[:1], random.choice(600, 8)) for right in vectors.relevant)
    taught = replace(vectors, listed=listed, opinions=listed.like(random.normal(size=len(listed.flat))))
    config = replace(EXACT, negatives_drawn=600, teacher_share=0.4)
    exact, _ = fit_linear_exactly(taught, START, config)
    found, _ = fit_linear_sampled(taught, START, config)
    untaught, _ = fit_linear_sampled(vectors, START, config)
    assert np.abs(found.weight - exact.weight).max() < 1e-3
    assert np.abs(untaught.weight - exact.weight).max() > 1e-2


def test_a_twentieth_of_the_passages_teaches_nearly_as_well() -> None:
    vectors = made()
    config = replace(EXACT, negatives_drawn=60)
    exact, _ = fit_linear_exactly(vectors, START, config)
    found, _ = fit_linear_sampled(vectors, START, config)
    base, best, near = (
        exact_loss(vectors, adapter, config) for adapter in (LinearAdapter(DIMENSIONS, DIMENSIONS), exact, found)
    )
    assert near - best < 0.03 * (base - best)
    before, after = (
        retrieval_scores(vectors, adapter.adapt(vectors.queries), [10])["ndcg@10"].mean() for adapter in (START, found)
    )
    assert after > before + 0.1


def test_parts_of_the_questions_are_fitted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, config = made(), replace(EXACT, tolerance=1e-3)
    _, at_once = fit_linear_sampled(vectors, START, config)
    monkeypatch.setattr(sampled, "FIRST", 100)
    found, warm = fit_linear_sampled(vectors, START, config)
    assert len(warm) < len(at_once)
    assert warm[-1]["loss"] == pytest.approx(at_once[-1]["loss"], rel=0.02)
    assert exact_loss(vectors, found, config) < exact_loss(vectors, START, config)


def test_it_is_the_same_again_on_any_number_of_threads_from_memory_or_files(tmp_path: Path) -> None:
    vectors = made()
    config = replace(EXACT, negatives_drawn=100, tolerance=1e-3)
    first, _ = fit_linear_sampled(vectors, START, config)
    torch.set_num_threads(3)
    try:
        threaded, _ = fit_linear_sampled(vectors, START, config)
    finally:
        torch.set_num_threads(1)
    mapped = {}
    for name in ("queries", "passages"):
        np.save(tmp_path / f"{name}.npy", getattr(vectors, name))
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    streamed, _ = fit_linear_sampled(replace(vectors, **mapped), START, replace(config, memory="10kB"))
    assert np.array_equal(first.weight, threaded.weight)
    assert np.array_equal(first.weight, streamed.weight)


def test_blocks_hold_no_vectors() -> None:
    vectors = made()
    problem = SampledProblem(vectors, START, replace(EXACT, negatives_drawn=100), None)
    level = problem.level(problem.counting, torch.zeros(DIMENSIONS, DIMENSIONS), Ranks())
    held = [
        value for block in level.blocks for value in vars(block.problem).values() if isinstance(value, torch.Tensor)
    ]
    assert max(value.untyped_storage().nbytes() for value in held) < 512 * 24 * 4
    assert sum(len(block.problem.rows) for block in level.blocks) == len(vectors.relevant.flat)


def test_large_problems_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = made(questions=200, passages=150)
    asked = len(np.unique(vectors.relevant.flat))
    assert feasible(vectors, TrainingConfig(exact_entries=200 * asked))
    assert not feasible(vectors, TrainingConfig(exact_entries=200 * asked - 1))
    assert not feasible(vectors, TrainingConfig(memory="20 kB"))
    config = TrainingConfig(exact_entries=1, negatives_drawn=20)
    found, _ = fit_linear(vectors, START, config)
    assert np.array_equal(found.weight, fit_linear_sampled(vectors, START, config)[0].weight)


def test_amounts_of_memory() -> None:
    assert [in_bytes(amount) for amount in ("1.5 GB", "2GiB", "7", 7, "3k")] == [1_500_000_000, 2**31, 7, 7, 3000]
    assert TrainingConfig(memory="2GB").memory_bytes == 2_000_000_000
    assert TrainingConfig().memory_bytes > 2**28
    for wrong in ("much", "-1GB", "4 XB"):
        with pytest.raises(ValueError, match="memory must be like '4GB'"):
            TrainingConfig(memory=wrong)
    with pytest.raises(ValueError, match="above 0"):
        TrainingConfig(memory=0)


def test_cells_hold_neighbours() -> None:
    angles = np.radians(np.arange(360))
    circle = torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    centres = find_centres(circle, 12, seed=0)
    assert torch.allclose(centres.norm(dim=1), torch.ones(len(centres)))
    nearest = nearest_centre(circle, centres)
    assert float((circle * centres[nearest]).sum(dim=1).min()) > np.cos(np.radians(60))
    path = along_a_path(centres)
    assert sorted(path.tolist()) == list(range(len(centres)))
    steps = (centres[path][1:] * centres[path][:-1]).sum(dim=1)
    assert float(steps.median()) > 0.7


def test_a_spool_gives_back_what_it_was_given() -> None:
    blocks = [np.full((2, 3), number, dtype=np.float32) for number in range(4)]
    for in_memory in (True, False):
        spool = Spool.of(blocks, (8, 3), in_memory=in_memory)
        assert isinstance(spool.array, np.memmap) is not in_memory
        assert spool.read(np.array([7, 0]))[:, 0].tolist() == [3, 0]
        assert spool.read(slice(1, 3))[:, 0].tolist() == [0, 1]


def test_products_of_fewer_bits_teach_alike() -> None:
    """bfloat16 on the CPU computes what a GPU does; the gain is the same to a thousandth."""
    vectors, config = made(), replace(EXACT, negatives_drawn=200, tolerance=1e-3)
    figures = {}
    for precision in ("float32", "tf32", "bfloat16"):
        found, _ = fit_linear_sampled(vectors, START, replace(config, precision=precision))
        figures[precision] = found, retrieval_scores(vectors, found.adapt(vectors.queries), [10])["ndcg@10"].mean()
    assert np.array_equal(figures["float32"][0].weight, figures["tf32"][0].weight)  # of no effect on a CPU
    assert not np.array_equal(figures["float32"][0].weight, figures["bfloat16"][0].weight)
    assert figures["bfloat16"][1] == pytest.approx(figures["float32"][1], abs=1e-3)
    one, other = (torch.from_numpy(part) for part in (vectors.queries[:5], vectors.passages[:7]))
    rounded = one.bfloat16().double() @ other.T.bfloat16().double()
    assert torch.allclose(product(one, other, "bfloat16").double(), rounded, rtol=1e-6, atol=1e-6)
    with multiplying("tf32"):
        assert torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(ValueError, match="precision must be one of float32, tf32, bfloat16"):
        TrainingConfig(precision="float16")  # type: ignore[arg-type]


def test_a_shelf_holds_what_is_in_memory_and_reads_the_rest() -> None:
    blocks = [np.full((2, 3), number, dtype=np.float32) for number in range(4)]
    for in_memory in (True, False):
        shelf = Shelf(Spool.of(blocks, (8, 3), in_memory=in_memory), "cpu")
        assert shelf.read(np.array([7, 0]))[:, 0].tolist() == [3, 0]
        assert shelf.read(slice(1, 3))[:, 0].tolist() == [0, 1]
