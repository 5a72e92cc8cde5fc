"""Generation and embeddings through OpenAI's client while the server fails in every way that servers do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.documents import Document
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from langchain_embedding_adapter import QADataset, agenerate_qa_pairs, generate_qa_pairs, verdicts
from tests.openai_server import LIGHT, WEIGHTS, Ask, OpenAIServer, letters, mixed, stormy

CHUNKS = {"threads": 1200, "asynchronous": 1000}
"""As many as there is time for: OpenAI's client takes half a second of a slow core for a hundred calls."""
SHARE = 0.13
"""Of requests that a fault hits, beside the storm."""
SEED = 30
"""One by which every kind of fault occurs among the chunks."""

Generate = Callable[..., QADataset]
Client = Callable[..., ChatOpenAI]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "FIRST_WAIT", 0.02)
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.02)


@pytest.fixture(params=["threads", "asynchronous"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One for all runs of a test: OpenAI's asynchronous client keeps connections, and they belong to a loop."""
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


@pytest.fixture
def generate(way: str, loop: asyncio.AbstractEventLoop) -> Generate:
    if way == "threads":
        return generate_qa_pairs
    return lambda *arguments, **settings: loop.run_until_complete(agenerate_qa_pairs(*arguments, **settings))


@pytest.fixture
def client(loop: asyncio.AbstractEventLoop) -> Iterator[Client]:
    """Makes models whose connections are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(server: OpenAIServer, **settings: Any) -> ChatOpenAI:
            sync = stack.enter_context(openai.DefaultHttpxClient())
            asynchronous = openai.DefaultAsyncHttpxClient()
            stack.callback(lambda: loop.run_until_complete(asynchronous.aclose()))
            defaults = {"model": "small", "max_retries": 0, "base_url": server.url, "api_key": "a-key", "timeout": 1.5}
            return ChatOpenAI(http_client=sync, http_async_client=asynchronous, **defaults | settings)

        yield make


def worlds(count: int) -> list[Document]:
    return [Document(f"World{number} has {number} moons.") for number in range(count)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def summary(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".summary.json").read_text())


def test_every_chunk_is_answered_once_whatever_happens(
    generate: Generate, client: Client, way: str, tmp_path: Path
) -> None:
    path, chunks = tmp_path / "pairs.jsonl", worlds(CHUNKS[way])
    first = {chunks[0].page_content: "429, seconds", chunks[1].page_content: "429, a date"}  # two waits in one
    faults = mixed(SHARE, seed=SEED)
    trouble = stormy(lambda ask: first.pop(ask.about, None) or faults(ask), after=len(chunks) // 2, seconds=0.3)
    with OpenAIServer(latency=0.001, trouble=trouble, delay=0.2) as server:
        dataset = generate(chunks, client(server), path=path, max_concurrency=16)
    assert len(dataset) == 2 * len(chunks)
    assert Counter(row["text"] for row in lines(path)) == {chunk.page_content: 1 for chunk in chunks}
    assert server.answered == {chunk.page_content: 1 for chunk in chunks}
    assert server.faults.keys() == WEIGHTS.keys() | {"429, a storm", "429, seconds", "429, a date"}
    assert server.faults.total() > SHARE * len(chunks)
    assert server.most <= 16
    told = summary(path)
    assert (told["failed"], told["stopped"]) == ({}, None)
    assert told["calls"] == len(server.requests)
    assert told["retries"] == len(server.requests) - len(chunks) == server.faults.total() - server.faults["slow"]


def test_with_the_retries_of_the_client_itself(generate: Generate, client: Client, tmp_path: Path) -> None:
    path, chunks = tmp_path / "pairs.jsonl", worlds(80)
    with OpenAIServer(latency=0.001, trouble=mixed(0.4, LIGHT), delay=0.02) as server:
        dataset = generate(chunks, client(server, max_retries=2), path=path)
    assert len(dataset) == 2 * len(chunks)
    assert server.answered == {chunk.page_content: 1 for chunk in chunks}
    assert server.faults.keys() == LIGHT.keys()
    assert len(chunks) <= summary(path)["calls"] < len(server.requests)


def test_nobody_calls_before_the_time_that_the_server_asks_for(generate: Generate, client: Client) -> None:
    def trouble(ask: Ask) -> str | None:
        return "429, half a second" if ask.answers >= 10 and not server.faults else None

    with OpenAIServer(trouble=trouble) as server:
        generate(worlds(30), client(server), max_concurrency=3)
    about = [body["messages"][-1]["content"] for _, body in server.requests]
    refused = next(row for row, prompt in enumerate(about) if about.count(prompt) == 2)
    after = [moment - server.arrivals[refused] for moment in server.arrivals[refused + 1 :]]
    assert not [moment for moment in after if 0.2 < moment < 0.5]  # earlier ones were on their way
    assert sum(moment >= 0.5 for moment in after) >= 10
    assert len(server.requests) == 31


def test_a_garbled_answer_after_a_busy_server_is_no_last_straw(generate: Generate, client: Client) -> None:
    course = ["503", "429, nothing said", "a web page", "null content", None]
    with OpenAIServer(trouble=lambda ask: course[ask.attempt]) as server:
        assert len(generate(worlds(1), client(server))) == 2
    assert len(server.requests) == len(course)


def test_who_waits_does_not_hold_up_the_end(generate: Generate, client: Client) -> None:
    def trouble(ask: Ask) -> str:
        return "429, a minute" if "World0 " in ask.about else "no such key"

    start = time.monotonic()
    with (
        OpenAIServer(latency=0.2, trouble=trouble) as server,
        pytest.raises(RuntimeError, match="error that will not pass"),
    ):
        generate(worlds(2), client(server), max_concurrency=2)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(("fault", "good"), [("no such key", 100), ("no such model", 10), ("no money", 10)])
def test_what_will_not_pass_ends_the_run_and_a_rerun_asks_for_the_rest(
    generate: Generate, client: Client, fault: str, good: int, tmp_path: Path
) -> None:
    path, chunks = tmp_path / "pairs.jsonl", worlds(2000)

    def trouble(ask: Ask) -> str | None:
        return fault if ask.answers >= good and ask.key != "a-good-key" else None

    with OpenAIServer(latency=0.001, trouble=trouble) as server:
        with pytest.raises(RuntimeError, match=r"error that will not pass: .*keeps the \d+ answers, and a rerun goes"):
            generate(chunks, client(server), path=path, max_concurrency=16)
        kept = {row["text"] for row in lines(path)}
        assert good <= len(kept) < good + 16
        assert kept == server.answered.keys()
        assert len(server.requests) <= len(kept) + 17

        server.requests.clear()
        some = chunks[: good + 25]
        generate(some, client(server, api_key="a-good-key"), path=path)
        assert len(server.requests) == len({chunk.page_content for chunk in some} - kept)
        assert set(server.answered.values()) == {1}


def test_a_chunk_that_is_too_long_is_lost_alone(
    generate: Generate, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with OpenAIServer(trouble=lambda ask: "too long" if "World7 " in ask.about else None) as server:
        dataset = generate(worlds(20), client(server))
    assert len(dataset) == 2 * 19
    assert len(server.requests) == 20
    assert "1 of 20 chunks got no answer" in caplog.text


def test_a_budget_of_calls_is_kept_to_the_call(
    generate: Generate, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "pairs.jsonl"
    with OpenAIServer(latency=0.001, trouble=mixed(0.2, LIGHT), delay=0.02) as server:
        generate(worlds(100), client(server), path=path, max_calls=60)
    assert len(server.requests) == summary(path)["calls"] == 60
    assert len(lines(path)) == server.answered.total() < 60
    assert "the budget of 60 calls is spent" in caplog.text


def test_a_budget_of_tokens_ends_the_run(generate: Generate, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with OpenAIServer(latency=0.001) as server:
        generate(worlds(100), client(server), max_tokens=10 * 40, max_concurrency=4)
    assert 10 <= len(server.requests) <= 10 + 3  # those that were on their way
    assert "the budget of 400 tokens is spent" in caplog.text


def test_a_dead_server_is_given_up(
    generate: Generate,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(verdicts, "FIRST_WAIT", 0.001)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        server = OpenAIServer(port=unused.getsockname()[1])
        with pytest.raises(RuntimeError, match=r"10 calls failed one after the other: \w*ConnectionError"):
            generate(worlds(2000), client(server), path=tmp_path / "pairs.jsonl", max_concurrency=16, max_attempts=4)
    assert summary(tmp_path / "pairs.jsonl")["calls"] <= 4 * (10 + 16)


def test_embeddings_come_out_right() -> None:
    texts = [f"{'abcdefghijklmnop'[number % 16] * number} world" for number in range(100)]
    faulty = OpenAIServer(latency=0.001, trouble=mixed(0.4, LIGHT), delay=0.02)
    with faulty as server, openai.DefaultHttpxClient() as http_client:
        base = OpenAIEmbeddings(
            model="wide",
            base_url=server.url,
            api_key="a-key",
            chunk_size=4,
            max_retries=8,
            check_embedding_ctx_length=False,
            http_client=http_client,
        )
        assert base.embed_documents(texts) == [letters(text) for text in texts]
    assert server.answered.total() == 25
    assert server.faults.total() >= 5
