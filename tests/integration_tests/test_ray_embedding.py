"""Embedding and evaluation on a Ray cluster of two nodes: the local engine's results; kills cost what was in flight.

    python -c "from tests.integration_tests.test_ray_embedding import measure; print(measure())"

kills a worker and a node, and tells how many texts were embedded twice.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    PairVectors,
    QADataset,
    RayEngine,
    embed_dataset,
    embed_texts,
    evaluate_retrieval,
)
from langchain_embedding_adapter.evaluation import on_ray, ranking
from langchain_embedding_adapter.vectors import Ragged
from langchain_embedding_adapter.vectors.shard_work import BATCH
from tests.small_cluster import small_cluster
from tests.small_world import AngleEmbeddings, shifted, turned_back, world
from tests.unit_tests.test_shards import assert_same

pytest.importorskip("ray", reason="needs Ray: pip install 'langchain-embedding-adapter[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")  # Ray's own settings, among themselves

TEXTS = [f"q {number} {number % 4}" for number in range(800)]
LATENCY = 0.005
ENGINE = RayEngine(workers=2, shard_size=64)


class NotingEmbeddings(AngleEmbeddings):
    """Embeds angles, takes its time, and appends to a file what it was asked and by which process."""

    def __init__(self, log: Path, latency: float = 0.0) -> None:
        super().__init__()
        self.log, self.latency = log, latency

    def embed_query(self, text: str) -> list[float]:
        return self._asked("query", [text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._asked("document", texts)

    def _asked(self, role: str, texts: list[str]) -> list[list[float]]:
        time.sleep(self.latency)
        line = json.dumps({"pid": os.getpid(), "time": time.time(), "role": role, "texts": texts}) + "\n"
        file = os.open(self.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(file, line.encode())
        os.close(file)
        return [self._vector(text) for text in texts]


def noted(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with small_cluster() as found:
        yield found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def repeated() -> QADataset:
    dataset = world(step=24)
    passages = list(dataset.corpus.values())
    corpus = {**dataset.corpus, **{f"again{number}": passages[7 * number % len(passages)] for number in range(30)}}
    return QADataset(dataset.queries, corpus, dataset.relevant_docs)


def test_the_same_as_in_this_process_row_for_row(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = RayEngine(workers=2, shard_size=16)
    model = NotingEmbeddings(tmp_path / "log")
    spread = embed_dataset(model, repeated(), engine=engine, path="spread")
    assert_same(spread, embed_dataset(AngleEmbeddings(), repeated()))
    assert_same(spread, embed_dataset(NotingEmbeddings(tmp_path / "log2"), repeated(), path=tmp_path / "here"))
    asked = Counter((row["role"], text) for row in noted(tmp_path / "log") for text in row["texts"])
    assert set(asked.values()) == {1}
    assert len(asked) == 60 + 60
    assert len({row["pid"] for row in noted(tmp_path / "log")} - {os.getpid()}) >= 2
    adapted = turned_back(model)
    report = evaluate_retrieval(adapted, repeated(), engine=engine, path=tmp_path / "spread")
    assert report.to_dict() == evaluate_retrieval(adapted, repeated()).to_dict()
    assert report.base_scores["mrr@10"].mean() < report.adapted_scores["mrr@10"].mean()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_passages_are_ranked_as_in_this_process(cluster: Any, metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "PASSAGES", 90)
    monkeypatch.setattr(on_ray, "PASSAGES", 90)
    monkeypatch.setattr(on_ray, "QUESTIONS", ranking.BLOCK)
    draw = np.random.default_rng(1)
    passages, queries = (draw.standard_normal((rows, 16), dtype=np.float32) for rows in (400, 600))
    if metric != "cosine":  # whole numbers, whose sums are exact: very many scores are equal, within parts and across
        passages, queries = np.rint(passages), np.rint(queries)
    relevant = Ragged.in_rows(draw.integers(0, 400, 600), [1] * 600)
    names = tuple(map(str, range(600)))
    vectors = PairVectors(names, names[:400], queries, passages, relevant, relevant.like(np.ones(600)), metric=metric)
    model = AdaptedEmbeddings(AngleEmbeddings(), shifted(1)) if metric == "cosine" else AngleEmbeddings()
    here, there = (evaluate_retrieval(model, vectors, engine=engine) for engine in ("local", ENGINE))
    assert here.to_dict() == there.to_dict()
    for side in ("base_scores", "adapted_scores")[: 1 + (metric == "cosine")]:
        for name, scores in getattr(here, side).items():
            np.testing.assert_array_equal(scores, getattr(there, side)[name])
    depth = 10 if metric == "cosine" else 300
    nearest = on_ray.nearest_on_ray(vectors, queries, depth, engine=ENGINE)
    np.testing.assert_array_equal(nearest, ranking.nearest_passages(vectors, queries, depth))


def test_workers_share_the_accounts_rate_and_keep_what_fails(cluster: Any, tmp_path: Path) -> None:
    texts = [*TEXTS[:60], "q no number"]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"id": text, "text": text}) + "\n" for text in texts))
    limiter = InMemoryRateLimiter(requests_per_second=40, check_every_n_seconds=0.005, max_bucket_size=2)
    model, engine = NotingEmbeddings(tmp_path / "log"), RayEngine(workers=2, shard_size=10)
    options: dict[str, Any] = {"role": "query", "engine": engine, "rate_limiter": limiter}
    with pytest.raises(RuntimeError, match=r"1 of 61 texts could not be embedded \(ValueError"):
        embed_texts(tmp_path / "texts.jsonl", model, tmp_path / "vectors", **options)
    (file,) = (tmp_path / "vectors" / "failed").iterdir()
    assert json.loads(file.read_text())["id"] == "q no number"
    times = [row["time"] for row in noted(tmp_path / "log") if row["texts"] != ["q no number"]]
    assert len(times) == 60
    assert max(times) - min(times) >= 0.9 * (60 - 2 - 1) / 40


def kill_and_finish(cluster: Any, folder: Path) -> tuple[Counter[str], list[str]]:
    """Embed the texts while a worker is killed, and then a node; how often each was asked for, and what was killed."""
    (folder / "texts.jsonl").write_text("".join(json.dumps({"id": text, "text": text}) + "\n" for text in TEXTS))
    log, kills = folder / "log", []

    def once(asked: int, kill: Callable[[], None], name: str) -> None:
        deadline = time.monotonic() + 60
        while len(noted(log)) < asked and time.monotonic() < deadline:
            time.sleep(0.01)
        kills.append(f"{name} after {len(noted(log))} calls")
        kill()

    def killer() -> None:
        once(150, lambda: os.kill(noted(log)[-1]["pid"], signal.SIGKILL), "a worker")
        once(400, lambda: cluster.remove_node(cluster.second, allow_graceful=False), "a node")

    thread = threading.Thread(target=killer)
    thread.start()
    model = NotingEmbeddings(log, LATENCY)
    told = embed_texts(folder / "texts.jsonl", model, folder / "vectors", role="query", engine=ENGINE)
    thread.join()
    assert (told.texts, told.distinct) == (len(TEXTS), len(TEXTS))
    return Counter(text for row in noted(log) for text in row["texts"]), kills


def test_a_worker_and_a_node_killed_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    asked, kills = kill_and_finish(cluster, tmp_path)
    assert len(kills) == 2
    assert asked.keys() == set(TEXTS)  # nothing is lost
    assert asked.total() - len(asked) <= 2 * BATCH["query"]  # what the two had in flight
    table = pq.read_table(sorted((tmp_path / "vectors").glob("*.parquet")))
    assert table.column("id").to_pylist() == TEXTS
    expected = [AngleEmbeddings()._vector(text) for text in TEXTS]
    np.testing.assert_array_equal(np.array(table.column("vector").to_pylist()), np.array(expected, np.float32))


def measure() -> str:
    """What the kills did."""
    with small_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        asked, kills = kill_and_finish(cluster, Path(folder))
        seconds = time.monotonic() - began
    again = asked.total() - len(asked)
    return f"{', '.join(kills)}: {len(asked)} of {len(TEXTS)} texts, {again} asked for again, {seconds:.1f} s"
