"""What a worker does with its shards, and where answers lie, without Ray: the same objects in one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_embedding_adapter import GenerationConfig, QuestionStyle, RayEngine, generate_qa_pairs, plan_qa_pairs
from langchain_embedding_adapter.cluster.shards import ShardFolder
from langchain_embedding_adapter.generation.account import Account
from langchain_embedding_adapter.generation.asked import ChunkAsk, ChunkAsker
from langchain_embedding_adapter.generation.calls import CallLimits
from langchain_embedding_adapter.generation.chunk_files import read_chunks
from langchain_embedding_adapter.generation.on_ray import ShardCalls, _Ways
from langchain_embedding_adapter.generation.places import ASKED, FAILED, Place
from langchain_embedding_adapter.verdicts import HOPELESS

CHUNKS = [
    Document(f"World{number} has {number} moons.", id=f"w{number}", metadata={"source": f"book{number // 4}"})
    for number in range(20)
]
MIX = GenerationConfig(styles=["natural", "keywords", "multi-hop"], personas=["a clerk", "a nurse"], seed=3).mix
ASKS = ChunkAsker(MIX, 2, whole=False).of_chunks(CHUNKS)


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


def chain_of(answer: Callable[[str], str]) -> Runnable[Any, Any]:
    return RunnableLambda(lambda wording: answer(wording.variables["passage"]))


def worker(shards: ShardFolder, chain: Runnable[Any, Any], account: Account, **options: Any) -> ShardCalls:
    limits = CallLimits(max_concurrency=1, max_attempts=1)
    ways = _Ways(RayEngine(), account, limits, None, options.get("asynchronous", False))
    return ShardCalls(shards, ChunkAsker(MIX, 2, whole=False), chain, ways)


@pytest.fixture
def shards(tmp_path: Path) -> ShardFolder:
    folder = ShardFolder(tmp_path / "answers")
    for number in range(4):
        asks = ASKS[5 * number : 5 * number + 5]
        folder.within(ASKED).write(f"part-{number}", [ask.as_row() for ask in asks])
    return folder


def fine(passage: str) -> str:
    return f"1. What is said in {len(passage)} letters?"


def test_a_row_comes_out_as_the_same_prompt() -> None:
    assert {ask.wording.style.name for ask in ASKS} == {"natural", "keywords", "multi-hop"}
    asker = ChunkAsker(MIX, 2, whole=False)
    for ask in ASKS:
        other = asker.from_row(json.loads(json.dumps(ask.as_row())))
        assert (other.key, other.messages()) == (ask.key, ask.messages())
        assert other.answer("1. Why is it so?") == ask.answer("1. Why is it so?")
    assert all(ask.neighbour is None for ask in ChunkAsker(GenerationConfig().mix, 2, whole=False).of_chunks(CHUNKS))
    whole = ChunkAsker(GenerationConfig().mix, 2, whole=True)
    first: ChunkAsk = whole.of_chunks(CHUNKS)[0]
    assert first.input == {"passage": "World0 has 0 moons.", "questions_per_chunk": 2}
    assert whole.from_row(first.as_row()).key == first.key


def test_another_wording_is_noticed() -> None:
    other = GenerationConfig(styles=[QuestionStyle("rude", "Be rude.")]).mix
    with pytest.raises(ValueError, match="expected the same versions"):
        ChunkAsker(other, 2, whole=False).from_row(ASKS[0].as_row())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_who_takes_a_shard_over_goes_on_from_there(shards: ShardFolder, asynchronous: bool) -> None:
    asked: list[str] = []

    def dies_at_the_third(passage: str) -> str:
        if len(asked) == 2:
            raise KeyboardInterrupt  # as a killed process: nothing after it happens
        asked.append(passage)
        return fine(passage)

    with pytest.raises(KeyboardInterrupt):
        worker(shards, chain_of(dies_at_the_third), Account())("part-0")
    assert not shards.done("part-0")
    assert len(shards.journal("part-0").rows()) == 2
    before = list(asked)

    def goes_on(passage: str) -> str:
        asked.append(passage)
        return fine(passage)

    other = worker(shards, chain_of(goes_on), Account(), asynchronous=asynchronous)
    assert [other("part-0"), other("part-1")] == [{"rows": 5}, {"rows": 5}]
    assert len(asked) == len(set(asked)) == 10
    assert asked[:2] == before
    assert [row["chunk"] for row in shards.read("part-0")] == [ask.chunk.id for ask in ASKS[:5]]
    assert shards.unfinished() == []
    assert other("part-0") == {"rows": 5}
    assert len(asked) == 10  # what is done is not asked again
    other.close()


def test_what_failed_is_told_with_its_reason(shards: ShardFolder) -> None:
    def refuses(passage: str) -> str:
        if "World3 " in passage:
            raise StatusError(400)
        return fine(passage)

    told = worker(shards, chain_of(refuses), Account())("part-0")
    failed = shards.within(FAILED).read("part-0")
    assert {"chunk": "w3", "error": "StatusError", "message": "status 400"} in failed
    assert told["rows"] == 5 - len(failed)


def test_a_wrong_key_is_tried_once_for_all(shards: ShardFolder) -> None:
    tried: list[str] = []

    def wrong_key(passage: str) -> str:
        tried.append(passage)
        raise StatusError(401)

    account = Account()
    workers = [worker(shards, chain_of(wrong_key), account) for _ in range(2)]
    told = [workers[number % 2](f"part-{number}") for number in range(4)]
    assert told == [{"rows": 0}] * 4
    assert len(tried) == 1
    assert not any(shards.done(f"part-{number}") for number in range(4))
    assert account.bill().stopped == "an error that will not pass"
    assert account.bill().fatal == "StatusError('status 401')"


def test_failures_in_a_row_are_counted_over_all_workers(shards: ShardFolder) -> None:
    tried: list[str] = []

    def refuses(passage: str) -> str:
        tried.append(passage)
        raise StatusError(400)

    account = Account()
    for number in range(4):
        worker(shards, chain_of(refuses), account)(f"part-{number}")
    assert len(tried) == HOPELESS


def test_a_budget_is_kept_over_all_workers_and_what_came_is_kept(shards: ShardFolder) -> None:
    account = Account(max_calls=8)
    told = [worker(shards, chain_of(fine), account)(f"part-{number}") for number in range(4)]
    assert told == [{"rows": 5}, {"rows": 3}, {"rows": 0}, {"rows": 0}]
    assert account.bill().calls == 8
    assert shards.names() == ["part-0", "part-1"]


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a place that all workers reach"):
        worker(ShardFolder(tmp_path / "elsewhere"), chain_of(fine), Account())("part-0")


@pytest.mark.parametrize(("path", "folder"), [("kept.jsonl", "kept.shards"), ("kept", "kept")])
def test_what_a_killed_run_left_is_taken_over(tmp_path: Path, path: str, folder: str) -> None:
    left = ShardFolder(tmp_path / folder / "answers")
    left.write("part-0-old", [ask.answer(fine("")) for ask in ASKS[:5]])
    for ask in ASKS[5:8]:
        left.journal("part-1-old").append(ask.key, ask.answer(fine("")))
    left.within(ASKED).write("part-1-old", [ask.as_row() for ask in ASKS[5:10]])
    place = Place(tmp_path / path, on_ray=True)
    with place.answers() as answers:
        place.take_over("answers", answers)
        assert answers.answers.keys() == {ask.key for ask in ASKS[:8]}
    if path == "kept":
        assert [len(left.read(name)) for name in left.names()] == [5, 3]
    else:
        assert not (tmp_path / folder).exists()
        assert len((tmp_path / path).read_text().splitlines()) == 8
    assert left.unfinished() == []
    assert not left.holds(ASKED)
    with Place(tmp_path / path, on_ray=True).answers() as answers:
        assert answers.answers.keys() == {ask.key for ask in ASKS[:8]}


def test_a_run_here_takes_over_what_a_killed_one_on_ray_left(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(about: dict[str, Any]) -> str:
        asked.append(about["passage"])
        return f"What is said in {len(about['passage'])} letters?"

    whole = generate_qa_pairs(CHUNKS, chain=RunnableLambda(answer), path=tmp_path / "whole.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "whole.jsonl").read_text().splitlines()]
    left = ShardFolder(tmp_path / "kept.shards" / "answers")
    left.write("part-0-old", rows[:5])
    left.journal("part-1-old").append(rows[5]["key"], rows[5])
    asked.clear()
    assert generate_qa_pairs(CHUNKS, chain=RunnableLambda(answer), path=tmp_path / "kept.jsonl") == whole
    assert sorted(asked) == sorted(row["text"] for row in rows[6:])
    assert not (tmp_path / "kept.shards").exists()


def test_one_run_at_a_time_in_a_folder_of_this_machine(tmp_path: Path) -> None:
    with (
        Place(tmp_path / "kept", on_ray=True).answers(),
        pytest.raises(RuntimeError, match="another process is writing"),
        Place(tmp_path / "kept", on_ray=True).answers(),
    ):
        pass


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    ShardFolder(tmp_path / "kept" / "answers").write("part-0", [{"key": "a"}])
    with pytest.raises(ValueError, match="a row has no 'chunk'"), Place(tmp_path / "kept", on_ray=True).answers():
        pass


@pytest.mark.parametrize(
    ("path", "engine", "message"),
    [
        (None, "ray", "the workers write every answer themselves: expected path="),
        ("s3://bucket/pairs.jsonl", "ray", "expected a folder, got s3://bucket/pairs.jsonl"),
        ("s3://bucket/pairs", "local", "engine='ray' writes to any file system"),
        ("pairs.jsonl", "spark", "expected engine= 'local', 'ray' or a RayEngine, got 'spark'"),
    ],
)
def test_places_that_do_not_fit_are_refused(path: str | None, engine: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_qa_pairs(CHUNKS, RunnableLambda(lambda _: "a"), path=path, engine=engine)


def test_when_all_is_answered_no_cluster_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: Any) -> None:
        raise AssertionError("Ray was started")

    chain = RunnableLambda(lambda asked: f"What is said in {len(asked['passage'])} letters?")
    here = generate_qa_pairs(CHUNKS, chain=chain, path=tmp_path / "pairs.jsonl")
    monkeypatch.setattr("langchain_embedding_adapter.generation.on_ray.connected", nobody)
    assert generate_qa_pairs(CHUNKS, chain=chain, path=tmp_path / "pairs.jsonl", engine="ray") == here
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    ShardFolder("memory://kept-by-ray/answers").write("part-0", rows)
    assert generate_qa_pairs(CHUNKS, chain=chain, path="memory://kept-by-ray", engine="ray") == here
    assert ShardFolder("memory://kept-by-ray").holds("summary.json")
    plan = plan_qa_pairs([*CHUNKS, Document("New.")], chain=chain, path="memory://kept-by-ray", engine="ray")
    assert (plan.answered, plan.calls) == (20, 1)


def test_chunks_from_files(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (the extra `arrow`)")
    import pyarrow as pa

    (tmp_path / "chunks").mkdir()
    rows = [{"id": chunk.id, "text": chunk.page_content, "metadata": json.dumps(chunk.metadata)} for chunk in CHUNKS]
    parquet.write_table(pa.Table.from_pylist(rows[:12]), tmp_path / "chunks/0.parquet")
    lines = "".join(json.dumps({**row, "metadata": json.loads(row["metadata"])}) + "\n" for row in rows[12:])
    (tmp_path / "chunks/1.jsonl").write_text(lines)
    (tmp_path / "chunks/notes.md").write_text("no chunk")
    assert list(read_chunks(tmp_path / "chunks")) == CHUNKS
    assert list(read_chunks(f"{tmp_path}/chunks/*.jsonl")) == CHUNKS[12:]
    answered = generate_qa_pairs(tmp_path / "chunks", chain=chain_of_dict())
    assert list(answered.corpus) == [chunk.id for chunk in CHUNKS]
    with pytest.raises(FileNotFoundError, match="no file of chunks"):
        list(read_chunks(tmp_path / "none"))
    for line, told in [
        ('{"words": "a"}', "row 1: expected a chunk with one of text"),
        ('{"text": "a', r"wrong\.jsonl, line 1, is not valid JSON"),
        ('["text"]', "line 1: expected a JSON object, got list"),
    ]:
        (tmp_path / "wrong.jsonl").write_text(f"{line}\n")
        with pytest.raises(ValueError, match=told):
            list(read_chunks(tmp_path / "wrong.jsonl"))


def chain_of_dict() -> Runnable[Any, Any]:
    return RunnableLambda(lambda asked: f"What is said in {len(asked['passage'])} letters?")
