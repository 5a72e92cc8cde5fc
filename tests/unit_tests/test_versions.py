"""Adapters exchanged while traffic runs."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, MemoryAdapter
from tests.small_world import AngleEmbeddings, shifted

SIZE = 16
BASE = DeterministicFakeEmbedding(size=SIZE)
CALIBRATION = {"adapted": [0.0, 1.0], "base": [0.0, 0.5]}


def moved(text: str, places: int) -> list[float]:
    return np.roll(np.array(BASE.embed_query(text), dtype=np.float32), places).tolist()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_version_is_told_by_its_content_or_its_label(tmp_path: Path) -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(1))
    assert len(adapted.version) == 12
    assert adapted.version == AdaptedEmbeddings(BASE, shifted(1)).version != AdaptedEmbeddings(BASE, shifted(2)).version
    labelled = AdaptedEmbeddings(BASE, shifted(1), name="handbook", version="2026-11")
    labelled.save_pretrained(tmp_path / "elsewhere")
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "elsewhere", BASE)
    assert (loaded.name, loaded.version) == ("handbook", "2026-11")
    AdaptedEmbeddings(BASE, shifted(1)).save_pretrained(tmp_path / "sales")
    assert AdaptedEmbeddings.from_pretrained(tmp_path / "sales", BASE).name == "sales"  # after its folder
    assert loaded.metadata == {
        "embedding_adapter": "handbook",
        "embedding_adapter_version": "2026-11",
        "embedding_adapter_base": "DeterministicFakeEmbedding",
    }


def test_swap_roll_back_and_list() -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(0), version="0")
    for places in range(1, 5):
        adapted.swap(shifted(places), version=str(places))
    assert adapted.embed_query("a") == pytest.approx(moved("a", 4))
    assert [version.version for version in adapted.versions] == ["2", "3", "4"]
    assert adapted.roll_back().version == "3"
    adapted.swap(shifted(5), version="5")
    assert [version.version for version in adapted.versions] == ["3", "4", "5"]
    assert adapted.roll_back().version == "3"
    assert adapted.roll_back("5").version == adapted.version == "5"
    assert adapted.roll_back().version == "3"
    with pytest.raises(ValueError, match="none has served here before"):
        AdaptedEmbeddings(BASE, shifted(0)).roll_back()
    with pytest.raises(ValueError, match="no version '9' is held; those that are: "):
        adapted.roll_back("9")


def test_a_swap_takes_over_everything_that_is_told() -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(0))
    other = AdaptedEmbeddings(BASE, shifted(1), name="other", provenance={"training": {"questions": 3}})
    adapted.swap(other)
    assert (adapted.name, adapted.provenance) == ("other", {"training": {"questions": 3}})


def test_adapters_that_do_not_fit_are_refused_and_the_old_one_serves_on() -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(1))
    with pytest.raises(ValueError, match=r"from 16 to 16 dimensions, as the one that serves, got one from 16 to 8"):
        adapted.swap(LinearAdapter(SIZE, 8))
    with pytest.raises(TypeError, match="expected an adapter"):
        adapted.swap(np.eye(SIZE))  # type: ignore[arg-type]
    assert adapted.embed_query("a") == pytest.approx(moved("a", 1))


class Remote(DeterministicFakeEmbedding):
    """Answers after a moment, as a service does, so that threads are in the middle of a question most of the time."""

    def embed_query(self, text: str) -> list[float]:
        time.sleep(0.001)
        return super().embed_query(text)


def test_no_answer_is_torn_while_adapters_are_swapped_under_64_threads() -> None:
    adapters = [shifted(places) for places in range(SIZE)]
    for adapter in adapters[1::2]:
        adapter.weight = adapter.weight * 3  # the length is given back by another step than the direction
    memory = MemoryAdapter(SIZE, SIZE, size=4, strength=0.0)
    adapted = AdaptedEmbeddings(Remote(size=SIZE), adapters[0])
    texts = [f"question {number}" for number in range(20)]
    right = {text: np.array([moved(text, places) for places in range(SIZE)]) for text in texts}
    enough = threading.Event()

    def version(text: str, answer: list[float]) -> int:
        apart = np.abs(right[text] - answer).max(axis=1)
        assert apart.min() < 1e-5  # the answer of one version, whole
        return int(apart.argmin())

    def ask(worker: int) -> int:
        asked = 0
        while asked < 50 or not enough.is_set():
            text = texts[(worker + asked) % len(texts)]
            version(text, adapted.embed_query(text))
            asked += 1
            if worker == 0 and asked % 5 == 0:
                answers = adapted.embed_queries(texts[:3])
                assert len(set(map(version, texts, answers))) == 1
                asked += 3
        return asked

    def swap() -> None:
        for number in range(1, 401):
            if number % 7 == 0:
                adapted.roll_back()
            else:
                adapted.swap(memory if number % 11 == 0 else adapters[number % SIZE])
            time.sleep(0.001)
        enough.set()

    swapper = threading.Thread(target=swap)
    with ThreadPoolExecutor(64) as pool:
        askers = [pool.submit(ask, worker) for worker in range(64)]
        swapper.start()
        swapper.join()
        assert sum(asker.result() for asker in askers) >= 64 * 50


async def test_no_answer_is_torn_between_tasks() -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(0))

    async def ask(number: int) -> bool:
        answer = await adapted.aembed_query(f"question {number % 5}")
        return any(np.allclose(answer, moved(f"question {number % 5}", places), atol=1e-6) for places in range(3))

    async def swap() -> None:
        for number in range(200):
            adapted.swap(shifted(number % 3))
            await asyncio.sleep(0)

    answers = await asyncio.gather(swap(), *map(ask, range(300)))
    assert all(answers[1:])


def test_what_the_folder_holds_by_now_is_loaded(tmp_path: Path) -> None:
    AdaptedEmbeddings(BASE, shifted(1)).save_pretrained(tmp_path / "it")
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "it", BASE)
    assert not adapted.reload()
    AdaptedEmbeddings(BASE, shifted(2)).save_pretrained(tmp_path / "it")
    assert adapted.reload()
    assert adapted.embed_query("a") == pytest.approx(moved("a", 2))
    AdaptedEmbeddings(BASE, shifted(2), provenance={"calibration": CALIBRATION}).save_pretrained(tmp_path / "it")
    assert adapted.reload()  # the same map, and other scores
    assert adapted.calibration is not None
    (tmp_path / "it" / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        adapted.reload()
    assert adapted.embed_query("a") == pytest.approx(moved("a", 2))
    AdaptedEmbeddings(BASE, shifted(3)).save_pretrained(tmp_path / "other")
    assert adapted.reload(tmp_path / "other")
    assert adapted.embed_query("a") == pytest.approx(moved("a", 3))
    with pytest.raises(ValueError, match="was not loaded from anywhere"):
        AdaptedEmbeddings(BASE, shifted(1)).reload()


def test_an_adapter_of_another_model_is_not_reloaded(tmp_path: Path) -> None:
    AdaptedEmbeddings(BASE, shifted(1)).save_pretrained(tmp_path / "it")
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "it", BASE)
    base = AngleEmbeddings()
    AdaptedEmbeddings(base, LinearAdapter(8, 8)).save_pretrained(tmp_path / "it")
    with pytest.raises(ValueError, match="takes query vectors of 8 dimensions"):
        adapted.reload()
    assert adapted.embed_query("a") == pytest.approx(moved("a", 1))


def test_a_folder_is_watched_while_threads_ask(tmp_path: Path) -> None:
    AdaptedEmbeddings(BASE, shifted(0)).save_pretrained(tmp_path / "it")
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "it", Remote(size=SIZE))
    right = [moved("a", places) for places in range(4)]
    done = threading.Event()

    def ask() -> int:
        asked = 0
        while not done.is_set():
            answer = adapted.embed_query("a")
            assert any(np.allclose(answer, known, atol=1e-6) for known in right)
            asked += 1
        return asked

    with adapted.watch(0.01), ThreadPoolExecutor(8) as pool:
        askers = [pool.submit(ask) for _ in range(8)]
        try:
            for number in range(1, 13):
                AdaptedEmbeddings(BASE, shifted(number % 4)).save_pretrained(tmp_path / "it")
                wait_until(lambda number=number: np.allclose(adapted.embed_query("a"), right[number % 4], atol=1e-6))
        finally:
            done.set()
        assert min(asker.result() for asker in askers) > 0


def test_a_broken_adapter_in_a_watched_folder_is_told_and_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AdaptedEmbeddings(BASE, shifted(1)).save_pretrained(tmp_path / "it")
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "it", BASE)
    watch = adapted.watch(0.005)
    with caplog.at_level(logging.ERROR):
        config = json.loads((tmp_path / "it" / "config.json").read_text())
        (tmp_path / "it" / "config.json").write_text(json.dumps(config | {"adapter": {}}))
        wait_until(lambda: "has changed and could not be loaded" in caplog.text)
    assert adapted.embed_query("a") == pytest.approx(moved("a", 1))
    watch.stop()
    AdaptedEmbeddings(BASE, shifted(2)).save_pretrained(tmp_path / "it")
    time.sleep(0.03)
    assert adapted.embed_query("a") == pytest.approx(moved("a", 1))


def test_a_watch_ends_with_what_it_watches_for(tmp_path: Path) -> None:
    AdaptedEmbeddings(BASE, shifted(1)).save_pretrained(tmp_path / "it")
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "it", BASE)
    watch = adapted.watch(0.005)
    del adapted
    AdaptedEmbeddings(BASE, shifted(2)).save_pretrained(tmp_path / "it")
    wait_until(lambda: not watch._thread.is_alive())


def test_only_folders_are_watched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was not loaded from anywhere"):
        AdaptedEmbeddings(BASE, shifted(1)).watch()
    AdaptedEmbeddings(BASE, shifted(1)).save_pretrained(tmp_path / "it")
    adapted = AdaptedEmbeddings.from_pretrained(tmp_path / "it", BASE)
    with pytest.raises(ValueError, match="expected a positive number of seconds"):
        adapted.watch(0)
    (tmp_path / "it").rename(tmp_path / "gone")
    with pytest.raises(ValueError, match="only folders are watched"):
        adapted.watch()


def test_what_goes_through_is_counted_by_version() -> None:
    adapted = AdaptedEmbeddings(BASE, LinearAdapter(SIZE, SIZE))
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(adapted.embed_query, ["a"] * 200))
    adapted.embed_queries(["a", "b"])
    length = np.linalg.norm([BASE.embed_query(text) for text in ("a", "b")], axis=1)
    found = adapted.statistics
    assert (found.queries, found.mean_norm) == (202, pytest.approx((201 * length[0] + length[1]) / 202))
    assert (found.mean_shift, found.largest_shift) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))
    turned = LinearAdapter(SIZE, SIZE)
    turned.weight = -turned.weight
    adapted.swap(turned)
    adapted.embed_query("a")
    assert (adapted.statistics.queries, adapted.statistics.mean_shift) == (1, pytest.approx(2))
    assert [version.statistics.queries for version in adapted.versions] == [202, 1]
    assert AdaptedEmbeddings(BASE, LinearAdapter(SIZE, 8)).statistics.mean_shift is None


def test_it_is_copied_and_pickled_with_its_versions() -> None:
    adapted = AdaptedEmbeddings(BASE, shifted(0))
    adapted.swap(shifted(1))
    adapted.embed_query("a")
    for twin in (copy.deepcopy(adapted), pickle.loads(pickle.dumps(adapted))):  # noqa: S301 our own
        assert twin.embed_query("a") == adapted.embed_query("a")
        twin.roll_back()
        assert twin.embed_query("a") == pytest.approx(moved("a", 0))
    assert adapted.embed_query("a") == pytest.approx(moved("a", 1))


def test_half_precision_is_half_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    adapter = LinearAdapter(64, 64)
    adapter.weight = adapter.weight + 0.1 * np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    base = DeterministicFakeEmbedding(size=64)
    adapted = AdaptedEmbeddings(base, adapter)
    adapted.save_pretrained(tmp_path / "whole")
    adapted.save_pretrained(tmp_path / "half", dtype="float16")
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    half = AdaptedEmbeddings.from_pretrained(tmp_path / "half", base)
    assert half.embed_query("a") == pytest.approx(adapted.embed_query("a"), rel=5e-3, abs=5e-3)
    assert half.adapter.to_arrays()["weight"].dtype == np.float32
    adapter.weight = adapter.weight * 1e6
    with pytest.raises(ValueError, match=r"weight holds values beyond ±65504, which float16 cannot"):
        adapted.save_pretrained(tmp_path / "half", dtype="float16")
    with pytest.raises(ValueError, match="expected dtype='float32' or 'float16', got 'int8'"):
        adapted.save_pretrained(tmp_path / "half", dtype="int8")  # type: ignore[arg-type]


def test_an_index_of_another_model_needs_that_model_for_documents() -> None:
    adapted = AdaptedEmbeddings(BASE, LinearAdapter(SIZE, 8))
    with pytest.raises(ValueError, match=r"another model built the index, of 8 dim.* document_embeddings=…"):
        adapted.embed_documents(["a"])
    old = DeterministicFakeEmbedding(size=8)
    bridged = AdaptedEmbeddings(BASE, LinearAdapter(SIZE, 8), document_embeddings=old)
    assert bridged.embed_documents(["a"]) == old.embed_documents(["a"])
    assert len(bridged.embed_query("a")) == 8


def test_an_index_of_another_model_is_remembered_where_the_dimensions_agree(tmp_path: Path) -> None:
    other = AngleEmbeddings()
    AdaptedEmbeddings(BASE, shifted(1), document_embeddings=other).save_pretrained(tmp_path / "bridge")
    for name in ("bridge", "again"):
        loaded = AdaptedEmbeddings.from_pretrained(tmp_path / name, BASE)
        with pytest.raises(ValueError, match="AngleEmbeddings built the index, of 16 dimensions, and not Determ"):
            loaded.embed_documents(["p 10 0"])
        loaded.save_pretrained(tmp_path / "again")
    whole = AdaptedEmbeddings.from_pretrained(tmp_path / "bridge", BASE, document_embeddings=other)
    assert whole.embed_documents(["p 10 0"]) == other.embed_documents(["p 10 0"])
