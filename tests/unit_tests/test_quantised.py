"""A million questions: read in blocks, their nearest found without comparing all, kept as codes that recall alike."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    LinearAdapter,
    MemoryAdapter,
    TrainingConfig,
)
from langchain_embedding_adapter.adapters import QuantisedMemoryAdapter
from langchain_embedding_adapter.fitting import Entries, condense, fit_memory, question_memory
from langchain_embedding_adapter.fitting import entries as reading
from langchain_embedding_adapter.fitting import memory as fitting
from langchain_embedding_adapter.fitting import nearest as finding
from langchain_embedding_adapter.fitting.product_codes import ProductCodes
from langchain_embedding_adapter.fitting.quantised import divided_cells
from langchain_embedding_adapter.vectors import PairVectors, Ragged, unit
from tests.small_world import AngleEmbeddings, world

SIZE, TOPICS, QUESTIONS = 16, 40, 3000


def around(count: int, seed: int, spread: float = 0.3) -> np.ndarray:
    """Unit vectors around a few topics."""
    random = np.random.default_rng(seed)
    topics = np.random.default_rng(0).standard_normal((TOPICS, SIZE))
    return unit(
        (topics[random.integers(TOPICS, size=count)] + spread * random.standard_normal((count, SIZE))).astype("f")
    )


def pair_vectors(queries: np.ndarray, passages: np.ndarray, *, each: int = 2) -> PairVectors:
    """Every question with the passage of its row and the ones after it, the first of them best."""
    rows = (np.arange(len(queries))[:, None] + np.arange(each)) % len(passages)
    counts = np.full(len(queries), each)
    grades = np.tile(np.arange(each, 0, -1).astype(float), len(queries))
    ids = [[str(row) for row in range(len(found))] for found in (queries, passages)]
    return PairVectors(*ids, queries, passages, Ragged.in_rows(rows.ravel(), counts), Ragged.in_rows(grades, counts))


@pytest.fixture
def vectors() -> PairVectors:
    return pair_vectors(3 * around(QUESTIONS, 1), around(QUESTIONS, 2))


@pytest.fixture(params=["faiss", "NumPy"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With faiss and without it; few are many, so that the ways for many are taken."""
    if request.param == "NumPy":
        monkeypatch.setitem(sys.modules, "faiss", None)
    else:
        pytest.importorskip("faiss", reason="needs the extra `faiss`")
    monkeypatch.setattr(finding, "EACH_WITH_EACH", 1000)
    monkeypatch.setattr(reading, "BLOCK", 300 * 2 * SIZE)
    return request.param


def quantised(vectors: PairVectors, cells: int = 60, width: int = 2, **options: float) -> QuantisedMemoryAdapter:
    size = len(vectors.queries)
    return fit_memory(vectors, QuantisedMemoryAdapter(SIZE, SIZE, size, cells, width=width, **options), seed=0)


def cosines(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.einsum("qd,qd->q", unit(one), unit(two))


@pytest.mark.parametrize("temperature", [0.05, 0.1])
def test_codes_recall_nearly_what_the_entries_do(
    library: str, vectors: PairVectors, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("langchain_embedding_adapter.adapters.codes.ONE_BY_ONE", 16 * 700)
    monkeypatch.setattr("langchain_embedding_adapter.adapters.codes.LOUDEST", 200)
    coded = quantised(vectors, temperature=temperature, strength=0.1)
    exact = fit_memory(vectors, MemoryAdapter(SIZE, SIZE, QUESTIONS, temperature, 0.1), seed=0)
    assert coded._coded_cells().near == 700
    asked = np.concatenate([around(100, 3), unit(vectors.queries[:100])])
    one, two = coded.adapt(asked), exact.adapt(asked)
    assert cosines(one, two).min() > 0.98
    assert cosines(one, two).mean() > 0.997
    assert cosines(two, asked).mean() < 0.9  # and it is something that they recall
    room = sum(array.nbytes for array in (coded.key_codes, coded.value_codes, coded.gains))
    assert room == QUESTIONS * (8 + 8 + 4)


def test_a_question_that_was_asked_before_is_known(library: str) -> None:
    """A key's code is shorter than the key, and without its gain would be taken for something merely similar."""
    vectors = pair_vectors(around(QUESTIONS, 1, spread=9), around(QUESTIONS, 2, spread=9))
    coded = quantised(vectors, cells=2, width=4, temperature=0.02, strength=0.5)
    exact = fit_memory(vectors, MemoryAdapter(SIZE, SIZE, QUESTIONS, 0.02, 0.5), seed=0)
    asked = unit(vectors.queries[::30])

    def recalled(adapter: MemoryAdapter | QuantisedMemoryAdapter) -> float:
        return float(np.linalg.norm(adapter.forward(asked) - asked, axis=1).mean())

    whole = recalled(exact)
    assert recalled(coded) == pytest.approx(whole, rel=0.1)
    coded.gains, coded._recalling = np.ones_like(coded.gains), None
    assert recalled(coded) < 0.5 * whole


def test_the_same_seed_makes_the_same_memory(library: str, vectors: PairVectors) -> None:
    one, two = (quantised(vectors).to_arrays() for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_what_is_read_in_blocks_is_what_is_read_at_once(vectors: PairVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    known = MemoryAdapter(SIZE, SIZE, 4)
    known.keys[:2], known.values[:2] = around(2, 5), around(2, 6)
    below = LinearAdapter(SIZE, SIZE)
    below.weight = np.roll(below.weight, 1, axis=0)
    for options in ({}, {"known": known}, {"below": below}):
        entries = Entries(vectors, SIZE, **options)
        keys, values = entries.at(np.arange(len(entries)))
        monkeypatch.setattr(reading, "BLOCK", 300 * 2 * SIZE)
        blocks = list(entries.blocks())
        assert len(blocks) > 5
        for which, whole in enumerate((np.arange(len(entries)), keys, values)):
            assert np.array_equal(np.concatenate([block[which] for block in blocks]), whole)
        own = len(entries) - QUESTIONS
        assert own == (2 if options == {"known": known} else 0)
        key = unit(vectors.queries[7])
        answer = (2 * vectors.passages[7] + vectors.passages[8]) / 3
        assert keys[own + 7] == pytest.approx(key, abs=1e-6)
        start = np.roll(key, 1) if "below" in options else key
        assert values[own + 7] == pytest.approx(answer - start, abs=1e-5)


def test_mapped_files_are_enough(library: str, vectors: PairVectors, tmp_path: Path) -> None:
    for name, array in (("queries", vectors.queries), ("passages", vectors.passages)):
        np.save(tmp_path / f"{name}.npy", array)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("queries", "passages")]
    arrays = quantised(pair_vectors(*mapped)).to_arrays()
    assert all(np.array_equal(array, arrays[name]) for name, array in quantised(vectors).to_arrays().items())


def test_condensing_many_into_one_is_warned_of(vectors: PairVectors, caplog: pytest.LogCaptureFixture) -> None:
    entries = Entries(vectors, SIZE)
    caplog.set_level(logging.WARNING)
    condense(entries, QUESTIONS // 10, seed=0)
    assert not caplog.records
    condense(entries, QUESTIONS // 10 - 1, seed=0)
    assert "more than 10 questions are merged into each entry of the memory" in caplog.text
    assert "raise memory_size from 299 (up to 3000)" in caplog.text


def test_condensing_merges_into_the_nearest_by_the_root_of_how_many(library: str, vectors: PairVectors) -> None:
    entries = Entries(vectors, SIZE)
    every, ways = entries.at(np.arange(QUESTIONS))
    keys, values = condense(entries, 200, seed=0)
    assert np.linalg.norm(keys, axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    kept = np.sort(np.random.default_rng(0).choice(QUESTIONS, 200, replace=False))
    best = (every @ every[kept].T).max(axis=1)
    found = finding.nearest_of(every[kept], QUESTIONS, 0)(every)
    counts = np.bincount(found, minlength=200)
    whole = (values * np.sqrt(counts)[:, None]).sum(axis=0)
    assert whole == pytest.approx(ways.sum(axis=0), abs=1e-2)
    near = np.einsum("nd,nd->n", every, every[kept][found])
    assert (near >= best - 1e-5).mean() > 0.9
    assert (best - near).mean() < 0.02


@pytest.mark.parametrize("count", [1, 5, 300])
def test_the_nearest_of_few_is_exact_and_of_many_nearly(library: str, count: int) -> None:
    centres, keys = around(count, 4), around(500, 5)
    best = (keys @ centres.T).argmax(axis=1)
    found = finding.nearest_of(centres, len(keys), 0)(keys)
    assert (found == best).mean() > (0.9 if count > 128 else 0.999)
    assert finding.nearest_of(centres, len(keys), 0)(keys[:0]).shape == (0,)


def test_no_cell_is_crowded(library: str) -> None:
    """Half of all ask the same thing, and a tenth nearly the same."""
    queries = around(QUESTIONS, 1)
    queries[: QUESTIONS // 2] = queries[0]
    queries[QUESTIONS // 2 : 6 * QUESTIONS // 10] = unit(queries[0] + 0.05 * around(QUESTIONS // 10, 9, 3))
    vectors = pair_vectors(np.random.default_rng(3).permutation(queries), around(QUESTIONS, 2))
    counts = np.bincount(divided_cells(Entries(vectors, SIZE), 50, seed=0))
    assert counts.min() > 0
    assert counts.max() <= 4 * QUESTIONS // 50
    coded = quantised(vectors, cells=50, temperature=0.1, strength=0.01)
    exact = fit_memory(vectors, MemoryAdapter(SIZE, SIZE, QUESTIONS, 0.1, 0.01), seed=0)
    assert cosines(coded.adapt(around(50, 3)), exact.adapt(around(50, 3))).min() > 0.97


def test_fewer_vectors_than_a_book_has_entries_are_their_own_codes() -> None:
    few = around(40, 1)
    codes = ProductCodes(few, 3, seed=0)
    assert codes.book.shape == (6, 256, 3)
    assert codes.decode(codes.encode(few)) == pytest.approx(few, abs=1e-4)


def test_books_learn_what_they_are_shown(library: str) -> None:
    codes = ProductCodes(around(2000, 1), 2, seed=0)
    fresh = around(200, 2)
    assert codes.encode(fresh).dtype == np.uint8
    assert np.square(codes.decode(codes.encode(fresh)) - fresh).mean() < 0.02 * np.square(fresh).mean()


def test_codes_are_saved_as_bytes_and_loaded(vectors: PairVectors, tmp_path: Path) -> None:
    coded, base = quantised(vectors), DeterministicFakeEmbedding(size=SIZE)
    adapted = AdaptedEmbeddings(base, coded)
    adapted.save_pretrained(tmp_path / "whole")
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "whole", base)
    assert loaded.adapter.key_codes.dtype == np.uint8
    assert loaded.embed_query("a") == adapted.embed_query("a")
    adapted.save_pretrained(tmp_path / "half", dtype="float16")
    half = AdaptedEmbeddings.from_pretrained(tmp_path / "half", base)
    assert np.array_equal(half.adapter.value_codes, coded.value_codes)
    assert half.embed_query("a") == pytest.approx(adapted.embed_query("a"), rel=5e-3, abs=2e-2)
    assert "holds the vectors of training questions" in (tmp_path / "whole" / "README.md").read_text()


def test_codes_that_are_none_are_refused(vectors: PairVectors, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    coded = quantised(vectors)
    with pytest.raises(ValueError, match="entries of the cells to be 3,000 in all"):
        coded.load_arrays({**coded.to_arrays(), "counts": coded.counts + 1})
    AdaptedEmbeddings(DeterministicFakeEmbedding(size=SIZE), coded).save_pretrained(tmp_path)
    arrays = load_file(tmp_path / "model.safetensors")
    save_file({**arrays, "key_codes": arrays["key_codes"].astype(np.int16)}, tmp_path / "model.safetensors")
    from langchain_embedding_adapter.embeddings.restoring import restore_adapter

    entry = {"kind": coded.kind, "in_features": SIZE, "out_features": SIZE, "arguments": coded.arguments}
    with pytest.raises(ValueError, match="expected key_codes to be of type uint8, got int16"):
        restore_adapter({"adapter": entry}, load_file(tmp_path / "model.safetensors"), source="it")


def test_only_the_map_is_trained(vectors: PairVectors) -> None:
    coded = quantised(vectors)
    twin, module = coded.trainable()
    (weight,) = module.parameters()
    twin.forward(torch.from_numpy(around(5, 3))).sum().backward()
    assert weight.grad.abs().sum() > 0


def test_only_vast_memories_of_questions_are_codes() -> None:
    def kind(size: int, dimensions: int) -> str:
        return question_memory(dimensions, dimensions, size, 0.05, 0.5).kind

    assert kind(TrainingConfig().memory_size, 384) == "memory"
    assert kind(TrainingConfig().memory_size, 1536) == "memory"
    assert (kind(65_536, 384), kind(65_537, 384)) == ("memory", "quantised-memory")
    assert question_memory(384, 384, 1_000_000, 0.05, 0.5).cells == 2300


def test_training_makes_one_where_there_are_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "VAST", 10)
    base, data = AngleEmbeddings(), world()
    result = AdapterTrainer(base).train(data, adapter="memory", expect="same passages")
    assert isinstance(result.adapter, QuantisedMemoryAdapter)
    assert result.adapter.size == len(data)
    with pytest.raises(ValueError, match=r"holds questions as codes, to which none are added; train anew"):
        AdapterTrainer(base).train(data, adapter=result.adapter)


def test_more_questions_than_the_size_are_condensed_before_they_are_coded(library: str, vectors: PairVectors) -> None:
    coded = fit_memory(vectors, QuantisedMemoryAdapter(SIZE, SIZE, 500, 20, strength=0.1), seed=0)
    whole = fit_memory(vectors, MemoryAdapter(SIZE, SIZE, 500, strength=0.1), seed=0)
    assert (coded.size, coded.counts.sum()) == (500, 500)
    asked = around(50, 3)
    assert cosines(coded.adapt(asked), whole.adapt(asked)).mean() > 0.97


def test_large_arrays_lie_in_a_scratch_file(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(reading.room((3, 4)), np.memmap)
    monkeypatch.setattr(reading, "ON_DISK", 10)
    large = reading.room((3, 4))
    large[1] = 2
    assert isinstance(large, np.memmap)
    assert (large.sum(), large.shape) == (8, (3, 4))


def test_without_faiss_it_says_so(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with caplog.at_level("INFO"):
        assert finding.faiss_if_installed() is None
    assert "faiss is not installed, and NumPy takes its place" in caplog.text


def test_an_empty_batch_stays_one(vectors: PairVectors) -> None:
    assert quantised(vectors).adapt(np.zeros((0, SIZE), dtype=np.float32)).shape == (0, SIZE)
