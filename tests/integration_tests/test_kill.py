"""A generation that is killed and begun again, as often as it takes: no answer is lost, and hardly any is paid twice.

    python -c "from tests.integration_tests.test_kill import measure; print(measure(20))"

kills twenty times and tells how many calls were repeated.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.documents import Document
from langchain_openai import ChatOpenAI

from langchain_embedding_adapter import generate_qa_pairs
from tests.openai_server import OpenAIServer

KILLS = 6
CHUNKS = 300
CONCURRENCY = 8
LATENCY = 0.05
TEXTS = [f"World{number} has {number} moons." for number in range(CHUNKS)]

PROCESSES = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
if sys.platform != "win32":
    PROCESSES.set_forkserver_preload(["tests.integration_tests.test_kill"])  # its imports take a child two seconds


def generate(url: str, path: Path) -> None:
    """What a child does; an error goes beside the answers."""
    llm = ChatOpenAI(model="small", max_retries=0, base_url=url, api_key="a-key")
    try:
        generate_qa_pairs([Document(text) for text in TEXTS], llm, path=path, max_concurrency=CONCURRENCY)
    except RuntimeError as error:
        path.with_suffix(".error").write_text(str(error))
        sys.exit(1)


def start(server: OpenAIServer, path: Path) -> BaseProcess:
    child = PROCESSES.Process(target=generate, args=(server.url, path), daemon=True)
    child.start()
    return child


def answers_in(path: Path) -> list[dict[str, str]]:
    """The lines that are whole."""
    content = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in content.split("\n")[:-1]]


@dataclass(frozen=True)
class Outcome:
    """What came of it: the lines of the file, and how often the server answered about each text."""

    kills: int
    lines: list[dict[str, str]]
    answered: Counter[str]

    @property
    def repeated(self) -> int:
        return self.answered.total() - len(self.answered)


def kill_and_begin_again(path: Path, kills: int, *, seed: int = 0) -> Outcome:
    """Kill a child after a random number of answers and at a random moment; the one after the last kill finishes."""
    draw = random.Random(seed)
    moments = sorted(draw.sample(range(1, CHUNKS - CONCURRENCY), kills))  # answers at hand when a kill comes
    with OpenAIServer(latency=LATENCY) as server:
        for moment in [*moments, None]:
            before = answers_in(path)
            child = start(server, path)
            if moment is not None:
                while child.is_alive() and (not path.exists() or path.read_bytes().count(b"\n") < moment):
                    time.sleep(0.002)
                time.sleep(draw.uniform(0, LATENCY / 2))
                child.kill()
            child.join()
            assert (child.exitcode == 0) == (moment is None)
            assert answers_in(path)[: len(before)] == before
    return Outcome(kills, answers_in(path), server.answered)


def check(outcome: Outcome) -> None:
    assert Counter(row["text"] for row in outcome.lines) == dict.fromkeys(TEXTS, 1)
    assert len({row["key"] for row in outcome.lines}) == CHUNKS
    assert outcome.answered.keys() == set(TEXTS)
    assert outcome.repeated <= outcome.kills * CONCURRENCY  # no more than was in flight


def measure(kills: int) -> str:
    """The figure for so many kills."""
    with TemporaryDirectory() as folder:
        outcome = kill_and_begin_again(Path(folder) / "pairs.jsonl", kills)
    check(outcome)
    return f"{kills} kills, {CHUNKS} chunks: {outcome.repeated} calls were repeated"


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    check(kill_and_begin_again(tmp_path / "pairs.jsonl", KILLS))


def test_a_second_process_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    with OpenAIServer(latency=30) as server:
        first = start(server, path)
        while not server.requests:
            time.sleep(0.01)
        second = start(server, path)
        second.join()
        assert second.exitcode == 1
        assert first.is_alive()
        first.kill()
        first.join()
    told = path.with_suffix(".error").read_text()
    assert told == f"another process is writing answers to {path}; wait for it to end, or name another path"
    assert len(server.requests) <= CONCURRENCY
