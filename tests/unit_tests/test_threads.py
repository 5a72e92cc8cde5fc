"""Whatever the number of threads: the same bits, of products, of a fit and of a selection; and no thread too many."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from langchain_embedding_adapter import AdapterTrainer, LinearAdapter, PairVectors, TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import retrieval_scores
from langchain_embedding_adapter.fitting import CLOSED_FORMS, fit_linear, products, sharing, threads
from langchain_embedding_adapter.fitting.products import LONGEST, inner, steady
from langchain_embedding_adapter.fitting.threads import SideBySide
from langchain_embedding_adapter.losses import loss_and_gradient
from langchain_embedding_adapter.selection.choice import select
from langchain_embedding_adapter.vectors import Ragged, unit

COUNTS = (1, 2, 3, 5, 16)
"""Of threads."""
DIMENSIONS = 160

needs_steady_products = pytest.mark.skipif(
    not steady(), reason="the processor has no AVX2, and products are made side by side on one thread each"
)


@pytest.fixture(autouse=True)
def seeded_with_threads_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sharing.Sharing, "_until", 0.0)
    monkeypatch.setattr(sharing, "TURN", math.inf)  # else a loaded machine would do it all on one thread
    before = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[True, False], ids=["one by one", "side by side"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways to share out brief calls, as far as this processor has them."""
    if request.param and not steady():
        pytest.skip("the processor has no AVX2")
    for module in (products, threads):
        monkeypatch.setattr(module, "steady", lambda: request.param)
    return bool(request.param)


def made(questions: int, passages: int) -> PairVectors:
    """Questions turned away from their passages; one in four has two of them."""
    random = np.random.default_rng(0)
    spread = np.arange(1.0, DIMENSIONS + 1) ** -0.5
    targets = unit((random.normal(size=(passages, DIMENSIONS)) * spread).astype(np.float32))
    about = np.arange(questions) % (passages // 2)
    turn = np.eye(DIMENSIONS) + random.normal(size=(DIMENSIONS, DIMENSIONS)) / DIMENSIONS**0.5
    queries = targets[about] @ turn + 0.2 * random.normal(size=(questions, DIMENSIONS)) * spread
    relevant = Ragged.of(
        np.array([first, first + passages // 2][: 1 + (row % 4 == 0)]) for row, first in enumerate(about)
    )
    return PairVectors(
        tuple(f"q{row}" for row in range(questions)),
        tuple(f"p{row}" for row in range(passages)),
        queries.astype(np.float32),
        targets,
        relevant,
        relevant.like(np.ones(len(relevant.flat))),
    )


def on_all(call: Callable[[], list[np.ndarray]]) -> list[list[np.ndarray]]:
    """What comes out on each number of threads."""
    results = []
    for count in COUNTS:
        torch.set_num_threads(count)
        results.append(call())
        assert torch.get_num_threads() == count
    return results


def same(results: list[list[np.ndarray]]) -> bool:
    first, *others = results
    return all(
        len(first) == len(other) and all(np.array_equal(*pair) for pair in zip(first, other, strict=True))
        for other in others
    )


@needs_steady_products
@pytest.mark.parametrize(
    ("rows", "products_each", "columns"),
    [
        (334, 384, 668),
        (215, 3010, 384),
        (64, 20_000, 64),
        (16, LONGEST, 16),
        (40, LONGEST + 1, 7),
        (1, 3000, 700),
        (1, 60_000, 1),
    ],
)
def test_products_are_steady(rows: int, products_each: int, columns: int) -> None:
    """Long sums, few rows and transposed sides are where oneDNN would share out a sum among threads."""
    sides = [torch.randn(count, products_each) for count in (rows, columns)]
    turned = [torch.randn(products_each, count).T for count in (rows, columns)]
    cut = [torch.randn(count, products_each + 9)[:, 4:-5] for count in (rows, columns)]
    for left, right in (sides, turned, cut):
        assert same(on_all(lambda left=left, right=right: [inner(left, right).numpy()]))
        exact = left.double() @ right.double().T
        assert torch.allclose(inner(left, right).double(), exact, atol=1e-6 * products_each)


@pytest.mark.parametrize("shape", [(0, 5, 3), (3, 5, 0), (1, 1, 1), (2, 1, 3), (2, 0, 3), (1, 9, 4), (4, 9, 1)])
def test_products_of_next_to_nothing(shape: tuple[int, int, int]) -> None:
    rows, products_each, columns = shape
    left, right = torch.randn(rows, products_each), torch.randn(columns, products_each)
    assert torch.allclose(inner(left, right), left @ right.T, atol=1e-5)
    assert inner(left, right).is_contiguous()
    assert torch.equal(inner(left.double(), right.double()), left.double() @ right.double().T)


def test_products_that_have_a_gradient_or_fit_not() -> None:
    left, right = torch.randn(3, 4, requires_grad=True), torch.randn(5, 4)
    inner(left, right).sum().backward()  # type: ignore[no-untyped-call]
    assert torch.allclose(left.grad, right.sum(dim=0).expand(3, 4))
    for one, other in ((torch.randn(1, 8), torch.randn(6, 1)), (right, right.double())):
        with pytest.raises(RuntimeError, match=r"cannot be multiplied|same dtype"):
            inner(one, other)


@needs_steady_products
def test_what_brief_calls_are_made_of_is_steady() -> None:
    table, other, column = torch.randn(501, 777), torch.randn(501, 777), torch.randn(501)
    operations: dict[str, Callable[[], Tensor]] = {
        "exp": lambda: table.exp(),
        "scaled sum": lambda: table.add(other, alpha=0.1237),
        "highest of rows": lambda: table.amax(dim=1),
        "sums of columns": lambda: table.T.sum(dim=1),
        "lengths": lambda: torch.nn.functional.normalize(table, dim=1),
        "products of rows": lambda: torch.linalg.vecdot(table, other),
        "nearest": lambda: table.topk(32, dim=1).values,
        "ranks": lambda: (table > column[:, None]).sum(dim=1),
    }
    unsteady = [name for name, operation in operations.items() if not same(on_all(lambda: [operation().numpy()]))]  # noqa: B023
    assert unsteady == []


@needs_steady_products
def test_the_loss_of_many_pairs_is_steady() -> None:
    questions, rows = 16_384, torch.arange(60_000) % 16_384
    columns, weights = torch.arange(60_000) % 37, torch.rand(60_000)
    scores = 10 * torch.randn(questions, 37)

    def found() -> list[np.ndarray]:
        return [part.numpy() for part in loss_and_gradient(scores.clone(), rows.sort().values, columns, weights)]

    assert same(on_all(found))


def test_a_fit_is_the_same_on_any_number_of_threads(way: bool) -> None:
    vectors, start = made(700, 300), LinearAdapter(DIMENSIONS, DIMENSIONS, bias=True)
    config = TrainingConfig(negatives="all", false_negatives_above=0.95)

    def found() -> list[np.ndarray]:
        fitted, history = fit_linear(vectors, start, config)
        return [*fitted.to_arrays().values(), np.array([row["loss"] for row in history])]

    results = on_all(found)
    assert same(results)
    assert results[0][-1][-1] < 0.8 * results[0][-1][0]


def test_a_fit_with_a_teacher_is_the_same_on_any_number_of_threads(way: bool) -> None:
    """With more opinions than torch adds up on one thread."""
    vectors, start = made(900, 300), LinearAdapter(DIMENSIONS, DIMENSIONS)
    listed = Ragged.of(np.random.default_rng(row).permutation(300)[:40] for row in range(900))
    opinions = np.random.default_rng(0).normal(size=len(listed.flat))
    taught = replace(vectors, listed=listed, opinions=listed.like(opinions))

    def found() -> list[np.ndarray]:
        fitted, history = fit_linear(taught, start, TrainingConfig(negatives="all", teacher_share=0.5))
        return [fitted.weight, np.array([row["loss"] for row in history])]

    assert same(on_all(found))


def test_a_selection_is_the_same_on_any_number_of_threads(way: bool) -> None:
    """With few questions, so that closed forms are among the candidates."""
    vectors, start = made(150, 120), LinearAdapter(DIMENSIONS, DIMENSIONS)

    def found() -> list[np.ndarray]:
        selection = select(vectors, start, TrainingConfig())
        assert any(choice.map.method in CLOSED_FORMS for choice in next(iter(selection.gains.values())))
        return [gains for future in selection.gains.values() for gains in future.values()]

    assert same(on_all(found))


def test_both_ways_come_to_the_same_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, start = made(700, 300), LinearAdapter(DIMENSIONS, DIMENSIONS)
    losses, gains = [], []
    for one_by_one in {steady(), False}:
        for module in (products, threads):
            monkeypatch.setattr(module, "steady", lambda one_by_one=one_by_one: one_by_one)
        fitted, history = fit_linear(vectors, start, TrainingConfig(tolerance=1e-4))
        losses.append(history[-1]["loss"])
        gains.append(retrieval_scores(vectors, fitted.adapt(vectors.queries), [10])["ndcg@10"].mean())
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-3)
    assert gains == pytest.approx([gains[0]] * len(gains), abs=2e-3)


def test_a_context_within_another_has_as_many_threads_but_not_within_its_calls() -> None:
    torch.set_num_threads(3)
    both, own = threading.Barrier(3, timeout=10), torch.get_num_threads()

    def call(number: int) -> tuple[int, int]:
        both.wait()  # three at a time, or it breaks
        with SideBySide() as inside:
            return torch.get_num_threads(), len({*inside.map(lambda _: threading.get_ident(), range(20))})

    with SideBySide(), SideBySide() as pool:
        assert pool.map(call, range(3)) == [(1, 1)] * 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == own


def test_two_trainings_in_threads_of_one_process_leave_torch_its_threads() -> None:
    torch.set_num_threads(3)
    entered, left = threading.Event(), threading.Event()
    seen: list[int] = []

    def second() -> None:
        with SideBySide():
            entered.set()
            left.wait(10)
        seen.append(torch.get_num_threads())

    with SideBySide():
        other = threading.Thread(target=second)
        other.start()
        assert entered.wait(10)
    left.set()
    other.join()
    assert torch.get_num_threads() == 3
    assert seen == [3]


def test_one_thread_stays_one_within_brief_calls_whatever_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(3)
    monkeypatch.setattr(sharing.Sharing, "_until", time.perf_counter() + 0.05)
    with SideBySide(brief=True), SideBySide(workers=1):
        time.sleep(0.06)
        inner(torch.randn(20, 30), torch.randn(40, 30))
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3


def test_an_error_in_a_call_comes_out_and_leaves_the_threads_as_they_were(way: bool) -> None:
    torch.set_num_threads(2)

    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("number three")
        return number

    with pytest.raises(ValueError, match="number three"), SideBySide(brief=True) as pool:
        pool.map(fail, range(8))
    assert torch.get_num_threads() == 2


def test_training_side_by_side_learns_as_well(monkeypatch: pytest.MonkeyPatch, base, dataset) -> None:  # type: ignore[no-untyped-def]
    """What machines without AVX2 do."""
    config = TrainingConfig(linear_grid=((40, 1e-3),), ridge=1e-3)
    as_here = AdapterTrainer(base, config=config).train(dataset)
    for module in (products, threads):
        monkeypatch.setattr(module, "steady", lambda: False)
    result = AdapterTrainer(base, config=config).train(dataset)
    assert result.improved
    assert result.selection is not None
    assert as_here.selection is not None
    assert result.selection.chosen == as_here.selection.chosen
    assert result.report["ndcg@10"].gain == pytest.approx(as_here.report["ndcg@10"].gain, abs=0.02)


def test_where_others_are_in_the_way_torch_keeps_to_one_thread_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(sharing, "TURN", 3e-3)
    monkeypatch.setattr(sharing.time, "perf_counter", lambda: now[0])
    torch.set_num_threads(3)
    slow, quick = 2 * sharing.TURN, sharing.TURN / 2
    with sharing.Sharing() as found:
        for seconds in (slow, quick, slow):  # once is chance
            found.took(seconds, work=1000)
            assert torch.get_num_threads() == 3
        found.took(slow, work=round(2 * sharing.TURN * sharing.LEAST_SPEED))  # it was much work
        assert torch.get_num_threads() == 3
        for _ in range(sharing.IN_A_ROW):
            found.took(slow, work=1000)
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with sharing.Sharing() as found:  # they will still be there
        assert torch.get_num_threads() == 1
        now[0] += sharing.AWHILE
        found.took(quick, work=1000)
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 3


@needs_steady_products
def test_products_tell_how_long_they_took(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(sharing.Sharing, "took", lambda self, seconds, work: told.append(work))
    inner(torch.randn(20, 30), torch.randn(40, 30))
    assert told == []
    with SideBySide(brief=True), SideBySide(brief=True):
        inner(torch.randn(20, 30), torch.randn(40, 30))
    assert told == [2 * 20 * 30 * 40]


def test_a_torch_without_the_operation_multiplies_as_it_always_did(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(left: Tensor, right: Tensor) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    monkeypatch.setattr(products, "_by_onednn", missing)
    steady.cache_clear()
    try:
        assert not steady()
        left, right = torch.randn(5, 7), torch.randn(6, 7)
        assert torch.equal(inner(left, right), left @ right.T)
    finally:
        steady.cache_clear()
