"""Large memories recall by cells what they would recall entry by entry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_embedding_adapter import AdaptedEmbeddings, MemoryAdapter, QADataset, TrainingConfig
from langchain_embedding_adapter.adapters import LayeredMemoryAdapter
from langchain_embedding_adapter.adapters.cells import Cells
from langchain_embedding_adapter.fitting import fit_memory, memory_for
from langchain_embedding_adapter.fitting import memory as fitting
from langchain_embedding_adapter.vectors import PairVectors

SIZE, TOPICS, QUESTIONS = 16, 40, 3000


def questions(count: int, seed: int) -> np.ndarray:
    """Unit vectors around a few topics."""
    random = np.random.default_rng(seed)
    topics = np.random.default_rng(0).standard_normal((TOPICS, SIZE))
    found = topics[random.integers(TOPICS, size=count)] + 0.3 * random.standard_normal((count, SIZE))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def vectors() -> PairVectors:
    keys = [f"{number}" for number in range(QUESTIONS)]
    dataset = QADataset(
        {f"q{key}": key for key in keys}, {f"p{key}": key for key in keys}, {f"q{key}": [f"p{key}"] for key in keys}
    )
    return PairVectors.from_arrays(dataset, questions(QUESTIONS, 1), questions(QUESTIONS, 2))


def sorted_into(cells: int, vectors: PairVectors, **options: float) -> tuple[MemoryAdapter, MemoryAdapter]:
    """The same memory with cells and without."""
    return tuple(
        fit_memory(vectors, MemoryAdapter(SIZE, SIZE, QUESTIONS + 5, cells=count, **options), seed=0)
        for count in (cells, 0)
    )


@pytest.mark.parametrize("temperature", [0.03, 0.1])
def test_they_recall_nearly_the_same(vectors: PairVectors, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langchain_embedding_adapter.adapters.cells.ONE_BY_ONE", 2 * SIZE * 300)
    by_cells, exact = sorted_into(100, vectors, temperature=temperature, strength=0.5)
    cells = by_cells._by_cells()
    assert (cells.near, len(cells.counts) > 60, cells.counts.sum()) == (300, True, QUESTIONS + 5)
    asked = np.concatenate([questions(50, 3), vectors.queries[:50]])
    one, two = by_cells.adapt(asked), exact.adapt(asked)
    assert np.einsum("qd,qd->q", one, two).min() > 0.995
    assert np.einsum("qd,qd->q", one, asked).mean() < 0.97  # and it is something that they recall


def test_what_is_near_is_recalled_exactly(vectors: PairVectors) -> None:
    by_cells, exact = sorted_into(20, vectors)
    assert by_cells._by_cells().near > QUESTIONS
    assert by_cells.adapt(questions(9, 3)) == pytest.approx(exact.adapt(questions(9, 3)), abs=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_cells_are_saved_and_loaded(vectors: PairVectors, tmp_path: Path, dtype: str) -> None:
    by_cells, _ = sorted_into(100, vectors)
    base = DeterministicFakeEmbedding(size=SIZE)
    adapted = AdaptedEmbeddings(base, by_cells)
    adapted.save_pretrained(tmp_path, dtype=dtype)
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path, base)
    assert np.array_equal(loaded.adapter.cell, by_cells.cell)
    assert loaded.embed_query("a") == pytest.approx(adapted.embed_query("a"), rel=5e-3, abs=2e-2)


def test_cells_that_are_none_are_refused(vectors: PairVectors) -> None:
    by_cells, _ = sorted_into(100, vectors)
    for spoilt in (by_cells.cell[::-1], by_cells.cell + 0.5, by_cells.cell - 1):
        with pytest.raises(ValueError, match="whole numbers that never fall"):
            MemoryAdapter(SIZE, SIZE, QUESTIONS + 5, cells=100).load_arrays({**by_cells.to_arrays(), "cell": spoilt})
    with pytest.raises(ValueError, match="cells must be a whole number up to 2048, got 5000"):
        MemoryAdapter(SIZE, SIZE, 9, cells=5000)


def test_only_large_memories_have_cells(vectors: PairVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_for(384, 384, TrainingConfig().memory_size, 0.05, 0.5).cells == 0
    assert memory_for(384, 384, 50_000, 0.05, 0.5).cells == 514
    assert memory_for(1536, 1536, 5000, 0.05, 0.5).cells == 163
    monkeypatch.setattr(fitting, "LARGE", 1000)
    fitted = fit_memory(vectors, memory_for(SIZE, SIZE, 2000, 0.05, 0.5), seed=0)
    assert len(np.unique(fitted.cell)) > 50
    assert np.array_equal(fitted.cell, fit_memory(vectors, memory_for(SIZE, SIZE, 2000, 0.05, 0.5), seed=0).cell)


def test_new_keys_are_sorted_anew(vectors: PairVectors) -> None:
    by_cells, _ = sorted_into(100, vectors)
    before = by_cells._by_cells()
    assert by_cells._by_cells() is before
    by_cells.keys = by_cells.keys.copy()
    assert by_cells._by_cells() is not before


def test_an_empty_memory_recalls_nothing() -> None:
    cells = Cells(*(np.zeros((4, SIZE), dtype=np.float32),) * 2, np.zeros(4, dtype=np.float32), 0.05)
    assert not cells.recall(questions(1, 0)[0]).any()
    assert MemoryAdapter(SIZE, SIZE, 4, cells=2).adapt(questions(3, 0)) == pytest.approx(questions(3, 0), abs=1e-6)


def test_a_memory_over_another_has_cells_above_and_below(vectors: PairVectors) -> None:
    by_cells, exact = sorted_into(20, vectors)
    above = [fit_memory(vectors.rows(np.arange(40)), memory, seed=0, below=exact) for memory in sorted_into(4, vectors)]
    layered = [LayeredMemoryAdapter.over(below, over) for below, over in zip((by_cells, exact), above, strict=True)]
    asked = np.concatenate([questions(9, 3), vectors.queries[:9]])
    assert layered[0].below.cells == 20
    assert layered[0].adapt(asked) == pytest.approx(layered[1].adapt(asked), abs=1e-5)
    assert not np.allclose(layered[1].adapt(asked), exact.adapt(asked), atol=1e-3)
