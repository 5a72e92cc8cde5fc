"""Texts embedded into a folder: the vectors of memory, each text once, gone on with, failures kept with reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_embedding_adapter import QADataset, embed_dataset, embed_texts, open_pair_vectors, save_pair_vectors
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import patience, shard_work, to_folder
from tests.small_world import AngleEmbeddings, world
from tests.unit_tests.test_shards import assert_same


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Shards of four texts, batches of two; waits are noted, and none is waited for."""
    waits: list[float] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(to_folder, "LOCAL_SHARD", 4)
    monkeypatch.setattr(shard_work, "BATCH", {"query": 2, "document": 2})
    monkeypatch.setattr(patience.time, "sleep", waits.append)
    return waits


def repeated() -> QADataset:
    """Some questions, and passages some of which have the text of another: in the same shard, in one before."""
    dataset = world(step=60)
    passages = list(dataset.corpus.values())
    again = {"a1": passages[4], "a2": passages[0], "a3": passages[0], "a4": passages[23], "a5": "p 5 0", "a6": "p 5 0"}
    corpus = dict([*dataset.corpus.items(), *again.items(), *((f"b{row}", passages[row]) for row in range(6))])
    return QADataset(dataset.queries, corpus, dataset.relevant_docs, grades={"q0-0": {"p0-0": 0.5}})


class Failing(AngleEmbeddings):
    """Raises an error when it is asked about some text, as often as there are errors."""

    def __init__(self, text: str = "", *errors: Exception | None, always: Exception | None = None) -> None:
        super().__init__()
        self.text, self.errors, self.always = text, list(errors), always

    def _vector(self, text: str) -> list[float]:
        if text == self.text:
            error = self.errors.pop(0) if self.errors else self.always
            if error is not None:
                raise error
        return super()._vector(text)


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status_code = status


def test_the_folder_holds_what_memory_would(tmp_path: Path) -> None:
    model = AngleEmbeddings()
    opened = embed_dataset(model, repeated(), path=tmp_path / "vectors")
    assert_same(opened, embed_dataset(AngleEmbeddings(), repeated()))
    assert sorted(model.documents) == sorted(set(repeated().corpus.values()))
    assert sorted(model.queries) == sorted(set(repeated().queries.values()))
    about = json.loads((tmp_path / "vectors" / "about.json").read_text())
    assert about["query_model"] == about["passage_model"] == "AngleEmbeddings"
    left = {file.name for file in (tmp_path / "vectors" / "passages").iterdir() if not file.name.startswith("part-")}
    assert left == {".lock", "plan.json"}
    again = AngleEmbeddings()
    assert_same(embed_dataset(again, repeated(), path=tmp_path / "vectors"), opened)
    assert (again.queries, again.documents) == ([], [])


def test_any_file_system(tmp_path: Path) -> None:
    opened = embed_dataset(AngleEmbeddings(), repeated(), path="memory://embedded/here")
    assert_same(opened, embed_dataset(AngleEmbeddings(), repeated()))


def test_passages_may_have_a_model_of_their_own(tmp_path: Path) -> None:
    one, other = AngleEmbeddings(), AngleEmbeddings(turn=0)
    opened = embed_dataset(one, repeated(), document_embeddings=other, path=tmp_path / "vectors")
    assert (len(one.documents), len(other.queries)) == (0, 0)
    assert_same(opened, embed_dataset(AngleEmbeddings(), repeated(), document_embeddings=AngleEmbeddings(turn=0)))


@pytest.mark.parametrize("text", ["q 60 2", "p 60 1"])
def test_a_rerun_goes_on_from_where_an_interruption_came(tmp_path: Path, text: str) -> None:
    class Interrupted(Failing):
        def embed_query(self, query: str) -> list[float]:
            vector = self._vector(query)
            self.queries.append(query)
            return vector

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            vectors = [self._vector(each) for each in texts]
            self.documents += texts
            return vectors

    model = Interrupted(text, KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        embed_dataset(model, repeated(), path=tmp_path / "vectors")
    assert not (tmp_path / "vectors" / "about.json").exists()
    opened = embed_dataset(model, repeated(), path=tmp_path / "vectors")
    assert_same(opened, embed_dataset(AngleEmbeddings(), repeated()))
    assert len(model.documents) == len(set(model.documents))
    assert len(model.queries) - len(set(model.queries)) <= 1  # what was in flight


def test_texts_that_are_refused_are_kept_with_the_reason(tmp_path: Path) -> None:
    model = Failing("p 120 1", always=StatusError(400))
    with pytest.raises(
        RuntimeError, match=r"1 of \d+ texts could not be embedded \(StatusError\('status 400'\)"
    ) as told:
        embed_dataset(model, repeated(), path=tmp_path / "vectors")
    assert "a rerun goes on from there" in str(told.value)
    (file,) = (tmp_path / "vectors" / "passages" / "failed").iterdir()
    row = json.loads(file.read_text())
    assert row == {"id": "p1-120", "text": "p 120 1", "reason": "StatusError('status 400')"}
    mended = Failing()
    assert_same(
        embed_dataset(mended, repeated(), path=tmp_path / "vectors"), embed_dataset(AngleEmbeddings(), repeated())
    )
    assert (mended.queries, mended.documents) == ([], ["p 120 1"])
    assert not (tmp_path / "vectors" / "passages" / "failed").exists()


def test_errors_that_may_pass_are_waited_for(tmp_path: Path, small: list[float]) -> None:
    model = Failing("p 120 1", StatusError(429), StatusError(503), ConnectionError("lost"), ValueError("garbled"))
    embed_dataset(model, repeated(), path=tmp_path / "vectors")
    assert len(small) == 4
    assert all(2**number / 2 <= wait <= 2**number for number, wait in enumerate(small))


@pytest.mark.parametrize(
    ("error", "told", "waits"),
    [
        (StatusError(401), "stopped: an error that will not pass: StatusError", 0),
        (StatusError(503), "stopped: 8 attempts failed: StatusError", 7),
    ],
)
def test_where_there_is_no_use_it_ends(tmp_path: Path, small: list[float], error: Any, told: str, waits: int) -> None:
    with pytest.raises(RuntimeError, match=told):
        embed_dataset(Failing("p 120 1", always=error), repeated(), path=tmp_path / "vectors")
    assert len(small) == waits


def test_a_model_that_takes_nothing_is_soon_left_alone(tmp_path: Path) -> None:
    class Broken(AngleEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.document_calls += 1
            raise StatusError(422)

    model = Broken()
    dataset = world()
    to_folder.LOCAL_SHARD = 100
    shard_work.BATCH["document"] = 64
    with pytest.raises(RuntimeError, match="stopped: 10 texts were refused one after the other"):
        embed_dataset(model, dataset, path=tmp_path / "vectors")
    assert model.document_calls < 30


def test_vectors_that_are_not_finite_are_failures(tmp_path: Path) -> None:
    class Overflowing(AngleEmbeddings):
        def _vector(self, text: str) -> list[float]:
            return [float("nan")] * 8 if text == "p 120 1" else super()._vector(text)

    with pytest.raises(RuntimeError, match="values that are not finite"):
        embed_dataset(Overflowing(), repeated(), path=tmp_path / "vectors")


def test_of_a_source_that_has_changed_the_same_shards_stay(tmp_path: Path) -> None:
    before = repeated()
    embed_dataset(AngleEmbeddings(), before, path=tmp_path / "vectors")
    changed = QADataset(
        before.queries, {**before.corpus, "p3-300": "p 7 3", "a2": "p 60 0", "new": "p 8 3"}, before.relevant_docs
    )
    model = AngleEmbeddings()
    assert_same(embed_dataset(model, changed, path=tmp_path / "vectors"), embed_dataset(AngleEmbeddings(), changed))
    assert model.queries == []
    assert {"p 7 3", "p 8 3"} <= set(model.documents)
    assert len(model.documents) <= 12  # of the shards of three texts
    assert_same(embed_dataset(model, before, path=tmp_path / "vectors"), embed_dataset(AngleEmbeddings(), before))


def test_vectors_saved_into_a_folder_are_no_embedding(tmp_path: Path) -> None:
    vectors = embed_dataset(AngleEmbeddings(), world(step=60), path=tmp_path / "vectors")
    others = embed_dataset(AngleEmbeddings(turn=10), world(step=60))
    save_pair_vectors(others, tmp_path / "vectors")
    assert_same(embed_dataset(AngleEmbeddings(), world(step=60), path=tmp_path / "vectors"), vectors)


def test_another_models_folder_is_refused(tmp_path: Path) -> None:
    class Other(AngleEmbeddings):
        pass

    before = embed_dataset(AngleEmbeddings(), repeated(), path=tmp_path / "vectors")
    with pytest.raises(ValueError, match=r"holds vectors of AngleEmbeddings \(query\), and Other \(query\)"):
        embed_dataset(Other(), repeated(), path=tmp_path / "vectors")
    with pytest.raises(ValueError, match=r"holds vectors of AngleEmbeddings \(document\), and Other \(document\)"):
        embed_dataset(AngleEmbeddings(), repeated(), document_embeddings=Other(), path=tmp_path / "vectors")
    assert_same(open_pair_vectors(tmp_path / "vectors"), before)  # it is as good as it was


def test_one_at_a_time_embeds_into_a_folder(tmp_path: Path) -> None:
    class Greedy(AngleEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            with pytest.raises(RuntimeError, match=r"another process is writing to .*passages; wait for it to end"):
                embed_dataset(Greedy(), repeated(), path=tmp_path / "vectors")
            return super().embed_documents(texts)

    opened = embed_dataset(Greedy(), repeated(), path=tmp_path / "vectors")
    assert_same(opened, embed_dataset(AngleEmbeddings(), repeated()))


def test_what_needs_a_folder_and_what_does_not_go_with_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`cache` is for vectors in memory"):
        embed_dataset(AngleEmbeddings(), repeated(), path=tmp_path, cache=VectorCache())
    limiter = InMemoryRateLimiter(requests_per_second=1)
    for options in ({"engine": "ray"}, {"rate_limiter": limiter}):
        with pytest.raises(ValueError, match="need a folder for the vectors"):
            embed_dataset(AngleEmbeddings(), repeated(), **options)
    with pytest.raises(ValueError, match="holds no texts of its passages"):
        embed_dataset(AngleEmbeddings(), QADataset({"q": "?"}, {}, {"q": ["p"]}), path=tmp_path)
    with pytest.raises(ValueError, match="expected role"):
        embed_texts(tmp_path, AngleEmbeddings(), tmp_path / "vectors", role="passage")  # type: ignore[arg-type]


def test_a_rate_limiter_is_asked_before_each_call(tmp_path: Path) -> None:
    class Noting(InMemoryRateLimiter):
        asked = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.asked += 1
            return True

    limiter, model = Noting(), AngleEmbeddings()
    embed_dataset(model, repeated(), path=tmp_path / "vectors", rate_limiter=limiter)
    assert limiter.asked == len(model.queries) + model.document_calls


def test_a_folder_of_texts_becomes_a_folder_of_vectors(tmp_path: Path) -> None:
    dataset = repeated()
    source = tmp_path / "texts"
    for name in ("questions", "passages", "pairs"):
        (source / name).mkdir(parents=True)
    rows = [{"id": key, "text": text} for key, text in dataset.corpus.items()]
    lines = "\n".join(json.dumps(row) for row in rows[:11])
    (source / "passages" / "0.jsonl").write_text(lines + "\n\n")
    pq.write_table(pa.Table.from_pylist(rows[11:]), source / "passages" / "1.parquet", row_group_size=5)
    asked = {"id": list(dataset.queries), "text": list(dataset.queries.values())}
    pq.write_table(pa.table(asked), source / "questions" / "0.parquet")
    pairs = [{"question": q, "passage": p, "grade": dataset.grade(q, p)} for q, (p,) in dataset.relevant_docs.items()]
    pq.write_table(pa.Table.from_pylist(pairs), source / "pairs" / "0.parquet")

    expected = embed_dataset(AngleEmbeddings(), dataset)
    assert_same(embed_dataset(AngleEmbeddings(), source, path=tmp_path / "vectors"), expected)
    model = AngleEmbeddings()
    told = embed_texts(source / "passages", model, tmp_path / "alone")
    assert told.to_dict() | {"seconds": 0} == {
        "texts": len(dataset.corpus),
        "distinct": len(set(dataset.corpus.values())),
        "embedded": len(set(dataset.corpus.values())),
        "calls": model.document_calls,
        "dimensions": 8,
        "seconds": 0,
    }
    assert "texts, 25 of them distinct, as vectors of 8 dimensions: 25 embedded in 13 calls" in str(told)
    parts = [pq.read_table(file) for file in sorted((tmp_path / "alone").glob("*.parquet"))]
    written = pa.concat_tables(parts)
    assert written.column("id").to_pylist() == list(dataset.corpus)
    np.testing.assert_array_equal(np.array(written.column("vector").to_pylist(), np.float32), expected.passages)
    one = embed_texts(source / "passages" / "0.jsonl", model, tmp_path / "one")
    assert one.texts == 11


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "a"}', "line 2: expected a JSON object with an id and a text: KeyError"),
        ("[1]", "line 2: expected a JSON object"),
        ('{"id": "a", "text": 1}', "line 2: expected the text to be a string, got 1"),
        ('{"id": "a", "text": " "}', "the text of 'a' is blank"),
    ],
)
def test_what_is_no_text_is_told(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "texts.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(ValueError, match=told):
        embed_texts(tmp_path / "texts.jsonl", AngleEmbeddings(), tmp_path / "vectors")
    (tmp_path / "texts.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="there is no text to embed"):
        embed_texts(tmp_path / "texts.jsonl", AngleEmbeddings(), tmp_path / "vectors")


def test_workers_that_write_somewhere_else_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = {"asked": 4, "calls": 1, "failed": 0, "reason": None, "stopped": None}

    @contextmanager
    def elsewhere(engine: Any) -> Iterator[Any]:
        yield lambda shards, work: ((shard, done) for shard in shards)

    monkeypatch.setattr(to_folder, "work_force", elsewhere)
    with pytest.raises(RuntimeError, match="wrote where this process does not see it"):
        embed_dataset(AngleEmbeddings(), world(step=60), engine="ray", path=tmp_path / "vectors")
    assert not (tmp_path / "vectors" / "about.json").exists()
