"""Generation on a small real cluster: the answers of the local engine, one account, and what survives when it is hit.

    python -c "from tests.integration_tests.test_ray_generation import measure; print(measure(3))"

hits a run of its own three times and tells how many calls were repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_embedding_adapter import (
    AdapterTrainer,
    QADataset,
    RayEngine,
    agenerate_qa_pairs,
    cli,
    generate_qa_pairs,
    models,
)
from langchain_embedding_adapter.cluster.clients import packed, unpacked
from langchain_embedding_adapter.cluster.connecting import connected
from langchain_embedding_adapter.cluster.spreading import Worker, spread
from tests.openai_server import OpenAIServer
from tests.small_cluster import small_cluster
from tests.writer import Writer, notes

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

ENGINE = RayEngine(workers=2, shard_size=20)


def worlds(count: int) -> list[Document]:
    return [
        Document(f"World{number} has {number} moons.", metadata={"source": f"book{number // 5}"})
        for number in range(count)
    ]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def answers_in(folder: Path) -> list[dict[str, Any]]:
    return [row for file in sorted((folder / "answers").glob("*.jsonl")) for row in lines(file)]


def test_models_travel_with_their_settings_and_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = InMemoryRateLimiter(requests_per_second=8, check_every_n_seconds=0.5, max_bucket_size=2)
    model = ChatOpenAI(
        model="small", api_key="a-key", base_url="http://localhost:1/v1", temperature=0.3, rate_limiter=limiter
    )
    chain = model.bind(stop=["\n"]).with_retry()
    found = unpacked(packed({"chain": chain, "limiter": limiter}, workers=4))
    there = found["chain"].bound.bound
    assert (there.model_name, there.temperature, there.openai_api_base) == ("small", 0.3, "http://localhost:1/v1")
    assert there.openai_api_key.get_secret_value() == "a-key"
    assert there.client is not model.client
    assert found["chain"].kwargs == {"stop": ["\n"]}
    assert there.rate_limiter is found["limiter"]  # one rate, whoever asks it
    assert (found["limiter"].requests_per_second, found["limiter"].max_bucket_size) == (2, 1)
    with pytest.raises(TypeError, match="cannot be sent to them: cannot pickle"):
        packed(threading.Lock())
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-environment")
    content = packed(OpenAIEmbeddings(model="small", dimensions=8))
    monkeypatch.delenv("OPENAI_API_KEY")  # a worker has another environment
    assert unpacked(content).openai_api_key.get_secret_value() == "a-key-of-the-environment"


def test_what_is_started_is_stopped_and_nothing_else(tmp_path: Path) -> None:
    with connected(RayEngine(workers=5)):
        assert ray.cluster_resources()["CPU"] >= 5
        with connected(RayEngine()):
            pass
        assert ray.is_initialized()
        elsewhere = RayEngine(address="192.0.2.9:6379")
        with pytest.raises(RuntimeError, match=r"connected to the Ray cluster .* names another"), connected(elsewhere):
            pass
        assert ray.is_initialized()
    assert not ray.is_initialized()
    client = RayEngine(address="ray://head:10001")
    with pytest.raises(ValueError, match="Ray Data does not work through a Ray client"), connected(client):
        pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with small_cluster() as made:
        yield made


class Nowhere:
    """Fails in a worker, as it is made there or at its shard."""

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once

    def __setstate__(self, state: dict[str, bool]) -> None:
        if state["at_once"]:
            raise ValueError("there is no key")

    def __call__(self, shard: str) -> dict[str, Any]:
        raise ValueError(f"{shard} is nowhere")


def test_what_goes_wrong_in_a_worker_is_told(cluster: Any) -> None:
    with pytest.raises(RuntimeError, match=r"a worker failed at part-1: ValueError\('part-1 is nowhere'\)") as told:
        list(spread(RayEngine(workers=1), ["part-1"], Nowhere(at_once=False)))
    assert "in __call__" in str(told.value.__cause__)
    said = Worker(packed(Nowhere(at_once=True)))({"shard": ["part-1"]})  # its model cannot be made there
    assert "ValueError('there is no key')" in str(said["told"][0])


def test_the_same_as_here_row_for_row(cluster: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "styles": {"natural": 2, "keywords": 1, "multi-hop": 2},
        "personas": ["a nurse", "a clerk"],
        "test_size": 0.3,
        "found_within": 30,
        "max_concurrency": 4,
    }
    found: dict[str, QADataset] = {}
    for name, options in {"here": {}, "there": {"engine": ENGINE}}.items():
        llm = Writer(log=tmp_path / f"{name}.log", refuses={"World7 ": 400, "World31 ": 400})
        path = tmp_path / ("here.jsonl" if name == "here" else "there")
        trainer = AdapterTrainer(DeterministicFakeEmbedding(size=8), llm)
        found[name] = trainer.generate_dataset(worlds(60), path=path, judge=llm, **options, **settings)
    here, there = found["here"], found["there"]
    assert here == there
    assert (list(here.queries.items()), here.origin) == (list(there.queries.items()), there.origin)
    assert list(here.relevant_docs.items()) == list(there.relevant_docs.items())
    assert set(here.origin["turned_down"]) >= {"unanswerable", "not found"}

    beside = {
        name: tmp_path / f"here.{name}" for name in ("rejected.jsonl", "failed.jsonl", "summary.json", "parts.json")
    }
    assert lines(beside["rejected.jsonl"]) == lines(tmp_path / "there/rejected.jsonl")
    told = [json.loads(file.read_text()) for file in (beside["summary.json"], tmp_path / "there/summary.json")]
    assert {**told[0], "seconds": 0} == {**told[1], "seconds": 0}
    by_chunk = lambda row: row["chunk"]  # noqa: E731
    failed = sorted(lines(tmp_path / "there/failed.jsonl"), key=by_chunk)
    assert failed == sorted(lines(beside["failed.jsonl"]), key=by_chunk)
    assert {(row["error"], row["message"]) for row in failed} == {("RefusedError", "Error code: 400")}
    assert beside["parts.json"].read_bytes() == (tmp_path / "there/parts.json").read_bytes()
    whole = {row["key"]: row for row in lines(tmp_path / "here.jsonl")}
    assert {row["key"]: row for row in answers_in(tmp_path / "there")} == whole

    wrong = Writer(log=tmp_path / "wrong.log", latency=0.05, refuses={"World": 401})
    with pytest.raises(RuntimeError, match=r"stopped after \d calls, an error that will not pass: RefusedError"):
        asyncio.run(agenerate_qa_pairs(worlds(160), wrong, path=tmp_path / "there", engine=ENGINE, max_concurrency=4))
    asked = {line["prompt"] for line in notes(wrong.log)}
    assert 1 <= len(asked) == len(notes(wrong.log)) <= 4  # one of each that could call at that time, of many shards
    known = {line["prompt"] for line in notes(tmp_path / "there.log", "ended")}
    assert not asked & known
    assert {row["key"]: row for row in answers_in(tmp_path / "there")} == whole


def test_an_account_is_one_account(cluster: Any, tmp_path: Path) -> None:
    rate, bucket, at_a_time, calls = 40.0, 2, 4, 60
    llm = Writer(log=tmp_path / "log")
    generate_qa_pairs(
        worlds(100),
        llm,
        path=tmp_path / "kept",
        engine=ENGINE,
        rate_limiter=InMemoryRateLimiter(requests_per_second=rate, check_every_n_seconds=0.01, max_bucket_size=bucket),
        max_concurrency=at_a_time,
        max_calls=calls,
    )
    begun = notes(llm.log)
    assert len(begun) == calls  # to the call, over both workers
    assert len({line["pid"] for line in begun}) == 2
    moments = sorted(line["time"] for line in begun)
    for first in range(calls):
        for last in range(first, calls):  # what the buckets held, what flowed in, and who was let through just before
            assert last - first + 1 <= bucket + rate * (moments[last] - moments[first]) + at_a_time


def test_the_command_and_a_client_of_each_worker(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "handbook").mkdir()
    for number, world in enumerate(worlds(30)):
        (tmp_path / f"handbook/{number}.txt").write_text(world.page_content)
    with OpenAIServer(latency=0.05) as server:
        client = ChatOpenAI(model="small", max_retries=0, base_url=server.url, api_key="a-key")
        monkeypatch.setattr(models, "load_chat_model", lambda _: client)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as stop:
            cli.main(["pairs", "run", "handbook", "--llm", "openai:small", "--engine", "ray", "--json"])
    assert not stop.value.code
    told = json.loads(capsys.readouterr().out)
    assert told["generation"]["answered"] == told["generation"]["calls"] == len(server.requests) == 30
    assert told["generation"]["input_tokens"] > 0
    assert {row["text"] for row in lines(tmp_path / "run/answers.jsonl")} == {w.page_content for w in worlds(30)}
    assert not list(tmp_path.glob("run/*.shards"))


@dataclass(frozen=True)
class Outcome:
    """What came of a run that was hit.

    Attributes:
        calls: Calls that the model saw begin.
        repeated: Those about what an earlier one had been about.
        in_flight: Those that had begun and never ended: they were under way in what was struck.
        seconds: How long it took.
    """

    calls: int
    repeated: int
    in_flight: int
    seconds: float


CHUNKS, AT_A_TIME = 160, 8


def hit(made: Any, folder: Path) -> Outcome:
    """A run in whose middle a worker's process is killed, and then a machine with all that is on it."""
    llm = Writer(log=folder / "log", latency=0.15)

    def strike() -> None:
        while len(notes(llm.log)) < CHUNKS // 4:
            time.sleep(0.01)
        os.kill(notes(llm.log)[-1]["pid"], signal.SIGKILL)
        while len(notes(llm.log)) < CHUNKS // 2:
            time.sleep(0.01)
        made.remove_node(made.second, allow_graceful=False)

    striking = threading.Thread(target=strike, daemon=True)
    started = time.monotonic()
    striking.start()
    engine = RayEngine(workers=2, shard_size=20)
    dataset = generate_qa_pairs(worlds(CHUNKS), llm, path=folder / "kept", engine=engine, max_concurrency=AT_A_TIME)
    striking.join()
    seconds = time.monotonic() - started
    texts = Counter(row["text"] for row in answers_in(folder / "kept"))
    assert texts == dict.fromkeys((world.page_content for world in worlds(CHUNKS)), 1)  # nothing is lost
    local = generate_qa_pairs(worlds(CHUNKS), Writer(log=folder / "local.log"))
    assert dataset == local
    begun = Counter(line["prompt"] for line in notes(llm.log))
    assert len(begun) == CHUNKS
    never_ended = begun.total() - len(notes(llm.log, "ended"))
    return Outcome(begun.total(), begun.total() - len(begun), never_ended, seconds)


def measure(times: int) -> str:
    """The figures of so many runs, each on a cluster of its own."""
    told = []
    for _ in range(times):
        with TemporaryDirectory() as folder, small_cluster() as made:
            told.append(str(hit(made, Path(folder))))
    return "\n".join(told)


def test_a_worker_and_a_machine_lost_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    outcome = hit(cluster, tmp_path)
    assert outcome.calls == CHUNKS + outcome.repeated
    assert 1 <= outcome.in_flight <= outcome.repeated <= 2 * AT_A_TIME // ENGINE.workers  # two hits, a worker each
